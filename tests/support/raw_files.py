"""What an eye that knows nothing of databases finds in their files."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from face_api.store import Store
from support.store import rows

CHUNK = 8
"""Bytes compared at a time: among any 16 of a value are 8 that begin at a multiple of 8."""


def raw_bytes(store: Store) -> bytes:
    """Return all that lies on disk: the SQLite file and what is beside it, or the files of the PostgreSQL database."""
    if store.database.is_sqlite:
        return _contents(Path(store.database._engine.url.database or "").parent)
    ((data_dir, database),) = rows(
        store, "SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()"
    )
    rows(store, "CHECKPOINT")
    return _contents(Path(data_dir) / "base" / str(database))


def left_of(values: Iterable[bytes], raw: bytes) -> int:
    """Return how many pieces of the values lie in `raw`; a piece is 8 bytes, so 0 means that no 16 in a row do."""
    pieces = np.concatenate([_pieces(value) for value in values])
    # Most of the file is told apart by a look at 24 bits; only the rest is worth a search.
    is_candidate = np.zeros(1 << 24, np.bool_)
    is_candidate[pieces & 0xFFFFFF] = True
    found = 0
    for phase in range(CHUNK):
        words = np.frombuffer(raw, "<u8", (len(raw) - phase) // CHUNK, phase)
        found += int(np.isin(words[is_candidate[words & 0xFFFFFF]], pieces).sum())
    return found


def _pieces(value: bytes) -> npt.NDArray[np.uint64]:
    pieces = [value[start : start + CHUNK] for start in range(0, len(value) - CHUNK + 1, CHUNK)]
    # What has few different bytes may well be there by itself.
    return np.frombuffer(b"".join(piece for piece in pieces if len(set(piece)) > CHUNK // 2), "<u8").astype(np.uint64)


def _contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
