from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.evaluation.labels import Pairs
from face_engine.evaluation.worst import WorstPairs
from support.oracles import Pair, block, blocks, mated, non_mated, pair_lists

Place = tuple[int, int, int]
"""Steps and the two photos of a pair."""


def worst(pairs: Sequence[Pair], count: int, size: int = 1000) -> WorstPairs:
    kept = WorstPairs.none(count)
    for one in blocks(pairs, size):
        kept.add(one)
    return kept


def places(pairs: Pairs) -> list[Place]:
    return [(int(pair["steps"]), int(pair["reference"]), int(pair["probe"])) for pair in pairs]


def sorted_places(pairs: Sequence[Pair], *, mated: bool, count: int) -> list[Place]:
    sign = -1 if mated else 1
    chosen = [
        (pair.steps, pair.reference, pair.probe) for pair in pairs if pair.mated == mated and pair.steps is not None
    ]
    return sorted(chosen, key=lambda place: (sign * place[0], *place[1:]))[:count]


@given(pair_lists(), st.integers(0, 8), st.integers(1, 12))
def test_the_worst_pairs_are_the_first_of_all_sorted(pairs: list[Pair], count: int, size: int) -> None:
    kept = worst(pairs, count, size)
    assert places(kept.false_matches) == sorted_places(pairs, mated=False, count=count)
    assert places(kept.false_non_matches) == sorted_places(pairs, mated=True, count=count)
    assert not kept.false_matches["mated"].any()
    assert kept.false_non_matches["mated"].all()


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_ties_are_in_the_order_of_the_photos_numbers(size: int) -> None:
    pairs = [Pair(one, other, False, 0, 5) for one, other in ((3, 1), (2, 9), (2, 4), (0, 7), (3, 0), (9, 9))]
    assert places(worst(pairs, 4, size).false_matches) == [(5, 0, 7), (5, 2, 4), (5, 2, 9), (5, 3, 0)]


def test_the_nearest_strangers_and_the_farthest_selves_are_worst() -> None:
    kept = worst(mated(1, 9, 5) + non_mated(1, 9, 5), 2)
    assert [steps for steps, _, _ in places(kept.false_non_matches)] == [9, 5]
    assert [steps for steps, _, _ in places(kept.false_matches)] == [1, 5]


def test_pairs_that_were_not_compared_have_no_place() -> None:
    kept = worst(mated(None, 3, None) + non_mated(None), 5)
    assert places(kept.false_non_matches) == [(3, 0, 1)]
    assert len(kept.false_matches) == 0


def test_a_count_of_0_keeps_none() -> None:
    kept = worst(mated(1, 2) + non_mated(3), 0)
    assert len(kept.false_matches) == len(kept.false_non_matches) == 0


def test_fewer_pairs_than_wanted_are_all_kept() -> None:
    kept = WorstPairs.none(12)
    kept.add(block(mated(4)))
    kept.add(block([]))
    assert places(kept.false_non_matches) == [(4, 0, 1)]
    assert len(kept.false_matches) == 0
