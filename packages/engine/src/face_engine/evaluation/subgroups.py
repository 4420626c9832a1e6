"""Errors within subgroups of persons or photos, and how far they differ.

A pair belongs to a subgroup if both of its photos do; a pair of two subgroups, or with a photo whose value is not
known, to none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_engine.evaluation.intervals import (
    REPLICATES,
    IdentityBootstrap,
    Interval,
    Replicates,
    percentiles,
    wider,
    wilson,
)
from face_engine.evaluation.labels import Pairs
from face_engine.evaluation.rates import Errors
from face_engine.evaluation.scores import NOT_COMPARED

DISMATCH, MATCH, FAILED = 0, 1, 2
"""What becomes of a pair; three more of the same are of mated pairs."""

KINDS = 6


@dataclass(frozen=True, slots=True)
class Rate:
    """A subgroup's rate (0 to 1), and its ratio to the same rate of all pairs; None of no pairs, or by a rate of 0."""

    value: float | None
    interval: Interval | None
    ratio: float | None
    ratio_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One value of a column."""

    column: str
    value: str
    photos: int
    errors: Errors
    fmr: Rate
    fnmr: Rate


class SubgroupCount:
    """Counts the pairs of each value of a column at one tolerance, and in each replicate of the bootstrap.

    Args:
        values: of the column, for every photo; empty where it is not known.
        step: the tolerance.
    """

    def __init__(self, column: str, values: Sequence[str], step: int, bootstrap: IdentityBootstrap) -> None:
        self._column = column
        self._step = step
        self._bootstrap = bootstrap
        self._values = sorted(set(values) - {""}, key=_in_order)
        number = {value: index for index, value in enumerate(self._values)}
        self._group = np.array([number.get(value, -1) for value in values], np.int64)
        # The last one is of all pairs, whatever their subgroup.
        groups = len(self._values) + 1
        self._counts = np.zeros((groups, KINDS), np.int64)
        self._replicates = np.zeros((groups * KINDS, REPLICATES))

    def add(self, scored: Pairs) -> None:
        """Count pairs, (n,) of scores.SCORED."""
        failed = scored["steps"] == NOT_COMPARED
        kind = np.where(failed, FAILED, np.where(scored["steps"] <= self._step, MATCH, DISMATCH)) + 3 * scored["mated"]
        group = self._group[scored["reference"]]
        none = len(self._values)
        group = np.where((group == self._group[scored["probe"]]) & (group >= 0), group, none)
        keys = group * KINDS + kind
        self._counts += np.bincount(keys, minlength=self._counts.size).reshape(self._counts.shape)
        self._bootstrap.add(scored, keys, self._replicates)

    def subgroups(self) -> list[Subgroup]:
        """Return the errors of each value, in the values' order."""
        replicates = self._replicates.reshape(*self._counts.shape, REPLICATES)
        overall = _errors(self._counts.sum(axis=0))
        overall_fmr, overall_fnmr = _rates(replicates.sum(axis=0))
        subgroups = []
        for index, value in enumerate(self._values):
            errors = _errors(self._counts[index])
            fmr, fnmr = _rates(replicates[index])
            subgroups.append(
                Subgroup(
                    self._column,
                    value,
                    int((self._group == index).sum()),
                    errors,
                    _rate(errors.false_matches, errors.non_mated, fmr, overall.fmr, overall_fmr),
                    _rate(errors.false_non_matches, errors.mated, fnmr, overall.fnmr, overall_fnmr),
                )
            )
        return subgroups


def _in_order(value: str) -> tuple[bool, int, str]:
    """Sort numbers by their value, and before words."""
    is_number = value.isascii() and value.isdecimal()
    return not is_number, int(value) if is_number else 0, value


def spread(rates: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Return the largest rate by the geometric mean of all, and by the smallest one: two measures of NIST IR 8429.

    None where fewer than two rates are known, or one of them is 0.
    """
    known = [rate for rate in rates if rate is not None]
    if len(known) < 2 or min(known) == 0:  # noqa: PLR2004 - one differs from none
        return None, None
    mean = math.exp(sum(map(math.log, known)) / len(known))
    return max(known) / mean, max(known) / min(known)


def _errors(counts: npt.NDArray[np.int64]) -> Errors:
    dismatches, matches, _, mated_dismatches, mated_matches, mated_failed = counts.tolist()
    return Errors(
        false_matches=matches,
        non_mated=matches + dismatches,
        false_non_matches=mated_dismatches + mated_failed,
        mated=mated_matches + mated_dismatches + mated_failed,
        mated_failed=mated_failed,
    )


def _rates(counts: npt.NDArray[np.float64]) -> tuple[Replicates, Replicates]:
    """Return FMR and FNMR of each replicate, from (KINDS, REPLICATES) counts."""
    dismatches, matches, _, mated_dismatches, mated_matches, mated_failed = counts
    wrong = mated_dismatches + mated_failed
    with np.errstate(invalid="ignore"):
        return matches / (matches + dismatches), wrong / (wrong + mated_matches)


def _rate(errors: int, trials: int, replicates: Replicates, overall: float | None, of_all: Replicates) -> Rate:
    value = errors / trials if trials else None
    by_chance = wilson(errors, trials)
    interval = wider(by_chance, percentiles(replicates)) if trials else None
    if value is None or not overall:
        return Rate(value, interval, None, None)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = replicates / of_all
    drawn = percentiles(np.where(np.isfinite(ratios), ratios, np.nan))
    # No draw of the persons has an error where none was seen.
    unseen = (0.0, by_chance[1] / overall) if by_chance and not errors else None
    return Rate(value, interval, value / overall, wider(drawn, unseen))
