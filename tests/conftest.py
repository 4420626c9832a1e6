from pathlib import Path

import pytest
from hypothesis import settings

from face_engine.pipeline import FaceEngine
from face_engine.runtimes import create_runtime

settings.register_profile("default", deadline=None)
settings.register_profile("torture", deadline=None, max_examples=50_000)
settings.load_profile("default")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def engine() -> FaceEngine:
    """The real networks, without upsampling: the faces in the tests' photos are large enough."""
    return FaceEngine(create_runtime("reference", "cpu"), upsample=0)


@pytest.fixture(scope="session")
def groups() -> Path:
    """Group photos with dlib's own answers: a development set that is not part of the repository."""
    folder = SHARED_DATA / "groups"
    if not (folder / "dlib-reference.json").is_file():
        pytest.skip(f"the development set is not on this machine: no {folder}")
    return folder
