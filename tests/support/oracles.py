"""The figures of face_engine.evaluation once more, in plain loops: slow, and independent of how the engine counts."""

import math
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from face_engine.evaluation.labels import NO_FOLD, Pairs
from face_engine.evaluation.scores import MAX_STEP, NOT_COMPARED, SCORED


class Pair(NamedTuple):
    """A scored pair; no steps where it could not be compared."""

    reference: int
    probe: int
    mated: bool
    fold: int
    steps: int | None


Rates = tuple[float, float]
"""FMR and FNMR; NaN of no pairs."""


def mated(*steps: int | None) -> list[Pair]:
    """Return mated pairs of photos 0 and 1."""
    return [Pair(0, 1, True, NO_FOLD, one) for one in steps]


def non_mated(*steps: int | None) -> list[Pair]:
    """Return non-mated pairs of photos 0 and 2."""
    return [Pair(0, 2, False, NO_FOLD, one) for one in steps]


def block(pairs: Sequence[Pair]) -> Pairs:
    """Return the pairs as the engine keeps them, (n,) of SCORED."""
    return np.array([(*pair[:4], NOT_COMPARED if pair.steps is None else pair.steps) for pair in pairs], SCORED)


def blocks(pairs: Sequence[Pair], size: int) -> Iterator[Pairs]:
    """Return the pairs in blocks of at most so many."""
    return (block(pairs[start : start + size]) for start in range(0, len(pairs), size))


def pair_lists(*, folds: int = 0, failures: bool = True, min_size: int = 0) -> st.SearchStrategy[list[Pair]]:
    """Draw pairs of few photos and few distances, so that many are equal."""
    steps = st.integers(0, 6)
    pair = st.builds(
        Pair,
        st.integers(0, 5),
        st.integers(0, 5),
        st.booleans(),
        st.integers(0, folds - 1) if folds else st.just(NO_FOLD),
        st.none() | steps if failures else steps,
    )
    return st.lists(pair, min_size=min_size, max_size=30)


def random_pairs(
    identities: Sequence[int], count: int, *, seed: int, scale: int = 1, folds: int = 0, failures: bool = True
) -> list[Pair]:
    """Return pairs of photos of those persons, nearer if mated: of up to 12 times `scale` steps, some failed."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    pairs: list[Pair] = []
    while len(pairs) < count:
        one, other = draw.sample(range(len(identities)), 2)
        is_mated = identities[one] == identities[other]
        if is_mated or draw.random() < 0.5:
            steps = draw.randint(0, 8) if is_mated else draw.randint(3, 12)
            failed = failures and draw.random() < 0.1
            fold = draw.randrange(folds) if folds else NO_FOLD
            pairs.append(Pair(one, other, is_mated, fold, None if failed else scale * steps))
    return pairs


def is_match(pair: Pair, step: int) -> bool:
    return pair.steps is not None and pair.steps <= step


def fmr(pairs: Sequence[Pair], step: int) -> Fraction | None:
    """Count false matches among the non-mated pairs that were compared."""
    compared = [pair for pair in pairs if not pair.mated and pair.steps is not None]
    return Fraction(sum(is_match(pair, step) for pair in compared), len(compared)) if compared else None


def fnmr(pairs: Sequence[Pair], step: int) -> Fraction | None:
    """Count mated pairs that are no match, for whatever reason."""
    tried = [pair for pair in pairs if pair.mated]
    return Fraction(sum(not is_match(pair, step) for pair in tried), len(tried)) if tried else None


def top(pairs: Sequence[Pair]) -> int:
    """Return the largest number of steps: all tolerances from there on are alike."""
    return max((pair.steps for pair in pairs if pair.steps is not None), default=0)


def largest_step(pairs: Sequence[Pair], level: Fraction) -> int | None:
    """Try every tolerance."""
    passing = []
    for step in range(top(pairs) + 1):
        rate = fmr(pairs, step)
        if rate is not None and rate <= level:
            passing.append(step)
    if not passing:
        return None
    return MAX_STEP if passing[-1] == top(pairs) else passing[-1]


def crossing(points: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    """Return where the line through (FMR, FNMR) of growing tolerances crosses the diagonal; the first is (0, 1)."""
    for (fmr_before, fnmr_before), (fmr_after, fnmr_after) in pairwise(points):
        if fmr_after >= fnmr_after:
            before, after = fnmr_before - fmr_before, fmr_after - fnmr_after
            return fmr_before + before / (before + after) * (fmr_after - fmr_before)
    raise AssertionError("FMR is 1 at the last tolerance")


def equal_error(pairs: Sequence[Pair]) -> Fraction | None:
    """Walk all tolerances from one that nothing matches to the last one."""
    points = []
    for step in range(-1, top(pairs) + 1):
        false_matches, false_non_matches = fmr(pairs, step), fnmr(pairs, step)
        if false_matches is None or false_non_matches is None:
            return None
        points.append((false_matches, false_non_matches))
    return crossing(points)


def auc(pairs: Sequence[Pair]) -> Fraction | None:
    """Compare every mated pair with every non-mated one."""
    near = [pair.steps for pair in pairs if pair.mated and pair.steps is not None]
    far = [pair.steps for pair in pairs if not pair.mated and pair.steps is not None]
    if not near or not far:
        return None
    halves = sum((one < other) + (one <= other) for one in near for other in far)
    return Fraction(halves, 2 * len(near) * len(far))


def accuracy(pairs: Sequence[Pair], step: int) -> Fraction:
    """Return the mean of the shares that are told right; a pair that was not compared is told wrong."""
    shares = []
    for kind in (True, False):
        tried = [pair for pair in pairs if pair.mated == kind]
        right = [pair for pair in tried if pair.steps is not None and is_match(pair, step) == kind]
        shares.append(Fraction(len(right), len(tried)) if tried else Fraction(0))
    return (shares[0] + shares[1]) / 2


def best_step(pairs: Sequence[Pair]) -> int:
    """Try every tolerance; -1 where none is better than no match at all."""
    accuracies = [accuracy(pairs, step) for step in range(top(pairs) + 1)]
    if max(accuracies) <= accuracy(pairs, -1):
        return -1
    best = [step for step, one in enumerate(accuracies) if one == max(accuracies)]
    beyond = MAX_STEP - top(pairs) if best[-1] == top(pairs) else 0  # all as good as the last one
    middle = (len(best) + beyond - 1) // 2
    return best[middle] if middle < len(best) else best[-1] + middle - len(best) + 1


def lfw_protocol(
    pairs: Sequence[Pair], folds: int, training: Sequence[Pair] | None = None
) -> list[tuple[int, int, Fraction]]:
    """Return fold, tolerance and accuracy of every fold that has pairs of both kinds."""
    tested = []
    for fold in range(folds):
        own = [pair for pair in pairs if pair.fold == fold]
        others = [pair for pair in (pairs if training is None else training) if pair.fold != fold]
        if {pair.mated for pair in own} == {True, False}:
            step = best_step(others)
            tested.append((fold, step, accuracy(own, step)))
    return tested


def wilson(errors: int, trials: int, z: float) -> tuple[float, float]:
    """Solve (errors/trials - p)^2 = z^2 p (1 - p) / trials for p."""
    rate = errors / trials
    a, b, c = 1 + z * z / trials, -(2 * rate + z * z / trials), rate * rate
    high = (-b + math.sqrt(max(b * b - 4 * a * c, 0.0))) / (2 * a)
    return c / a / high, high  # the product of the two is c / a


def mcnemar(worse: int, better: int) -> Fraction:
    """Sum the probabilities of all splits that are not more probable than this one."""
    changed, seen = worse + better, math.comb(worse + better, worse)
    ways = (math.comb(changed, one) for one in range(changed + 1))
    return Fraction(sum(way for way in ways if way <= seen), 2**changed)


def replicate_counts(
    pairs: Sequence[Pair], identities: Sequence[int], drawn: Sequence[int], step: int
) -> tuple[int, int, int, int]:
    """Return false matches, non-mated pairs, false non-matches and mated pairs, where persons were drawn so often."""
    false_matches, strangers, false_non_matches, selves = 0, 0, 0, 0
    for pair in pairs:
        one, other = drawn[identities[pair.reference]], drawn[identities[pair.probe]]
        if pair.mated:
            selves += one
            false_non_matches += one * (not is_match(pair, step))
        elif pair.steps is not None:
            strangers += one * other
            false_matches += one * other * is_match(pair, step)
    return false_matches, strangers, false_non_matches, selves


def replicate_rates(pairs: Sequence[Pair], identities: Sequence[int], drawn: Sequence[int], step: int) -> Rates:
    """Return FMR and FNMR, where persons were drawn so often."""
    false_matches, strangers, false_non_matches, selves = replicate_counts(pairs, identities, drawn, step)
    return (
        false_matches / strangers if strangers else math.nan,
        false_non_matches / selves if selves else math.nan,
    )
