"""The default runtime: dlib's own networks, exact, executed by ONNX Runtime on the CPU or by CUDA."""

import ctypes
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnxruntime

from face_engine.errors import DeviceUnavailableError, InferenceError, OutOfMemoryError
from face_engine.networks.graph import INPUT, Network, Node, Relu
from face_engine.networks.models import DetectorModels, load_detector, load_encoder
from face_engine.networks.onnx_writer import INPUT_NAME, write_plane_model
from face_engine.runtimes.base import Device, DeviceStatus, encoder_id
from face_engine.runtimes.converted import ConvertedRuntime, Scorer
from face_engine.runtimes.dlib_steps import Aligner
from face_engine.runtimes.failures import inference_error, message
from face_engine.weights import LANDMARKS, verify

NAME = "onnx"

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

CUDA_OPTIONS = {
    "use_tf32": "0",  # TF32 keeps 10 bits of a factor: templates would differ from the CPU's
    "cudnn_conv_algo_search": "HEURISTIC",  # every photo has a size of its own: an exhaustive search never ends
    "arena_extend_strategy": "kSameAsRequested",
}

MEGABYTE = 1 << 20
STEM_SHARE, HEAD_SHARE, ENCODER_SHARE = 1 / 8, 5 / 8, 1 / 4
"""Of the GPU's memory. With the CPU's kernels the largest photo of the default search takes 19 and 91 MB, and a batch
of chips 43. The head's grows with the photo, the others' do not."""

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
        _find_driver()
        model = write_plane_model(Network((Node(Relu(), INPUT),), (0.0, 0.0, 0.0)), channels=1)
        Session(lambda: model, device, threads=1)(np.zeros((1, 1, 1, 1), np.float32))
    except (DeviceUnavailableError, InferenceError) as error:
        return DeviceStatus(device, available=False, detail=f"{version} has CUDA, but cannot use a GPU: {error}")
    return DeviceStatus(device, available=True, detail=f"{version} with CUDA, float32")


def _find_driver() -> None:
    """Raise DeviceUnavailableError where there is no NVIDIA driver: of that ONNX Runtime says something misleading."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise DeviceUnavailableError(f"there is no NVIDIA driver: {message(error)}") from error


def create(device: Device, threads: int, gpu_memory_mb: int | None) -> ConvertedRuntime:
    """Load the networks. Raises DeviceUnavailableError, WeightsError."""
    return build(NAME, device, threads, load_detector(), gpu_memory_mb=gpu_memory_mb)


def build(
    name: str,
    device: Device,
    threads: int,
    detector: DetectorModels,
    proposer: Scorer | None = None,
    gpu_memory_mb: int | None = None,
) -> ConvertedRuntime:
    """Return a runtime with ONNX Runtime's float32 models, and another scorer to propose where they look."""
    together: list[Session] = []

    def session(load: Callable[[], bytes], share: float) -> Session:
        limit = None if gpu_memory_mb is None else int(gpu_memory_mb * MEGABYTE * share)
        return Session(load, device, threads, limit, together)

    return ConvertedRuntime(
        name,
        device,
        encoder_id(PRECISIONS[device]),
        detector.parameters,
        scorer=Scorer(session(lambda: detector.stem, STEM_SHARE), session(lambda: detector.head, HEAD_SHARE)),
        encoder=session(load_encoder, ENCODER_SHARE),
        aligner=Aligner(verify(LANDMARKS)),
        proposer=proposer,
    )


class Session:
    """A model in ONNX Runtime. Safe to call from several threads.

    On a GPU each session keeps what memory it took, in pieces of the sizes that former photos needed, and lets go of it
    only when it ends. So where memory is missing all sessions of a runtime end, and begin anew: first for another try,
    and once more where that fails, so that the next photo finds room.

    Args:
        load: gives the model, once for each beginning.
        memory_limit: bytes of the device that it may take; None for what there is.
        together: the sessions of the same runtime, to which this one is added.
    """

    def __init__(
        self,
        load: Callable[[], bytes],
        device: Device,
        threads: int,
        memory_limit: int | None = None,
        together: "list[Session] | None" = None,
    ) -> None:
        self._load = load
        self._device: Device = device
        self._threads = threads
        self._memory_limit = memory_limit
        self._together = [] if together is None else together
        self._together.append(self)
        try:
            self._session: onnxruntime.InferenceSession | None = self._begin()
        except Exception as error:
            raise DeviceUnavailableError(message(error)) from error
        if self._session.get_providers()[0] != (CPU_PROVIDER if device == "cpu" else CUDA_PROVIDER):
            raise DeviceUnavailableError(f"ONNX Runtime did not start on {device}")

    def __call__(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        try:
            return self._run(values)
        except OutOfMemoryError:
            self._end_all()
        try:
            return self._run(values)
        except OutOfMemoryError:
            self._end_all()
            raise

    def _run(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        try:
            if self._session is None:
                self._session = self._begin()
            return np.asarray(self._session.run(None, {INPUT_NAME: values})[0], dtype=np.float32)
        except Exception as error:  # noqa: BLE001 - whatever it is, the network failed
            failure = inference_error(error)
        # Without its cause, whose frames would keep the session, and its memory, for as long as the error is known.
        raise failure

    def _end_all(self) -> None:
        for session in self._together:
            session._session = None

    def _begin(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # A thread that waits for work burns its core, and would do so while another session has work for that core.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        # Every photo has a size of its own: what is kept for the next one would only grow.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.log_severity_level = 4  # fatal; the errors are raised too
        provider: str | tuple[str, dict[str, str]] = CPU_PROVIDER
        if self._device == "cuda":
            onnxruntime.preload_dlls()  # where CUDA and cuDNN were installed as Python packages
            provider = (CUDA_PROVIDER, cuda_options(self._memory_limit))
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return onnxruntime.InferenceSession(self._load(), options, providers=[provider])


def cuda_options(memory_limit: int | None) -> dict[str, str]:
    """Return the options of a session on a GPU that may take so many bytes of its memory."""
    if memory_limit is None:
        return CUDA_OPTIONS
    return CUDA_OPTIONS | {
        "gpu_mem_limit": str(memory_limit),
        "cudnn_conv_use_max_workspace": "0",  # at most 32 MB for a convolution, rather than what is fastest
    }
