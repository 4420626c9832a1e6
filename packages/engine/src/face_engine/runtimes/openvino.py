"""dlib's own networks executed by OpenVINO: an extra, for CPUs that multiply bfloat16 in hardware.

The detector runs in bfloat16, which finds the same faces; the encoder in float32, so that templates are the same as
every other runtime's, and an enrollment stays valid on whatever machine it is compared. docs/performance.md has the
measurements behind both.
"""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from face_engine.errors import InferenceError
from face_engine.networks.models import load_detector, load_encoder
from face_engine.runtimes.base import Device, DeviceStatus, encoder_id
from face_engine.runtimes.converted import ConvertedRuntime, Models
from face_engine.runtimes.dlib_steps import Aligner
from face_engine.weights import LANDMARKS, verify

NAME = "openvino"


def native_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 in hardware (AVX-512 BF16 or AMX)."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def device_status(device: Device) -> DeviceStatus:
    """Tell whether OpenVINO can use the device."""
    version = f"OpenVINO {openvino.__version__.split('-')[0]}"
    if device != "cpu":
        return DeviceStatus(device, available=False, detail=f"{version} runs on the CPU only: ask for the runtime onnx")
    if native_bfloat16():
        return DeviceStatus(device, available=True, detail=f"{version}, detection in bfloat16, encoding in float32")
    return DeviceStatus(device, available=True, detail=f"{version}, float32: this CPU has no bfloat16 in hardware")


def create(device: Device, threads: int) -> ConvertedRuntime:
    """Load the networks. Raises WeightsError."""
    detector = load_detector()
    precision = "bf16" if native_bfloat16() else "f32"
    models = Models(
        stem=_Compiled(detector.stem, precision, threads),
        head=_Compiled(detector.head, precision, threads),
        encoder=_Compiled(load_encoder(), "f32", threads),
    )
    aligner = Aligner(verify(LANDMARKS))
    return ConvertedRuntime(NAME, device, encoder_id("float32"), models, detector.parameters, aligner)


class _Compiled:
    """A model in OpenVINO. Safe to call from several threads; they take turns, each with all cores."""

    def __init__(self, model: bytes, precision: str, threads: int) -> None:
        core = openvino.Core()
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._request = core.compile_model(core.read_model(model), "CPU", options).create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        with self._lock:
            try:
                result = self._request.infer({0: values}, share_inputs=True)
            except RuntimeError as error:
                raise InferenceError(" ".join(str(error).split())[:500]) from error
            return np.asarray(result[0], dtype=np.float32)
