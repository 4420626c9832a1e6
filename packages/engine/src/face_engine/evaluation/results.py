"""Everything that was measured, as one document: results.json, whose schema is results.schema.json beside this file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from face_engine.evaluation.accuracy import Accuracy
from face_engine.evaluation.encodings import ENCODED, ENROLLED, STAGES, Encodings
from face_engine.evaluation.estimates import bounds, estimate, proportion
from face_engine.evaluation.generalized import ServiceCount
from face_engine.evaluation.intervals import Interval, Resampled, is_supported, percentiles, wilson
from face_engine.evaluation.labels import LabelledSet, Pairs
from face_engine.evaluation.rates import Curve, Tally
from face_engine.evaluation.scores import STEPS, to_step
from face_engine.evaluation.subgroups import Rate, Subgroup, spread
from face_engine.evaluation.worst import WorstPairs

SCHEMA = "face-engine-evaluation/1"
"""Raised when a reader of the former one would misread it."""

FMR_LEVELS = tuple((f"1e-{power}", float(f"1e-{power}")) for power in range(1, 7))

TABLE_TOLERANCES = tuple(round(0.3 + 0.05 * number, 2) for number in range(11))

TOLERANCE_DECIMALS = 4
"""Of a recommended tolerance, rounded down: it keeps to the wanted FMR as well."""

MAX_CURVE_POINTS = 400

BIN_STEPS = STEPS // 50
"""Of the histograms of distances: 0.02."""

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What the figures are made of."""

    name: str
    labelled: LabelledSet
    data_set_hash: str
    encodings: Encodings
    tally: Tally
    resampled: Resampled
    accuracy: Accuracy | None
    subgroups: Sequence[Subgroup]
    worst: WorstPairs
    service: ServiceCount
    tolerance: float
    target_fmr: float
    settings: Mapping[str, Any]


def results_of(measured: Measured) -> dict[str, Any]:
    """Return the document; `timing` is all of it that differs from run to run."""
    curve = measured.tally.curve()
    return {
        "schema": SCHEMA,
        "settings": dict(measured.settings),
        "data_set": _data_set(measured),
        "acquisition": _acquisition(measured.encodings),
        "accuracy": _accuracy(measured.accuracy),
        "eer": _equal_error(curve, measured.resampled),
        "auc": curve.auc(),
        "at_tolerance": _at_tolerance(measured, curve),
        "by_tolerance": [_errors_at(curve, measured.resampled, tolerance) for tolerance in TABLE_TOLERANCES],
        "fnmr_at_fmr": [_at_fmr(curve, measured.resampled, fmr) | {"level": level} for level, fmr in FMR_LEVELS],
        "recommended": _at_fmr(curve, measured.resampled, measured.target_fmr),
        "subgroups": _subgroups(measured.subgroups),
        "histogram": _histogram(measured.tally),
        "curve": _thinned(curve),
        "worst": {
            "false_matches": _pairs(measured, measured.worst.false_matches),
            "false_non_matches": _pairs(measured, measured.worst.false_non_matches),
        },
        "timing": _timing(measured.encodings),
    }


def _data_set(measured: Measured) -> dict[str, Any]:
    labelled, tally = measured.labelled, measured.tally
    return {
        "name": measured.name,
        "hash": measured.data_set_hash,
        "form": labelled.form,
        "photos": len(labelled.photos),
        "unique_photos": measured.encodings.encoded,
        "persons": labelled.persons,
        "pairs": labelled.pairs.mated + labelled.pairs.non_mated,
        "mated_pairs": labelled.pairs.mated,
        "non_mated_pairs": labelled.pairs.non_mated,
        "mated_pairs_not_compared": tally.mated_failed,
        "non_mated_pairs_not_compared": tally.non_mated_failed,
        "folds": labelled.folds,
        "problems": labelled.problems.count,
        "problems_listed": [str(problem) for problem in labelled.problems.listed],
        "notes": [str(note) for note in labelled.problems.notes],
    }


def _acquisition(encodings: Encodings) -> dict[str, Any]:
    photos = len(encodings.outcomes)

    def failures(answers: Sequence[str], success: str) -> dict[str, Any]:
        reasons = Counter(answer for answer in answers if answer != success)
        return proportion(reasons.total(), photos) | {"reasons": dict(sorted(reasons.items()))}

    return {"fta": failures(encodings.outcomes, ENCODED), "fte": failures(encodings.enrollments, ENROLLED)}


def _accuracy(accuracy: Accuracy | None) -> dict[str, Any] | None:
    if accuracy is None:
        return None
    return {
        "mean": accuracy.mean,
        "standard_error": accuracy.standard_error,
        "folds": [
            {
                "fold": one.fold + 1,
                "accuracy": one.accuracy,
                "tolerance": one.tolerance,
                "mated": {"right": one.right_mated, "of": one.mated},
                "non_mated": {"right": one.right_non_mated, "of": one.non_mated},
            }
            for one in accuracy.folds
        ],
    }


def _equal_error(curve: Curve, resampled: Resampled) -> dict[str, Any] | None:
    found = curve.equal_error()
    if found is None:
        return None
    rate, tolerance = found
    errors = curve.at(to_step(tolerance))
    return estimate(
        rate,
        percentiles(resampled.equal_error()),
        _around(rate, wilson(errors.false_matches, errors.non_mated)),
        _around(rate, wilson(errors.false_non_matches, errors.mated)),
    ) | {"tolerance": tolerance}


def _around(rate: float, interval: Interval | None) -> Interval | None:
    """Return the interval, stretched to the rate: just before a tie of many pairs that rate may lie beside it."""
    return None if interval is None else (min(interval[0], rate), max(interval[1], rate))


def _errors_at(curve: Curve, resampled: Resampled, tolerance: float) -> dict[str, Any]:
    step = to_step(tolerance)
    errors = curve.at(step)
    fmr, fnmr = resampled.at(step)
    return {
        "tolerance": tolerance,
        "fmr": proportion(errors.false_matches, errors.non_mated, percentiles(fmr)),
        "fnmr": proportion(errors.false_non_matches, errors.mated, percentiles(fnmr)),
    }


def _at_tolerance(measured: Measured, curve: Curve) -> dict[str, Any]:
    return _errors_at(curve, measured.resampled, measured.tolerance) | measured.service.rates()


def _at_fmr(curve: Curve, resampled: Resampled, fmr: float) -> dict[str, Any]:
    step = curve.largest_step(fmr)
    if step is None or not curve.mated or not is_supported(fmr, curve.non_mated):
        return {"fmr": fmr, "supported": False, "fnmr": None, "tolerance": None, "fmr_there": None}
    coarse = STEPS // 10**TOLERANCE_DECIMALS
    step = step // coarse * coarse
    errors = curve.at(step)
    fnmr, tolerances = resampled.at_fmr(fmr)
    tolerance = step / STEPS
    return {
        "fmr": fmr,
        "supported": True,
        "fnmr": proportion(errors.false_non_matches, errors.mated, percentiles(fnmr)),
        "tolerance": estimate(tolerance, percentiles(tolerances), (tolerance, tolerance)),
        "fmr_there": proportion(errors.false_matches, errors.non_mated, percentiles(resampled.at(step)[0])),
    }


def _subgroups(subgroups: Sequence[Subgroup]) -> list[dict[str, Any]]:
    columns: dict[str, list[Subgroup]] = {}
    for one in subgroups:
        columns.setdefault(one.column, []).append(one)
    return [
        {
            "column": column,
            "fmr_spread": _spread([one.fmr.value for one in values]),
            "fnmr_spread": _spread([one.fnmr.value for one in values]),
            "values": [
                {
                    "value": one.value,
                    "photos": one.photos,
                    "fmr": _subgroup_rate(one.fmr, one.errors.false_matches, one.errors.non_mated),
                    "fnmr": _subgroup_rate(one.fnmr, one.errors.false_non_matches, one.errors.mated),
                }
                for one in values
            ],
        }
        for column, values in columns.items()
    ]


def _spread(rates: Sequence[float | None]) -> dict[str, float | None]:
    to_mean, to_smallest = spread(rates)
    return {"largest_by_geometric_mean": to_mean, "largest_by_smallest": to_smallest}


def _subgroup_rate(rate: Rate, errors: int, of: int) -> dict[str, Any]:
    ratio = None if rate.ratio is None else estimate(rate.ratio, rate.ratio_interval)
    return proportion(errors, of) | bounds(rate.interval) | {"ratio": ratio}


def _histogram(tally: Tally) -> dict[str, Any]:
    bins = -(-len(tally.mated) // BIN_STEPS)
    # A bin holds distances above its lower edge up to its upper one; the first one 0 as well.
    number = np.maximum(-(-np.arange(len(tally.mated)) // BIN_STEPS) - 1, 0)
    mated = np.bincount(number, weights=tally.mated, minlength=bins).astype(np.int64)
    non_mated = np.bincount(number, weights=tally.non_mated, minlength=bins).astype(np.int64)
    used = np.flatnonzero(mated + non_mated)
    last = int(used[-1]) + 1 if len(used) else 0
    return {"width": BIN_STEPS / STEPS, "mated": mated[:last].tolist(), "non_mated": non_mated[:last].tolist()}


def _thinned(curve: Curve) -> dict[str, list[float]] | None:
    """Return points of the curve, all where they are few, else those that are nearest to even steps of both errors."""
    if not curve.mated or not curve.non_mated:
        return None
    fmr, fnmr = curve.rates()
    steps = np.concatenate([[max(int(curve.steps[0]) - 1, 0)], curve.steps])
    chosen: npt.NDArray[np.intp] = np.arange(len(steps))
    if len(steps) > MAX_CURVE_POINTS:
        wanted = np.geomspace(1 / max(curve.non_mated, curve.mated), 1, MAX_CURVE_POINTS // 2)
        by_fmr = np.minimum(np.searchsorted(fmr, wanted), len(steps) - 1)
        by_fnmr = len(steps) - 1 - np.searchsorted(fnmr[::-1], wanted[::-1])
        chosen = np.unique(np.concatenate([[0], by_fmr, np.maximum(by_fnmr, 0), [len(steps) - 1]]))
    return {
        "tolerance": (steps[chosen] / STEPS).tolist(),
        "fmr": fmr[chosen].tolist(),
        "fnmr": fnmr[chosen].tolist(),
    }


def _pairs(measured: Measured, pairs: Pairs) -> list[dict[str, Any]]:
    photos, boxes = measured.labelled.photos, measured.encodings.boxes
    return [
        {
            "distance": int(pair["steps"]) / STEPS,
            "is_error": bool((pair["steps"] <= to_step(measured.tolerance)) != pair["mated"]),
            "photos": [
                {"file": photos[number].file, "person": photos[number].person, "box": boxes[number].tolist()}
                for number in (int(pair["reference"]), int(pair["probe"]))
            ],
        }
        for pair in pairs
    ]


def _timing(encodings: Encodings) -> dict[str, Any]:
    known = encodings.timings_ms[encodings.timings_ms.sum(axis=1) > 0]

    def stage(milliseconds: npt.NDArray[np.float64]) -> dict[str, float | None]:
        told: dict[str, float | None] = {"mean": float(milliseconds.mean()) if len(milliseconds) else None}
        for percentile in PERCENTILES:
            told[f"p{percentile}"] = float(np.percentile(milliseconds, percentile)) if len(milliseconds) else None
        return told

    return {
        "seconds": encodings.seconds,
        "images_per_second": encodings.encoded / encodings.seconds if encodings.seconds else None,
        "stages_ms": {name: stage(known[:, index]) for index, name in enumerate(STAGES)}
        | {"total": stage(known.sum(axis=1))},
    }
