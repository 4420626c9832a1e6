"""dlib's own networks with OpenVINO: an extra, for CPUs that multiply bfloat16 in hardware.

In bfloat16 the detector is two to three times as fast, but its best score may move to the cell beside, and the face's
box with it. So it only proposes where faces may be; there ONNX Runtime's float32 decides, and encodes. The answers are
those of the runtime `onnx`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from face_engine.errors import RuntimeUnavailableError
from face_engine.networks.models import load_detector
from face_engine.runtimes import onnx
from face_engine.runtimes.base import Device, DeviceStatus
from face_engine.runtimes.converted import ConvertedRuntime, Scorer
from face_engine.runtimes.failures import inference_error, message

NAME = "openvino"

MAX_SHAPES = 32
MAX_KEPT_BYTES = 32_000_000


def native_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 in hardware (AVX-512 BF16 or AMX)."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


PRECISIONS = onnx.PRECISIONS


def device_status(device: Device) -> DeviceStatus:
    """Tell whether OpenVINO can use the device."""
    version = f"OpenVINO {openvino.__version__.split('-')[0]}"
    if device != "cpu":
        return DeviceStatus(device, available=False, detail=f"{version} runs on the CPU only here")
    try:
        native = native_bfloat16()
    except Exception as error:  # noqa: BLE001 - whatever it is, it cannot be used
        return DeviceStatus(device, available=False, detail=f"{version} does not start: {message(error)}")
    if native:
        return DeviceStatus(device, available=True, detail=f"{version}, faces proposed in bfloat16, decided in float32")
    return DeviceStatus(
        device, available=False, detail=f"{version} would gain nothing: this CPU has no bfloat16 in hardware"
    )


def create(device: Device, threads: int, _gpu_memory_mb: int | None) -> ConvertedRuntime:
    """Load the networks. Raises WeightsError."""
    detector = load_detector()
    proposer = Scorer(
        _Compiled(detector.stem, threads),
        _Compiled(detector.head, threads),
    )
    return onnx.build(NAME, device, threads, detector, proposer)


class _Compiled:
    """A model in OpenVINO. Photos take turns (see ConvertedRuntime).

    OpenVINO compiles code for each new shape and keeps it for ever, a third of a megabyte each; every photo has a size
    of its own. So the model is compiled anew, in some hundredths of a second, once it has seen MAX_SHAPES of them.
    """

    def __init__(self, model: bytes, threads: int) -> None:
        self._options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._request: openvino.InferRequest | None = None
        self._shapes: set[tuple[int, ...]] = set()
        try:
            self._core = openvino.Core()
            self._model = self._core.read_model(model)
            self._compile()
        except Exception as error:
            raise RuntimeUnavailableError(f"OpenVINO does not start: {message(error)}") from error

    def __call__(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        try:
            request = self._request
            if request is None or len(self._shapes) == MAX_SHAPES:
                del request
                request = self._compile()
            self._shapes.add(values.shape)
            result = request.infer({0: values}, share_inputs=True)
        except RuntimeError as error:
            raise inference_error(error) from error
        scores = np.array(result[0], dtype=np.float32)
        if values.nbytes > MAX_KEPT_BYTES:
            self._request = None  # it would keep memory for an input of this size
        return scores

    def _compile(self) -> openvino.InferRequest:
        self._request = None  # first: two at a time would take the memory of both
        self._shapes.clear()
        self._request = self._core.compile_model(self._model, "CPU", self._options).create_infer_request()
        return self._request
