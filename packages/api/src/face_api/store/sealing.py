"""AES-256-GCM: what is sealed can be read and changed only by who has the key, and opens only in its own place.

    sealed = version (1 byte, 1) | length of the key id (1 byte) | key id | nonce (12 bytes) | ciphertext | tag (16)

Authenticated with it: everything in front of the nonce, and the place, a list of texts such as company, user and
encoder id. Nonces are random: NIST SP 800-38D allows 2^32 of them for a key, so rotate before that.
"""

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from face_api.store.errors import KeysError, StoreDamagedError
from face_api.store.keys import KEY_BYTES, Keys

VERSION = 1
NONCE_BYTES = 12
TAG_BYTES = 16

SAMPLES = 3
"""So many values tell whether a key is the one that it was: one or two may be damaged."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed value, and the place for which it is."""

    value: bytes
    place: Sequence[str]


class Vault:
    """Seals and opens values with the keys of a source. Safe to call from several threads.

    Args:
        approve: called before a key first seals; raises KeysError where the keys are none of this database's.
    """

    def __init__(self, keys: Keys, approve: Callable[[], None] | None = None) -> None:
        self.keys = keys
        self._check = approve
        self._approved: tuple[str, bytes] | None = None
        self._lock = threading.Lock()

    def approve(self) -> tuple[str, bytes]:
        """Return the current key's id and the key, once it is known to be this database's.

        `seal` does so itself; a caller who is about to write does it before, since it may take a while.

        Raises:
            KeysError: it is none of this database's, or there is none.
        """
        key_id = self.keys.current()
        current = key_id, self.keys.key(key_id)
        if self._check is not None and current != self._approved:
            with self._lock:
                if current != self._approved:
                    self._check()
                    self._approved = current
        return current

    def seal(self, value: bytes, *place: str) -> bytes:
        """Seal a value with the current key, for one place. Raises KeysError."""
        key_id, key = self.approve()
        head = bytes((VERSION, len(key_id))) + key_id.encode("ascii")
        nonce = secrets.token_bytes(NONCE_BYTES)
        return head + nonce + _cipher(key).encrypt(nonce, value, head + _encode(place))

    def open(self, sealed: bytes, *place: str) -> bytes:
        """Return the value that was sealed for this place.

        Raises:
            KeyMissingError: its key is not there.
            StoreDamagedError: it was changed, or sealed for another place or with another key of that id.
        """
        start = len(_head(sealed))
        cipher = _cipher(self.keys.key(key_id_of(sealed)))
        nonce, rest = sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, rest, sealed[:start] + _encode(place))
        except (InvalidTag, ValueError) as error:
            raise StoreDamagedError(f"what is sealed with the key {key_id_of(sealed)} does not open") from error

    def opens(self, sealed: Sealed) -> bool:
        """Tell whether a value opens in its place. Raises KeysError where its key is not there."""
        try:
            self.open(sealed.value, *sealed.place)
        except StoreDamagedError:
            return False
        return True


def key_id_of(sealed: bytes) -> str:
    """Return the id of the key with which a value is sealed; raises StoreDamagedError where it is not sealed at all."""
    return _head(sealed)[2:].decode("ascii")


def _head(sealed: bytes) -> bytes:
    head = sealed[: 2 + sealed[1]] if len(sealed) > 1 else b""
    if not head or head[0] != VERSION or not head.isascii() or len(sealed) < len(head) + NONCE_BYTES + TAG_BYTES:
        raise StoreDamagedError("a value is not sealed, or in a way that is not known here")
    return head


def _encode(place: tuple[str, ...]) -> bytes:
    # With lengths: ("ab", "c") is not ("a", "bc").
    parts = [part.encode() for part in place]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


@lru_cache(maxsize=16)
def _cipher(key: bytes) -> AESGCM:
    try:
        return AESGCM(key)
    except (ValueError, TypeError) as error:
        raise KeysError(f"a sealing key has {KEY_BYTES} bytes") from error
