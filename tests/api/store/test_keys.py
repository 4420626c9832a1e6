import base64
import logging
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL

from face_api.store import GivenKeys, KeyFile, Keys, KeysError, Store, open_store
from face_api.store.errors import KeyMissingError
from face_api.store.keys import KEY_BYTES, parse_keys
from support.store import enroll, references_of, rows

FIRST, SECOND = bytes(range(32)), bytes(range(32, 64))
FIRST_TEXT, SECOND_TEXT = base64.b64encode(FIRST).decode(), base64.b64encode(SECOND).decode()

MAKE_KEYS = """
import sys
from pathlib import Path
from face_api.store import KeyFile
keys = KeyFile(Path(sys.argv[1]))
input()
keys.create()
print(keys.current(), keys.key(keys.current()).hex())
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("separator", [",", ", ", " ", "\n", "\r\n", "\t", "\n\n", " # a: comment, of two, parts\n"])
@pytest.mark.parametrize("around", ["", "\n", "# only a comment\n"])
def test_keys_are_read_in_their_order_whatever_separates_them(separator: str, around: str) -> None:
    text = f"{around}k2:{SECOND_TEXT}{separator}k1:{FIRST_TEXT}{around}"
    assert list(parse_keys(text, "x").items()) == [("k2", SECOND), ("k1", FIRST)]
    keys = GivenKeys(text)
    assert keys.current() == "k2"
    assert (keys.key("k1"), keys.key("k2")) == (FIRST, SECOND)


def test_a_key_after_a_comment_sign_is_none() -> None:
    assert list(parse_keys(f"k2:{SECOND_TEXT}#k1:{FIRST_TEXT}", "x")) == ["k2"]


@pytest.mark.parametrize("key_id", ["k", "2026-11", "A.b_c-9", "x" * 32])
def test_ids_that_are_good(key_id: str) -> None:
    assert list(parse_keys(f"{key_id}:{FIRST_TEXT}", "x")) == [key_id]


WRONG = {
    "empty": "",
    "blank": " \n\t",
    "comment": "# nothing",
    "no id": FIRST_TEXT,
    "an empty id": f":{FIRST_TEXT}",
    "a long id": f"{'x' * 33}:{FIRST_TEXT}",
    "an id of other signs": f"k/1:{FIRST_TEXT}",
    "an id of other letters": f"k\u00e91:{FIRST_TEXT}",
    "no key": "k1:",
    "a short key": f"k1:{base64.b64encode(FIRST[:31]).decode()}",
    "a long key": f"k1:{base64.b64encode(FIRST + b'x').decode()}",
    "AES-128": f"k1:{base64.b64encode(FIRST[:16]).decode()}",
    "hexadecimal": f"k1:{FIRST.hex()}",
    "no padding": f"k1:{FIRST_TEXT.rstrip('=')}",
    "another alphabet": f"k1:{base64.urlsafe_b64encode(bytes([255]) * 32).decode()}",
    "a sign that is no base64": f"k1:{FIRST_TEXT[:-2]}*=",
    "another letter": f"k1:\u00e9{FIRST_TEXT[1:]}",
    "two colons": f"k1::{FIRST_TEXT}",
    "quotes": f'"k1:{FIRST_TEXT}"',
    "a comma too many": f"k1:{FIRST_TEXT},",
    "the second": f"k1:{FIRST_TEXT},k2:{SECOND_TEXT[:-4]}",
    "twice": f"k1:{FIRST_TEXT},k1:{SECOND_TEXT}",
    "twice the same": f"k1:{FIRST_TEXT},k1:{FIRST_TEXT}",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_malformed_keys_are_said_so_without_their_text(text: str) -> None:
    with pytest.raises(KeysError, match=r"^FACE_API_KEYS: ") as failure:
        GivenKeys(text)
    message = str(failure.value)
    assert "\n" not in message
    assert not any(secret[:6] in message for secret in (FIRST_TEXT, SECOND_TEXT, FIRST.hex()))


def test_the_malformed_key_is_counted() -> None:
    with pytest.raises(KeysError, match="key number 2 is not id:base64 of 32 bytes"):
        GivenKeys(WRONG["the second"])
    with pytest.raises(KeysError, match="the id k1 comes twice"):
        GivenKeys(WRONG["twice"])


@given(st.text(max_size=80))
def test_any_text_is_keys_or_a_keys_error(text: str) -> None:
    try:
        keys = parse_keys(text, "x")
    except KeysError:
        return
    assert keys
    assert all(len(key) == KEY_BYTES for key in keys.values())


def test_given_keys_are_the_operators_to_change() -> None:
    keys: Keys = GivenKeys(f"k1:{FIRST_TEXT}")
    keys.create()
    assert keys.renew() is None
    assert keys.current() == "k1"


def test_a_key_file_is_made_for_its_owner_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "new" / "face.keys"
    before = os.umask(0)
    try:
        keys = KeyFile(path)
        keys.create()
    finally:
        os.umask(before)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]
    assert len(keys.key(keys.current())) == KEY_BYTES
    assert str(path) in caplog.text
    assert base64.b64encode(keys.key(keys.current())).decode() not in caplog.text
    assert path.read_text().startswith("#")


def test_every_key_file_holds_a_key_of_its_own(tmp_path: Path) -> None:
    files = [KeyFile(tmp_path / str(number)) for number in range(10)]
    for keys in files:
        keys.create()
    assert len({keys.key(keys.current()) for keys in files}) == 10
    assert len({keys.current() for keys in files}) == 10


def test_a_key_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "face.keys"
    path.write_text("not even keys")
    KeyFile(path).create()
    assert path.read_text() == "not even keys"


def test_threads_that_make_the_file_at_the_same_time_agree(tmp_path: Path) -> None:
    def make(path: Path) -> tuple[str, bytes]:
        keys = KeyFile(path)
        barrier.wait()
        keys.create()
        return keys.current(), keys.key(keys.current())

    barrier = Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            path = tmp_path / str(number) / "face.keys"
            assert len(set(pool.map(make, [path] * 8))) == 1
            assert list(path.parent.iterdir()) == [path]


def test_processes_that_make_the_file_at_the_same_time_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE_KEYS, str(tmp_path / "new" / "face.keys")]
    makers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("\n")
        maker.stdin.flush()
    printed = {maker.communicate()[0] for maker in makers}
    assert [maker.returncode for maker in makers] == [0, 0]
    assert len(printed) == 1


def test_a_new_key_is_found_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "face.keys"
    path.write_text(f"k1:{FIRST_TEXT}")
    path.chmod(0o600)
    keys = KeyFile(path)
    assert keys.current() == "k1"
    path.write_text(f"k2:{SECOND_TEXT}\nk1:{FIRST_TEXT}")
    assert keys.key("k2") == SECOND
    assert keys.current() == "k2"


def test_while_the_file_is_away_the_known_keys_open(tmp_path: Path) -> None:
    path = tmp_path / "face.keys"
    path.write_text(f"k1:{FIRST_TEXT}")
    path.chmod(0o600)
    keys = KeyFile(path)
    assert keys.current() == "k1"
    path.rename(tmp_path / "away")
    assert keys.key("k1") == FIRST
    for ask in (keys.current, lambda: keys.key("k2"), keys.renew):
        with pytest.raises(KeysError, match=r"face\.keys cannot be used: No such file"):
            ask()
    (tmp_path / "away").rename(path)
    assert keys.current() == "k1"
    with pytest.raises(KeyMissingError, match="k2 is needed, and there is only k1"):
        keys.key("k2")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"k1:AAAA"], ids=["no text", "empty", "short"])
def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "face.keys"
    path.write_bytes(content)
    with pytest.raises(KeysError, match=r"face\.keys") as failure:
        KeyFile(path).current()
    assert "\n" not in str(failure.value)


def test_a_folder_that_is_a_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    with pytest.raises(KeysError, match=r"folder/face\.keys cannot be used"):
        KeyFile(tmp_path / "folder" / "face.keys").create()


@pytest.mark.parametrize(("permissions", "warned"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o644, 1)])
def test_a_key_file_that_others_can_read_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, permissions: int, warned: int
) -> None:
    path = tmp_path / "face.keys"
    path.write_text(f"k1:{FIRST_TEXT}")
    path.chmod(permissions)
    keys = KeyFile(path)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            keys.current()
    assert len(caplog.records) == warned
    assert caplog.text.count("chmod 600") == warned
    assert FIRST_TEXT not in caplog.text


def test_a_renewal_keeps_the_keys_before_it(tmp_path: Path) -> None:
    path = tmp_path / "face.keys"
    path.write_text(f"k2:{SECOND_TEXT}\nk1:{FIRST_TEXT}")
    path.chmod(0o644)
    keys, elsewhere = KeyFile(path), KeyFile(path)
    assert elsewhere.current() == "k2"
    new = keys.renew()
    assert keys.current() == elsewhere.current() == new
    assert list(parse_keys(path.read_text(), "x")) == [new, "k2", "k1"]
    assert (elsewhere.key("k1"), elsewhere.key("k2")) == (FIRST, SECOND)
    assert keys.key(new) not in {FIRST, SECOND}
    assert mode(path) == 0o600


def test_renewals_at_the_same_time_lose_no_key(tmp_path: Path) -> None:
    def renew(keys: KeyFile) -> tuple[str, bytes]:
        barrier.wait()
        new = keys.renew()
        return new, keys.key(new)

    path = tmp_path / "face.keys"
    KeyFile(path).create()
    barrier = Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(renew, [KeyFile(path) for _ in range(4)]))
    # Something may be sealed with each of them already.
    assert set(made) <= set(parse_keys(path.read_text(), "x").items())


class KeyService:
    """As a key management service would be bound: data keys that are unwrapped when they are first asked for."""

    def __init__(self, *key_ids: str) -> None:
        self.wrapped = {key_id: bytes(byte ^ 0xFF for byte in os.urandom(32)) for key_id in key_ids}
        self.newest = ""
        self.unwrapped: dict[str, bytes] = {}

    def current(self) -> str:
        if not self.newest:
            raise KeysError("the key service has no key")
        return self.newest

    def key(self, key_id: str) -> bytes:
        if key_id not in self.unwrapped:
            if key_id not in self.wrapped:
                raise KeyMissingError(key_id, tuple(self.wrapped))
            self.unwrapped[key_id] = bytes(byte ^ 0xFF for byte in self.wrapped[key_id])
        return self.unwrapped[key_id]

    def create(self) -> None:
        if not self.newest:
            self.renew()

    def renew(self) -> str:
        self.newest = f"kms-{len(self.wrapped)}"
        self.wrapped[self.newest] = os.urandom(32)
        return self.newest


def test_a_key_service_serves_as_well(database_url: URL) -> None:
    service = KeyService()
    with closing(open_store(database_url, service, migrate=True)) as store:
        assert service.newest == "kms-0"
        enroll(store, 1)
        service.renew()
        enroll(store, 2)
        assert rows(store, "SELECT key_id FROM face_references ORDER BY id") == [("kms-0",), ("kms-1",)]
    service.unwrapped.clear()
    with closing(open_store(database_url, service)) as store:
        assert len(references_of(store, "withmind", "tamy")) == 2
    del service.wrapped["kms-1"], service.unwrapped["kms-1"]
    with pytest.raises(KeyMissingError, match="kms-1 is needed, and there is only kms-0"):
        open_store(database_url, service)


def test_the_keys_of_somebody_else_seal_nothing(store: Store, tmp_path: Path) -> None:
    """A key file that was put in the place of the right one, while the service serves."""
    enroll(store, 1)
    path = tmp_path / "keys" / "face.keys"
    right = path.read_text()
    path.write_text(f"foreign:{base64.b64encode(bytes(32)).decode()}")
    with pytest.raises(KeysError, match="is needed, and there is only foreign"):
        enroll(store, 2)
    assert len(rows(store, "SELECT id FROM face_references")) == 1
    path.write_text(right)
    assert enroll(store, 2) == "enrolled"
    assert len(references_of(store, "withmind", "tamy")) == 2
