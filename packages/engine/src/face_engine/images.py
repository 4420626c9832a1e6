"""Bytes to pixels, and pixels to another size: the only module that knows OpenCV.

The structure of a file is judged first, and only then the decoder runs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
import numpy.typing as npt

from face_engine.errors import (
    ImageCorruptError,
    ImageTooManyPixelsError,
    ImageTooManyScansError,
    ImageTruncatedError,
)
from face_engine.image_files import read_header, still_png
from face_engine.types import ImageRGB

MAX_PIXELS = 25_000_000
"""A 24-megapixel camera's full frame; 75 MB once decoded."""

DECODER_MAX_PIXELS = 2**27
"""The largest limit that may be asked for: a second wall inside OpenCV, should it read a file otherwise than we do."""

MAX_JPEG_SCANS = 64
"""libjpeg's own progressive script has 10 scans, the most thorough optimisers stay below 64."""

JPEG_QUALITY = 85
"""Enough for a small picture that is only looked at."""

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(DECODER_MAX_PIXELS))

import cv2  # noqa: E402 - reads its limits when it is imported

# A broken file is answered with an error of ours; OpenCV need not log it too.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decode(image_bytes: bytes, *, max_pixels: int = MAX_PIXELS, max_scans: int = MAX_JPEG_SCANS) -> ImageRGB:
    """Decode a JPEG or PNG file to (H, W, 3) uint8 RGB, EXIF orientation applied, alpha dropped, 16 bits scaled to 8.

    Of an animated PNG the still picture is decoded, as by every program that knows no animation.

    Raises:
        ImageError: the one of its subclasses that says what is wrong; nothing is allocated for a file over the limits.
    """
    header = read_header(image_bytes)
    if header.width * header.height > max_pixels:
        raise ImageTooManyPixelsError(header.width, header.height, max_pixels)
    if header.scans > max_scans:
        raise ImageTooManyScansError(header.scans, max_scans)
    if not header.complete:
        raise ImageTruncatedError
    if header.type == "png":
        # OpenCV 5.0.0 corrupts its memory on a damaged animation: it must not see one.
        image_bytes = still_png(image_bytes)
    try:
        with _memory_errors():
            image = cv2.imdecode(np.frombuffer(image_bytes, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise ImageCorruptError from error
    if image is None:
        raise ImageCorruptError
    return cast(ImageRGB, image)


def encode_png(image_rgb: ImageRGB) -> bytes:
    """Return a PNG file of the picture, from which `decode` makes the same pixels again."""
    with _memory_errors():
        return cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def encode_jpeg(image_rgb: ImageRGB, quality: int = JPEG_QUALITY) -> bytes:
    """Return a JPEG file of the picture: smaller, and only nearly the same pixels. `quality` is 0 to 100."""
    with _memory_errors():
        bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def resize(image_rgb: ImageRGB, scale: float) -> ImageRGB:
    """Return the (H, W, 3) image with both sides multiplied by `scale`, at least 1 pixel each."""
    if scale == 1.0:
        return image_rgb
    height, width = image_rgb.shape[:2]
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    interpolation = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    with _memory_errors():
        return cv2.resize(image_rgb, size_wh, interpolation=interpolation)  # type: ignore[return-value]


def resize_aligned(source: npt.NDArray[np.float32], target: npt.NDArray[np.float32]) -> None:
    """Fill `target` (h, w) with `source` (H, W) resized: bilinear, the corner pixels on the corner pixels, as dlib's.

    `target` may be a part of a larger array.
    """
    (source_height, source_width), (height, width) = source.shape, target.shape
    step_x, step_y = (source_width - 1) / max(width - 1, 1), (source_height - 1) / max(height - 1, 1)
    with _memory_errors():
        cv2.warpAffine(
            source,
            np.array([[step_x, 0, 0], [0, step_y, 0]]),
            (width, height),
            dst=target,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
            hint=cv2.ALGO_HINT_ACCURATE,  # coordinates in float32, not in 32nds of a pixel
        )


def look_up(
    image_rgb: ImageRGB, channel: int, values: npt.NDArray[np.float32], target: npt.NDArray[np.float32]
) -> None:
    """Fill `target` (H, W) float32 with the value (256,) float32 that stands for each pixel of a channel.

    `target` may be a part of a larger array.
    """
    with _memory_errors():
        cv2.LUT(cv2.extractChannel(image_rgb, channel), values, dst=target)


def regions(mask: npt.NDArray[np.bool_]) -> list[tuple[slice, slice]]:
    """Return the rows and columns of the rectangle around each connected group of true cells of (rows, columns)."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return [
        (slice(int(top), int(top + height)), slice(int(left), int(left + width)))
        for left, top, width, height, _ in stats[1:]  # the first one is what is false
    ]


def use_threads(count: int) -> None:
    """Let OpenCV work with as many threads at most; a setting of the whole process."""
    cv2.setNumThreads(count)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Tell OpenCV's lack of memory as what it is: it says nothing of the photo."""
    try:
        yield
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(error.err) from error
        raise
