from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL

from face_api.store import KeyFile, Store, open_store, parse_url, sqlite_url
from support.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """A fresh, empty database: the test runs once on each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "data")
    postgres: Postgres = request.getfixturevalue("postgres")
    return parse_url(postgres.new_database())


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """A key file that is made with the first database."""
    return KeyFile(tmp_path / "keys" / "face.keys")


@pytest.fixture
def store(database_url: URL, keys: KeyFile) -> Iterator[Store]:
    with closing(open_store(database_url, keys, migrate=True)) as store:
        yield store
