"""The default runtime: dlib's own networks, exact, executed by ONNX Runtime on the CPU or by CUDA."""

import numpy as np
import numpy.typing as npt
import onnxruntime

from face_engine.errors import DeviceUnavailableError, InferenceError
from face_engine.networks.graph import INPUT, Network, Node, Relu
from face_engine.networks.models import DetectorModels, load_detector, load_encoder
from face_engine.networks.onnx_writer import INPUT_NAME, write_plane_model
from face_engine.runtimes.base import Device, DeviceStatus, encoder_id
from face_engine.runtimes.converted import ConvertedRuntime, Scorer
from face_engine.runtimes.dlib_steps import Aligner
from face_engine.weights import LANDMARKS, verify

NAME = "onnx"

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

CUDA_OPTIONS = {
    "use_tf32": "0",  # TF32 keeps 10 bits of a factor: templates would differ from the CPU's
    "cudnn_conv_algo_search": "HEURISTIC",  # every photo has a size of its own: an exhaustive search never ends
    "arena_extend_strategy": "kSameAsRequested",
}

PRECISIONS: dict[Device, str] = {"cpu": "float32", "cuda": "float32-cuda"}
"""Of the templates. Those of a GPU have a class of their own as long as nobody measured that they agree."""


def device_status(device: Device) -> DeviceStatus:
    """Tell whether the installed ONNX Runtime can use the device; for CUDA by running a model of one node on it."""
    version = f"ONNX Runtime {onnxruntime.__version__}"
    if device == "cpu":
        return DeviceStatus(device, available=True, detail=f"{version}, float32")
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        detail = f"{version} is built without CUDA: install onnxruntime-gpu in place of onnxruntime"
        return DeviceStatus(device, available=False, detail=detail)
    try:
        model = write_plane_model(Network((Node(Relu(), INPUT),), (0.0, 0.0, 0.0)), channels=1)
        Session(model, device, threads=1)(np.zeros((1, 1, 1, 1), np.float32))
    except (DeviceUnavailableError, InferenceError) as error:
        return DeviceStatus(device, available=False, detail=f"{version} has CUDA, but cannot use a GPU: {error}")
    return DeviceStatus(device, available=True, detail=f"{version} with CUDA, float32")


def create(device: Device, threads: int) -> ConvertedRuntime:
    """Load the networks. Raises DeviceUnavailableError, WeightsError."""
    return build(NAME, device, threads, load_detector())


def build(
    name: str, device: Device, threads: int, detector: DetectorModels, proposer: Scorer | None = None
) -> ConvertedRuntime:
    """Return a runtime with ONNX Runtime's float32 models, and another scorer to propose where they look."""
    return ConvertedRuntime(
        name,
        device,
        encoder_id(PRECISIONS[device]),
        detector.parameters,
        scorer=Scorer(Session(detector.stem, device, threads), Session(detector.head, device, threads)),
        encoder=Session(load_encoder(), device, threads),
        aligner=Aligner(verify(LANDMARKS)),
        proposer=proposer,
    )


class Session:
    """A model in ONNX Runtime. Safe to call from several threads."""

    def __init__(self, model: bytes, device: Device, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A thread that waits for work burns its core, and would do so while another session has work for that core.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        # Every photo has a size of its own: what is kept for the next one would only grow.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.log_severity_level = 4  # fatal; the errors are raised too
        provider: str | tuple[str, dict[str, str]] = CPU_PROVIDER
        if device == "cuda":
            onnxruntime.preload_dlls()  # where CUDA and cuDNN were installed as Python packages
            provider = (CUDA_PROVIDER, CUDA_OPTIONS)
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=[provider])
        except Exception as error:
            raise DeviceUnavailableError(_message(error)) from error
        if self._session.get_providers()[0] != (CPU_PROVIDER if device == "cpu" else CUDA_PROVIDER):
            raise DeviceUnavailableError(f"ONNX Runtime did not start on {device}")

    def __call__(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        try:
            return np.asarray(self._session.run(None, {INPUT_NAME: values})[0], dtype=np.float32)
        except Exception as error:
            raise InferenceError(_message(error)) from error


def _message(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
