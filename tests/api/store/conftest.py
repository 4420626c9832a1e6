from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL

from face_api.store import KeyFile, Store, open_store, parse_url, sqlite_url
from support.made import begin_postgresql, begin_sqlite
from support.postgres import Postgres


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "face.keys"


@pytest.fixture
def keys(key_file: Path) -> KeyFile:
    """A key file that is made with the first database."""
    return KeyFile(key_file)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, key_file: Path) -> Iterator[URL]:
    """A fresh database, an empty one where the test does not ask for its `store`. The test runs once on each kind."""
    is_made = "store" in request.fixturenames
    if request.param == "sqlite":
        if is_made:
            begin_sqlite(tmp_path / "data", key_file)
        yield sqlite_url(tmp_path / "data")
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = begin_postgresql(postgres, key_file) if is_made else postgres.new_database()
    yield parse_url(url)
    postgres.drop_database(url)


@pytest.fixture
def store(database_url: URL, keys: KeyFile) -> Iterator[Store]:
    with closing(open_store(database_url, keys)) as store:
        yield store
