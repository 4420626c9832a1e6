"""Why a face is a poor reference: too small, blurred, badly lit, turned away, or cut by the photo's border.

All is measured on the landmarks and the chip. Each limit lies where such references begin to fail their own person and
to let in strangers; docs/accuracy.md has the figures, and the photos of the development set that are refused. The
vocabulary is that of ISO/IEC 29794-5, face image quality.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from face_engine.types import Chip, Landmarks, Quality, QualityReason

MIN_SIZE = 48.0
MIN_SHARPNESS = 0.065
MIN_BRIGHTNESS = 0.08
MAX_BRIGHTNESS = 0.9
MAX_TURN = 0.45
MIN_INSIDE = 0.8

CHIP_SIDE = 150
LANDMARK_PLACES = np.array(
    [
        0.8595674595992 + 0.2134981538014j,
        0.6460604764104 + 0.2289674387677j,
        0.1205750620789 + 0.2137274526848j,
        0.3340850613712 + 0.2290642403242j,
        0.4901123135679 + 0.6277975316475j,
    ]
)
"""x + iy, in the square that dlib takes for the face: dlib's get_face_chip_details."""

CHIP_PLACES = CHIP_SIDE * (LANDMARK_PLACES + 0.25 + 0.25j) / 1.5
"""The same in pixels of the chip, where that square is padded by a quarter on each side."""

CELL = 3
"""Pixels of the chip. Means of 3 x 3 even out noise, and show no difference between a face of 50 pixels, which was
enlarged, and a large one."""

HEAD = slice(0, 42), slice(5, 45)
"""Rows and columns of cells: the forehead to the chin, cheek to cheek."""

FACE = slice(8, 42), slice(8, 42)
"""dlib's square: the brows to the chin."""

MIDDLE = slice(12, 42), slice(14, 36)
"""The brows to the chin, between the outer corners of the eyes: neither hair nor what is behind the head."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601
FLAT = 0.1
"""Squared difference of luma: below it there is nothing to be sharp, only the rounding to whole numbers."""

_NEAR, _HERE, _FAR = slice(None, -2), slice(1, -1), slice(2, None)
_ALL = slice(None)
PATHS = (
    ((_ALL, _NEAR), (_ALL, _HERE), (_ALL, _FAR), 1),
    ((_NEAR, _ALL), (_HERE, _ALL), (_FAR, _ALL), 1),
    ((_NEAR, _NEAR), (_HERE, _HERE), (_FAR, _FAR), 2),
    ((_NEAR, _FAR), (_HERE, _HERE), (_FAR, _NEAR), 2),
)
"""Three cells in a row, in four directions, and the square of the way from each to the next."""

Cells = npt.NDArray[np.float32]


class _Place(NamedTuple):
    """Where the chip lies in the photo, points as x + iy: photo = scale * chip + offset."""

    scale: complex
    offset: complex


def assess(landmarks: Landmarks, chip: Chip, width: int, height: int) -> Quality:
    """Measure a face of a photo of `width` x `height` pixels. Never fails, and never gives NaN."""
    place = _place(landmarks)
    luma, seen = _luma(chip), _seen(place, width, height)
    size = abs(place.scale) * CHIP_SIDE
    sharpness = _sharpness(luma[FACE], seen[FACE])
    brightness = min(_mean(luma[MIDDLE][seen[MIDDLE]]) / 255, 1.0)  # rounding
    turn = _turn(landmarks)
    inside = _mean(seen[HEAD])
    found: dict[QualityReason, bool] = {
        "face_too_small": size < MIN_SIZE,
        "face_blurred": sharpness < MIN_SHARPNESS,
        "face_too_dark": brightness < MIN_BRIGHTNESS,
        "face_too_bright": brightness > MAX_BRIGHTNESS,
        "face_turned": turn > MAX_TURN,
        "face_cut": inside < MIN_INSIDE,
    }
    return Quality(size, sharpness, brightness, turn, inside, tuple(reason for reason, poor in found.items() if poor))


def _place(landmarks: Landmarks) -> _Place:
    """Return the similarity by which dlib cuts the chip: the least squares fit of the five landmarks."""
    points = landmarks[:, 0] + 1j * landmarks[:, 1]
    places = CHIP_PLACES - CHIP_PLACES.mean()
    scale = complex(np.vdot(places, points - points.mean()) / np.vdot(places, places))
    return _Place(scale, complex(points.mean() - scale * CHIP_PLACES.mean()))


def _luma(chip: Chip) -> Cells:
    """Return the mean luma of each cell: (50, 50) float32, 0 to 255."""
    luma = chip @ LUMA
    rows = luma[0::CELL] + luma[1::CELL] + luma[2::CELL]
    return np.asarray((rows[:, 0::CELL] + rows[:, 1::CELL] + rows[:, 2::CELL]) / CELL**2, dtype=np.float32)


def _seen(place: _Place, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Return which cells have their middle inside the photo: (50, 50) bool. The others are black, and do not count."""
    middles = np.arange(CELL // 2, CHIP_SIDE, CELL)
    points = place.scale * (middles[None, :] + 1j * middles[:, None]) + place.offset
    beside = np.abs(points.real - (width - 1) / 2) > width / 2
    above = np.abs(points.imag - (height - 1) / 2) > height / 2
    return ~(beside | above)


def _sharpness(luma: Cells, seen: npt.NDArray[np.bool_]) -> float:
    """Return how fine the detail is, in the direction that has least of it: 0 (none at all) to 1.

    The energy of the second differences, a focus measure as the variance of the Laplacian is (Pech-Pacheco et al.,
    2000), by that of the first ones, so that contrast falls out: the mean of sin^2(frequency / 2) over the gradient's
    spectrum. The second differences are of the worst of four directions, since motion blurs one alone; the first ones
    of all four. White noise has 0.25, the photos of docs/accuracy.md 0.1 to 0.24.
    """
    firsts, seconds = [], []
    for before, here, after, square in PATHS:
        whole = seen[before] & seen[here] & seen[after]
        there, back = (luma[after] - luma[here])[whole], (luma[here] - luma[before])[whole]
        firsts.append(_mean(there**2 + back**2) / 2 / square)
        seconds.append(_mean((there - back) ** 2) / square**2)
    return min(seconds) / (sum(firsts) / len(firsts) + FLAT) / 4


def _turn(landmarks: Landmarks) -> float:
    """Return how far the head is turned to a side: 0 (frontal) to 1 (a profile).

    The way from the middle between the eyes to the nose's base, along the line through the eyes, by the distance of the
    eyes: 0.5 is a nose below an eye. The distance of the eyes shrinks as the nose moves, and so the measure grows as
    the tangent of the yaw. The roll has no part in it.
    """
    points = landmarks[:, 0] + 1j * landmarks[:, 1]
    right, left, nose = (points[0] + points[1]) / 2, (points[2] + points[3]) / 2, points[4]
    eyes = right - left
    if eyes == 0:
        return 1.0
    return float(min(abs(((nose - (right + left) / 2) / eyes).real), 1.0))


def _mean(values: npt.NDArray[np.float32] | npt.NDArray[np.bool_]) -> float:
    """Return the mean, 0 of nothing."""
    return float(values.mean()) if values.size else 0.0
