"""Photos as a report shows them: the face with some of what surrounds it, small, inside the page itself."""

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from face_engine.errors import ImageError
from face_engine.evaluation.labels import leaves_folder
from face_engine.files import read_photo
from face_engine.images import decode, encode_jpeg, resize
from face_engine.types import ImageRGB

SIDE = 144
"""Pixels of the longer side of what is shown."""

AROUND = 1.7
"""The side of what is cut out, in the longer sides of the face's box."""


def data_uri(images: Path, file: str, box_ltrb: Sequence[int]) -> str | None:
    """Return a face of a photo as a JPEG in a data: URI; None where the photo is gone, or is not what it was.

    Args:
        images: the set's folder.
        file: within it.
        box_ltrb: left, top, right, bottom in pixels of the photo, inclusive.
    """
    path = images / file
    if leaves_folder(file) or not path.is_file():
        return None
    try:
        cut = around(decode(read_photo(path)), box_ltrb)
    except (OSError, ImageError):
        return None
    if not cut.size:
        return None
    shown = encode_jpeg(resize(cut, SIDE / max(cut.shape[:2])))
    return "data:image/jpeg;base64," + base64.b64encode(shown).decode()


def around(image_rgb: ImageRGB, box_ltrb: Sequence[int]) -> ImageRGB:
    """Return the square around a box, moved to lie inside the (H, W, 3) image, or as much of it as there is.

    It is empty where the box lies beyond the image.
    """
    height, width = image_rgb.shape[:2]
    left, top, right, bottom = box_ltrb
    if right < 0 or bottom < 0 or left >= width or top >= height or right < left or bottom < top:
        return image_rgb[:0, :0]
    side = round(AROUND * (max(right - left, bottom - top) + 1))
    x = _start((left + right + 1) / 2, side, width)
    y = _start((top + bottom + 1) / 2, side, height)
    return np.ascontiguousarray(image_rgb[max(y, 0) : y + side, max(x, 0) : x + side])


def _start(centre: float, side: int, length: int) -> int:
    """Return where `side` pixels around a centre begin, so that they lie within `length`, if they are not more."""
    start = round(centre - side / 2)
    return max(min(start, length - side), 0) if side <= length else 0
