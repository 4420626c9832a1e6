"""A stream that is sealed as a whole, with a key of its own: one that was changed, cut off or continued does not open.

    sealed = magic | length of the key id (1 byte) | key id | salt (32 bytes) | header (24) | chunks

The stream's key is HKDF-SHA256 (RFC 5869) of the sealing key with that salt. A chunk is 1 MiB, only the last one is
shorter, and is sealed by libsodium's secretstream (XChaCha20-Poly1305), which authenticates their order and which one
is the last. Authenticated with the first: everything in front of it.
"""

import secrets
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_ABYTES,
    crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    crypto_secretstream_xchacha20poly1305_init_pull,
    crypto_secretstream_xchacha20poly1305_init_push,
    crypto_secretstream_xchacha20poly1305_KEYBYTES,
    crypto_secretstream_xchacha20poly1305_pull,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_state,
    crypto_secretstream_xchacha20poly1305_TAG_FINAL,
    crypto_secretstream_xchacha20poly1305_TAG_MESSAGE,
)
from nacl.exceptions import RuntimeError as SodiumError

from face_api.store.errors import BackupError
from face_api.store.keys import Keys

MAGIC = b"face-api backup 1\n"
CHUNK_BYTES = 1024 * 1024
SALT_BYTES = 32

_SEALED_CHUNK_BYTES = CHUNK_BYTES + crypto_secretstream_xchacha20poly1305_ABYTES
_NO_BACKUP = "it is no backup, or of a kind that is not known here"


def seal_stream(parts: Iterable[bytes], file: BinaryIO, keys: Keys) -> str:
    """Write the parts' bytes to a file, sealed with the current key, and return that key's id.

    Raises:
        KeysError: there is no key.
        OSError: the file cannot be written.
    """
    key_id = keys.current()
    salt = secrets.token_bytes(SALT_BYTES)
    state = crypto_secretstream_xchacha20poly1305_state()
    header = crypto_secretstream_xchacha20poly1305_init_push(state, _stream_key(keys.key(key_id), salt))
    place = MAGIC + bytes((len(key_id),)) + key_id.encode("ascii") + salt + header
    file.write(place)
    waiting = bytearray()
    for part in parts:
        waiting += part
        while len(waiting) > CHUNK_BYTES:  # not the last one
            chunk = bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
            tag = crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
            file.write(crypto_secretstream_xchacha20poly1305_push(state, chunk, place, tag))
            place = b""
    tag = crypto_secretstream_xchacha20poly1305_TAG_FINAL
    file.write(crypto_secretstream_xchacha20poly1305_push(state, bytes(waiting), place, tag))
    return key_id


def open_stream(file: BinaryIO, keys: Keys) -> Iterator[bytes]:
    """Yield a sealed file's bytes, each once it is known to be genuine; that none is missing shows at the end.

    Raises:
        BackupError: it is none, was changed or cut off, or its key is not the one of that id.
        KeyMissingError: its key is not there.
        OSError: it cannot be read.
    """
    place = _read(file, len(MAGIC) + 1)
    if not place.startswith(MAGIC):
        raise BackupError(_NO_BACKUP)
    id_bytes = _read(file, place[-1])
    if not id_bytes.isascii():
        raise BackupError(_NO_BACKUP)
    key_id = id_bytes.decode("ascii")
    salt = _read(file, SALT_BYTES)
    header = _read(file, crypto_secretstream_xchacha20poly1305_HEADERBYTES)
    place += id_bytes + salt + header
    state = crypto_secretstream_xchacha20poly1305_state()
    crypto_secretstream_xchacha20poly1305_init_pull(state, header, _stream_key(keys.key(key_id), salt))
    tag = crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
    while tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL:
        sealed = file.read(_SEALED_CHUNK_BYTES)
        if len(sealed) < crypto_secretstream_xchacha20poly1305_ABYTES:
            raise BackupError("it was cut off")
        try:
            chunk, tag = crypto_secretstream_xchacha20poly1305_pull(state, sealed, place)
        except SodiumError:
            problem = f"it was changed or cut off, or the key {key_id} is not the one of that id that sealed it"
            raise BackupError(problem) from None
        place = b""
        yield chunk
    if file.read(1):
        raise BackupError("it goes on behind its end")


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise BackupError(_NO_BACKUP)
    return data


def _stream_key(key: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), crypto_secretstream_xchacha20poly1305_KEYBYTES, salt, MAGIC).derive(key)
