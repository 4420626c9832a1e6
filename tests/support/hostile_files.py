"""Image files that mean harm, made for tests: about as large as the endpoint takes them."""

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from support.photos import IN_BAND, jpeg, noise, pad_jpeg, png, png_bomb, png_chunk, scan_bomb

SIZE = 350_000
"""Of those that need no more to do what harm they can."""

MAX_BYTES = 1_000_000
"""What a message to v1 can hold; the specification's endpoints take half of it."""

_HTML = b"<!DOCTYPE html><script>alert(document.domain)</script>"
_TEXT_BOMB = 7_900_000
"""Bytes to which a compressed text may grow before libpng refuses it."""

_IHDR_BYTES, _IEND_BYTES = 33, 12


@dataclass(frozen=True, slots=True)
class HostileFile:
    """Args:
    make: returns the file, of about so many bytes where its size is part of the harm.
    reason: for which it is refused.
    grows: whether a larger one does more harm.
    """

    make: Callable[[int], bytes]
    reason: str
    grows: bool = False


def _png_head(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def _png(chunks: bytes) -> bytes:
    return _padded(_png_head(100, 100) + chunks)


def _padded(data: bytes) -> bytes:
    end = png_chunk(b"IEND", b"")
    missing = SIZE - len(data) - len(end) - 12
    return data + (png_chunk(b"paDd", bytes(missing)) if missing > 0 else b"") + end


@cache
def _zeros(size: int) -> bytes:
    """Return so many zeros, compressed a thousand times."""
    return zlib.compress(bytes(size), 9)


def _texts(size: int) -> bytes:
    chunk = png_chunk(b"zTXt", b"key\0\0" + _zeros(_TEXT_BOMB))
    return chunk * ((size - 1_000) // len(chunk))


def _wide_jpeg() -> bytes:
    data = bytearray(jpeg(noise(40, 20), SIZE))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


def _of_scans(size: int) -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, 100, 100, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + frame + b"\xff\xda\x00\x02" * (size // 4 - 10) + b"\xff\xd9"


def _animated() -> bytes:
    """Return a still picture with frames that are not what they say: the decoder must not see them."""
    still = png(noise(40, 20))
    frame = struct.pack(">IIIIHHBB", 2**31 - 1, 2**31 - 1, 5, 5, 1, 10, 0, 0)
    control = png_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) + png_chunk(b"fcTL", struct.pack(">I", 0) + frame)
    frames = b"".join(
        png_chunk(b"fcTL", struct.pack(">I", number) + frame) + png_chunk(b"fdAT", struct.pack(">I", 7) + b"\xff" * 50)
        for number in range(1, 2_000)
    )
    return _padded(still[:_IHDR_BYTES] + control + still[_IHDR_BYTES:-_IEND_BYTES] + frames)


def _jpeg_html() -> bytes:
    small = jpeg(noise(40, 20))
    comment = b"\xff\xfe" + struct.pack(">H", len(_HTML) + 2) + _HTML
    return pad_jpeg(small[:2] + comment + small[2:], SIZE) + _HTML


def _zip() -> bytes:
    """Return an archive of no files."""
    return b"PK\x05\x06" + bytes(18)


HOSTILE_FILES: Mapping[str, HostileFile] = {
    "PNG of 144 megapixels": HostileFile(lambda _: png_bomb(), "image_too_many_pixels"),
    "PNG of 2^62 pixels": HostileFile(lambda _: _padded(_png_head(2**31 - 1, 2**31 - 1)), "image_too_many_pixels"),
    "JPEG of 4.3 gigapixels": HostileFile(lambda _: _wide_jpeg(), "image_too_many_pixels"),
    "JPEG of 2,000 scans": HostileFile(lambda _: scan_bomb(), "image_too_many_scans"),
    "JPEG of nothing but scans": HostileFile(_of_scans, "image_corrupt", grows=True),
    "JPEG of empty comments": HostileFile(
        lambda size: b"\xff\xd8" + b"\xff\xfe\x00\x02" * (size // 4), "image_corrupt", grows=True
    ),
    "JPEG of restart markers": HostileFile(
        lambda size: b"\xff\xd8" + b"\xff\xd0" * (size // 2), "image_corrupt", grows=True
    ),
    "JPEG of fill bytes": HostileFile(lambda size: b"\xff\xd8" + b"\xff" * size, "image_truncated", grows=True),
    "JPEG, cut off": HostileFile(lambda _: jpeg(noise(1_200, 900), IN_BAND)[:SIZE], "image_truncated"),
    "PNG, cut off": HostileFile(lambda _: png(noise(1_200, 900))[:SIZE], "image_truncated"),
    "PNG of empty chunks": HostileFile(
        lambda size: _png(png_chunk(b"IDAT", b"") * (size // 13)), "image_corrupt", grows=True
    ),
    "PNG of texts, 1 GB": HostileFile(lambda size: _png(_texts(size)), "image_corrupt", grows=True),
    "PNG of a profile, 100 MB": HostileFile(
        lambda _: _png(png_chunk(b"iCCP", b"p\0\0" + _zeros(100_000_000))), "image_corrupt"
    ),
    "PNG, animated and damaged": HostileFile(lambda _: _animated(), "no_face"),
    "JPEG that is HTML, too": HostileFile(lambda _: _jpeg_html(), "no_face"),
    "PNG that is a ZIP, too": HostileFile(lambda _: png(noise(40, 20)) + bytes(SIZE) + _zip(), "no_face"),
    "HTML, then a JPEG": HostileFile(lambda _: _HTML + jpeg(noise(40, 20), SIZE), "image_type_unsupported"),
    "ZIP, then a PNG": HostileFile(lambda _: _zip() + png(noise(40, 20), SIZE), "image_type_unsupported"),
    "SVG": HostileFile(lambda _: b"<svg xmlns='http://www.w3.org/2000/svg'>".ljust(SIZE), "image_type_unsupported"),
}
