"""At which size a photo goes through the detector, and where a box found there lies in the photo.

The detector sees faces of 80 pixels and more, so a small photo is enlarged; its time and memory grow with the
pixels it is given (7 to 9 s and 1 GB a megapixel with the stock dlib on one core), so a large one is not.
"""

import math
from dataclasses import dataclass

from face_engine.types import Box, Detection

MIN_DETECTOR_SIDE = 32
"""Pixels after upsampling. dlib's network cannot run on less than about 10 and corrupts its memory when it tries
(dlib 20.0.1 on 2 x 300); no face of 80 pixels fits in 32."""


@dataclass(frozen=True, slots=True)
class WorkingSize:
    """How a photo is brought to the detector: resized by `scale`, then upsampled `upsample` times as dlib does."""

    scale: float
    upsample: int


def plan_working_size(width: int, height: int, upsample: int, max_detection_pixels: int | None) -> WorkingSize:
    """Choose the size at which a photo of `width` x `height` pixels is searched for faces.

    With no limit, or within it, the photo is left to dlib's own upsampling, exactly. Beyond it the photo is resized so
    that it fills the limit: enlarged by less than was asked for, or made smaller.

    Args:
        upsample: how many times dlib doubles the photo's sides, >= 0.
        max_detection_pixels: pixels that the detector may be given at most; None for no limit.
    """
    factor = 2.0**upsample
    if max_detection_pixels is None or width * height * factor * factor <= max_detection_pixels:
        return WorkingSize(1.0, upsample)
    return WorkingSize(math.sqrt(max_detection_pixels / (width * height)), 0)


def is_searchable(width: int, height: int, upsample: int) -> bool:
    """Whether the detector can be run on an image of this size at all; one that is smaller holds no face."""
    return (min(width, height) << upsample) >= MIN_DETECTOR_SIDE


def to_photo(detection: Detection, scale: float) -> Detection:
    """Map a detection on the image that `images.resize` made by `scale` back to pixels of the photo."""
    if scale == 1.0:
        return detection
    left, top, right, bottom = (round(edge / scale) for edge in detection.box.ltrb)
    return Detection(Box(left, top, right, bottom), detection.confidence)
