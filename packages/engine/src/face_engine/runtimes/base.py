"""The interface of a runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from face_engine.types import AlignedFace, Box, Chip, Detection, ImageRGB
from face_engine.weights import ENCODER

Device = Literal["cpu", "cuda"]
DEVICES: tuple[Device, ...] = get_args(Device)


def encoder_id(precision: str) -> str:
    """Return the id of plain templates: one for each weight file, preprocessing and class of precision."""
    return f"dlib-resnet-v1:{ENCODER.sha256[:12]}/5pt-150px-pad0.25/{precision}"


MIN_GPU_MEMORY_MB = 512
"""That a runtime may be bounded to. The largest photo of the default search takes a third of it with the CPU's kernels;
cuDNN's want more."""


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Whether a runtime can use a device; `detail` says what there is, or what is missing."""

    device: Device
    available: bool
    detail: str


class Runtime(Protocol):
    """Executes the networks. Safe to call from several threads."""

    name: str
    device: Device
    encoder_id: str
    """Names weights, preprocessing and precision of `encode`: templates compare only where it is equal."""

    def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
        """Find faces in (H, W, 3) uint8 RGB, its sides doubled `upsample` times; by falling confidence.

        Boxes are in pixels of the image as given, before upsampling. Neither side may be shorter than
        detection.MIN_DETECTOR_SIDE after upsampling. Raises InferenceError.
        """
        ...

    def align(self, image_rgb: ImageRGB, boxes: Sequence[Box]) -> list[AlignedFace]:
        """Locate five landmarks in each box of the image and cut the chips. Raises InferenceError."""
        ...

    def encode(self, chips: Sequence[Chip]) -> npt.NDArray[np.float32]:
        """Encode n chips to (n, 128) float32; n may be 0. Raises InferenceError."""
        ...
