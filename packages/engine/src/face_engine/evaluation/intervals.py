"""How sure a rate is: Wilson's interval of a proportion, and the bootstrap over identities.

Wilson's takes the pairs for independent. They are not: pairs that share a person err together. So persons are drawn
anew, each with replacement, and the rates counted again (a subset or vertex bootstrap: Bolle, Ratha and Pankanti, 2004;
Fogliato, Patil and Perona, 2024). That one knows nothing where no error was seen, and Wilson's does; what is reported
is the wider of the two on either side.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from face_engine.calibration import RULE_OF_THREE
from face_engine.cores import usable_cores
from face_engine.evaluation.labels import Pairs
from face_engine.evaluation.scores import MAX_STEP, NOT_COMPARED, STEPS

CONFIDENCE = 0.95
REPLICATES = 1_000

CELL_STEPS = STEPS // 1_000
"""Tolerances of the bootstrap are a thousandth apart, and rates between two of them linear."""

CELLS = MAX_STEP // CELL_STEPS + 1

TILE_PAIRS = 256
"""Pairs whose weights in every replicate are in a core's cache at a time."""

MAX_DRAWN = 15
"""Times that a person counts in a replicate at most, so that a product of two fits in a byte; of a billion persons one
is drawn more often."""

Interval = tuple[float, float]
Replicates = npt.NDArray[np.float64]
"""(REPLICATES,) of a rate; NaN where a replicate has no pairs to count."""


def wilson(errors: int, trials: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the interval of a proportion (Wilson, 1927), or None of no trials."""
    if not trials:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = errors / trials
    centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    # What is exactly 0 or 1 should not be so but for a rounding.
    return (0.0 if errors == 0 else centre - half, 1.0 if errors == trials else centre + half)


def is_supported(rate: float, trials: int) -> bool:
    """Whether so many trials can tell a rate: none in n shows no more than that it is below 3/n."""
    return trials * rate >= RULE_OF_THREE * (1 - 1e-12)


def percentiles(replicates: Replicates, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the middle share of a figure's replicates, or None where it has none."""
    known = replicates[~np.isnan(replicates)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def wider(*intervals: Interval | None) -> Interval | None:
    """Return the interval that covers all of them, or None of none."""
    known = [interval for interval in intervals if interval is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


@dataclass(slots=True, eq=False)
class IdentityBootstrap:
    """Counts of pairs in REPLICATES random draws of the persons.

    A mated pair counts as often as its person was drawn, a non-mated one as often as the product of both.

    Args:
        identities: (n_photos,) int32, whose each photo is.
        seed: of the draws.
    """

    identities: npt.NDArray[np.int32]
    seed: int
    _weights: npt.NDArray[np.uint8] = field(init=False)
    """(n_persons + 1, REPLICATES): how often each was drawn, and a row of ones."""

    def __post_init__(self) -> None:
        persons = int(self.identities.max(initial=-1)) + 1
        rng = np.random.default_rng(self.seed)
        self._weights = np.ones((persons + 1, REPLICATES), np.uint8)
        for replicate in range(REPLICATES):  # one at a time: all in int64 would take eight times the memory
            drawn = np.bincount(rng.integers(0, persons, persons), minlength=persons)
            self._weights[:-1, replicate] = np.minimum(drawn, MAX_DRAWN)

    def add(self, scored: Pairs, keys: npt.NDArray[np.int64], totals: npt.NDArray[np.float64]) -> None:
        """Add the pairs' weights to totals. Many pairs at once take less time than a few and a few.

        Args:
            scored: (n,) of scores.SCORED.
            keys: (n,), the row of `totals` that each pair counts in; a negative one for none.
            totals: (rows, REPLICATES).
        """
        order = np.argsort(keys, kind="stable")
        order = order[np.searchsorted(keys[order], 0) :]
        ones = len(self._weights) - 1
        one = self.identities[scored["reference"][order]]
        other = np.where(scored["mated"][order], ones, self.identities[scored["probe"][order]])
        rows, starts = np.unique(keys[order], return_index=True)
        ends = np.append(starts[1:], len(order))

        def add_run(row: int, start: int, end: int) -> None:
            totals[row] += self._sum(one[start:end], other[start:end])

        with ThreadPoolExecutor(usable_cores()) as threads:
            # Each run has a row of its own, so the threads do not meet.
            list(threads.map(add_run, rows.tolist(), starts.tolist(), ends.tolist()))

    def _sum(self, one: npt.NDArray[np.int32], other: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Return the sum of the pairs' weights in each replicate, (REPLICATES,)."""
        total = np.zeros(REPLICATES)
        weights, others = np.empty((TILE_PAIRS, REPLICATES), np.uint8), np.empty((TILE_PAIRS, REPLICATES), np.uint8)
        numbers = np.empty((TILE_PAIRS, REPLICATES), np.float32)
        for start in range(0, len(one), TILE_PAIRS):
            size = min(TILE_PAIRS, len(one) - start)
            np.take(self._weights, one[start : start + size], axis=0, out=weights[:size], mode="clip")
            np.take(self._weights, other[start : start + size], axis=0, out=others[:size], mode="clip")
            np.multiply(weights[:size], others[:size], out=weights[:size])
            numbers[:size] = weights[:size]
            total += numbers[:size].sum(axis=0)  # whole numbers below 2^24: exact in float32
        return total


@dataclass(slots=True, eq=False)
class CurveReplicates:
    """FMR and FNMR at every thousandth of a tolerance, in every replicate."""

    bootstrap: IdentityBootstrap
    _totals: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((2 * (CELLS + 1), REPLICATES)))
    """Non-mated pairs by their cell, then those that could not be compared; then mated pairs likewise."""

    def add(self, scored: Pairs) -> None:
        """Count pairs, (n,) of scores.SCORED."""
        cells = np.where(scored["steps"] == NOT_COMPARED, CELLS, -(-scored["steps"].astype(np.int64) // CELL_STEPS))
        self.bootstrap.add(scored, cells + (CELLS + 1) * scored["mated"], self._totals)

    def rates(self) -> "Resampled":
        non_mated, mated = self._totals[:CELLS], self._totals[CELLS + 1 :]
        with np.errstate(invalid="ignore"):
            fmr = np.cumsum(non_mated, axis=0) / non_mated.sum(axis=0)
            fnmr = 1 - np.cumsum(mated[:CELLS], axis=0) / mated.sum(axis=0)
        return Resampled(fmr, fnmr)


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """What the replicates make of the figures.

    Args:
        fmr: (CELLS, REPLICATES), at tolerances of 0, 0.001, 0.002, ... 2; NaN of no pairs. `fnmr` likewise.
    """

    fmr: npt.NDArray[np.float64]
    fnmr: npt.NDArray[np.float64]

    def at(self, step: int) -> tuple[Replicates, Replicates]:
        """Return FMR and FNMR at a tolerance."""
        cell, rest = divmod(step, CELL_STEPS)
        share = rest / CELL_STEPS
        after = min(cell + 1, CELLS - 1)
        return (
            self.fmr[cell] + share * (self.fmr[after] - self.fmr[cell]),
            self.fnmr[cell] + share * (self.fnmr[after] - self.fnmr[cell]),
        )

    def at_fmr(self, fmr: float) -> tuple[Replicates, Replicates]:
        """Return the FNMR at the largest tolerance whose FMR is at most `fmr`, and that tolerance."""
        known = ~np.isnan(self.fmr[-1])
        passing = (self.fmr <= fmr * (1 + 1e-12)).sum(axis=0)
        cell = np.maximum(passing - 1, 0)
        fnmr = np.take_along_axis(self.fnmr, cell[None], axis=0)[0]
        # Where even a tolerance of 0 lets too many in, nobody may match.
        fnmr = np.where((passing > 0) | np.isnan(fnmr), fnmr, 1.0)
        return np.where(known, fnmr, np.nan), np.where(known, cell * CELL_STEPS / STEPS, np.nan)

    def equal_error(self) -> Replicates:
        """Return the EER, see Curve.equal_error."""
        known = ~np.isnan(self.fmr[-1]) & ~np.isnan(self.fnmr[-1])
        after = np.argmax(self.fmr >= self.fnmr, axis=0)
        before = np.maximum(after - 1, 0)

        def pick(rates: npt.NDArray[np.float64], cell: npt.NDArray[np.intp]) -> Replicates:
            return np.asarray(np.take_along_axis(rates, cell[None], axis=0)[0])

        # Below a tolerance of 0 nothing matches.
        fmr_before = np.where(after > 0, pick(self.fmr, before), 0.0)
        gap_before = np.where(after > 0, pick(self.fnmr, before), 1.0) - fmr_before
        gap_after = pick(self.fmr, after) - pick(self.fnmr, after)
        rate = fmr_before + gap_before / (gap_before + gap_after) * (pick(self.fmr, after) - fmr_before)
        return np.where(known, rate, np.nan)
