"""A photo brought into the specification's band of sizes: written as JPEG again, larger or smaller where it must be."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from face_dashboard.photos import MAX_PIXELS, opened

QUALITIES = (70, 100)
"""Of JPEG, least and most: below, the blocks begin to show in a face."""

SHRUNK_QUALITY = 85

FULL_COLOUR = 95
"""From this quality on, the colours are as fine as the brightness (4:4:4)."""

MAX_ENLARGEMENT = 10.0

MAX_ATTEMPTS = 10
"""Sizes in pixels that are tried."""


class OutsideBandError(Exception):
    """No size and quality bring the photo into the band."""


@dataclass(frozen=True, slots=True)
class ReEncoded:
    """What became of a photo. `scale`: its sides by those that it had; `width` and `height` in pixels, upright."""

    photo: bytes
    quality: int
    scale: float
    width: int
    height: int


def into_band(photo: bytes, low: int, high: int) -> ReEncoded:
    """Return a JPEG of `low` to `high` bytes, both included, upright and without any of the file's other data.

    The best quality that fits is taken. Only where none does, the photo is made smaller, or larger.

    Raises:
        ImageError: it is no photo, or over the limits.
        OutsideBandError: it has so little in it, or the band is so narrow, that no size was found.
    """
    image = opened(photo)
    quality, written = _best(lambda one: _jpeg(image, one), high)
    scale, resized = 1.0, image
    if len(written) > high:
        quality = SHRUNK_QUALITY
        written = _jpeg(image, quality)
    most = min(MAX_ENLARGEMENT, math.sqrt(MAX_PIXELS / (image.width * image.height)))
    for _attempt in range(MAX_ATTEMPTS):
        if low <= len(written) <= high:
            return ReEncoded(written, quality, scale, *resized.size)
        # Bytes grow about as the area does.
        scale = min(scale * math.sqrt((low + high) / 2 / len(written)), most)
        size_wh = max(1, int(image.width * scale)), max(1, int(image.height * scale))
        if size_wh == resized.size:
            break
        resized = image.resize(size_wh, Image.Resampling.LANCZOS)
        written = _jpeg(resized, quality)
    raise OutsideBandError


def _best(write: Callable[[int], bytes], high: int) -> tuple[int, bytes]:
    """Return the best quality whose file has at most `high` bytes, and the file; the least quality where none has."""
    low, best = QUALITIES
    quality, written = low, write(low)
    while len(written) <= high and quality < best:
        middle = (quality + best + 1) // 2
        tried = write(middle)
        if len(tried) <= high:
            quality, written = middle, tried
        else:
            best = middle - 1
    return quality, written


def _jpeg(image: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling=0 if quality >= FULL_COLOUR else 2)
    return stream.getvalue()
