"""Stores that were made once, to begin others with: making the schema takes longer than most tests."""

import atexit
import shutil
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from face_api.store import KeyFile, open_store, parse_url, sqlite_url
from face_api.store.database import DATABASE_NAME
from face_api.store.store import KEY_FILE_NAME
from support.postgres import Postgres


def begin_sqlite(data_dir: Path, key_file: Path | None = None) -> None:
    """Put an empty SQLite store and its key where a service finds them."""
    _copy(_sqlite() / KEY_FILE_NAME, key_file or data_dir / KEY_FILE_NAME)
    _copy(_sqlite() / DATABASE_NAME, data_dir / DATABASE_NAME)


def begin_postgresql(postgres: Postgres, key_file: Path) -> str:
    """Create a database with an empty store, and put its key where it is asked for; return its URL."""
    made, folder = _postgresql(postgres)
    _copy(folder / KEY_FILE_NAME, key_file)
    return postgres.new_database(made)


@cache
def _sqlite() -> Path:
    folder = _folder()
    with closing(open_store(sqlite_url(folder), KeyFile(folder / KEY_FILE_NAME))):
        return folder


@cache
def _postgresql(postgres: Postgres) -> tuple[str, Path]:
    folder, url = _folder(), parse_url(postgres.new_database())
    with closing(open_store(url, KeyFile(folder / KEY_FILE_NAME), migrate=True)):
        return str(url.database), folder


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="face-made-"))
    atexit.register(shutil.rmtree, folder)
    return folder


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(source, target)
