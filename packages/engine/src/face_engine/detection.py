"""What dlib's MMOD detector does before and after its network: the tiled pyramid, score map to boxes, suppression.

The network sees windows of one size, so the photo is laid out with smaller and smaller copies of itself on one plane.
Every rule here is dlib's, so that boxes come out equal; sources: compute_tiled_image_pyramid_details and pyramid_down
in dlib/image_transforms/image_pyramid.h, loss_mmod_ in dlib/dnn/loss.h, test_box_overlap in
dlib/image_processing/box_overlap_testing.h of dlib 20.0.1.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_engine.types import Box, Detection

PYRAMID_LEVELS = 6  # dlib's pyramid_down<6>: each level has 5/6 of the sides of the one before
PYRAMID_SHIFT = 0.3  # pixels, in pyramid_down<N>::point_up
MIN_LEVEL_HEIGHT = 5  # pixels, dlib's min_height

SCORE_STRIDE = 8  # pixels of the plane for each cell of the score map: three layers that halve
SCORE_OFFSET = 14  # pixels: the centre of the window that cell 0 scores

MIN_DETECTOR_SIDE = 32
"""Pixels after upsampling. dlib's network cannot run on less than about 10 and corrupts its memory when it tries
(dlib 20.0.1 on 2 x 300); no face of 80 pixels fits in 32."""

_RATE = (PYRAMID_LEVELS - 1.0) / PYRAMID_LEVELS
_UP_RATE = PYRAMID_LEVELS / (PYRAMID_LEVELS - 1.0)

_UNSIGNED = 2**64  # dlib lays the plane out in unsigned arithmetic: what falls below 0 is very large

_Edges = npt.NDArray[np.int64]
"""(n, 4) left, top, right, bottom: pixels, inclusive."""


@dataclass(frozen=True, slots=True)
class PyramidPlane:
    """Where the copies of the photo lie. All sizes and edges in pixels."""

    width: int
    height: int
    levels: tuple[Box, ...]
    """From the photo itself down; each is 5/6 of the one before, and made from it."""


@dataclass(frozen=True, slots=True)
class ScoreRules:
    """How the detector's score map is read; its weight file holds these values."""

    window_wh: tuple[int, int]
    """Pixels of the plane: the box that a score above 0 stands for."""

    max_overlap: float
    """Two boxes with a larger ratio of their intersection to the box around both are one face."""

    max_covered: float
    """So are two of which a larger share of one is covered by the other."""


def is_searchable(width: int, height: int, upsample: int) -> bool:
    """Whether the detector can be run on an image of this size at all; one that is smaller holds no face."""
    return (min(width, height) << upsample) >= MIN_DETECTOR_SIDE


def lay_out_pyramid(width: int, height: int, padding: int, outer_padding: int) -> PyramidPlane:
    """Return where dlib puts the levels of a photo's pyramid on the plane: down one column, then up at its right.

    Args:
        padding: pixels between two levels.
        outer_padding: pixels around them all.
    """
    sizes = _level_sizes(width, height)
    column_height = _column_height(sizes, padding)
    right, bottom = outer_padding + width - 1, column_height + outer_padding
    levels: list[Box] = []
    y = outer_padding
    remaining = iter(sizes)
    size = next(remaining, None)
    while size is not None and y < bottom:
        levels.append(Box(outer_padding, y, outer_padding + size[0] - 1, y + size[1] - 1))
        y += size[1] + padding
        size = next(remaining, None)
    y -= padding
    while size is not None:
        level = Box(right - size[0] + 1, y - size[1], right, y - 1)
        if _intersects(levels[0], level):
            break
        levels.append(level)
        y -= size[1] + padding
        size = next(remaining, None)
    return PyramidPlane(width + 2 * outer_padding, column_height + 2 * outer_padding, tuple(levels))


def decode_scores(scores: npt.NDArray[np.float32], plane: PyramidPlane, rules: ScoreRules) -> list[Detection]:
    """Return the faces that a score map stands for, by falling confidence; boxes in pixels of the photo.

    Args:
        scores: (rows, columns) float32; cell (r, c) scores the window centred at pixel (8 c + 14, 8 r + 14).
    """
    rows, columns = np.nonzero(scores > 0)
    confidences = scores[rows, columns]
    order = np.argsort(-confidences, kind="stable")
    confidences = confidences[order]
    centres = np.stack([columns[order], rows[order]], axis=1) * SCORE_STRIDE + SCORE_OFFSET
    edges = _to_photo(centres, plane, rules.window_wh)
    return [
        Detection(Box(*(int(edge) for edge in edges[index])), float(confidences[index]))
        for index in suppress(edges, rules)
    ]


def suppress(edges: _Edges, rules: ScoreRules) -> list[int]:
    """Return the indices of the boxes that stay when each one, in order, removes those after it that overlap it."""
    kept: list[int] = []
    remaining = np.arange(len(edges))
    while remaining.size:
        best, rest = remaining[0], remaining[1:]
        kept.append(int(best))
        remaining = rest[~_overlap(edges[best], edges[rest], rules)]
    return kept


def undo_upsampling(detection: Detection, upsample: int) -> Detection:
    """Map a box of a photo that dlib upsampled `upsample` times to the photo itself, as dlib does."""
    if upsample == 0:
        return detection
    edges = np.array([detection.box.ltrb], np.float64)
    for _ in range(upsample):
        edges = edges / 2 - [1.25, 0.75, 1.25, 0.75]  # pyramid_down<2>::point_down
    return Detection(Box(*(int(edge) for edge in _round(edges)[0])), detection.confidence)


def upsampled_size(width: int, height: int) -> tuple[int, int]:
    """Return the width and height to which dlib's pyramid_up enlarges a photo."""
    # pyramid_down<2>::point_up moves the last pixel (width - 1, height - 1) to (2 width + 0.5, 2 height - 0.5).
    return 2 * width + 2, 2 * height + 1


def _level_sizes(width: int, height: int) -> list[tuple[int, int]]:
    sizes = [(width, height)]
    while True:
        width, height = math.floor(_RATE * width), math.floor(_RATE * height)
        if width == 0 or height < MIN_LEVEL_HEIGHT:
            return sizes
        sizes.append((width, height))


def _column_height(sizes: list[tuple[int, int]], padding: int) -> int:
    """Return how far the first column goes: until the next level fits beside the one before, and half of it all."""
    photo_width, photo_height = sizes[0]
    total = sum(height + padding for _, height in sizes) - 2 * padding
    reached, previous_width = 0, 0
    for width, height in sizes:
        fits = width <= (photo_width - previous_width - padding) % _UNSIGNED
        is_half = (2 * (reached - photo_height)) % _UNSIGNED >= (total - photo_height) % _UNSIGNED
        if reached and fits and is_half:  # dlib, too, keeps the photo itself, unless it is narrower than the padding
            break
        reached += height + padding
        previous_width = width
    return reached - padding


def _to_photo(centres: npt.NDArray[np.int64], plane: PyramidPlane, window_wh: tuple[int, int]) -> _Edges:
    """Return the boxes (n, 4) of windows centred at (n, 2) pixels of the plane, in pixels of the photo."""
    levels = np.array([level.ltrb for level in plane.levels], np.int64)
    # The level that holds the centre, or else the nearest one; of several equals the first.
    before = np.maximum(levels[None, :, :2] - centres[:, None], 0)
    behind = np.maximum(centres[:, None] - levels[None, :, 2:], 0)
    level = np.argmin(((before + behind) ** 2).sum(axis=2), axis=1)
    half = (np.array(window_wh) - 1) / 2
    origins = levels[level, :2]
    edges = np.concatenate([centres - half - origins, centres + half - origins], axis=1)
    for step in range(len(levels) - 1):  # point_up, once for each level, in dlib's order of rounding
        edges = np.where((level > step)[:, None], edges * _UP_RATE + PYRAMID_SHIFT, edges)
    return _round(edges)


def _overlap(box: _Edges, others: _Edges, rules: ScoreRules) -> npt.NDArray[np.bool_]:
    inner = _area(np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:]))
    outer = _area(np.minimum(box[:2], others[:, :2]), np.maximum(box[2:], others[:, 2:]))
    smaller = np.minimum(_area(box[None, :2], box[None, 2:]), _area(others[:, :2], others[:, 2:]))
    return (inner > rules.max_overlap * outer) | (inner > rules.max_covered * smaller)


def _area(top_left: _Edges, bottom_right: _Edges) -> _Edges:
    size = np.maximum(bottom_right - top_left + 1, 0)
    return np.asarray(size[:, 0] * size[:, 1])


def _intersects(a: Box, b: Box) -> bool:
    return a.left <= b.right and b.left <= a.right and a.top <= b.bottom and b.top <= a.bottom


def _round(edges: npt.NDArray[np.float64]) -> _Edges:
    """Round to the nearest integer, halves away from zero, as C's lround."""
    return (np.sign(edges) * np.floor(np.abs(edges) + 0.5)).astype(np.int64)
