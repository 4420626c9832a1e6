import base64
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from face_api.store import GivenKeys, StoreDamagedError, Vault
from face_api.store.errors import KeyMissingError
from face_api.store.sealing import NONCE_BYTES, TAG_BYTES, key_id_of

KEY, OLD_KEY = bytes(range(32)), bytes(range(32, 64))
VALUE = b"a template of a face"
PLACE = ("template", "withmind", "tamy", "e1")
NOT_OPENED = (StoreDamagedError, KeyMissingError)

texts = st.text(max_size=20)
places = st.lists(texts, max_size=5).map(tuple)


def text(**keys: bytes) -> str:
    return ",".join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in keys.items())


VAULT = Vault(GivenKeys(text(k2=KEY, k1=OLD_KEY)))
SEALED = VAULT.seal(VALUE, *PLACE)


@given(st.binary(max_size=2000), places)
def test_what_is_sealed_opens_in_its_place(value: bytes, place: tuple[str, ...]) -> None:
    assert VAULT.open(VAULT.seal(value, *place), *place) == value


@given(places, places)
def test_what_is_sealed_opens_in_no_other_place(place: tuple[str, ...], other: tuple[str, ...]) -> None:
    sealed = VAULT.seal(VALUE, *place)
    if place == other:
        assert VAULT.open(sealed, *other) == VALUE
    else:
        with pytest.raises(StoreDamagedError, match="k2"):
            VAULT.open(sealed, *other)


@pytest.mark.parametrize("element", range(len(PLACE)))
@pytest.mark.parametrize(
    "change", [lambda part: part + " ", lambda part: part[:-1], str.upper, lambda _: ""], ids=["+", "-", "case", "none"]
)
def test_every_element_of_the_place_counts(element: int, change: Callable[[str], str]) -> None:
    other = [change(part) if number == element else part for number, part in enumerate(PLACE)]
    with pytest.raises(StoreDamagedError):
        VAULT.open(SEALED, *other)


@pytest.mark.parametrize(
    ("place", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("ab", "c"), ("abc",)),
        (("ab", "c"), ("c", "ab")),
        (("ab",), ("ab", "")),
        ((), ("",)),
        (("a\x00\x00\x00\x01b",), ("a", "b")),
        (("\u00e9",), ("e\u0301",)),
    ],
)
def test_the_borders_and_the_order_of_the_elements_count(place: tuple[str, ...], other: tuple[str, ...]) -> None:
    for mine, theirs in ((place, other), (other, place)):
        sealed = VAULT.seal(VALUE, *mine)
        assert VAULT.open(sealed, *mine) == VALUE
        with pytest.raises(StoreDamagedError):
            VAULT.open(sealed, *theirs)


def test_a_changed_bit_anywhere_is_found() -> None:
    for bit in range(8 * len(SEALED)):
        changed = bytearray(SEALED)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(NOT_OPENED):
            VAULT.open(bytes(changed), *PLACE)


def test_a_missing_or_an_added_byte_anywhere_is_found() -> None:
    for position in range(len(SEALED)):
        for changed in (
            SEALED[:position],
            SEALED[position + 1 :],
            SEALED[:position] + SEALED[position + 1 :],
            SEALED[:position] + b"\0" + SEALED[position:],
            SEALED[:position] + SEALED[position : position + 1] + SEALED[position:],
        ):
            if changed != SEALED:
                with pytest.raises(NOT_OPENED):
                    VAULT.open(changed, *PLACE)
    with pytest.raises(NOT_OPENED):
        VAULT.open(SEALED + b"\0", *PLACE)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_in_the_same_way(value: bytes) -> None:
    with pytest.raises(NOT_OPENED):
        VAULT.open(value, *PLACE)
    with pytest.raises(NOT_OPENED):
        VAULT.open(SEALED[:4] + value, *PLACE)


@given(st.binary(max_size=100))
def test_the_key_id_of_any_bytes_is_ascii_or_an_error(value: bytes) -> None:
    for sealed in (value, SEALED[:1] + value):
        try:
            key_id = key_id_of(sealed)
        except StoreDamagedError:
            continue
        assert key_id.isascii()
        assert sealed[2:].startswith(key_id.encode())


def test_a_part_of_one_seal_does_not_open_with_a_part_of_another() -> None:
    other = VAULT.seal(VALUE[::-1], *PLACE)
    for position in range(4, len(SEALED)):
        for spliced in (SEALED[:position] + other[position:], other[:position] + SEALED[position:]):
            if spliced not in {SEALED, other}:
                with pytest.raises(StoreDamagedError):
                    VAULT.open(spliced, *PLACE)


def test_the_key_id_stands_in_front() -> None:
    assert SEALED[:4] == b"\x01\x02k2"
    assert key_id_of(SEALED) == "k2"


def test_another_program_can_open_it_by_the_description_alone() -> None:
    start = 2 + SEALED[1]
    assert SEALED[0] == 1
    assert len(SEALED) == start + NONCE_BYTES + len(VALUE) + TAG_BYTES
    place = b"".join(len(part).to_bytes(4, "big") + part for part in (b"template", b"withmind", b"tamy", b"e1"))
    nonce, rest = SEALED[start : start + 12], SEALED[start + 12 :]
    assert AESGCM(KEY).decrypt(nonce, rest, SEALED[:start] + place) == VALUE


def test_what_another_program_sealed_opens() -> None:
    head, nonce = b"\x01\x02k1", bytes(12)
    sealed = head + nonce + AESGCM(OLD_KEY).encrypt(nonce, VALUE, head + b"\x00\x00\x00\x02\xc3\xa9")
    assert VAULT.open(sealed, "\u00e9") == VALUE


def test_the_key_id_cannot_be_changed_to_another_key() -> None:
    forged = SEALED.replace(b"k2", b"k1", 1)
    with pytest.raises(StoreDamagedError, match="k1"):
        VAULT.open(forged, *PLACE)
    # Not even where both are the same key: the id is authenticated.
    same = Vault(GivenKeys(text(k1=KEY)))
    with pytest.raises(StoreDamagedError, match="k1"):
        same.open(forged, *PLACE)


def test_the_first_key_seals_and_the_others_open() -> None:
    old = Vault(GivenKeys(text(k1=OLD_KEY))).seal(VALUE, *PLACE)
    assert key_id_of(old) == "k1"
    assert VAULT.open(old, *PLACE) == VALUE
    assert key_id_of(VAULT.seal(VALUE, *PLACE)) == "k2"


def test_a_key_that_is_not_there_is_named_and_so_are_those_that_are() -> None:
    with pytest.raises(KeyMissingError) as failure:
        Vault(GivenKeys(text(k1=OLD_KEY, k3=KEY))).open(SEALED, *PLACE)
    assert failure.value.key_id == "k2"
    assert "k2 is needed, and there is only k1, k3" in str(failure.value)


def test_another_key_of_the_same_id_does_not_open() -> None:
    with pytest.raises(StoreDamagedError, match="k2"):
        Vault(GivenKeys(text(k2=OLD_KEY))).open(SEALED, *PLACE)


def test_no_nonce_comes_twice() -> None:
    sealed = {VAULT.seal(VALUE, *PLACE) for _ in range(10_000)}
    assert len({value[4:16] for value in sealed}) == 10_000
    assert len({value[16:] for value in sealed}) == 10_000


def test_what_is_sealed_shows_nothing_of_the_value() -> None:
    value = bytes(1000)
    sealed = VAULT.seal(value, *PLACE)
    assert len(sealed) == len(value) + 4 + NONCE_BYTES + TAG_BYTES
    assert b"\0\0\0\0" not in sealed
    assert not any(part.encode() in sealed for part in PLACE[:3])
