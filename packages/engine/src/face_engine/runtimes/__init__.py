"""What executes the networks. `create_runtime` is the only place that knows them all."""

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Literal, Protocol, cast, get_args

from face_engine.cores import usable_cores
from face_engine.errors import DeviceUnavailableError, RuntimeUnavailableError
from face_engine.images import use_threads
from face_engine.runtimes.base import DEVICES, MIN_GPU_MEMORY_MB, Device, DeviceStatus, Runtime, encoder_id
from face_engine.weights import WEIGHT_FILES, verify

__all__ = [
    "AUTO",
    "DEVICES",
    "MIN_GPU_MEMORY_MB",
    "RUNTIMES",
    "Device",
    "DeviceStatus",
    "Runtime",
    "RuntimeName",
    "check_runtime",
    "choose_runtime",
    "create_runtime",
    "device_status",
    "encoder_id_of",
    "usable_cores",
]

RuntimeName = Literal["auto", "onnx", "openvino", "reference"]
AUTO: RuntimeName = "auto"
RUNTIMES: tuple[RuntimeName, ...] = tuple(name for name in get_args(RuntimeName) if name != AUTO)

REQUIRED_MODULES: dict[str, Sequence[str]] = {
    "onnx": ("onnx", "onnxruntime", "dlib"),
    "openvino": ("openvino", "onnx", "onnxruntime", "dlib"),
    "reference": ("dlib",),
}


BOUNDED: tuple[RuntimeName, Device] = ("onnx", "cuda")
"""What can be held to an amount of GPU memory: dlib has no such setting."""


class _Module(Protocol):
    """What each runtime's module offers."""

    PRECISIONS: dict[Device, str]
    """Of the templates, by device."""

    def device_status(self, device: Device) -> DeviceStatus: ...

    def create(self, device: Device, threads: int, gpu_memory_mb: int | None) -> Runtime: ...


def choose_runtime(device: Device) -> tuple[RuntimeName, str]:
    """Return the runtime that `auto` stands for on this machine, and why.

    It is `onnx`, unless the extra `openvino` is installed and this CPU has bfloat16 in hardware: there that one gives
    the same answers sooner.
    """
    status = device_status("openvino", device)
    return ("openvino" if status.available else "onnx"), status.detail


def create_runtime(
    name: str = AUTO, device: Device = "cpu", threads: int | None = None, gpu_memory_mb: int | None = None
) -> Runtime:
    """Load a runtime's networks on a device. It takes about a second, and never falls back to another device.

    Args:
        threads: how many cores one photo may use; None for all that this process may.
        gpu_memory_mb: how much of the GPU's memory the networks may take, weights included, MIN_GPU_MEMORY_MB at least;
            None for whatever they want. What CUDA itself takes for a process comes on top.

    Raises:
        RuntimeUnavailableError: no runtime of this name, or it cannot be loaded here.
        DeviceUnavailableError: the runtime is here, the device is not.
        WeightsError: a weight file is missing or not the published one.
    """
    name = check_runtime(name, device, gpu_memory_mb)
    threads = threads or usable_cores()
    use_threads(threads)
    return _module(name).create(device, threads, gpu_memory_mb)


def device_status(name: str, device: Device) -> DeviceStatus:
    """Tell whether a runtime could run on a device, and if not, what is missing; no weights are loaded.

    Raises:
        RuntimeUnavailableError: no runtime of this name.
    """
    try:
        return _module(name).device_status(device)
    except _MissingModuleError as error:
        return DeviceStatus(device, available=False, detail=str(error))


def check_runtime(name: str, device: Device, gpu_memory_mb: int | None = None) -> RuntimeName:
    """Raise what `create_runtime` would raise of what can be told without loading a network.

    Return the runtime's name, for `auto` the one that it stands for.
    """
    if name == AUTO:
        name, _ = choose_runtime(device)
    status = device_status(name, device)
    if not status.available:
        raise DeviceUnavailableError(status.detail)
    if gpu_memory_mb is not None and (name, device) != BOUNDED:
        raise RuntimeUnavailableError(f"the runtime {name} on {device} cannot be held to an amount of GPU memory")
    for file in WEIGHT_FILES:
        verify(file)
    return cast(RuntimeName, name)


def encoder_id_of(name: str, device: Device) -> str:
    """Return the id of the plain templates that `create_runtime` would make, without loading a network.

    Raises:
        RuntimeUnavailableError: see `create_runtime`.
    """
    name = check_runtime(name, device)
    return encoder_id(_module(name).PRECISIONS[device])


class _MissingModuleError(Exception):
    """A runtime needs a module that is not installed, or cannot be imported."""


def _module(name: str) -> _Module:
    if name not in RUNTIMES:
        raise RuntimeUnavailableError(f"no runtime is called {name!r}; there is {', '.join(RUNTIMES)}")
    for module in REQUIRED_MODULES[name]:
        if importlib.util.find_spec(module) is None:
            raise _MissingModuleError(f"the module {module} is not installed")
    try:
        return cast(_Module, importlib.import_module(f"face_engine.runtimes.{name}"))
    except Exception as error:  # a vendor's module that is broken raises whatever it likes
        raise _MissingModuleError(f"the runtime {name} cannot be imported: {error}") from error
