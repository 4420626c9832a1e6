"""At which sizes a photo is searched for faces.

The detector sees faces of 80 pixels and more, and its time grows with the pixels it is given. dlib leaves the choice
to the caller: one fixed number of doublings for every photo, which is slow on large photos or blind on small ones. Here
the photo's size decides, within a budget; docs/performance.md has the recall and the cost of both.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from face_engine.errors import NoFaceFoundError, SeveralFacesError
from face_engine.types import Analysis, Box, Detection, Face

Scope = Literal["every_face", "dominant_face"]
"""What is looked for: all faces of the photo, or the one face that is larger than any other."""

MIN_FACE_SIDE = 80
"""Pixels, of the image that is searched: the smallest face that dlib's detector sees."""

UPSAMPLED_PIXELS = 500_000
"""A photo up to this size is upsampled once, as face_recognition does with every photo."""

FULL_SIZE_PIXELS = 3_200_000
"""A photo up to this size is searched as it is."""

COARSE_PIXELS = 1_500_000
"""To which a larger photo is reduced."""

SECOND_LOOK_PIXELS = 2_000_000
"""To which a photo is enlarged where nothing was found, if that makes at least half as many pixels again. One that was
reduced is then searched with FULL_SIZE_PIXELS."""

SECOND_LOOK_GAIN = 1.5

MAX_ENLARGEMENT = 4.0
"""Of the sides: what is found beyond was smaller than 20 pixels, and is no face to tell a person by."""

MIN_COARSE_PASS_PIXELS = 150_000
"""A pass over less costs little and finds little."""

COARSE_PASS_SCALE = 0.5
"""Of the next pass's sides: all the coarser passes together then cost a third of the last one."""

CONFIRMING_MARGIN = 1.1
"""By which a face is searched larger than it must be to be seen, since the boxes come in steps."""

DOMINANCE = 2
"""The dominant face has at least so many times the side of any other one."""

MAX_EXACT_PIXELS = 100_000_000
"""Pixels after upsampling that an exact search may be asked for; it takes some 7 GB."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of the detector over the photo, resized by `scale` and then upsampled `upsample` times as dlib does."""

    scale: float
    upsample: int
    enough: int = 0
    """Side in pixels of the searched image: a face of this size ends the search."""

    @property
    def factor(self) -> float:
        """Pixels of the searched image for each of the photo, along a side."""
        return self.scale * (1 << self.upsample)


class Search(Protocol):
    """Chooses the passes."""

    @property
    def max_pixels(self) -> int:
        """Photos with more cannot be searched."""
        ...

    def passes(self, width: int, height: int, scope: Scope) -> list[Pass]:
        """Return the passes over a photo of `width` x `height` pixels, in order; at least one."""
        ...


@dataclass(frozen=True, slots=True)
class ExactSearch:
    """dlib's own search, with a fixed number of doublings whatever the photo's size."""

    upsample: int

    @property
    def max_pixels(self) -> int:
        return MAX_EXACT_PIXELS >> (2 * self.upsample)

    def passes(self, width: int, height: int, scope: Scope) -> list[Pass]:  # noqa: ARG002 - one for all
        return [Pass(1.0, self.upsample)]


@dataclass(frozen=True, slots=True)
class BudgetedSearch:
    """As much as a budget of pixels allows, and a second look where nothing was found.

    For every face: photos up to 0.5 megapixels upsampled once by dlib, up to 3.2 as they are, larger ones reduced to
    1.5. For the dominant face: coarser passes first, and no further one once a face is so large that every other face
    of at least half its side would have been seen beside it.
    """

    @property
    def max_pixels(self) -> int:
        return sys.maxsize

    def passes(self, width: int, height: int, scope: Scope) -> list[Pass]:
        pixels = width * height
        enough = DOMINANCE * MIN_FACE_SIDE if scope == "dominant_face" else 0
        if pixels <= UPSAMPLED_PIXELS:
            main = Pass(1.0, 1, enough)
        elif pixels <= FULL_SIZE_PIXELS:
            main = Pass(1.0, 0, enough)
        else:
            main = Pass(math.sqrt(COARSE_PIXELS / pixels), 0, enough)
        coarser: list[Pass] = []
        if scope == "dominant_face":
            factor = main.factor * COARSE_PASS_SCALE
            while pixels * factor**2 >= MIN_COARSE_PASS_PIXELS:
                coarser.insert(0, Pass(factor, 0, enough))
                factor *= COARSE_PASS_SCALE
        second_look: list[Pass] = []
        budget = SECOND_LOOK_PIXELS if pixels <= FULL_SIZE_PIXELS else FULL_SIZE_PIXELS
        if pixels * main.factor**2 * SECOND_LOOK_GAIN <= budget:
            second_look = [Pass(min(math.sqrt(budget / pixels), MAX_ENLARGEMENT), 0, enough)]
        return [*coarser, main, *second_look]


def is_enough(found: Sequence[Detection], searched: Pass) -> bool:
    """Whether what a pass found ends the search; boxes in pixels of the photo.

    A face that is large enough does, and so do two rivals.
    """
    sides = sorted((side(detection.box) for detection in found), reverse=True)
    if not sides:
        return False
    return sides[0] * searched.factor >= searched.enough or rivals(sides) > 1


def confirming(found: Sequence[Detection], searched: Pass, pixels: int) -> list[Pass]:
    """Return the pass that is still needed after one found faces that are not enough: at most one.

    The largest face is known now, and with it how small a rival may be. The pass sees that one, as far as the budget
    goes.

    Args:
        pixels: of the photo.
    """
    needed = CONFIRMING_MARGIN * DOMINANCE * MIN_FACE_SIDE / max(side(detection.box) for detection in found)
    factor = min(needed, math.sqrt(FULL_SIZE_PIXELS / pixels), MAX_ENLARGEMENT)
    return [Pass(factor, 0)] if factor > searched.factor else []


def dominant_face(analysis: Analysis) -> Face:
    """Return the face of a photo that must show one person: the only one, or at least twice as large as any other.

    Raises:
        NoFaceFoundError: it shows none.
        SeveralFacesError: it shows more of about the same size.
    """
    if not analysis.faces:
        raise NoFaceFoundError
    count = rivals([side(face.box) for face in analysis.faces])
    if count > 1:
        raise SeveralFacesError(count)
    return max(analysis.faces, key=lambda face: side(face.box))


def rivals(sides: Sequence[int]) -> int:
    """Return how many faces are more than half as large as the largest, itself among them."""
    return sum(DOMINANCE * one > max(sides) for one in sides)


def side(box: Box) -> int:
    """Return the longer side of a box in pixels."""
    return max(box.right - box.left, box.bottom - box.top) + 1


def to_photo(detection: Detection, scale: float) -> Detection:
    """Map a detection on the image that `images.resize` made by `scale` back to pixels of the photo."""
    if scale == 1.0:
        return detection
    box = detection.box
    left, top = round(box.left / scale), round(box.top / scale)
    # The right and bottom edges are inclusive: the pixel after them is where the next thing would begin.
    right, bottom = round((box.right + 1) / scale) - 1, round((box.bottom + 1) / scale) - 1
    return Detection(Box(left, top, right, bottom), detection.confidence)
