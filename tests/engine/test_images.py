import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.errors import (
    ImageCorruptError,
    ImageError,
    ImageTooManyPixelsError,
    ImageTooManyScansError,
    ImageTruncatedError,
    UnsupportedImageTypeError,
)
from face_engine.image_files import read_header, sniff_type, still_png
from face_engine.images import MAX_JPEG_SCANS, decode
from sample_photos import PHOTOS_SHA256, sample_photo
from support.photos import jpeg, noise, pad_jpeg, png, png_bomb, png_chunk, scan_bomb

PICTURE = noise(60, 40)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (jpeg(PICTURE), "jpeg"),
        (png(PICTURE), "png"),
        (b"", None),
        (b"\xff\xd8", None),
        (b"GIF89a" + bytes(50), None),
        (b"RIFF\0\0\0\0WEBP", None),
        (b"this is no picture, whatever its name says", None),
    ],
)
def test_type_is_told_by_the_first_bytes(data: bytes, expected: str | None) -> None:
    assert sniff_type(data) == expected


@pytest.mark.parametrize("name", PHOTOS_SHA256)
def test_header_agrees_with_the_decoder_on_real_photos(name: str) -> None:
    data = sample_photo(name).read_bytes()
    header = read_header(data)
    assert header.complete
    assert decode(data).shape == (header.height, header.width, 3)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_decoded_to_rgb(progressive: bool) -> None:
    red = np.zeros((32, 48, 3), np.uint8)
    red[..., 0] = 200
    decoded = decode(jpeg(red, progressive=progressive))
    assert decoded.shape == (32, 48, 3)
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - red).max() <= 3


def test_png_is_decoded_to_the_same_pixels() -> None:
    assert np.array_equal(decode(png(PICTURE)), PICTURE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255  # white at the top left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry + bytes(4)
    data = jpeg(np.ascontiguousarray(stored))
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    decoded = decode(data)
    assert decoded.shape == (16, 32, 3)
    assert decoded[:8, :16].mean() > 240
    assert decoded[8:].mean() < 15


def test_16_bit_png_is_scaled_and_alpha_dropped() -> None:
    rows = b"".join(b"\0" + struct.pack(">HHHH", 0x8080, 0x4040, 0xFFFF, 0) * 3 for _ in range(2))
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 16, 6, 0, 0, 0))
    data += png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    assert decode(data).tolist() == [[[0x80, 0x40, 0xFF]] * 3] * 2


def test_bytes_behind_the_end_marker_do_no_harm() -> None:
    assert decode(jpeg(PICTURE) + b"\0" * 1000).shape == PICTURE.shape
    assert decode(png(PICTURE) + b"\0" * 1000).shape == PICTURE.shape


def test_a_thumbnail_in_the_metadata_is_not_taken_for_the_picture() -> None:
    thumbnail = jpeg(noise(20, 20))
    data = jpeg(PICTURE)
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    header = read_header(data)
    assert (header.width, header.height, header.scans) == (60, 40, 1)


@pytest.mark.parametrize("data", [b"", b"no picture", b"GIF89a"])
def test_other_types_are_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedImageTypeError):
        decode(data)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
@pytest.mark.parametrize("data", [jpeg(noise()), jpeg(noise(), progressive=True), png(noise())])
def test_a_file_that_is_cut_off_is_refused(data: bytes, kept: float) -> None:
    with pytest.raises(ImageTruncatedError):
        decode(data[: int(len(data) * kept)])


def test_a_jpeg_without_its_end_marker_is_refused() -> None:
    with pytest.raises(ImageTruncatedError):
        decode(jpeg(PICTURE)[:-2])


def test_damage_is_told_from_truncation() -> None:
    damaged = bytearray(png(PICTURE))
    damaged[60] ^= 0xFF
    with pytest.raises(ImageCorruptError):
        decode(bytes(damaged))
    with pytest.raises(ImageCorruptError):
        decode(b"\xff\xd8\xff\xd9")


def test_a_picture_of_144_megapixels_is_refused_by_its_header() -> None:
    with pytest.raises(ImageTooManyPixelsError, match="12000 x 12000"):
        decode(png_bomb())


def test_the_pixel_limit_is_inclusive() -> None:
    assert decode(png(PICTURE), max_pixels=60 * 40).shape == (40, 60, 3)
    with pytest.raises(ImageTooManyPixelsError):
        decode(png(PICTURE), max_pixels=60 * 40 - 1)


def test_a_jpeg_of_2000_scans_is_refused_by_its_structure() -> None:
    with pytest.raises(ImageTooManyScansError, match=f"2000 scans; the limit is {MAX_JPEG_SCANS}"):
        decode(scan_bomb())


def seams(data: bytes) -> tuple[int, int]:
    """Return where the frame header begins and where the first scan does."""
    return data.index(b"\xff\xc0"), data.index(b"\xff\xda")


def test_a_second_frame_header_cannot_hide_the_first() -> None:
    # libjpeg goes by the first: 32000 x 32000 pixels were allocated for what seemed to be 64 x 64.
    data = jpeg(PICTURE)
    frame, scan = seams(data)
    header = data[frame : frame + 2 + int.from_bytes(data[frame + 2 : frame + 4], "big")]
    for where in (frame, scan, len(data) - 2):
        with pytest.raises(ImageCorruptError):
            decode(data[:where] + header + data[where:])


@pytest.mark.parametrize("code", [0x01, 0x02, 0x4F, 0xBF, 0xC8, 0xD8, 0xDE, 0xDF, 0xF0, 0xFD])
def test_scans_cannot_hide_behind_a_reserved_marker(code: int) -> None:
    # Within a scan that has restarts libjpeg passes over the marker, but not over its segment: 20,000 scans ran.
    data = jpeg(PICTURE)
    hidden = data[seams(data)[1] : -2] * 10
    segment = bytes([0xFF, code]) + struct.pack(">H", len(hidden) + 2) + hidden
    with pytest.raises(ImageCorruptError):
        decode(data[:-2] + segment + data[-2:])


def animated_png() -> bytes:
    data, second = png(PICTURE), png(noise(30, 20))
    frame = struct.pack(">IIIIHHBB", 60, 40, 0, 0, 1, 10, 0, 0)
    head, body = data[:33], data[33:-12]
    pixels = second[second.index(b"IDAT") + 4 : -16]
    return (
        head
        + png_chunk(b"acTL", struct.pack(">II", 2, 0))
        + png_chunk(b"fcTL", struct.pack(">I", 0) + frame)
        + body
        + png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 1, 30, 20, 0, 0, 1, 10, 0, 0))
        + png_chunk(b"fdAT", struct.pack(">I", 2) + pixels)
        + data[-12:]
    )


def test_the_decoder_sees_no_animation() -> None:
    # OpenCV 5.0.0 corrupts its memory on some damaged animations.
    assert still_png(animated_png()) == png(PICTURE)
    assert np.array_equal(decode(animated_png()), PICTURE)


def test_damaged_files_do_not_take_the_process_with_them() -> None:
    program = """
import random, sys
from face_engine.errors import ImageError
from face_engine.images import decode
seeds = [bytes.fromhex(line) for line in sys.stdin]
chance = random.Random(5)
decoded = refused = 0
for _ in range(4000):
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(min(len(data), 400) if chance.random() < 0.7 else len(data))
        what = chance.random()
        if what < 0.6:
            data[at] = chance.choice((0, 255, chance.randrange(256)))
        elif what < 0.8:
            del data[at : at + chance.randint(1, 30)]
        else:
            data[at:at] = chance.randbytes(chance.randint(1, 10))
    try:
        decode(bytes(data), max_pixels=1_000_000)
        decoded += 1
    except ImageError:
        refused += 1
print(decoded, refused)
"""
    seeds = [jpeg(PICTURE), jpeg(PICTURE, progressive=True), png(PICTURE), animated_png()]
    result = subprocess.run(
        [sys.executable, "-c", program],
        input="\n".join(seed.hex() for seed in seeds),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    decoded, refused = map(int, result.stdout.split())
    assert min(decoded, refused) > 100


@pytest.mark.parametrize("module", ["face_engine.pipeline", "face_engine.cli", "face_engine.images"])
def test_opencv_has_a_limit_of_its_own_whatever_is_imported_first(module: str) -> None:
    program = (
        f"import {module}, sys; from face_engine.images import decode;"
        "from face_engine.errors import ImageCorruptError\n"
        "try: decode(sys.stdin.buffer.read(), max_pixels=10**9)\n"
        "except ImageCorruptError: sys.exit(7)"
    )
    bomb = png_bomb(side=11_700)  # 137 megapixels
    assert subprocess.run([sys.executable, "-c", program], input=bomb, check=False, timeout=60).returncode == 7


def test_padding_keeps_the_picture() -> None:
    for size in (3000, 100_000, 300_000):
        padded = pad_jpeg(jpeg(noise(20, 20)), size)
        assert len(padded) == size
        assert np.array_equal(decode(padded), decode(jpeg(noise(20, 20))))


@given(
    st.one_of(
        st.binary(max_size=400),
        st.binary(max_size=400).map(lambda tail: b"\xff\xd8\xff" + tail),
        st.binary(max_size=400).map(lambda tail: b"\x89PNG\r\n\x1a\n" + tail),
        st.tuples(st.integers(2, 2000), st.binary(min_size=1, max_size=8)).map(
            lambda change: jpeg(PICTURE)[: change[0]] + change[1] + jpeg(PICTURE)[change[0] + len(change[1]) :]
        ),
    )
)
def test_any_bytes_give_a_picture_or_an_image_error(data: bytes) -> None:
    try:
        assert decode(data, max_pixels=1_000_000).ndim == 3
    except ImageError as error:
        assert str(error)
