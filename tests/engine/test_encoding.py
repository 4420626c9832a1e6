from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.encoding import DEFAULT_VIEWS, SHIFT, VIEWS, Views, average, encode_views, encoder_id, views_of
from face_engine.types import Chip
from support.photos import noise

CHIPS: list[Chip] = [noise(150, 150), np.ascontiguousarray(noise(150, 150)[::-1]), np.full((150, 150, 3), 9, np.uint8)]


def moved(chip: Chip, down: int, across: int, *, mirrored: bool) -> Chip:
    """Return the chip moved by so many pixels, pixel by pixel; the edge is repeated."""
    size = len(chip)
    result = np.empty_like(chip)
    for row in range(size):
        for column in range(size):
            source_row = min(max(row - down, 0), size - 1)
            source_column = min(max(column - across, 0), size - 1)
            result[row, size - 1 - column if mirrored else column] = chip[source_row, source_column]
    return result


class RecordingEncoder:
    """Encodes a chip as 128 numbers that tell it from others, and keeps what it was given."""

    def __init__(self) -> None:
        self.calls: list[list[Chip]] = []

    def __call__(self, chips: Sequence[Chip]) -> npt.NDArray[np.float32]:
        self.calls.append(list(chips))
        vectors = [chip.reshape(-1)[:: chip.size // 128][:128] for chip in chips]
        return np.array(vectors, np.float32).reshape(-1, 128) / np.float32(7)


def test_the_plain_view_is_the_chip_itself() -> None:
    (view,) = views_of(CHIPS[0], "plain")
    assert view is CHIPS[0]


def test_the_diagonal_views_are_moved_towards_each_corner_and_two_are_mirrored() -> None:
    chip = CHIPS[0]
    expected = [
        moved(chip, -3, -3, mirrored=False),
        moved(chip, 3, 3, mirrored=False),
        moved(chip, 3, -3, mirrored=True),
        moved(chip, -3, 3, mirrored=True),
    ]
    found = views_of(chip, "diagonal4")
    assert len(found) == 4
    for view, wanted in zip(found, expected, strict=True):
        assert np.array_equal(view, wanted)


def test_views_are_chips_that_any_runtime_takes() -> None:
    chip = CHIPS[0]
    before = chip.copy()
    for view in views_of(chip, "diagonal4"):
        assert view.shape == chip.shape
        assert view.dtype == np.uint8
        assert view.flags.c_contiguous
        assert not np.shares_memory(view, chip)
    assert np.array_equal(chip, before)
    assert SHIFT == 3


def test_a_face_and_its_mirror_image_have_the_same_views() -> None:
    views = {view.tobytes() for view in views_of(CHIPS[0], "diagonal4")}
    assert len(views) == 4
    assert {view.tobytes() for view in views_of(np.ascontiguousarray(CHIPS[0][:, ::-1]), "diagonal4")} == views


def test_all_views_of_an_even_chip_are_equal() -> None:
    assert all(np.array_equal(view, CHIPS[2]) for view in views_of(CHIPS[2], "diagonal4"))


@pytest.mark.parametrize("views", VIEWS)
def test_all_views_of_all_chips_are_encoded_at_once_face_by_face(views: Views) -> None:
    encode = RecordingEncoder()
    vectors = encode_views(encode, CHIPS, views)
    assert vectors.shape == (3, 128)
    assert vectors.dtype == np.float32
    (given_chips,) = encode.calls
    expected = [view for chip in CHIPS for view in views_of(chip, views)]
    assert len(given_chips) == len(expected)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(given_chips, expected, strict=True))


@pytest.mark.parametrize("views", VIEWS)
def test_a_face_gets_the_same_template_alone_and_among_others(views: Views) -> None:
    together = encode_views(RecordingEncoder(), CHIPS, views)
    for chip, vector in zip(CHIPS, together, strict=True):
        assert np.array_equal(encode_views(RecordingEncoder(), [chip], views)[0], vector)


@pytest.mark.parametrize("views", VIEWS)
def test_no_faces_are_no_templates(views: Views) -> None:
    vectors = encode_views(RecordingEncoder(), [], views)
    assert vectors.shape == (0, 128)
    assert vectors.dtype == np.float32


def test_the_plain_views_template_is_the_encoding_itself() -> None:
    assert np.array_equal(encode_views(RecordingEncoder(), CHIPS, "plain"), RecordingEncoder()(CHIPS))


def test_the_diagonal_views_template_is_the_mean_of_four_encodings() -> None:
    vectors = encode_views(RecordingEncoder(), CHIPS, "diagonal4")
    for chip, vector in zip(CHIPS, vectors, strict=True):
        encodings = RecordingEncoder()(views_of(chip, "diagonal4")).astype(np.float64)
        assert np.array_equal(vector, (encodings.sum(axis=0) / 4).astype(np.float32))


@given(st.integers(0, 6), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_averages_are_those_of_each_face(faces: int, views: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(faces * views, 128)).astype(np.float32)
    found = average(vectors, faces)
    assert found.shape == (faces, 128)
    assert found.dtype == np.float32
    for face in range(faces):
        expected = sum(vectors[face * views + view].astype(np.float64) for view in range(views)) / views
        assert np.allclose(found[face], expected, rtol=1e-6, atol=1e-7)


def test_averages_do_not_lose_small_numbers_beside_large_ones() -> None:
    vectors = np.array([[1e8], [1.0], [-1e8], [1.0]], np.float32)
    assert average(vectors, 1)[0, 0] == 0.5


def test_templates_of_other_views_have_another_id() -> None:
    assert encoder_id("net:1234/5pt-150px/float32", "plain") == "net:1234/5pt-150px/float32"
    assert encoder_id("net:1234/5pt-150px/float32", "diagonal4") == "net:1234/5pt-150px/diagonal4/float32"
    ids = {encoder_id(f"net/{precision}", views) for views in VIEWS for precision in ("float32", "float32-cuda")}
    assert len(ids) == 4


def test_the_default_is_one_of_the_views() -> None:
    assert DEFAULT_VIEWS in VIEWS
    assert VIEWS == ("plain", "diagonal4")
