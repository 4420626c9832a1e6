"""dlib's own steps around the networks, shared by all runtimes: upsampling a photo, landmarks, the chip.

They take a hundredth of the time of the networks, and doing them by dlib makes them equal to dlib's.
"""

from collections.abc import Sequence
from pathlib import Path

import dlib
import numpy as np

from face_engine.detection import upsampled_size
from face_engine.runtimes.failures import inference_error
from face_engine.types import AlignedFace, Box, Detection, ImageRGB

CHIP_SIZE = 150  # pixels; the encoder's input, dlib's face_recognition_model_v1
CHIP_PADDING = 0.25  # of the face's size, on each side; dlib's face_recognition_model_v1


class DlibErrors:
    """Translates dlib's RuntimeError (a failed assertion, CUDA out of memory) at this one edge."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RuntimeError | MemoryError):
            raise inference_error(error) from error


def upsample(image_rgb: ImageRGB, times: int) -> ImageRGB:
    """Return the photo with its sides about doubled `times` times: dlib's pyramid_up.

    Raises:
        OutOfMemoryError: there is not enough memory.
    """
    for _ in range(times):
        height, width = image_rgb.shape[:2]
        new_width, new_height = upsampled_size(width, height)
        with DlibErrors():
            image_rgb = dlib.resize_image(np.ascontiguousarray(image_rgb), new_height, new_width)
    return image_rgb


class Aligner:
    """Locates five landmarks in a box, and cuts the chip along them. Safe to call from several threads.

    Args:
        predictor: the file of dlib's 5-point landmark predictor.
    """

    def __init__(self, predictor: Path) -> None:
        with DlibErrors():
            self._predictor = dlib.shape_predictor(str(predictor))

    def align(self, image_rgb: ImageRGB, boxes: Sequence[Box]) -> list[AlignedFace]:
        """Return a face for each box; boxes may reach beyond the photo. Raises InferenceError."""
        image_rgb = np.ascontiguousarray(image_rgb)
        faces = []
        with DlibErrors():
            for box in boxes:
                shape = self._predictor(image_rgb, dlib.rectangle(*box.ltrb))
                landmarks = np.array([(point.x, point.y) for point in shape.parts()], dtype=np.int32)
                chip = dlib.get_face_chip(image_rgb, shape, CHIP_SIZE, CHIP_PADDING)
                faces.append(AlignedFace(landmarks, chip))
        return faces


def to_detection(found: "dlib.mmod_rectangle") -> Detection:
    """Return dlib's own answer as ours."""
    rectangle = found.rect
    box = Box(rectangle.left(), rectangle.top(), rectangle.right(), rectangle.bottom())
    return Detection(box, float(found.confidence))
