"""Photos as a person sees them: upright, with a numbered box around each face, and the faces alone.

A file is judged as the service judges it, by its structure, before anything is decoded; and decoded to the pixels that
the service sees: EXIF orientation applied, alpha dropped, colour profiles unused.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageDraw, ImageFont

from face_dashboard.models import Box
from face_engine.errors import (
    ImageCorruptError,
    ImageTooManyPixelsError,
    ImageTooManyScansError,
    ImageTruncatedError,
)
from face_engine.evaluation.figure_style import BLUE, VERMILLION
from face_engine.image_files import read_header

MAX_PIXELS = 25_000_000
MAX_JPEG_SCANS = 64
"""Both as the service's defaults: more of either is work without end for a photo of a face."""

FORMATS = ("JPEG", "PNG")

SHOWN_SIDES = (1000, 1600)
"""Pixels of the longer side of what is shown, least and most: a small photo is enlarged, for sharp boxes."""

FACE_SIDE = 220
"""Pixels of a face that is cut out."""

AROUND = 1.35
"""The side of what is cut out, in the longer sides of the box: about what a chip holds."""

MATCH_COLOUR, DISMATCH_COLOUR = BLUE, VERMILLION
HALO = "#ffffff"

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_XMP = "xmp", "XML:com.adobe.xmp"
_DAMAGED = OSError, ValueError, SyntaxError, IndexError, KeyError, TypeError, struct.error


@dataclass(frozen=True, slots=True)
class Shown:
    """A photo to be shown, a JPEG. `scale`: its pixels by the photo's, whose `width` and `height` are upright."""

    jpeg: bytes
    scale: float
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A face to be marked, in pixels of the photo. `number` is from 1 on."""

    number: int
    box: Box
    is_match: bool
    landmarks: Sequence[tuple[int, int]] = ()


def opened(photo: bytes) -> Image.Image:
    """Return the pixels of a JPEG or PNG file, RGB and upright.

    Raises:
        ImageError: the one of its subclasses that says what is wrong; nothing is decoded of a file over the limits.
    """
    header = read_header(photo)
    if header.width * header.height > MAX_PIXELS:
        raise ImageTooManyPixelsError(header.width, header.height, MAX_PIXELS)
    if header.scans > MAX_JPEG_SCANS:
        raise ImageTooManyScansError(header.scans, MAX_JPEG_SCANS)
    if not header.complete:
        raise ImageTruncatedError
    try:
        with Image.open(io.BytesIO(photo), formats=FORMATS) as image:
            image.verify()  # a PNG's checksums, which decoding leaves out
        with Image.open(io.BytesIO(photo), formats=FORMATS) as image:
            orientation = _orientation(image)
            image.load()
            rgb = _rgb(image)
    except (*_DAMAGED, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageCorruptError from error
    upright = rgb if orientation not in _UPRIGHT else rgb.transpose(_UPRIGHT[orientation])
    upright.info.clear()  # comments and profiles, which would be saved again
    return upright


def shown(image: Image.Image) -> Shown:
    """Return an opened photo in the size in which it is shown."""
    longer = max(image.size)
    scale = min(max(longer, SHOWN_SIDES[0]), SHOWN_SIDES[1]) / longer
    size_wh = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    resized = image if size_wh == image.size else image.resize(size_wh, Image.Resampling.LANCZOS)
    return Shown(_jpeg(resized), scale, image.width, image.height)


def face_alone(image: Image.Image, box: Box) -> bytes:
    """Return the square around a face of an opened photo, a JPEG; black where it lies beyond the photo."""
    half = AROUND * (max(box.right - box.left, box.bottom - box.top) + 1) / 2
    x, y = (box.left + box.right + 1) / 2, (box.top + box.bottom + 1) / 2
    cut = image.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
    return _jpeg(cut.resize((FACE_SIDE, FACE_SIDE), Image.Resampling.LANCZOS))


def drawn(photo: Shown, marks: Sequence[Mark], selected: int | None = None) -> bytes:
    """Return the photo with a numbered box around each face, a JPEG: solid for a match, dashed for a dismatch.

    Args:
        selected: the number of the face that stands out; None: none does.
    """
    image = Image.open(io.BytesIO(photo.jpeg)).convert("RGB")
    draw = ImageDraw.Draw(image)
    width = max(3, round(max(image.size) / 220))
    font = ImageFont.load_default(max(20, round(max(image.size) / 42)))
    for mark in sorted(marks, key=lambda one: one.number == selected):  # the selected one last, above the others
        _draw_mark(draw, mark, photo.scale, width * 2 if mark.number == selected else width, font)
    return _jpeg(image)


def _draw_mark(
    draw: ImageDraw.ImageDraw, mark: Mark, scale: float, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> None:
    colour = MATCH_COLOUR if mark.is_match else DISMATCH_COLOUR
    left, top = mark.box.left * scale, mark.box.top * scale
    right, bottom = (mark.box.right + 1) * scale, (mark.box.bottom + 1) * scale
    border = max(1, width // 3)
    draw.rectangle(
        (left - width - border, top - width - border, right + width + border, bottom + width + border),
        outline=HALO,
        width=width + 2 * border,
    )
    if mark.is_match:
        draw.rectangle((left - width, top - width, right + width, bottom + width), outline=colour, width=width)
    else:
        _draw_dashes(draw, (left - width, top - width, right + width, bottom + width), colour, width)
    for x, y in mark.landmarks:
        centre_x, centre_y = (x + 0.5) * scale, (y + 0.5) * scale
        draw.circle((centre_x, centre_y), width + border, fill=HALO)
        draw.circle((centre_x, centre_y), width, fill=colour)
    _draw_number(draw, mark.number, (left - width - border, top - width - border), colour, font)


def _draw_dashes(
    draw: ImageDraw.ImageDraw, box_ltrb: tuple[float, float, float, float], colour: str, width: int
) -> None:
    """Draw a rectangle of dashes, an odd number to a side, so that all corners are drawn."""
    left, top, right, bottom = box_ltrb
    for start, end, at_near, at_far, is_flat in (
        (left, right, top, bottom, True),
        (top, bottom, left, right, False),
    ):
        count = max(3, round((end - start) / (5 * width)) | 1)
        step = (end - start) / count
        for place in range(0, count, 2):
            near, far = start + place * step, start + (place + 1) * step
            for first, last in ((at_near, at_near + width), (at_far - width, at_far)):
                draw.rectangle((near, first, far, last) if is_flat else (first, near, last, far), fill=colour)


def _draw_number(
    draw: ImageDraw.ImageDraw,
    number: int,
    corner: tuple[float, float],
    colour: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Write a number on a plate above the corner of a box, moved to lie within the picture."""
    text = str(number)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    margin = (bottom - top) * 0.45
    width, height = max(right - left, bottom - top) + 2 * margin, bottom - top + 2 * margin
    x = min(max(corner[0], 0), draw.im.size[0] - width)
    y = min(max(corner[1] - height, 0), draw.im.size[1] - height)
    draw.rounded_rectangle((x, y, x + width, y + height), height / 5, fill=colour, outline=HALO, width=2)
    draw.text((x + (width - right - left) / 2, y + (height - bottom - top) / 2), text, fill=HALO, font=font)


def _orientation(image: Image.Image) -> int:
    for name in _XMP:  # the service reads none
        image.info.pop(name, None)
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGED:
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which would be cut off at 255
        return image.convert("I").point(lambda grey: grey * (1 / 256)).convert("L").convert("RGB")
    return image.convert("RGB")


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()
