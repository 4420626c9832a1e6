"""Enrollments and analyses as their callers send them: real photos in the size band, no two messages alike."""

import struct
from dataclasses import dataclass

from bench import BAND, in_band
from sample_photos import sample_photo

PHOTOS = ("32bit.png", "biden.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg")
"""Each shows one person."""

COMPANY = "load"
BOUNDARY = "aphotoofaperson"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"

_START_OF_IMAGE = b"\xff\xd8"
_COMMENT = b"\xff\xfe"
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Messages:
    """The bodies of all requests, numbered from 0."""

    photos: tuple[bytes, ...]
    """JPEG."""

    def body(self, number: int, user: str) -> bytes:
        """Return a form with one of the photos, whose bytes no other number has."""
        photo = self.photos[number % len(self.photos)]
        comment = _COMMENT + struct.pack(">H", 2 + _DIGITS) + b"%0*d" % (_DIGITS, number)
        return b"".join(
            (_field("company", COMPANY), _field("id", user), _IMAGE_HEAD, _START_OF_IMAGE, comment, photo[2:], _TAIL)
        )


def sample_messages() -> Messages:
    """Fetch the sample photos, where they are not here yet, and bring them to 300 to 500 KB.

    Raises:
        SamplePhotosError: they cannot be had.
    """
    photos = [each for name in PHOTOS for each in in_band(sample_photo(name).read_bytes())]
    return Messages(tuple(photo for photo in photos if photo.startswith(_START_OF_IMAGE) and len(photo) + 16 in BAND))


def _field(name: str, value: str) -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


_IMAGE_HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
    "Content-Type: image/jpeg\r\n\r\n"
).encode()
_TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()
