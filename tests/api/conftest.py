from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from support.api import TAMY, Planted, enroll, served


@pytest.fixture
def analyser() -> Planted:
    return Planted()


@pytest.fixture
def client(tmp_path: Path, analyser: Planted) -> Iterator[TestClient]:
    """A client of a service that asks for no keys."""
    with served(tmp_path, analyser) as client:
        yield client


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The same, with tamy enrolled, for the tests of a module that change nothing."""
    with served(tmp_path_factory.mktemp("still")) as client:
        enroll(client, TAMY)
        yield client
