"""Accuracy by LFW's protocol: each fold is tested at the tolerance that is best on all others.

A pair that could not be compared is an error, whichever kind it is: no verdict is no right one.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from face_engine.evaluation.labels import Pairs
from face_engine.evaluation.rates import Counts, Tally
from face_engine.evaluation.scores import STEPS

Blocks = Callable[[], Iterator[Pairs]]
"""Walks once over scored pairs."""


@dataclass(frozen=True, slots=True)
class FoldAccuracy:
    """One fold, tested at a tolerance that it had no part in."""

    fold: int
    step: int
    right: int
    pairs: int

    @property
    def accuracy(self) -> float:
        return self.right / self.pairs

    @property
    def tolerance(self) -> float:
        return self.step / STEPS


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The folds that have pairs; at least two."""

    folds: tuple[FoldAccuracy, ...]

    @property
    def mean(self) -> float:
        """Mean of the folds' accuracies, 0 to 1."""
        return statistics.fmean(fold.accuracy for fold in self.folds)

    @property
    def standard_error(self) -> float:
        """Standard deviation of the folds' accuracies (of a sample) by the root of their number."""
        return statistics.stdev(fold.accuracy for fold in self.folds) / math.sqrt(len(self.folds))


def cross_validate(blocks: Blocks, folds: int, training: Blocks | None = None) -> Accuracy | None:
    """Return the accuracy, or None where fewer than two folds have pairs.

    Args:
        training: pairs on which the tolerances are chosen, in place of those that are tested.
    """
    everything = _tally(training or blocks)
    tested = []
    for fold in range(folds):
        own = _tally(blocks, fold)
        pairs = int(own.mated.sum() + own.non_mated.sum()) + own.mated_failed + own.non_mated_failed
        if not pairs:
            continue
        left_out = own if training is None else _tally(training, fold)
        step = best_step(everything.mated - left_out.mated, everything.non_mated - left_out.non_mated)
        right = int(own.mated[: step + 1].sum() + own.non_mated[step + 1 :].sum())
        tested.append(FoldAccuracy(fold, step, right, pairs))
    return Accuracy(tuple(tested)) if len(tested) > 1 else None


def best_step(mated: Counts, non_mated: Counts) -> int:
    """Return the tolerance at which most pairs are told right; of several such the one in the middle.

    It is -1, which nothing matches, where any other one would tell more pairs wrong.

    Args:
        mated: (MAX_STEP + 1,), how many mated pairs have each number of steps; `non_mated` likewise.
    """
    right = np.cumsum(mated - non_mated)
    if right.max() <= 0:
        return -1
    best = np.flatnonzero(right == right.max())
    return int(best[(len(best) - 1) // 2])


def _tally(blocks: Blocks, fold: int | None = None) -> Tally:
    tally = Tally()
    for block in blocks():
        tally.add(block if fold is None else block[block["fold"] == fold])
    return tally
