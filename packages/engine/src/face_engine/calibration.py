"""What a distance is worth: the share of strangers who come as near.

That is measured on a labelled set, by `face-engine evaluate`, and kept in a calibration file. One such file comes with
the engine; docs/accuracy.md has its figures and what they rest on. It holds for one encoder's templates.
"""

import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from face_engine.errors import CalibrationError
from face_engine.matching import MAX_TOLERANCE

SCHEMA = "face-engine-calibration/1"

MAX_FILE_BYTES = 1_000_000

MAX_SOURCE = 500
"""Characters, of which all are printable."""

RULE_OF_THREE = 3
"""Where none of n independent trials succeeded, the rate is below 3/n with 95 % confidence (Hanley and Lippman-Hand,
1983)."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """False match rates measured on non-mated pairs.

    All pairs of a set's photos are compared, so those of one photo are not independent. A rate is an estimate for
    strangers like those of the set, and no bound: between people of one family, or one part of the world, it can be
    many times as high.
    """

    encoder_id: str
    """Of the templates that were compared: the rates hold for no other ones."""

    distances: tuple[float, ...]
    """Ascending."""

    false_match_rates: tuple[float, ...]
    """The share of the comparisons up to each distance, 0 to 1; 1 at the last one."""

    comparisons: int
    """Number of non-mated pairs."""

    persons: int
    """Whose photos were compared."""

    source: str
    """What was compared, and when."""

    target_fmr: float
    """The false match rate for which a tolerance was looked for."""

    tolerance: float | None
    """The largest one that keeps to it; None where so few comparisons cannot tell it."""

    tolerance_interval: tuple[float, float] | None
    """95 % interval of that."""

    def false_match_rate(self, distance: float) -> float:
        """Return the estimated share of strangers at a distance of 0 and more, or nearer.

        In (0, 1], growing: log-linear between the measured points, 1 from the last one on, and never below what so many
        comparisons can tell.
        """
        floor = min(1.0, RULE_OF_THREE / self.comparisons)
        rates = np.maximum(self.false_match_rates, floor)
        return float(np.exp(np.interp(distance, self.distances, np.log(rates))))

    def to_json(self) -> dict[str, Any]:
        """Return the document of a calibration file."""
        return {"schema": SCHEMA, **asdict(self)}


def published(encoder_id: str) -> Calibration | None:
    """Return the calibration that comes with the engine, or None where it is of another encoder."""
    known = _published()
    return known if encoder_id == known.encoder_id else None


def load_calibration(path: Path) -> Calibration:
    """Read a calibration file, which `face-engine evaluate` wrote.

    Raises:
        CalibrationError: it cannot be read, or is none.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CalibrationError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise CalibrationError(f"{path}: is too large for a calibration file")
    try:
        return parse_calibration(json.loads(data))
    except (ValueError, RecursionError, CalibrationError) as error:
        raise CalibrationError(f"{path}: is no calibration file of this version: {error}") from error


def parse_calibration(document: object) -> Calibration:
    """Return the calibration of a calibration file's document, as `Calibration.to_json` makes it.

    Raises:
        CalibrationError: it is none.
    """
    try:
        return _parsed(document)
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise CalibrationError(f"no {error}" if isinstance(error, KeyError) else str(error)) from error


@cache
def _published() -> Calibration:
    return _parsed(json.loads(files("face_engine").joinpath("calibration.json").read_bytes()))


def _parsed(document: Any) -> Calibration:
    """Raises ValueError, LookupError, TypeError or OverflowError where it is none."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"its schema is not {SCHEMA}")
    interval = document["tolerance_interval"]
    calibration = Calibration(
        encoder_id=str(document["encoder_id"]),
        distances=tuple(map(float, document["distances"])),
        false_match_rates=tuple(map(float, document["false_match_rates"])),
        comparisons=int(document["comparisons"]),
        persons=int(document["persons"]),
        source=str(document["source"]),
        target_fmr=float(document["target_fmr"]),
        tolerance=None if document["tolerance"] is None else float(document["tolerance"]),
        tolerance_interval=None if interval is None else (float(interval[0]), float(interval[1])),
    )
    distances, rates = calibration.distances, calibration.false_match_rates
    low, high = calibration.tolerance_interval or (0.0, 0.0)
    if not 0 < calibration.target_fmr < 1 or not 0 <= low <= high <= MAX_TOLERANCE:
        raise ValueError("its target_fmr is not between 0 and 1, or its tolerance_interval is none")
    if not 1 <= calibration.persons < 1 << 53:
        raise ValueError("it has no persons")
    if len(calibration.source) > MAX_SOURCE or not calibration.source.isprintable():
        raise ValueError(f"its source has more than {MAX_SOURCE} characters, or some that are not printable")
    if not distances or len(distances) != len(rates) or not 1 <= calibration.comparisons < 1 << 53:
        raise ValueError("it has no distances, or not as many rates as distances, or no comparisons")
    if not all(map(math.isfinite, distances)) or any(near >= far for near, far in pairwise(distances)):
        raise ValueError("its distances do not ascend")
    if not all(0 <= rate <= 1 for rate in rates) or any(near > far for near, far in pairwise(rates)) or rates[-1] != 1:
        raise ValueError("its rates do not grow from 0 or more to 1")
    if calibration.tolerance is not None and not 0 <= calibration.tolerance <= MAX_TOLERANCE:
        raise ValueError(f"its tolerance is not between 0 and {MAX_TOLERANCE:g}")
    return calibration
