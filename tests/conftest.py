import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from face_engine.pipeline import FaceEngine
from face_engine.runtimes import create_runtime
from support.postgres import Postgres

# A loaded machine is slow, and that proves nothing.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", patient)
settings.register_profile("torture", patient, max_examples=50_000)
settings.load_profile("default")

# A job in the background ignores Ctrl-C, and what it starts would ignore it too: then there is nothing to test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def engine() -> FaceEngine:
    """The real networks, as they run by default."""
    return FaceEngine(create_runtime())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that all tests of a process share, each with databases of its own."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def groups() -> Path:
    """Group photos with dlib's own answers: a development set that is not part of the repository."""
    folder = SHARED_DATA / "groups"
    if not (folder / "dlib-reference.json").is_file():
        pytest.skip(f"the development set is not on this machine: no {folder}")
    return folder
