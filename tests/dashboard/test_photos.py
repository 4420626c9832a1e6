import io

import numpy as np
import pytest
from PIL import Image

from face_dashboard.attempt.reencoding import OutsideBandError, into_band
from face_dashboard.models import Box
from face_dashboard.photos import FACE_SIDE, MATCH_COLOUR, Mark, drawn, face_alone, opened, shown
from face_engine import images
from face_engine.errors import ImageError
from sample_photos import sample_photo
from support.photos import MAX_BAND, MIN_BAND, jpeg, noise, png, png_bomb, scan_bomb

ORIENTATION, GPS, MAKER = 0x0112, 0x8825, 0x010F


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def oriented(orientation: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[MAKER] = "a camera"
    return saved(Image.fromarray(noise(60, 40)), kind, exif=exif)


def alpha() -> bytes:
    pixels = np.dstack([noise(60, 40), np.full((40, 60), 10, np.uint8)])
    return saved(Image.fromarray(pixels), "PNG")


def pixels(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(image)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_photo_is_upright_as_the_service_sees_it(orientation: int, kind: str) -> None:
    photo = oriented(orientation, kind)
    np.testing.assert_array_equal(pixels(opened(photo)), images.decode(photo))


@pytest.mark.parametrize(
    "photo",
    [
        pytest.param(alpha(), id="alpha"),
        pytest.param(saved(Image.fromarray(noise(60, 40)).quantize(16), "PNG"), id="palette"),
        pytest.param(saved(Image.fromarray(noise(60, 40)).convert("L"), "PNG"), id="grey PNG"),
        pytest.param(saved(Image.fromarray(noise(60, 40)).convert("L"), "JPEG"), id="grey JPEG"),
        pytest.param(saved(Image.fromarray(noise(60, 40)).convert("LA"), "PNG"), id="grey with alpha"),
        pytest.param(saved(Image.new("1", (30, 20), 1), "PNG"), id="black and white"),
        pytest.param(
            saved(Image.fromarray(np.arange(0, 60000, 100, dtype=np.uint16).reshape(20, 30)), "PNG"), id="16 bits"
        ),
    ],
)
def test_pixels_are_those_that_the_service_sees(photo: bytes) -> None:
    difference = pixels(opened(photo)).astype(int) - images.decode(photo)
    assert abs(difference).max() <= 1


def test_a_photo_for_print_is_shown_in_colours_like_those_that_the_service_sees() -> None:
    photo = saved(Image.fromarray(noise(60, 40)).convert("CMYK"), "JPEG", quality=95)
    difference = pixels(opened(photo)).astype(int) - images.decode(photo)
    assert abs(difference).mean() < 10


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (b"", "image_type_unsupported"),
        (b"GIF89a" + bytes(100), "image_type_unsupported"),
        (saved(Image.new("RGB", (9, 9)), "WEBP"), "image_type_unsupported"),
        (jpeg(noise())[:-100], "image_truncated"),
        (png(noise())[:-100], "image_truncated"),
        (b"\xff\xd8\xff" + bytes(100), "image_truncated"),
        (png(noise())[:60] + bytes(500) + png(noise())[560:], "image_corrupt"),
        (png_bomb(), "image_too_many_pixels"),
        (scan_bomb(), "image_too_many_scans"),
    ],
    ids=["nothing", "gif", "webp", "cut jpeg", "cut png", "broken jpeg", "broken png", "pixels", "scans"],
)
def test_what_is_no_photo_is_refused_with_the_reason_that_the_service_has(photo: bytes, reason: str) -> None:
    for use in (images.decode, opened, lambda one: into_band(one, MIN_BAND, MAX_BAND)):
        with pytest.raises(ImageError) as raised:
            use(photo)
        assert raised.value.reason == reason


def test_damaged_camera_data_is_no_reason_to_refuse_a_photo() -> None:
    photo = oriented(6).replace(b"Exif\0\0MM", b"Exif\0\0XX").replace(b"Exif\0\0II", b"Exif\0\0XX")
    assert opened(photo).size == (60, 40)


@pytest.mark.parametrize(
    ("size_wh", "longer"), [((100, 50), 1000), ((1300, 40), 1300), ((3000, 2000), 1600), ((1, 1), 1000)]
)
def test_what_is_shown_is_neither_small_nor_large(size_wh: tuple[int, int], longer: int) -> None:
    picture = shown(Image.new("RGB", size_wh))
    with Image.open(io.BytesIO(picture.jpeg)) as image:
        assert max(image.size) == longer
    assert picture.scale == longer / max(size_wh)
    assert (picture.width, picture.height) == size_wh


def box(left: int, top: int, right: int, bottom: int) -> Box:
    return Box(left=left, top=top, right=right, bottom=bottom)


def drawn_pixels(*marks: Mark, selected: int | None = None) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(drawn(shown(Image.new("RGB", (1000, 800))), marks, selected))) as image:
        return np.asarray(image)


def share_of(colour: str, row: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    return float((abs(row.astype(int) - wanted).max(axis=1) < 60).mean())


def test_a_match_is_solid_and_a_dismatch_dashed() -> None:
    row = 197  # within the line above the box
    solid = drawn_pixels(Mark(1, box(300, 200, 699, 599), is_match=True))[row, 350:650]
    dashed = drawn_pixels(Mark(1, box(300, 200, 699, 599), is_match=False))[row, 350:650]
    assert share_of(MATCH_COLOUR, solid) == 1
    assert 0.3 < share_of("#D55E00", dashed) < 0.8
    assert 0.2 < share_of("#ffffff", dashed) < 0.7


def test_the_face_itself_is_not_drawn_over() -> None:
    inside = drawn_pixels(Mark(1, box(300, 200, 699, 599), is_match=True))[210:590, 310:690]
    assert inside.max() < 30


def test_a_selected_face_stands_out_and_landmarks_are_drawn() -> None:
    mark = Mark(2, box(300, 200, 699, 599), is_match=True, landmarks=[(500, 400)])
    plain, selected = drawn_pixels(mark), drawn_pixels(mark, selected=2)
    assert (selected > 30).sum() > (plain > 30).sum()
    assert plain[400, 500].max() > 100


def test_a_box_may_lie_partly_beyond_the_photo() -> None:
    assert drawn_pixels(Mark(12, box(-50, -60, 90, 80), is_match=False))[5, 5].max() > 100


def test_a_face_alone_is_a_square_with_black_beyond_the_photo() -> None:
    white = Image.new("RGB", (200, 100), "#ffffff")
    with Image.open(io.BytesIO(face_alone(white, box(-20, 20, 19, 59)))) as face:
        assert face.size == (FACE_SIDE, FACE_SIDE)
        assert pixels(face)[FACE_SIDE // 2, 5].max() < 20
        assert pixels(face)[FACE_SIDE // 2, -5].min() > 230


def grainy(width: int, height: int) -> bytes:
    return png(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "photo",
    [
        pytest.param(sample_photo("obama2.jpg").read_bytes(), id="small file"),
        pytest.param(sample_photo("obama3.jpg").read_bytes(), id="large file"),
        pytest.param(sample_photo("32bit.png").read_bytes(), id="alpha"),
        pytest.param(jpeg(noise(200, 150)), id="thumbnail"),
        pytest.param(grainy(1500, 1000), id="cannot be compressed"),
        pytest.param(saved(Image.fromarray(noise()).convert("CMYK"), "JPEG"), id="for print"),
    ],
)
def test_a_photo_is_brought_into_the_band(photo: bytes) -> None:
    changed = into_band(photo, MIN_BAND, MAX_BAND)
    assert MIN_BAND <= len(changed.photo) <= MAX_BAND
    height, width = images.decode(changed.photo).shape[:2]
    before = opened(photo)
    assert (width, height) == (changed.width, changed.height)
    assert width == pytest.approx(before.width * changed.scale, abs=1)
    assert height == pytest.approx(before.height * changed.scale, abs=1)


def test_the_size_stays_where_quality_is_enough() -> None:
    assert into_band(sample_photo("obama2.jpg").read_bytes(), MIN_BAND, MAX_BAND).scale == 1
    changed = into_band(sample_photo("obama3.jpg").read_bytes(), MIN_BAND, MAX_BAND)
    assert changed.scale == 1
    assert 70 <= changed.quality < 100
    assert into_band(grainy(1500, 1000), MIN_BAND, MAX_BAND).scale < 1
    assert into_band(jpeg(noise(200, 150)), MIN_BAND, MAX_BAND).scale > 1


def test_nothing_of_the_camera_is_left_in_what_was_re_encoded() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    exif.get_ifd(GPS)[1] = "N"
    photo = saved(
        Image.open(sample_photo("obama2.jpg")), "JPEG", exif=exif, comment=b"a secret", icc_profile=b"p" * 200
    )
    with Image.open(io.BytesIO(into_band(photo, MIN_BAND, MAX_BAND).photo)) as image:
        assert not image.getexif()
        assert not {"exif", "icc_profile", "comment", "xmp"} & set(image.info)
        assert image.width > image.height


@pytest.mark.parametrize("size_wh", [(1, 1), (90, 80)])
def test_a_photo_with_nothing_in_it_cannot_fill_the_band(size_wh: tuple[int, int]) -> None:
    with pytest.raises(OutsideBandError):
        into_band(saved(Image.new("RGB", size_wh), "PNG"), MIN_BAND, MAX_BAND)


def test_a_band_that_no_quality_meets_is_met_by_the_size() -> None:
    photo = sample_photo("obama3.jpg").read_bytes()
    changed = into_band(photo, 300_000, 303_000)
    assert 300_000 <= len(changed.photo) <= 303_000
