"""Finds dlib's weight files and checks that they are the published ones.

The files come with the package face_recognition_models. That package is located, never imported: importing it needs
pkg_resources, which current setuptools no longer ships.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from face_engine.errors import WeightsCorruptError, WeightsMissingError

WEIGHTS_PACKAGE = "face_recognition_models"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One of dlib's published files."""

    purpose: str
    name: str
    sha256: str


DETECTOR = WeightFile(
    "CNN face detector (MMOD)",
    "mmod_human_face_detector.dat",
    "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
)
LANDMARKS = WeightFile(
    "5-point landmark predictor",
    "shape_predictor_5_face_landmarks.dat",
    "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
)
ENCODER = WeightFile(
    "ResNet face encoder (128-d)",
    "dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)
WEIGHT_FILES = (DETECTOR, LANDMARKS, ENCODER)


def weights_directory() -> Path:
    """Return the folder of face_recognition_models' weight files.

    Raises:
        WeightsMissingError: the package is not installed.
    """
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsMissingError(WEIGHTS_PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "models"


def verify(file: WeightFile, directory: Path | None = None) -> Path:
    """Return the path of a weight file after checking its SHA-256.

    Raises:
        WeightsMissingError: it is not there.
        WeightsCorruptError: it is not the published file.
    """
    path = (directory or weights_directory()) / file.name
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsMissingError(str(path)) from error
    if found != file.sha256:
        raise WeightsCorruptError(str(path), file.sha256, found)
    return path
