"""Accuracy by LFW's protocol: each fold is tested at the tolerance that is best on all others.

Accuracy is the mean of the shares of mated and of non-mated pairs that are told right. In LFW's folds, which have as
many of the one as of the other, that is the share of all pairs; where there are hundreds of non-mated pairs for each
mated one, the share of all pairs would say little more than that most strangers differ.

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
    """One fold, tested at a tolerance (in steps) that it had no part in."""

    fold: int
    step: int
    right_mated: int
    mated: int
    right_non_mated: int
    non_mated: int

    @property
    def accuracy(self) -> float:
        """In 0 to 1."""
        return (self.right_mated / self.mated + self.right_non_mated / self.non_mated) / 2

    @property
    def tolerance(self) -> float:
        return self.step / STEPS


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The folds that have pairs of both kinds; at least two."""

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
    """Return the accuracy, or None where fewer than two folds have pairs of both kinds.

    Args:
        training: pairs on which the tolerances are chosen, in place of those that are tested.
    """
    everything = _tally(training or blocks)
    tested = []
    for fold in range(folds):
        own = _tally(blocks, fold)
        if not own.all_mated or not own.all_non_mated:
            continue
        left_out = own if training is None else _tally(training, fold)
        step = best_step(
            everything.mated - left_out.mated,
            everything.non_mated - left_out.non_mated,
            everything.all_mated - left_out.all_mated,
            everything.all_non_mated - left_out.all_non_mated,
        )
        right = int(own.mated[: step + 1].sum()), int(own.non_mated[step + 1 :].sum())
        tested.append(FoldAccuracy(fold, step, right[0], own.all_mated, right[1], own.all_non_mated))
    return Accuracy(tuple(tested)) if len(tested) > 1 else None


def best_step(mated: Counts, non_mated: Counts, all_mated: int, all_non_mated: int) -> int:
    """Return the tolerance of the highest accuracy; of several such the one in the middle.

    It is -1, which nothing matches, where no other one is better.

    Args:
        mated: (MAX_STEP + 1,), how many mated pairs have each number of steps; `non_mated` likewise.
        all_mated: with those that could not be compared; `all_non_mated` likewise.
    """
    # Both shares times the product of their denominators: whole numbers, so that equals are equal.
    gain = np.cumsum(mated) * max(all_non_mated, 1) - np.cumsum(non_mated) * max(all_mated, 1)
    if gain.max() <= 0:
        return -1
    best = np.flatnonzero(gain == gain.max())
    return int(best[(len(best) - 1) // 2])


def _tally(blocks: Blocks, fold: int | None = None) -> Tally:
    tally = Tally()
    for block in blocks():
        tally.add(block if fold is None else block[block["fold"] == fold])
    return tally
