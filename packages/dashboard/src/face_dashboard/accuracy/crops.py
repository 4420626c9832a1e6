"""Faces of a labelled set's photos, to be looked at.

Cut by `photos`, with Pillow, not by the engine's `evaluation.photos_shown`, which decodes with OpenCV: the dashboard's
process loads none of that.
"""

from collections.abc import Sequence
from pathlib import Path

from face_dashboard.folders import is_within
from face_dashboard.models import Box
from face_dashboard.photos import face_alone, opened
from face_engine.errors import ImageError, PhotoFileTooLargeError
from face_engine.evaluation.labels import leaves_folder
from face_engine.files import read_photo


def face_crop(images: Path, file: str, box_ltrb: Sequence[int]) -> bytes | None:
    """Return a face of a photo as a JPEG; None where the photo is gone, or cannot be decoded.

    Args:
        images: the set's folder.
        file: within it.
        box_ltrb: left, top, right, bottom in pixels of the photo as a person sees it, inclusive.
    """
    if leaves_folder(file) or not is_within(images / file, images):
        return None
    left, top, right, bottom = box_ltrb
    try:
        return face_alone(opened(read_photo(images / file)), Box(left=left, top=top, right=right, bottom=bottom))
    except (OSError, ImageError, PhotoFileTooLargeError):
        return None
