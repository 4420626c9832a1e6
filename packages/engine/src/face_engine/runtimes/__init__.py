"""What executes the networks. `create_runtime` is the only place that knows them all."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeVar, get_args

from face_engine.errors import DeviceUnavailableError, RuntimeUnavailableError
from face_engine.runtimes import reference
from face_engine.runtimes.base import DEVICES, Device, DeviceStatus, Runtime
from face_engine.weights import WEIGHT_FILES, verify

__all__ = [
    "DEFAULT_RUNTIME",
    "DEVICES",
    "RUNTIMES",
    "Device",
    "DeviceStatus",
    "Runtime",
    "RuntimeName",
    "check_runtime",
    "create_runtime",
    "device_status",
]

RuntimeName = Literal["reference"]
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
DEFAULT_RUNTIME: RuntimeName = "reference"

_CONSTRUCTORS: dict[str, Callable[[Device], Runtime]] = {"reference": reference.ReferenceRuntime}
_DEVICE_STATUS: dict[str, Callable[[Device], DeviceStatus]] = {"reference": reference.device_status}

_Entry = TypeVar("_Entry")


def create_runtime(name: str = DEFAULT_RUNTIME, device: Device = "cpu") -> Runtime:
    """Load a runtime's networks on a device. It takes a second or two, and never falls back to another device.

    Raises:
        RuntimeUnavailableError: no runtime of this name, or it cannot be loaded here.
        DeviceUnavailableError: the runtime is here, the device is not.
        WeightsError: a weight file is missing or not the published one.
    """
    check_runtime(name, device)
    return _lookup(_CONSTRUCTORS, name)(device)


def device_status(name: str, device: Device) -> DeviceStatus:
    """Tell whether a runtime could run on a device, and if not, what is missing; no network is loaded.

    Raises:
        RuntimeUnavailableError: no runtime of this name.
    """
    return _lookup(_DEVICE_STATUS, name)(device)


def check_runtime(name: str, device: Device) -> None:
    """Raise what `create_runtime` would raise of what can be told without loading a network, in tenths of a second."""
    status = device_status(name, device)
    if not status.available:
        raise DeviceUnavailableError(status.detail)
    for file in WEIGHT_FILES:
        verify(file)


def _lookup(table: Mapping[str, _Entry], name: str) -> _Entry:
    try:
        return table[name]
    except KeyError:
        raise RuntimeUnavailableError(f"no runtime is called {name!r}; there is {', '.join(RUNTIMES)}") from None
