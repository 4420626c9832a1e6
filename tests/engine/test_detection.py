import math
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.detection import (
    MIN_DETECTOR_SIDE,
    PyramidPlane,
    ScoreRules,
    decode_scores,
    is_searchable,
    lay_out_pyramid,
    suppress,
    undo_upsampling,
    upsampled_size,
)
from face_engine.images import look_up, regions, resize, resize_aligned
from face_engine.types import Box, Detection
from support.photos import noise

PADDING, OUTER_PADDING = 10, 11
RULES = ScoreRules(window_wh=(80, 80), max_overlap=0.3382761351109955, max_covered=1.0)

searchable_sides = st.integers(MIN_DETECTOR_SIDE, 3000)

Edges = tuple[int, int, int, int]


def lay_out(width: int, height: int) -> PyramidPlane:
    return lay_out_pyramid(width, height, PADDING, OUTER_PADDING)


# The layout.

LAYOUTS: list[tuple[tuple[int, int], tuple[int, int], int, int | None, Edges | None, Edges]] = [
    ((10, 10), (32, 50), 3, 2, (15, 33, 20, 38), (15, 33, 20, 38)),
    ((30, 15), (52, 128), 6, None, None, (11, 112, 20, 116)),
    ((18, 40), (40, 269), 11, 8, (26, 250, 28, 257), (28, 219, 28, 223)),
    ((32, 32), (54, 193), 9, 6, (34, 173, 42, 181), (38, 141, 42, 145)),
    ((80, 80), (102, 345), 14, 5, (61, 304, 90, 333), (86, 121, 90, 125)),
    ((250, 188), (272, 734), 18, 5, (161, 648, 260, 722), (252, 212, 260, 217)),
    ((33, 400), (55, 1662), 14, 6, (34, 1519, 43, 1650), (43, 983, 43, 1017)),
    ((375, 500), (397, 1852), 24, 5, (236, 1641, 385, 1840), (382, 534, 385, 538)),
    ((500, 375), (522, 1405), 22, 5, (311, 1244, 510, 1393), (503, 399, 510, 404)),
    ((1002, 751), (1024, 2751), 26, 5, (612, 2440, 1012, 2739), (1005, 808, 1012, 812)),
    ((47, 3000), (69, 12039), 15, 6, (44, 11025, 57, 12027), (57, 7110, 57, 7340)),
    ((3000, 47), (3022, 227), 11, 5, (1807, 199, 3010, 215), (2529, 103, 3010, 107)),
    ((1999, 1600), (2021, 5800), 31, 5, (1209, 5148, 2009, 5788), (2004, 1769, 2009, 1773)),
    ((6000, 4000), (6022, 14414), 36, 5, (3601, 12797, 6010, 14402), (6003, 4545, 6010, 4549)),
]
"""Photo; plane; number of levels; the first level of the second column, and its edges; the last level's edges.

Printed by a program around dlib 20.0.1's own compute_tiled_image_pyramid_details. Of 250 x 188 the last level was left
out, as it would have reached the photo.
"""


@pytest.mark.parametrize(("size", "plane", "levels", "turn", "turned", "last"), LAYOUTS)
def test_the_layout_is_dlibs(
    size: tuple[int, int], plane: tuple[int, int], levels: int, turn: int | None, turned: Edges | None, last: Edges
) -> None:
    layout = lay_out(*size)
    edges = [level.ltrb for level in layout.levels]
    assert (layout.width, layout.height) == plane
    assert len(edges) == levels
    assert edges[0] == (11, 11, 10 + size[0], 10 + size[1])
    assert next((index for index, (left, *_) in enumerate(edges) if left != 11), None) == turn
    if turn is not None:
        assert edges[turn] == turned
    assert edges[-1] == last


def overlap(a: Box, b: Box) -> bool:
    return a.left <= b.right and b.left <= a.right and a.top <= b.bottom and b.top <= a.bottom


def size_of(box: Box) -> tuple[int, int]:
    return box.right - box.left + 1, box.bottom - box.top + 1


@given(searchable_sides, searchable_sides)
def test_levels_lie_apart_and_inside_the_plane(width: int, height: int) -> None:
    layout = lay_out(width, height)
    for index, level in enumerate(layout.levels):
        assert OUTER_PADDING <= level.left <= level.right < layout.width - OUTER_PADDING
        assert OUTER_PADDING <= level.top <= level.bottom < layout.height - OUTER_PADDING
        assert not any(overlap(level, other) for other in layout.levels[:index])


@given(searchable_sides, searchable_sides)
def test_each_level_is_five_sixths_of_the_one_before(width: int, height: int) -> None:
    sizes = [size_of(level) for level in lay_out(width, height).levels]
    assert sizes[0] == (width, height)
    for (larger_width, larger_height), (smaller_width, smaller_height) in pairwise(sizes):
        # 5/6 is rounded up in binary, so a multiple of 6 loses nothing.
        assert smaller_width == larger_width * 5 // 6
        assert smaller_height == larger_height * 5 // 6


@given(searchable_sides, searchable_sides)
def test_every_size_of_a_face_has_its_level(width: int, height: int) -> None:
    """No level is left out in which a window of 80 pixels, or even of 12, would fit."""
    smallest = min(size_of(lay_out(width, height).levels[-1]))
    assert smallest < 12


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (2, 300), (5, 5), (9, 5612), (9, 9), (300, 2), (5000, 1)])
def test_a_tiny_photo_has_a_layout_too(size: tuple[int, int]) -> None:
    layout = lay_out(*size)
    assert size_of(layout.levels[0]) == size


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_first_level_of_any_photo_is_the_photo(width: int, height: int) -> None:
    layout = lay_out(width, height)
    assert layout.width == width + 2 * OUTER_PADDING
    assert size_of(layout.levels[0]) == (width, height)


def test_other_paddings_move_the_levels_apart() -> None:
    layout = lay_out_pyramid(100, 60, padding=3, outer_padding=7)
    assert layout.width == 100 + 2 * 7
    assert layout.levels[0] == Box(7, 7, 106, 66)
    assert layout.levels[1] == Box(7, 70, 89, 119)


# The score map.


def nearest_integer(value: float) -> int:
    """C's lround: halves away from zero."""
    return int(Decimal(value).to_integral_value(ROUND_HALF_UP))


def distance_squared(x: int, y: int, level: Box) -> int:
    across = max(level.left - x, 0, x - level.right)
    down = max(level.top - y, 0, y - level.bottom)
    return across**2 + down**2


def decoded(row: int, column: int, plane: PyramidPlane, window_wh: tuple[int, int]) -> Box:
    """Return the box of one cell, by the rules as they are written down."""
    x, y = 8 * column + 14, 8 * row + 14
    distances = [distance_squared(x, y, level) for level in plane.levels]
    index = distances.index(min(distances))
    level = plane.levels[index]
    edges = []
    for centre, origin, size in ((x, level.left, window_wh[0]), (y, level.top, window_wh[1])):
        for sign in (-1, 1):
            edge = centre + sign * (size - 1) / 2 - origin
            for _ in range(index):
                edge = edge * 1.2 + 0.3
            edges.append(nearest_integer(edge))
    left, right, top, bottom = edges
    return Box(left, top, right, bottom)


def area(left: int, top: int, right: int, bottom: int) -> int:
    return max(right - left + 1, 0) * max(bottom - top + 1, 0)


def are_one_face(a: Edges, b: Edges, rules: ScoreRules) -> bool:
    inner = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    outer = area(min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    return inner > 0 and (
        Fraction(inner, outer) > Fraction(rules.max_overlap)
        or Fraction(inner, area(*a)) > Fraction(rules.max_covered)
        or Fraction(inner, area(*b)) > Fraction(rules.max_covered)
    )


def kept_by_brute_force(boxes: Sequence[Edges], rules: ScoreRules) -> list[int]:
    kept: list[int] = []
    for index, box in enumerate(boxes):
        if not any(are_one_face(boxes[other], box, rules) for other in kept):
            kept.append(index)
    return kept


def decoded_by_brute_force(scores: npt.NDArray[np.float32], plane: PyramidPlane, rules: ScoreRules) -> list[Detection]:
    found = [
        Detection(decoded(row, column, plane, rules.window_wh), float(scores[row, column]))
        for row in range(scores.shape[0])
        for column in range(scores.shape[1])
        if scores[row, column] > 0
    ]
    found.sort(key=lambda detection: -detection.confidence)
    return [found[index] for index in kept_by_brute_force([detection.box.ltrb for detection in found], rules)]


def score_map_shape(plane: PyramidPlane) -> tuple[int, int]:
    """Return how many cells the detector scores of a plane."""
    return (plane.height - 29) // 8 + 1, (plane.width - 29) // 8 + 1


@pytest.mark.parametrize("size", [(32, 32), (100, 60), (300, 240), (45, 400)])
def test_every_cell_is_decoded_as_by_hand(size: tuple[int, int]) -> None:
    plane = lay_out(*size)
    shape = score_map_shape(plane)
    for row in range(shape[0]):
        for column in range(shape[1]):
            scores = np.full(shape, -1, np.float32)
            scores[row, column] = 0.75
            assert decode_scores(scores, plane, RULES) == [Detection(decoded(row, column, plane, (80, 80)), 0.75)]


@given(
    st.integers(MIN_DETECTOR_SIDE, 250),
    st.integers(MIN_DETECTOR_SIDE, 250),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.001, 0.02, 0.1]),
    st.sampled_from([(80, 80), (81, 79), (40, 100)]),
    st.sampled_from([(0.3382761351109955, 1.0), (0.5, 0.75), (1.0, 0.5)]),
)
def test_a_score_map_is_decoded_as_by_hand(
    width: int, height: int, seed: int, share: float, window_wh: tuple[int, int], limits: tuple[float, float]
) -> None:
    rng = np.random.default_rng(seed)
    plane = lay_out(width, height)
    rules = ScoreRules(window_wh, *limits)
    shape = score_map_shape(plane)
    # Few different scores: many are equal.
    scores = rng.choice([0.25, 0.5, 1.0, 1.25], size=shape).astype(np.float32)
    scores[rng.random(shape) >= share] = -0.5
    assert decode_scores(scores, plane, rules) == decoded_by_brute_force(scores, plane, rules)


def test_a_score_of_zero_is_no_face() -> None:
    plane = lay_out(100, 100)
    assert decode_scores(np.zeros(score_map_shape(plane), np.float32), plane, RULES) == []
    scores = np.full(score_map_shape(plane), -0.1, np.float32)
    scores[3, 3] = np.nextafter(np.float32(0), np.float32(1))
    assert len(decode_scores(scores, plane, RULES)) == 1


def test_no_cells_are_no_faces() -> None:
    assert decode_scores(np.empty((0, 0), np.float32), lay_out(40, 40), RULES) == []


def test_of_two_scores_for_one_face_the_higher_stays() -> None:
    plane = lay_out(300, 300)
    scores = np.full(score_map_shape(plane), -1, np.float32)
    scores[10, 10], scores[10, 11], scores[10, 30] = 0.5, 0.9, 0.7
    found = decode_scores(scores, plane, RULES)
    assert [round(detection.confidence, 3) for detection in found] == [0.9, 0.7]
    # The window around pixel (8 x 11 + 14, 8 x 10 + 14) of the plane; the photo begins at 11.
    assert found[0].box == Box(102 - 40 - 11 + 1, 94 - 40 - 11 + 1, 102 + 40 - 11, 94 + 40 - 11)


# Suppression.

boxes = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 60), st.integers(1, 60)).map(
        lambda box: (box[0], box[1], box[0] + box[2] - 1, box[1] + box[3] - 1)
    ),
    max_size=25,
)


def edges_of(boxes: Sequence[Edges]) -> npt.NDArray[np.int64]:
    return np.array(boxes, np.int64).reshape(-1, 4)


@given(boxes, st.sampled_from([0.0, 0.25, 0.3382761351109955, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 0.75, 1.0]))
def test_suppression_is_greedy(boxes: list[Edges], max_overlap: float, max_covered: float) -> None:
    rules = ScoreRules((80, 80), max_overlap, max_covered)
    assert suppress(edges_of(boxes), rules) == kept_by_brute_force(boxes, rules)


def test_nothing_is_suppressed_of_none_or_one() -> None:
    assert suppress(edges_of([]), RULES) == []
    assert suppress(edges_of([(0, 0, 9, 9)]), RULES) == [0]


def test_of_equal_boxes_the_first_stays() -> None:
    assert suppress(edges_of([(0, 0, 9, 9)] * 4), RULES) == [0]


@pytest.mark.parametrize(
    ("second", "rules", "kept"),
    [
        # Half of the box around both: exactly the limit, and just above it.
        ((0, 5, 9, 9), ScoreRules((80, 80), 0.5, 1.0), 2),
        ((0, 4, 9, 9), ScoreRules((80, 80), 0.5, 1.0), 1),
        # Three quarters of the smaller one are covered: exactly the limit, and just above it.
        ((6, 0, 9, 3), ScoreRules((80, 80), 0.9, 1.0), 2),
        ((7, 0, 10, 9), ScoreRules((80, 80), 0.9, 0.75), 2),
        ((7, 0, 10, 9), ScoreRules((80, 80), 0.9, 0.74), 1),
        # Side by side.
        ((10, 0, 19, 9), ScoreRules((80, 80), 0.0, 0.0), 2),
        ((9, 9, 19, 19), ScoreRules((80, 80), 0.0, 0.0), 1),
    ],
)
def test_at_a_limit_both_boxes_stay(second: Edges, rules: ScoreRules, kept: int) -> None:
    assert len(suppress(edges_of([(0, 0, 9, 9), second]), rules)) == kept


def test_what_was_suppressed_suppresses_nothing() -> None:
    row = [(0, 0, 99, 99), (40, 0, 139, 99), (80, 0, 179, 99)]
    assert suppress(edges_of(row), RULES) == [0, 2]


# Upsampling.


@pytest.mark.parametrize(("size", "expected"), [((1, 1), (4, 3)), ((100, 80), (202, 161)), ((500, 375), (1002, 751))])
def test_upsampling_makes_dlibs_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert upsampled_size(*size) == expected


def halved(edges: Sequence[float], times: int) -> Edges:
    left, top, right, bottom = (Fraction(edge) for edge in edges)
    for _ in range(times):
        left, right = (edge / 2 - Fraction(5, 4) for edge in (left, right))
        top, bottom = (edge / 2 - Fraction(3, 4) for edge in (top, bottom))
    return tuple(nearest_integer(float(edge)) for edge in (left, top, right, bottom))  # type: ignore[return-value]


@given(st.tuples(*[st.integers(-5000, 20_000)] * 4), st.integers(0, 3))
def test_boxes_of_an_upsampled_photo_are_brought_back_as_by_hand(edges: Edges, times: int) -> None:
    found = Detection(Box(*edges), 0.625)
    assert undo_upsampling(found, times) == Detection(Box(*halved(edges, times)), 0.625)


@pytest.mark.parametrize(
    ("upsample", "expected"), [(0, (0, -7, 101, 93)), (1, (-1, -4, 49, 46)), (2, (-2, -3, 23, 22))]
)
def test_boxes_of_an_upsampled_photo_are_brought_back_as_by_dlib(upsample: int, expected: Edges) -> None:
    assert undo_upsampling(Detection(Box(0, -7, 101, 93), 1.0), upsample).box.ltrb == expected


def test_without_upsampling_a_detection_is_itself() -> None:
    found = Detection(Box(1, 2, 3, 4), 0.5)
    assert undo_upsampling(found, 0) is found


@pytest.mark.parametrize(
    ("width", "height", "upsample", "expected"),
    [
        (MIN_DETECTOR_SIDE, MIN_DETECTOR_SIDE, 0, True),
        (MIN_DETECTOR_SIDE - 1, 5000, 0, False),
        (5000, MIN_DETECTOR_SIDE - 1, 0, False),
        (MIN_DETECTOR_SIDE // 2, 100, 1, True),
        (MIN_DETECTOR_SIDE // 2 - 1, 100, 1, False),
        (1, 1, 2, False),
    ],
)
def test_the_shorter_side_decides_whether_there_is_anything_to_search(
    width: int, height: int, upsample: int, expected: bool
) -> None:
    assert is_searchable(width, height, upsample) is expected


# What the detector needs of images.


def test_resize_keeps_at_least_one_pixel() -> None:
    assert resize(np.zeros((1, 1000, 3), np.uint8), 0.1).shape == (1, 100, 3)


def test_resize_by_one_is_the_image_itself() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    assert resize(image, 1.0) is image


def resized_by_hand(source: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float64]:
    """Return the source resized, pixel by pixel: bilinear, corners on corners."""
    result = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            y = row * (source.shape[0] - 1) / max(height - 1, 1)
            x = column * (source.shape[1] - 1) / max(width - 1, 1)
            above, left = math.floor(y), math.floor(x)
            below, right = min(above + 1, source.shape[0] - 1), min(left + 1, source.shape[1] - 1)
            upper = float(source[above, left]) * (left + 1 - x) + float(source[above, right]) * (x - left)
            lower = float(source[below, left]) * (left + 1 - x) + float(source[below, right]) * (x - left)
            result[row, column] = upper * (above + 1 - y) + lower * (y - above)
    return result


sides = st.integers(1, 40)


@given(sides, sides, sides, sides, st.integers(0, 2**32 - 1))
def test_resizing_puts_corners_on_corners(
    source_height: int, source_width: int, height: int, width: int, seed: int
) -> None:
    source = np.random.default_rng(seed).uniform(-0.5, 0.5, (source_height, source_width)).astype(np.float32)
    target = np.full((height, width), 7, np.float32)
    resize_aligned(source, target)
    assert np.abs(target - resized_by_hand(source, height, width)).max() <= 1e-4


def test_resizing_by_five_sixths_is_exact_over_a_whole_photo() -> None:
    source = np.random.default_rng(1).uniform(-0.5, 0.5, (300, 420)).astype(np.float32)
    target = np.empty((250, 350), np.float32)
    resize_aligned(source, target)
    assert np.abs(target - resized_by_hand(source, 250, 350)).max() <= 1e-4


@given(sides, sides, st.integers(0, 5), st.integers(0, 5))
def test_resizing_fills_a_part_of_an_array_and_nothing_else(height: int, width: int, top: int, left: int) -> None:
    source = np.random.default_rng(2).uniform(-0.5, 0.5, (17, 23)).astype(np.float32)
    whole = np.full((height + 9, width + 9), 7, np.float32)
    part = whole[top : top + height, left : left + width]
    resize_aligned(source, part)
    assert np.abs(part).max() <= 0.5
    part[:] = 7
    assert (whole == 7).all()


def test_one_level_is_made_of_another_in_the_same_array() -> None:
    plane = np.zeros((40, 30), np.float32)
    plane[2:22, 3:27] = np.random.default_rng(3).uniform(-0.5, 0.5, (20, 24))
    source = plane[2:22, 3:27].copy()
    resize_aligned(plane[2:22, 3:27], plane[24:40, 3:23])
    assert np.array_equal(plane[2:22, 3:27], source)
    assert np.abs(plane[24:40, 3:23] - resized_by_hand(source, 16, 20)).max() <= 1e-4
    plane[2:22, 3:27] = plane[24:40, 3:23] = 0
    assert not plane.any()


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_channels_pixels_are_looked_up(channel: int) -> None:
    image = noise(50, 30)
    values = np.random.default_rng(4).normal(size=256).astype(np.float32)
    whole = np.full((40, 60), 7, np.float32)
    look_up(image, channel, values, whole[5:35, 4:54])
    assert np.array_equal(whole[5:35, 4:54], values[image[..., channel]])
    whole[5:35, 4:54] = 7
    assert (whole == 7).all()


def test_a_part_of_a_photo_is_looked_up_too() -> None:
    image = noise(50, 30)[3:20:2, ::-1]
    target = np.empty(image.shape[:2], np.float32)
    look_up(image, 1, np.arange(256, dtype=np.float32), target)
    assert np.array_equal(target, image[..., 1])


def groups_by_hand(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Return first row, row after the last, first column, column after the last of each group of true cells."""
    left_over = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    found = []
    while left_over:
        group, edge = set(), [left_over.pop()]
        while edge:
            row, column = edge.pop()
            group.add((row, column))
            near = {(row + down, column + across) for down in (-1, 0, 1) for across in (-1, 0, 1)} & left_over
            left_over -= near
            edge.extend(near)
        rows, columns = [row for row, _ in group], [column for _, column in group]
        found.append((min(rows), max(rows) + 1, min(columns), max(columns) + 1))
    return found


@given(sides, sides, st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.02, 0.2, 0.6, 1.0]))
def test_regions_are_the_rectangles_around_connected_cells(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    found = [(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in regions(mask)]
    assert sorted(found) == sorted(groups_by_hand(mask))


def test_cells_that_touch_at_a_corner_are_one_region() -> None:
    assert regions(np.eye(3, dtype=bool)) == [(slice(0, 3), slice(0, 3))]
    assert regions(np.zeros((4, 4), bool)) == []
    assert regions(np.ones((2, 3), bool)) == [(slice(0, 2), slice(0, 3))]
