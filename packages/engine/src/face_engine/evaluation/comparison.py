"""Whether a version is worse than another one, on the same pairs.

Two tests, and a difference counts if both see it. McNemar's (1947), exact and two-sided: of the pairs that only one of
the two got right, either of them should have half, were there no difference. It takes pairs for independent, and pairs
of one person are not: a version that is unlucky with one face errs in all of its pairs. So the persons are drawn anew
as well (see intervals), and it is looked at in how many of the draws the difference is gone. Holm's correction (1979)
is made over all figures.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from face_engine.errors import ReportError
from face_engine.evaluation.intervals import REPLICATES, CurveReplicates, IdentityBootstrap, Replicates
from face_engine.evaluation.labels import PAIR, Pairs
from face_engine.evaluation.reports import Report
from face_engine.evaluation.results import SCHEMA
from face_engine.evaluation.scores import NOT_COMPARED, SCORED, to_step

SEED = 0
"""Of the draws of persons."""

SMALLEST_P = 2 / (REPLICATES + 1)
"""That so many draws can tell, before Holm's correction."""

Right = npt.NDArray[np.bool_]


@dataclass(slots=True)
class _Test:
    """Counts the pairs that only one of two reports got right.

    Args:
        metric: the share of pairs that are wrong, for programs; `what`: in words.
        pairs: which pairs it is about, from their fields.
        steps: in each report, the tolerance of each fold, or one for all.
        failure_is_error: whether a pair that could not be compared is wrong; else it is left out, whichever of the two
            could not. (As a right one it would make FMR smaller: see rates.)
        fmr: for which the tolerances were chosen, if they were.
    """

    metric: str
    what: str
    pairs: Callable[[Pairs], Right]
    steps: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    failure_is_error: bool
    fmr: float | None = None
    counted: int = 0
    wrong: list[int] = field(default_factory=lambda: [0, 0])
    worse: int = 0
    better: int = 0

    def add(self, old: Pairs, new: Pairs) -> tuple[Right, Right]:
        """Count the same pairs, (n,) of scores.SCORED, of both reports; return which got worse, and which better."""
        chosen = self.pairs(old)
        if not self.failure_is_error:
            chosen = chosen & (old["steps"] != NOT_COMPARED) & (new["steps"] != NOT_COMPARED)
        right = []
        for report, (block, steps) in enumerate(zip((old, new), self.steps, strict=True)):
            step = steps[block["fold"]] if len(steps) > 1 else steps[0]
            right.append(((block["steps"] <= step) == block["mated"]) & (block["steps"] != NOT_COMPARED))
            self.wrong[report] += int((chosen & ~right[report]).sum())
        worse, better = chosen & right[0] & ~right[1], chosen & ~right[0] & right[1]
        self.counted += int(chosen.sum())
        self.worse += int(worse.sum())
        self.better += int(better.sum())
        return worse, better


def compare(old: Report, new: Report, alpha: float) -> dict[str, Any]:
    """Return what changed from one report to the other, ready for JSON; `regression` is whether that is for the worse.

    Raises:
        ReportError: a report cannot be read, or the two are not of the same pairs.
    """
    try:
        return _compared(old, new, alpha)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise ReportError(f"a report is damaged: {error!r}") from error


def mcnemar(worse: int, better: int) -> float:
    """Return the exact two-sided p: how probable so unequal a split is, or a more unequal one, if halves are expected.

    1 where no pair changed.
    """
    changed = worse + better
    if worse == better:
        return 1.0
    fewer = min(worse, better)
    # Logarithms of the binomial coefficients, each from the one before: n! itself would not fit.
    count = np.arange(1, fewer + 1)
    logarithms = np.concatenate([[0.0], np.cumsum(np.log((changed - count + 1) / count))]) - changed * math.log(2)
    largest = logarithms.max()
    return float(min(1.0, 2 * math.exp(largest) * np.exp(logarithms - largest).sum()))


def not_worse_or_not_better(differences: Replicates) -> float:
    """Return twice the share of the draws in which a difference is gone, or has the other sign; at most 1.

    Args:
        differences: (REPLICATES,) pairs that got worse less those that got better.
    """
    gone = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1.0, 2 * (gone + 1) / (len(differences) + 1)))


def holm(values: list[float]) -> list[float]:
    """Return each p multiplied by Holm's correction: below alpha where it is beyond chance among all of them."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected = [0.0] * len(values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, values[index] * (len(values) - rank)))
        corrected[index] = largest
    return corrected


def _compared(old: Report, new: Report, alpha: float) -> dict[str, Any]:
    results = old.read_results(), new.read_results()
    manifests = old.read_manifest(), new.read_manifest()
    for one, report in zip(results, (old, new), strict=True):
        if one["schema"] != SCHEMA:
            raise ReportError(f"{report.results_path}: its schema is {one['schema']}, not {SCHEMA}")
    hashes = [one["data_set"]["hash"] for one in results]
    if hashes[0] != hashes[1]:
        raise ReportError("the reports are not of the same pairs: their data sets differ")
    tests = _tests(*results)
    changes = _changes(results, manifests)
    pairs = int(results[0]["data_set"]["pairs"])
    bootstrap = IdentityBootstrap(old.read_identities(), SEED)
    drawn = np.zeros((2 * len(tests), REPLICATES))
    curves = CurveReplicates(bootstrap), CurveReplicates(bootstrap)
    counted = 0
    none = np.empty(0, SCORED)
    for old_block, new_block in zip_longest(old.scores.blocks(), new.scores.blocks(), fillvalue=none):
        if len(old_block) != len(new_block) or any(
            (old_block[name] != new_block[name]).any() for name in PAIR.names or ()
        ):
            raise ReportError("the reports are not of the same pairs: their scores differ in more than distances")
        counted += len(old_block)
        for curve, block in zip(curves, (old_block, new_block), strict=True):
            curve.add(block)
        for number, test in enumerate(tests):
            for row, changed in enumerate(test.add(old_block, new_block)):
                pairs_changed = old_block[changed]
                bootstrap.add(pairs_changed, np.full(len(pairs_changed), 2 * number + row), drawn)
    if counted != pairs:
        raise ReportError(f"the scores of the reports are not complete: {counted:,} of {pairs:,} pairs")
    resampled = [curve.rates() for curve in curves]
    drawn_p = []
    for test, worse_drawn, better_drawn in zip(tests, drawn[::2], drawn[1::2], strict=True):
        difference = worse_drawn - better_drawn
        if test.fmr is not None:
            # The tolerance was chosen on these very pairs, so each draw has to choose its own.
            old_fnmr, new_fnmr = (one.at_fmr(test.fmr)[0] for one in resampled)
            difference = np.nan_to_num(new_fnmr - old_fnmr)
        drawn_p.append(not_worse_or_not_better(difference))
    floor = sum(test.counted > 0 for test in tests) * SMALLEST_P
    if alpha <= floor:
        raise ReportError(
            f"{REPLICATES:,} draws of the persons cannot tell a p below {floor:.3g}: alpha must be above it"
        )
    told = _told([(test, p) for test, p in zip(tests, drawn_p, strict=True) if test.counted], alpha)
    worse = [test["what"] for test in told if test["verdict"] == "worse"]
    better = [test["what"] for test in told if test["verdict"] == "better"]
    conclusion = f"NEW is worse: {', '.join(worse)}." if worse else "NEW is not worse beyond chance."
    if better:
        conclusion += f" It is better: {', '.join(better)}."
    return {
        "alpha": alpha,
        "pairs": pairs,
        "changes": changes,
        "tests": told,
        "regression": bool(worse),
        "conclusion": conclusion,
    }


def _tests(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[_Test]:
    def at(*tolerances: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        one, other = (np.array([to_step(tolerance)]) for tolerance in tolerances)
        return one, other

    tolerances = [one["at_tolerance"]["tolerance"] for one in (old, new)]
    same = f" {tolerances[0]:g}" if tolerances[0] == tolerances[1] else ""
    tests = [
        _Test(
            "fmr_at_tolerance",
            f"FMR at the tolerance{same}",
            lambda pairs: ~pairs["mated"],
            at(*tolerances),
            failure_is_error=False,
        ),
        _Test(
            "fnmr_at_tolerance",
            f"FNMR at the tolerance{same}",
            lambda pairs: pairs["mated"],
            at(*tolerances),
            failure_is_error=True,
        ),
    ]
    for one, other in zip(old["fnmr_at_fmr"], new["fnmr_at_fmr"], strict=True):
        if one["supported"] and other["supported"]:
            steps = at(one["tolerance"]["value"], other["tolerance"]["value"])
            tests.append(
                _Test(
                    f"fnmr_at_fmr_{one['level']}",
                    f"FNMR at FMR {one['level']}",
                    lambda pairs: pairs["mated"],
                    steps,
                    failure_is_error=True,
                    fmr=one["fmr"],
                )
            )
    folds = [_fold_steps(one) for one in (old, new)]
    # Where there are many times as many non-mated pairs, this would be but another line of false matches.
    is_balanced = old["data_set"].get("mated_pairs") == old["data_set"].get("non_mated_pairs")
    if is_balanced and all(len(steps) > 1 for steps in folds):
        tested = {fold["fold"] - 1 for fold in old["accuracy"]["folds"]}
        tests.append(
            _Test(
                "errors_in_folds",
                "errors in the folds, of all pairs",
                lambda pairs: np.isin(pairs["fold"], list(tested)),
                (folds[0], folds[1]),
                failure_is_error=True,
            )
        )
    return tests


def _fold_steps(results: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """Return the tolerance of each fold in steps; that of a fold that was not tested is not used."""
    accuracy = results["accuracy"]
    if accuracy is None:
        return np.zeros(1, np.int64)
    steps = np.zeros(max(results["data_set"]["folds"], 2), np.int64)
    for fold in accuracy["folds"]:
        steps[fold["fold"] - 1] = to_step(fold["tolerance"])
    return steps


def _told(tests: list[tuple[_Test, float]], alpha: float) -> list[dict[str, Any]]:
    values = [(mcnemar(test.worse, test.better), drawn) for test, drawn in tests]
    told = []
    for (test, _), (by_pairs, by_persons), corrected in zip(tests, values, holm(list(map(max, values))), strict=True):
        verdict = "none"
        if corrected < alpha:
            verdict = "worse" if test.worse > test.better else "better"
        told.append(
            {
                "metric": test.metric,
                "what": test.what,
                "old": test.wrong[0] / test.counted,
                "new": test.wrong[1] / test.counted,
                "pairs": test.counted,
                "worse": test.worse,
                "better": test.better,
                "p_mcnemar": by_pairs,
                "p_persons": by_persons,
                "p_corrected": corrected,
                "verdict": verdict,
            }
        )
    return told


def _changes(results: tuple[Any, Any], manifests: tuple[Any, Any]) -> list[dict[str, Any]]:
    """Return what is not the same in what the reports were made with, and in figures that no test is about."""
    old, new = (
        {
            "engine": f"{manifest['engine']['version']}, source {manifest['engine']['source_sha256'][:12]}",
            **one["settings"],
            "FTA": one["acquisition"]["fta"]["count"],
            "FTE": one["acquisition"]["fte"]["count"],
            "EER": one["eer"] and round(one["eer"]["value"], 6),
            "accuracy": one["accuracy"] and round(one["accuracy"]["mean"], 6),
            "images per second": one["timing"]["images_per_second"] and round(one["timing"]["images_per_second"], 2),
        }
        for one, manifest in zip(results, manifests, strict=True)
    )
    return [
        {"what": what, "old": old.get(what), "new": new.get(what)}
        for what in {**old, **new}
        if old.get(what) != new.get(what)
    ]
