"""Which device it is, and the versions of all that its answers rest on."""

import importlib.metadata
import platform
import shutil
import subprocess
from datetime import UTC, datetime

from face_engine.benchmark import processor_name
from face_engine.runtimes import Device

DISTRIBUTIONS = ("onnxruntime-gpu", "onnxruntime", "dlib", "dlib-bin", "nvidia-cudnn-cu13", "nvidia-cublas")


def heading(device: Device) -> list[str]:
    """Return the page's top: the device, and the versions of all that its answers rest on."""
    versions = ", ".join(f"{name} {found}" for name in DISTRIBUTIONS if (found := _version(name)))
    return [
        f"# {device_name(device)}",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {processor_name()}, {platform.platform(terse=True)}, "
        f"Python {platform.python_version()}; {versions}; {_toolkit()}.",
    ]


def device_name(device: Device) -> str:
    """Return the device's name; a GPU's with its driver, its memory and its compute capability."""
    program = shutil.which("nvidia-smi")
    if device == "cpu":
        return f"The CPU ({processor_name()})"
    if program is None:
        return "No GPU: nvidia-smi is not installed"
    query = [program, "--query-gpu=name,driver_version,memory.total,compute_cap", "--format=csv,noheader", "--id=0"]
    told = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    name, *rest = (told.stdout or told.stderr).strip().split(", ")
    titles = ("driver ", "", "compute capability ")
    return ", ".join([name, *(title + value for title, value in zip(titles, rest, strict=False))])


def _toolkit() -> str:
    program = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    except OSError:
        return "no CUDA toolkit"
    return f"CUDA toolkit {told.rsplit('release ', 1)[-1].split(',')[0]}"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
