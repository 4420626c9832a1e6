"""Bytes to pixels: the type by the first bytes, the cost by the header, and only then the decoder.

A file is judged before anything is allocated for it: its pixel count, and for JPEG its number of scans (each scan
is a pass over the whole picture, so a file of 400 KB can ask for hours), are read from the structure of the file.
Sources: ITU-T T.81 annex B (JPEG markers), ISO/IEC 15948 section 5 (PNG chunks).
"""

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

import cv2
import numpy as np

from face_engine.errors import (
    ImageCorruptError,
    ImageTooManyPixelsError,
    ImageTooManyScansError,
    ImageTruncatedError,
    UnsupportedImageTypeError,
)
from face_engine.types import ImageRGB

ImageType = Literal["jpeg", "png"]
IMAGE_TYPES: tuple[ImageType, ...] = get_args(ImageType)

MAX_PIXELS = 25_000_000
"""A 24-megapixel camera's full frame; 75 MB once decoded."""

MAX_JPEG_SCANS = 64
"""libjpeg's own progressive script has 10 scans, the most thorough optimisers stay below 64."""

JPEG_SIGNATURE = b"\xff\xd8\xff"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_RESTARTS = range(0xD0, 0xD8)
# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC), which share the range.
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# In entropy-coded data 0xFF is followed by 00 (stuffing), a restart marker, or fill bytes; else a segment begins.
_NEXT_SEGMENT = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

# A broken file is answered with an error of ours; OpenCV and its codecs need not write about it to stderr too.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the structure of a file tells without decoding it: pixels as stored, before EXIF orientation."""

    type: ImageType
    width: int
    height: int
    scans: int
    """Passes over the picture; 1 for PNG."""
    complete: bool
    """Whether the file's end marker is there."""


def sniff_type(image_bytes: bytes) -> ImageType | None:
    """Return the image type by the file's first bytes, None where it is neither JPEG nor PNG."""
    if image_bytes.startswith(JPEG_SIGNATURE):
        return "jpeg"
    if image_bytes.startswith(PNG_SIGNATURE):
        return "png"
    return None


def read_header(image_bytes: bytes) -> ImageHeader:
    """Read size, scans and completeness from the structure of a JPEG or PNG file, without decoding.

    Raises:
        UnsupportedImageTypeError: by its first bytes it is neither.
        ImageTruncatedError: it ends before its size is told.
        ImageCorruptError: its structure is broken, or its size is zero.
    """
    image_type = sniff_type(image_bytes)
    if image_type is None:
        raise UnsupportedImageTypeError
    header = _read_jpeg_header(image_bytes) if image_type == "jpeg" else _read_png_header(image_bytes)
    if header.width == 0 or header.height == 0:
        raise ImageCorruptError
    return header


def decode(image_bytes: bytes, *, max_pixels: int = MAX_PIXELS, max_scans: int = MAX_JPEG_SCANS) -> ImageRGB:
    """Decode a JPEG or PNG file to (H, W, 3) uint8 RGB, EXIF orientation applied, alpha dropped, 16 bits scaled to 8.

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
    try:
        image = cv2.imdecode(np.frombuffer(image_bytes, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise ImageCorruptError from error
    if image is None:
        raise ImageCorruptError
    return cast(ImageRGB, image)


def _read_jpeg_header(data: bytes) -> ImageHeader:
    width = height = scans = 0
    position = len(JPEG_SIGNATURE) - 1
    while (marker_at := data.find(b"\xff", position)) >= 0:
        # Any number of 0xFF may stand before a marker's code.
        code_at = marker_at + 1
        while code_at < len(data) and data[code_at] == 0xFF:
            code_at += 1
        if code_at >= len(data):
            break
        code = data[code_at]
        position = code_at + 1
        if code == _EOI:
            if not scans:
                raise ImageCorruptError
            return ImageHeader("jpeg", width, height, scans, complete=True)
        if code in (0x00, _SOI, _TEM) or code in _RESTARTS:
            continue
        if position + 2 > len(data):
            break
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2:
            raise ImageCorruptError
        if code in _FRAME_HEADERS:
            if position + 7 > len(data):
                break
            height = int.from_bytes(data[position + 3 : position + 5], "big")
            width = int.from_bytes(data[position + 5 : position + 7], "big")
        position += length
        if code == _SOS:
            scans += 1
            next_segment = _NEXT_SEGMENT.search(data, position)
            if next_segment is None:
                break
            position = next_segment.start()
    if not scans:
        raise ImageTruncatedError
    return ImageHeader("jpeg", width, height, scans, complete=False)


def _read_png_header(data: bytes) -> ImageHeader:
    position = len(PNG_SIGNATURE)
    if len(data) < position + 16:
        raise ImageTruncatedError
    if data[position + 4 : position + 8] != b"IHDR":
        raise ImageCorruptError
    width = int.from_bytes(data[position + 8 : position + 12], "big")
    height = int.from_bytes(data[position + 12 : position + 16], "big")
    complete = False
    while not complete and position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        complete = data[position + 4 : position + 8] == b"IEND"
        position += 12 + length
    return ImageHeader("png", width, height, 1, complete)
