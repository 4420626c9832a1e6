"""What the structure of a JPEG or PNG file tells without decoding it.

A file is judged before anything is allocated for it: its pixels, and for JPEG its scans (each is a pass over the whole
picture, so a file of 400 KB can ask for hours). Whatever decoders could read in two ways is refused as corrupt.
Sources: ITU-T T.81 annex B (JPEG markers), ISO/IEC 15948 section 5 (PNG chunks).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

from face_engine.errors import ImageCorruptError, ImageTruncatedError, UnsupportedImageTypeError

ImageType = Literal["jpeg", "png"]
IMAGE_TYPES: tuple[ImageType, ...] = get_args(ImageType)

JPEG_SIGNATURE = b"\xff\xd8\xff"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_RESTARTS = range(0xD0, 0xD8)
# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC), which share the range.
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# DHT, DAC, SOS, DQT, DNL, DRI, APP0..APP15, COM. All others are reserved: libjpeg ends there, or, within a scan with
# restarts, passes over the marker but not over the segment, and so would run scans that hide in it.
_SEGMENTS = _FRAME_HEADERS | {0xC4, 0xCC, _SOS, 0xDB, 0xDC, 0xDD, 0xFE} | frozenset(range(0xE0, 0xF0))
# In entropy-coded data 0xFF is followed by 00 (stuffing), a restart marker, or fill bytes; else a segment begins.
_NEXT_SEGMENT = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_NOT_FILL = re.compile(rb"[^\xff]")

MAX_PARTS = 10_000
"""Markers of a JPEG file, chunks of a PNG file: a photo has some hundred. To step over one takes half a microsecond."""

_CHUNK_OVERHEAD = 12  # length, type, CRC
_IHDR_LENGTH = 13
_STILL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND"})


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Pixels as stored, before EXIF orientation."""

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
    """Read size, scans and completeness from the structure of a JPEG or PNG file.

    Raises:
        UnsupportedImageTypeError: by its first bytes it is neither.
        ImageTruncatedError: it ends before its size is told.
        ImageCorruptError: its structure is broken or ambiguous, or its size is zero.
    """
    image_type = sniff_type(image_bytes)
    if image_type is None:
        raise UnsupportedImageTypeError
    header = _read_jpeg_header(image_bytes) if image_type == "jpeg" else _read_png_header(image_bytes)
    if header.width == 0 or header.height == 0:
        raise ImageCorruptError
    return header


def still_png(image_bytes: bytes) -> bytes:
    """Return the PNG file with those chunks alone that its still picture needs: no animation, no texts, no profiles."""
    chunks = (data for kind, data in _png_chunks(image_bytes) if kind in _STILL_CHUNKS)
    return PNG_SIGNATURE + b"".join(chunks)


def _read_jpeg_header(data: bytes) -> ImageHeader:
    width = height = scans = 0
    framed = False
    markers = 0
    position = len(JPEG_SIGNATURE) - 1
    while (marker_at := data.find(b"\xff", position)) >= 0:
        # Any number of 0xFF may stand before a marker's code.
        code_found = _NOT_FILL.search(data, marker_at)
        if code_found is None:
            break
        markers += 1
        if markers > MAX_PARTS:
            raise ImageCorruptError
        code_at = code_found.start()
        code = data[code_at]
        position = code_at + 1
        if code == _EOI:
            if not scans:
                raise ImageCorruptError
            return ImageHeader("jpeg", width, height, scans, complete=True)
        if code == 0x00 or code in _RESTARTS:
            continue
        if code not in _SEGMENTS:
            raise ImageCorruptError
        if position + 2 > len(data):
            break
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2:
            raise ImageCorruptError
        if code in _FRAME_HEADERS:
            if framed:
                raise ImageCorruptError
            if position + 7 > len(data):
                break
            framed = True
            height = int.from_bytes(data[position + 3 : position + 5], "big")
            width = int.from_bytes(data[position + 5 : position + 7], "big")
        position += length
        if code == _SOS:
            if not framed:
                raise ImageCorruptError
            scans += 1
            next_segment = _NEXT_SEGMENT.search(data, position)
            if next_segment is None:
                break
            position = next_segment.start()
    if not framed:
        raise ImageTruncatedError
    return ImageHeader("jpeg", width, height, scans, complete=False)


def _read_png_header(data: bytes) -> ImageHeader:
    if len(data) < len(PNG_SIGNATURE) + _CHUNK_OVERHEAD + _IHDR_LENGTH:
        raise ImageTruncatedError
    chunks = _png_chunks(data)
    kind, header = next(chunks, (b"", b""))
    if kind != b"IHDR" or len(header) != _CHUNK_OVERHEAD + _IHDR_LENGTH:
        raise ImageCorruptError
    kinds = [kind for kind, _ in islice(chunks, MAX_PARTS)]
    if len(kinds) == MAX_PARTS:
        raise ImageCorruptError
    if b"IHDR" in kinds:
        raise ImageCorruptError
    width = int.from_bytes(header[8:12], "big")
    height = int.from_bytes(header[12:16], "big")
    return ImageHeader("png", width, height, 1, complete=bool(kinds) and kinds[-1] == b"IEND")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and bytes, length and CRC included, of each whole chunk up to the end of file or IEND."""
    position = len(PNG_SIGNATURE)
    while position + _CHUNK_OVERHEAD <= len(data):
        end = position + _CHUNK_OVERHEAD + int.from_bytes(data[position : position + 4], "big")
        if end > len(data):
            return
        kind = data[position + 4 : position + 8]
        yield kind, data[position:end]
        if kind == b"IEND":
            return
        position = end
