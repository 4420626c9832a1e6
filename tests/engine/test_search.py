import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.search import (
    COARSE_PIXELS,
    DOMINANCE,
    FULL_SIZE_PIXELS,
    MAX_ENLARGEMENT,
    MAX_EXACT_PIXELS,
    MIN_COARSE_PASS_PIXELS,
    MIN_FACE_SIDE,
    SECOND_LOOK_GAIN,
    SECOND_LOOK_PIXELS,
    UPSAMPLED_PIXELS,
    BudgetedSearch,
    ExactSearch,
    Pass,
    Scope,
    confirming,
    is_enough,
    rivals,
    side,
    to_photo,
)
from face_engine.types import Box, Detection

MAX_PHOTO_PIXELS = 25_000_000
ROUNDING = 1 + 1e-9

search = BudgetedSearch()

scopes = st.sampled_from(("every_face", "dominant_face"))

photos = st.integers(1, 20_000).flatmap(
    lambda width: st.tuples(st.just(width), st.integers(1, min(MAX_PHOTO_PIXELS // width, 20_000)))
)
"""Width and height of any photo of up to 25 megapixels."""


def pixels_of(size: tuple[int, int], searched: Pass) -> float:
    """Return how many pixels a pass searches, but for the few that dlib's upsampling adds."""
    return size[0] * size[1] * searched.factor**2


def detection(left: int, top: int, right: int, bottom: int) -> Detection:
    return Detection(Box(left, top, right, bottom), 0.75)


# Within a budget.


@given(photos, scopes)
def test_no_pass_is_over_the_budget(size: tuple[int, int], scope: Scope) -> None:
    for searched in search.passes(*size, scope):
        assert pixels_of(size, searched) <= FULL_SIZE_PIXELS * ROUNDING
        assert 0 < searched.factor <= MAX_ENLARGEMENT


@given(photos, scopes)
def test_all_passes_together_are_bounded(size: tuple[int, int], scope: Scope) -> None:
    total = sum(pixels_of(size, searched) for searched in search.passes(*size, scope))
    assert total <= (FULL_SIZE_PIXELS + COARSE_PIXELS * 4 / 3) * ROUNDING


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (100, 100, Pass(1.0, 1)),
        (1000, 500, Pass(1.0, 1)),
        (1000, 501, Pass(1.0, 0)),
        (2000, 1600, Pass(1.0, 0)),
        (5000, 1200, Pass(0.5, 0)),
    ],
)
def test_every_face_is_sought_at_a_size_that_the_photos_own_decides(width: int, height: int, expected: Pass) -> None:
    assert search.passes(width, height, "every_face")[0] == expected


def test_the_three_sizes_are_the_documented_ones() -> None:
    assert (UPSAMPLED_PIXELS, FULL_SIZE_PIXELS, COARSE_PIXELS) == (500_000, 3_200_000, 1_500_000)


@given(photos)
def test_every_face_is_sought_as_dlib_does_or_reduced_and_never_enlarged_otherwise(size: tuple[int, int]) -> None:
    first = search.passes(*size, "every_face")[0]
    pixels = size[0] * size[1]
    if pixels <= UPSAMPLED_PIXELS:
        assert first == Pass(1.0, 1)
    elif pixels <= FULL_SIZE_PIXELS:
        assert first == Pass(1.0, 0)
    else:
        assert first.upsample == 0
        assert pixels_of(size, first) == pytest.approx(COARSE_PIXELS)


@given(photos)
def test_the_dominant_face_is_sought_coarsely_first_and_then_like_every_face(size: tuple[int, int]) -> None:
    every_face, dominant_face = search.passes(*size, "every_face"), search.passes(*size, "dominant_face")
    coarse = dominant_face[: len(dominant_face) - len(every_face)]
    assert [replace(step, enough=0) for step in dominant_face[len(coarse) :]] == every_face
    for searched in coarse:
        assert searched.upsample == 0
        assert searched.enough == DOMINANCE * MIN_FACE_SIDE
        assert pixels_of(size, searched) >= MIN_COARSE_PASS_PIXELS
    for coarser, finer in pairwise([*coarse, every_face[0]]):
        assert finer.factor == pytest.approx(2 * coarser.factor)
    # And none is left out.
    assert pixels_of(size, dominant_face[0]) / 4 < MIN_COARSE_PASS_PIXELS


@given(photos, scopes)
def test_each_pass_sees_smaller_faces_than_the_one_before(size: tuple[int, int], scope: Scope) -> None:
    for coarser, finer in pairwise(search.passes(*size, scope)):
        assert finer.factor > 1.2 * coarser.factor


@given(photos)
def test_any_face_ends_the_search_for_all_and_a_large_one_that_for_the_dominant(size: tuple[int, int]) -> None:
    assert {step.enough for step in search.passes(*size, "every_face")} == {0}
    assert {step.enough for step in search.passes(*size, "dominant_face")} == {DOMINANCE * MIN_FACE_SIDE}


@given(photos)
def test_there_is_a_second_look_where_it_pays_and_nowhere_else(size: tuple[int, int]) -> None:
    first, *second = search.passes(*size, "every_face")
    budget = SECOND_LOOK_PIXELS if size[0] * size[1] <= FULL_SIZE_PIXELS else FULL_SIZE_PIXELS
    assert len(second) == (pixels_of(size, first) * SECOND_LOOK_GAIN <= budget)
    for searched in second:
        assert searched.upsample == 0
        assert pixels_of(size, searched) <= budget * ROUNDING
        assert pixels_of(size, searched) >= SECOND_LOOK_GAIN * pixels_of(size, first) / ROUNDING
        assert searched.factor == MAX_ENLARGEMENT or pixels_of(size, searched) == pytest.approx(budget)


def test_a_second_look_enlarges_no_more_than_four_times() -> None:
    assert search.passes(100, 100, "every_face") == [Pass(1.0, 1), Pass(4.0, 0)]
    assert search.passes(1000, 1000, "every_face") == [Pass(1.0, 0), Pass(math.sqrt(2), 0)]
    assert search.passes(1000, 500, "every_face") == [Pass(1.0, 1)]
    assert search.passes(4000, 3000, "every_face") == [Pass(math.sqrt(1 / 8), 0), Pass(math.sqrt(3.2 / 12), 0)]


def test_a_large_photo_of_one_person_is_begun_small() -> None:
    assert search.passes(2000, 1500, "dominant_face") == [Pass(0.25, 0, 160), Pass(0.5, 0, 160), Pass(1.0, 0, 160)]


def test_any_photo_may_be_searched_within_a_budget() -> None:
    assert search.max_pixels >= MAX_PHOTO_PIXELS


# Exactly as dlib does.


@given(photos, scopes, st.integers(0, 4))
def test_an_exact_search_is_one_pass_of_dlibs_whatever_the_size(
    size: tuple[int, int], scope: Scope, upsample: int
) -> None:
    assert ExactSearch(upsample).passes(*size, scope) == [Pass(1.0, upsample)]


@pytest.mark.parametrize("upsample", range(5))
def test_an_exact_search_is_bounded_after_upsampling(upsample: int) -> None:
    limit = ExactSearch(upsample).max_pixels
    assert limit * 4**upsample <= MAX_EXACT_PIXELS < (limit + 1) * 4**upsample


# What a pass found.


@pytest.mark.parametrize(
    ("found", "searched", "expected"),
    [
        ([], Pass(1.0, 0), False),
        ([], Pass(0.5, 0, enough=160), False),
        ([detection(0, 0, 0, 0)], Pass(1.0, 0), True),
        ([detection(0, 0, 159, 159)], Pass(1.0, 0, enough=160), True),
        ([detection(0, 0, 158, 158)], Pass(1.0, 0, enough=160), False),
        ([detection(0, 0, 158, 159)], Pass(1.0, 0, enough=160), True),
        ([detection(-40, 0, 118, 100), detection(-40, 0, 119, 100)], Pass(1.0, 0, enough=160), True),
        ([detection(0, 0, 319, 319)], Pass(0.5, 0, enough=160), True),
        ([detection(0, 0, 318, 318)], Pass(0.5, 0, enough=160), False),
        ([detection(0, 0, 79, 79)], Pass(1.0, 1, enough=160), True),
        ([detection(0, 0, 78, 78)], Pass(1.0, 1, enough=160), False),
    ],
)
def test_a_large_face_is_enough(found: list[Detection], searched: Pass, expected: bool) -> None:
    assert is_enough(found, searched) is expected


@given(photos, st.integers(1, 20_000))
def test_beside_a_face_that_ends_the_search_the_detector_sees_every_one_of_half_its_side(
    size: tuple[int, int], found_side: int
) -> None:
    found = detection(0, 0, found_side - 1, found_side - 1)
    for searched in search.passes(*size, "dominant_face"):
        if searched.enough and is_enough([found], searched):
            assert found_side / DOMINANCE * searched.factor >= MIN_FACE_SIDE


def square(side: int) -> Detection:
    return detection(0, 0, side - 1, side - 1)


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=9))
def test_rivals_are_more_than_half_as_large_as_the_largest(sides: list[int]) -> None:
    assert rivals(sides) == len([one for one in sides if one > max(sides) / 2])


def test_two_rivals_are_enough_and_a_face_of_half_the_side_is_none() -> None:
    coarse = Pass(0.5, 0, enough=160)
    assert is_enough([square(200), square(101)], coarse)
    assert not is_enough([square(200), square(100), square(90)], coarse)
    assert is_enough([square(50), square(200), square(150)], coarse)


@given(photos, st.integers(1, 5000))
def test_one_more_pass_sees_every_rival_of_a_small_face_as_far_as_the_budget_goes(
    size: tuple[int, int], found_side: int
) -> None:
    pixels = size[0] * size[1]
    for searched in search.passes(*size, "dominant_face"):
        if is_enough([square(found_side)], searched):
            continue
        steps = confirming([square(found_side)], searched, pixels)
        assert len(steps) <= 1
        finest = max([step.factor for step in steps], default=searched.factor)
        limit = min(MAX_ENLARGEMENT, math.sqrt(FULL_SIZE_PIXELS / pixels))
        assert found_side / DOMINANCE * finest >= MIN_FACE_SIDE or finest >= limit
        for step in steps:
            assert (step.upsample, step.enough) == (0, 0)
            assert searched.factor < step.factor <= limit


def test_the_confirming_pass_is_made_for_the_largest_face() -> None:
    (last,) = confirming([square(100), square(400)], Pass(0.25, 0, 160), 3_000_000)
    assert last.scale == pytest.approx(0.44)
    assert confirming([square(400)], Pass(1.0, 0, 160), 3_000_000) == []


def test_the_factor_of_a_pass_counts_both_ways_of_resizing() -> None:
    assert Pass(0.75, 0).factor == 0.75
    assert Pass(1.0, 2).factor == 4
    assert Pass(0.5, 1).factor == 1


def test_a_side_counts_both_edges_and_the_longer_one_decides() -> None:
    assert side(Box(3, 3, 3, 3)) == 1
    assert side(Box(-5, 0, 4, 2)) == 10
    assert side(Box(0, -5, 2, 14)) == 20


def test_boxes_are_mapped_back_to_the_photo() -> None:
    found = Detection(Box(50, -10, 149, 89), 0.9)
    assert to_photo(found, 0.5) == Detection(Box(100, -20, 299, 179), 0.9)
    assert to_photo(found, 1.0) is found


@given(st.tuples(*[st.integers(-3000, 6000)] * 4), st.floats(0.2, 4))
def test_each_edge_is_mapped_to_the_nearest_pixel(edges: tuple[int, int, int, int], scale: float) -> None:
    mapped = to_photo(Detection(Box(*edges), 0.5), scale)
    assert mapped.confidence == 0.5
    for found, edge in zip(mapped.box.ltrb[:2], edges[:2], strict=True):
        assert abs(found - edge / scale) <= 0.5 + 1e-9
    for found, edge in zip(mapped.box.ltrb[2:], edges[2:], strict=True):
        assert abs(found + 1 - (edge + 1) / scale) <= 0.5 + 1e-9  # inclusive: where the next pixel begins
