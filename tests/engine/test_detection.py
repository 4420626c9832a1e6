import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.detection import MIN_DETECTOR_SIDE, WorkingSize, is_searchable, plan_working_size, to_photo
from face_engine.images import resize
from face_engine.types import Box, Detection

sides = st.integers(1, 20_000)


@pytest.mark.parametrize("upsample", [0, 1, 2])
def test_without_a_limit_the_search_is_exactly_dlibs(upsample: int) -> None:
    assert plan_working_size(4000, 3000, upsample, None) == WorkingSize(1.0, upsample)


def test_within_the_limit_the_search_is_exactly_dlibs() -> None:
    assert plan_working_size(500, 375, 1, 4 * 500 * 375) == WorkingSize(1.0, 1)


def test_between_the_photo_and_its_upsampled_size_the_limit_is_filled() -> None:
    size = plan_working_size(1000, 1000, 1, 2_250_000)
    assert size == WorkingSize(1.5, 0)


def test_a_large_photo_is_made_smaller() -> None:
    assert plan_working_size(4000, 1000, 1, 1_000_000) == WorkingSize(0.5, 0)


@given(sides, sides, st.integers(0, 2), st.integers(10_000, 10_000_000))
def test_the_limit_holds_for_any_size(width: int, height: int, upsample: int, limit: int) -> None:
    size = plan_working_size(width, height, upsample, limit)
    factor = size.scale * 2**size.upsample
    assert width * height * factor**2 <= limit * (1 + 1e-9)
    assert factor <= 2**upsample


def test_resize_keeps_at_least_one_pixel() -> None:
    assert resize(np.zeros((1, 1000, 3), np.uint8), 0.1).shape == (1, 100, 3)


def test_resize_by_one_is_the_image_itself() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    assert resize(image, 1.0) is image


@pytest.mark.parametrize(
    ("width", "height", "upsample", "expected"),
    [
        (MIN_DETECTOR_SIDE, MIN_DETECTOR_SIDE, 0, True),
        (MIN_DETECTOR_SIDE - 1, 5000, 0, False),
        (5000, MIN_DETECTOR_SIDE - 1, 0, False),
        (MIN_DETECTOR_SIDE // 2, 100, 1, True),
        (1, 1, 2, False),
    ],
)
def test_the_shorter_side_decides_whether_there_is_anything_to_search(
    width: int, height: int, upsample: int, expected: bool
) -> None:
    assert is_searchable(width, height, upsample) is expected


def test_boxes_are_mapped_back_to_the_photo() -> None:
    found = Detection(Box(50, -10, 149, 89), 0.9)
    assert to_photo(found, 0.5) == Detection(Box(100, -20, 298, 178), 0.9)
    assert to_photo(found, 1.0) is found
