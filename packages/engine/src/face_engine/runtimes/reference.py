"""The reference runtime: dlib's own models, executed by dlib, as face_recognition 1.3.0 uses them.

It is what every other runtime is measured against, and it is slow: the stock dlib wheel has neither BLAS nor CUDA.
dlib holds Python's global lock while a network runs, so a server keeps this runtime in processes of its own.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dlib
import numpy as np
import numpy.typing as npt

from face_engine.errors import OutOfMemoryError
from face_engine.runtimes.base import Device, DeviceStatus, encoder_id
from face_engine.runtimes.dlib_steps import Aligner, DlibErrors, to_detection
from face_engine.types import TEMPLATE_SIZE, AlignedFace, Box, Chip, Detection, ImageRGB
from face_engine.weights import DETECTOR, ENCODER, LANDMARKS, verify

NAME = "reference"

PRECISIONS: dict[Device, str] = {"cpu": "float32", "cuda": "dlib-cuda"}
"""Of the templates: dlib lets cuDNN choose how it adds up, and templates that differ from the CPU's by hundredths were
seen. Those of a GPU have a class of their own as long as nobody measured that they agree."""


def device_status(device: Device) -> DeviceStatus:
    """Tell whether the installed dlib can use the device, without loading a network."""
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
        return DeviceStatus(device, available=True, detail=f"dlib {dlib.__version__}, float32")
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
    """dlib's CNN detector, 5-point predictor and ResNet encoder.

    Made by `create_runtime`, which checks device and weight files first.
    """

    name = NAME

    def __init__(self, device: Device) -> None:
        self.device: Device = device
        self.encoder_id = encoder_id(PRECISIONS[device])
        self._networks: _Networks | None = _Networks()
        self._aligner = Aligner(verify(LANDMARKS))
        # dlib keeps a network's activations in the network object.
        self._lock = threading.Lock()

    def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
        with self._lock, self._loaded() as networks:
            found = networks.detector(np.ascontiguousarray(image_rgb), upsample)
        return [to_detection(item) for item in found]

    def align(self, image_rgb: ImageRGB, boxes: Sequence[Box]) -> list[AlignedFace]:
        return self._aligner.align(image_rgb, boxes)

    def encode(self, chips: Sequence[Chip]) -> npt.NDArray[np.float32]:
        if not chips:
            return np.empty((0, TEMPLATE_SIZE), dtype=np.float32)
        with self._lock, self._loaded() as networks:
            return np.array([networks.encoder.compute_face_descriptor(chip) for chip in chips], dtype=np.float32)

    @contextmanager
    def _loaded(self) -> Iterator["_Networks"]:
        """Give the networks, loaded anew after memory was missing: they keep what they took for a photo."""
        try:
            with DlibErrors():
                networks = self._networks = self._networks or _Networks()
                yield networks
        except OutOfMemoryError:
            self._networks = None
            raise


class _Networks:
    def __init__(self) -> None:
        with DlibErrors():
            self.detector = dlib.cnn_face_detection_model_v1(str(verify(DETECTOR)))
            self.encoder = dlib.face_recognition_model_v1(str(verify(ENCODER)))


def create(device: Device, _threads: int, _gpu_memory_mb: int | None) -> ReferenceRuntime:
    """Load the networks; this dlib has one thread for each caller, and takes what memory it wants."""
    return ReferenceRuntime(device)
