import base64
import io
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_api.store import BackupError, GivenKeys, KeysError
from face_api.store.errors import KeyMissingError
from face_api.store.sealed_stream import CHUNK_BYTES, MAGIC, SALT_BYTES, open_stream, seal_stream

OVERHEAD = 17
"""Bytes that a chunk is longer for being sealed."""
KEY_ID = "k1"
HEAD_BYTES = len(MAGIC) + 1 + len(KEY_ID) + SALT_BYTES + 24


def given_keys(*key_ids: str) -> GivenKeys:
    return GivenKeys(",".join(f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}" for key_id in key_ids))


KEYS = given_keys(KEY_ID, "k2")


def sealed(data: bytes, step: int = 300_000) -> bytes:
    file = io.BytesIO()
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    assert seal_stream(parts, file, KEYS) == KEY_ID
    return file.getvalue()


def opened(data: bytes, keys: GivenKeys = KEYS) -> bytes:
    return b"".join(open_stream(io.BytesIO(data), keys))


@pytest.fixture(scope="module")
def plain() -> bytes:
    return secrets.token_bytes(2 * CHUNK_BYTES + 1000)


@pytest.fixture(scope="module")
def whole(plain: bytes) -> bytes:
    return sealed(plain)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
@pytest.mark.parametrize("step", [1000, 3 * CHUNK_BYTES])
def test_what_was_sealed_opens_whatever_its_length(size: int, step: int) -> None:
    data = secrets.token_bytes(size)
    made = sealed(data, step)
    assert opened(made) == data
    chunks = max(1, -(-size // CHUNK_BYTES))
    assert len(made) == HEAD_BYTES + size + chunks * OVERHEAD


def test_nothing_can_be_read_in_it_and_no_two_are_alike() -> None:
    data = b"withmind" * 1000
    first, second = sealed(data), sealed(data)
    assert b"withmind" not in first
    assert first[HEAD_BYTES:] != second[HEAD_BYTES:]


@given(data=st.data())
def test_one_that_was_cut_off_does_not_open(whole: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(BackupError, match=r"cut off|no backup"):
        opened(whole[:size])


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_one_that_was_cut_off_between_chunks_does_not_open(whole: bytes, chunks: int) -> None:
    with pytest.raises(BackupError, match="cut off"):
        opened(whole[: HEAD_BYTES + chunks * (CHUNK_BYTES + OVERHEAD)])


@given(data=st.data())
def test_one_of_which_a_bit_was_changed_does_not_open(whole: bytes, data: st.DataObject) -> None:
    place = data.draw(st.one_of(st.integers(0, HEAD_BYTES + 1), st.integers(0, len(whole) - 1)))
    changed = bytearray(whole)
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    # Of the key's id: there may be none of the other one.
    with pytest.raises((BackupError, KeysError)):
        opened(bytes(changed))


def test_one_that_goes_on_does_not_open(whole: bytes) -> None:
    for more in (b"\0", whole, whole[HEAD_BYTES:]):
        with pytest.raises(BackupError):
            opened(whole + more)


def test_chunks_that_change_places_or_come_from_another_do_not_open(plain: bytes, whole: bytes) -> None:
    size = CHUNK_BYTES + OVERHEAD
    head, first, second, last = (
        whole[:HEAD_BYTES],
        whole[HEAD_BYTES : HEAD_BYTES + size],
        whole[HEAD_BYTES + size : HEAD_BYTES + 2 * size],
        whole[HEAD_BYTES + 2 * size :],
    )
    assert opened(head + first + second + last) == plain
    other = sealed(plain)
    for forged in (
        head + second + first + last,
        head + first + last,
        head + second + last,
        head + last,
        head + first + first + second + last,
        head + other[HEAD_BYTES:],
        other[:HEAD_BYTES] + first + second + last,
    ):
        with pytest.raises(BackupError, match="changed or cut off"):
            opened(forged)


def test_it_opens_with_its_key_alone(whole: bytes) -> None:
    with pytest.raises(KeyMissingError, match="k1 is needed, and there is only k2"):
        opened(whole, given_keys("k2"))
    with pytest.raises(BackupError, match="or the key k1 is not the one of that id"):
        opened(whole, given_keys("k1"))


@pytest.mark.parametrize(
    "data", [b"", b"SQLite format 3\0" * 10, MAGIC, MAGIC + b"\x02k", MAGIC + b"\x02\xff\xff" * 40]
)
def test_something_else_is_no_backup(data: bytes) -> None:
    with pytest.raises(BackupError, match="it is no backup"):
        opened(data)
