"""From measured distances to the calibration that the service loads."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from face_engine.calibration import MAX_SOURCE, Calibration
from face_engine.evaluation.rates import Curve
from face_engine.evaluation.scores import STEPS

GRID_STEPS = STEPS // 100
"""Distances are 0.01 apart."""


def calibration_of(curve: Curve, results: Mapping[str, Any], manifest: Mapping[str, Any]) -> Calibration | None:
    """Return the calibration of what was measured, or None where no non-mated pair was compared.

    Args:
        results: what results.json holds; manifest: likewise.
    """
    if not curve.non_mated:
        return None
    compared = curve.steps[np.diff(curve.false_matches, prepend=0) > 0]
    first, last = max(int(compared[0]) - 1, 0) // GRID_STEPS, -(-int(compared[-1]) // GRID_STEPS)
    grid = np.arange(first, max(last, first + 1) + 1)
    data_set, recommended = results["data_set"], results["recommended"]
    tolerance = recommended["tolerance"]
    return Calibration(
        encoder_id=results["settings"]["encoder_id"],
        distances=tuple((grid * GRID_STEPS / STEPS).tolist()),
        false_match_rates=tuple(curve.at(int(step)).false_matches / curve.non_mated for step in grid * GRID_STEPS),
        comparisons=curve.non_mated,
        persons=data_set["persons"],
        source=f"{_printable(data_set['name'] or data_set['form'])}: {data_set['photos']:,} photos of "
        f"{data_set['persons']:,} persons; {manifest['finished'][:10]}; SHA-256 {data_set['hash'][:16]}",
        target_fmr=recommended["fmr"],
        tolerance=None if tolerance is None else tolerance["value"],
        tolerance_interval=None if tolerance is None else (tolerance["low"], tolerance["high"]),
    )


def _printable(name: str) -> str:
    """Return the name as a calibration may have it, with room for what else its source says."""
    return "".join(char if char.isprintable() else " " for char in name[: MAX_SOURCE // 2])
