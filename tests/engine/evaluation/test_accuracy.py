import math
import statistics
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from face_engine.evaluation.accuracy import Accuracy, Blocks, FoldAccuracy, cross_validate
from face_engine.evaluation.labels import NO_FOLD, Pairs
from face_engine.evaluation.scores import MAX_STEP, STEPS
from support import oracles
from support.oracles import Pair, block, blocks, pair_lists

FOLDS = 3

# A tally has a place for each of two million distances, and a fold takes two of them.
few = settings(max_examples=12)


def walk(pairs: list[Pair], size: int = 1000) -> Blocks:
    def blocks_of() -> Iterator[Pairs]:
        return blocks(pairs, size)

    return blocks_of


def in_fold(fold: int, *, mated: tuple[int | None, ...] = (), non_mated: tuple[int | None, ...] = ()) -> list[Pair]:
    return [
        Pair(0, 1, is_mated, fold, steps) for is_mated, kind in ((True, mated), (False, non_mated)) for steps in kind
    ]


def assert_is_the_protocols(found: Accuracy | None, pairs: list[Pair], training: list[Pair] | None = None) -> None:
    expected = oracles.lfw_protocol(pairs, FOLDS, training)
    if len(expected) < 2:
        assert found is None
        return
    assert found
    assert [(one.fold, one.step) for one in found.folds] == [(fold, step) for fold, step, _ in expected]
    assert [one.accuracy for one in found.folds] == pytest.approx([float(one) for _, _, one in expected])


@few
@given(pair_lists(folds=FOLDS, min_size=8))
def test_the_protocol_matches_brute_force(pairs: list[Pair]) -> None:
    assert_is_the_protocols(cross_validate(walk(pairs), FOLDS), pairs)


@few
@given(pair_lists(folds=FOLDS, min_size=8), pair_lists(folds=FOLDS, min_size=8))
def test_tolerances_come_from_the_training_pairs(pairs: list[Pair], training: list[Pair]) -> None:
    assert_is_the_protocols(cross_validate(walk(pairs), FOLDS, walk(training)), pairs, training)


@few
@given(pair_lists(folds=FOLDS, min_size=8), st.integers(1, 7))
def test_blocks_of_any_size_give_the_same(pairs: list[Pair], size: int) -> None:
    assert cross_validate(walk(pairs), FOLDS) == cross_validate(walk(pairs, size), FOLDS)


@pytest.mark.parametrize("seed", range(2))
def test_a_fold_is_told_as_scikit_learn_tells_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = [
        Pair(0, 1, is_mated, fold, int(abs(random.normal(30 if is_mated else 50, 12))))
        for fold in range(4)
        for is_mated in (True, False)
        for _ in range(40)
    ]
    scored = block(pairs)
    found = cross_validate(walk(pairs), 4)
    assert found
    assert len(found.folds) == 4
    for fold in found.folds:
        own, others = scored[scored["fold"] == fold.fold], scored[scored["fold"] != fold.fold]
        told = own["steps"] <= fold.step
        assert fold.accuracy == pytest.approx(balanced_accuracy_score(own["mated"], told))
        assert fold.accuracy == pytest.approx(accuracy_score(own["mated"], told))
        best = max(balanced_accuracy_score(others["mated"], others["steps"] <= step) for step in range(20, 60))
        assert balanced_accuracy_score(others["mated"], others["steps"] <= fold.step) == pytest.approx(best)


def test_the_mean_has_its_standard_error() -> None:
    found = Accuracy(tuple(FoldAccuracy(fold, 5, right, 10, 10, 10) for fold, right in enumerate((10, 8, 9, 9))))
    accuracies = [1.0, 0.9, 0.95, 0.95]
    assert [fold.accuracy for fold in found.folds] == pytest.approx(accuracies)
    assert found.mean == pytest.approx(0.95)
    assert found.standard_error == pytest.approx(statistics.stdev(accuracies) / math.sqrt(4))
    assert found.folds[0].tolerance == 5 / STEPS


def test_both_kinds_count_alike_however_many_there_are() -> None:
    pairs = [one for fold in (0, 1) for one in in_fold(fold, mated=(1, 1, 1, 9), non_mated=(9,) * 400)]
    found = cross_validate(walk(pairs), 2)
    assert found
    assert found.mean == (3 / 4 + 1) / 2


def test_a_fold_has_no_part_in_its_tolerance() -> None:
    pairs = in_fold(0, mated=(1,), non_mated=(4,)) + in_fold(1, mated=(10,), non_mated=(20,))
    found = cross_validate(walk(pairs), 2)
    assert found
    assert [fold.step for fold in found.folds] == [14, 2]
    assert [fold.accuracy for fold in found.folds] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("mated", "non_mated", "accuracy"),
    [((1, None), (9, 9), 0.75), ((1, 1), (9, None), 0.75), ((None, None), (None, None), 0.0)],
)
def test_a_pair_that_was_not_compared_is_an_error(
    mated: tuple[int | None, ...], non_mated: tuple[int | None, ...], accuracy: float
) -> None:
    pairs = in_fold(0, mated=mated, non_mated=non_mated) + in_fold(1, mated=(1,), non_mated=(9,))
    found = cross_validate(walk(pairs), 2)
    assert found
    assert found.folds[0].accuracy == accuracy


def test_the_tolerance_is_best_where_failures_are_errors() -> None:
    others = in_fold(1, mated=(1, 1, 1, 5, None, None, None, None, None, None), non_mated=(3, 9, 9, 9, 9, 9))
    found = cross_validate(walk(others + in_fold(0, mated=(1,), non_mated=(9,))), 2)
    assert found
    assert oracles.accuracy(others, 2) > oracles.accuracy(others, 6)
    assert found.folds[0].step < 3


def test_of_equal_tolerances_the_middle_one_is_taken() -> None:
    pairs = [one for fold in (0, 1) for one in in_fold(fold, mated=(2,), non_mated=(8,))]
    found = cross_validate(walk(pairs), 2)
    assert found
    assert [fold.step for fold in found.folds] == [4, 4]  # of 2 to 7


def test_nothing_matches_where_strangers_are_nearer() -> None:
    pairs = [one for fold in (0, 1) for one in in_fold(fold, mated=(8,), non_mated=(2,))]
    found = cross_validate(walk(pairs), 2)
    assert found
    assert [fold.step for fold in found.folds] == [-1, -1]
    assert found.mean == 0.5
    assert found.standard_error == 0


def test_distances_that_are_all_equal_tell_nothing() -> None:
    pairs = [one for fold in (0, 1) for one in in_fold(fold, mated=(MAX_STEP, 0), non_mated=(MAX_STEP, 0))]
    found = cross_validate(walk(pairs), 2)
    assert found
    assert found.mean == 0.5


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        in_fold(NO_FOLD, mated=(1,), non_mated=(9,)),
        in_fold(0, mated=(1,), non_mated=(9,)),
        in_fold(0, mated=(1,), non_mated=(9,)) + in_fold(1, mated=(1, 2)),
        in_fold(0, mated=(1,)) + in_fold(1, non_mated=(9,)),
    ],
)
def test_fewer_than_two_folds_of_both_kinds_have_no_accuracy(pairs: list[Pair]) -> None:
    assert cross_validate(walk(pairs), 2) is None
