"""Photos made for tests: real faces brought to a size, a collage, a number of bytes; and files that mean harm."""

import struct
import zlib
from collections.abc import Sequence

import cv2
import numpy as np

from face_engine.images import decode
from face_engine.types import ImageRGB
from sample_photos import sample_photo

MIN_BAND, MAX_BAND = 300_000, 512_000
IN_BAND = 400_000
PHOTO_HEIGHT = 320
"""Pixels: the faces are then well above the detector's 80, and a search takes half a second."""

UPPER_PART = {"biden.jpg": 0.5, "obama3.jpg": 0.6}
"""Where the face is small in the photo, the upper part that shows it, of the whole height."""

_MAX_SEGMENT = 65_533
_EOI = b"\xff\xd9"


def portrait(name: str, height: int = PHOTO_HEIGHT) -> ImageRGB:
    """Return the part of a sample photo that shows the face, resized to a height."""
    image = decode(sample_photo(name).read_bytes())
    image = image[: round(image.shape[0] * UPPER_PART.get(name, 1.0))]
    width = round(image.shape[1] * height / image.shape[0])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def collage(names: Sequence[str]) -> ImageRGB:
    """Return several people side by side, from left to right."""
    return np.hstack([portrait(name) for name in names])


def noise(width: int = 400, height: int = 300) -> ImageRGB:
    """Return a picture without a face: soft noise, always the same."""
    small = np.random.default_rng(7).integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def jpeg(image_rgb: ImageRGB, size: int | None = None, *, progressive: bool = False) -> bytes:
    """Encode as JPEG; with `size`, padded to exactly that many bytes by comment segments."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes()
    return encoded if size is None else pad_jpeg(encoded, size)


def pad_jpeg(data: bytes, size: int) -> bytes:
    """Insert comment segments after the start marker until the file has exactly `size` bytes."""
    comments = b""
    missing = size - len(data)
    assert missing == 0 or missing >= 4, f"cannot add {missing} bytes"
    while missing:
        # A segment takes 4 bytes at least, so never leave 1 to 3.
        segment = min(missing, _MAX_SEGMENT + 4)
        if 0 < missing - segment < 4:
            segment -= 4
        comments += b"\xff\xfe" + struct.pack(">H", segment - 2) + bytes(segment - 4)
        missing -= segment
    return data[:2] + comments + data[2:]


def png(image_rgb: ImageRGB, size: int | None = None) -> bytes:
    """Encode as PNG; with `size`, padded to exactly that many bytes by a private chunk."""
    encoded = cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
    if size is None:
        return encoded
    padding = png_chunk(b"paDd", bytes(size - len(encoded) - 12))
    return encoded[:-12] + padding + encoded[-12:]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(side: int = 12_000, size: int = IN_BAND) -> bytes:
    """Return a black grey-scale PNG of side x side pixels in `size` bytes: 144 megapixels by default."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + side)
    data = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    body = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", data)
    end = png_chunk(b"IEND", b"")
    return body + png_chunk(b"paDd", bytes(size - len(body) - len(end) - 12)) + end


def scan_bomb(scans: int = 2_000, size: int = IN_BAND) -> bytes:
    """Return a JPEG of several megapixels whose last scan is repeated until it has `scans` of them."""
    data = jpeg(np.zeros((2_000, 2_000, 3), np.uint8), progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    existing = data.count(b"\xff\xda")
    # A black picture's last scan is some 30 kB; its first hundred bytes will do, nobody should decode them.
    stub = last_scan[:100]
    return pad_jpeg(data[:-2] + stub * (scans - existing) + _EOI, size)
