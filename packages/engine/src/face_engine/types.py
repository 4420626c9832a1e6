"""The engine's nouns: frozen values that the stages hand to one another.

Coordinates are pixels of the photo as a person sees it (EXIF orientation applied), origin at the top left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

TEMPLATE_SIZE = 128
"""Numbers in a template."""

ImageRGB = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, channels in the order red, green, blue."""

Landmarks = npt.NDArray[np.int32]
"""(5, 2) int32, x and y in pixels: both corners of the eye on the image's right, both of the other, the nose's base."""

Chip = npt.NDArray[np.uint8]
"""(150, 150, 3) uint8 RGB: the aligned face, the region of interest that is encoded."""

Vector = npt.NDArray[np.float32]
"""(128,) float32, not normalised (dlib's network has no L2 layer)."""


@dataclass(frozen=True, slots=True)
class Box:
    """A face's rectangle in pixels. All four edges are inclusive, as dlib's; it may reach beyond the photo."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def ltrb(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True, slots=True)
class Detection:
    """Where the detector saw a face. `confidence` is dlib's MMOD score: above 0, around 1 for a clear face."""

    box: Box
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class AlignedFace:
    """A detection's five landmarks and the chip cut along them."""

    landmarks: Landmarks
    chip: Chip


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A face as 128 numbers, stamped with what made them: only templates of one `encoder_id` compare."""

    vector: Vector
    encoder_id: str


QualityReason = Literal["face_too_small", "face_blurred", "face_too_dark", "face_too_bright", "face_turned", "face_cut"]
"""Why a face is a poor reference; face_cut: by the photo's border."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a reference a face is; `quality.assess` has the limits, and how each is measured."""

    size: float
    """Pixels of the photo, 0 and more: the side of the square from which the chip was cut, half as much again as the
    face. 3.5/10 of it lie between the eyes' middles: ISO/IEC 29794-5's inter-eye distance."""

    sharpness: float
    """How fine the detail is, 0 (nothing but soft gradients) to 1; 0.1 to 0.25 in most photos."""

    brightness: float
    """Mean luma of the middle of the face, 0 (black) to 1 (white)."""

    turn: float
    """To either side: how far the nose's base lies from the eyes' middle, in distances of the eyes. 0 (frontal) to 1;
    0.5 is a nose below an eye."""

    inside: float
    """The share of the head, from the forehead to the chin, that lies inside the photo: 0 to 1."""

    reasons: tuple[QualityReason, ...]
    """Why this is a poor reference; empty for a good one."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """All that is known of one face of a photo."""

    box: Box
    confidence: float
    landmarks: Landmarks
    chip: Chip
    template: Template
    quality: Quality


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """The faces of one photo, in the detector's order (falling confidence).

    `width` and `height` in pixels, EXIF orientation applied; `timings_ms` wall-clock milliseconds by stage: decode,
    detect, align, encode.
    """

    width: int
    height: int
    faces: tuple[Face, ...]
    timings_ms: Mapping[str, float]
