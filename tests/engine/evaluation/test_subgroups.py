import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_engine.evaluation.intervals import IdentityBootstrap, wider, wilson
from face_engine.evaluation.labels import NO_FOLD
from face_engine.evaluation.subgroups import Rate, Subgroup, SubgroupCount, spread
from support import oracles
from support.oracles import Pair, block, blocks, pair_lists, random_pairs

IDENTITIES = (0, 0, 0, 1, 1, 2, 3, 3, 4, 5, 5, 5)
VALUES = ("b", "b", "b", "a", "a", "", "a", "a", "b", "b", "b", "")
"""Of photos: those of person 5 differ."""

STEP = 5


def bootstrap(identities: Sequence[int] = IDENTITIES) -> IdentityBootstrap:
    return IdentityBootstrap(np.array(identities, np.int32), 1)


def subgroups(
    pairs: Sequence[Pair], values: Sequence[str] = VALUES, *, size: int = 1000, of: IdentityBootstrap | None = None
) -> dict[str, Subgroup]:
    count = SubgroupCount("origin", values, STEP, of or bootstrap(range(len(values))))
    for one in blocks(pairs, size):
        count.add(one)
    return {one.value: one for one in count.subgroups()}


def within(pairs: Sequence[Pair], value: str, values: Sequence[str] = VALUES) -> list[Pair]:
    return [pair for pair in pairs if values[pair.reference] == value and values[pair.probe] == value]


def interval_of(replicates: Sequence[float]) -> tuple[float, float] | None:
    known = sorted(one for one in replicates if not math.isnan(one))
    return (float(np.quantile(known, 0.025)), float(np.quantile(known, 0.975))) if known else None


@settings(max_examples=30)
@given(pair_lists(), st.lists(st.sampled_from(["", "a", "b"]), min_size=6, max_size=6), st.integers(1, 40))
def test_counts_match_loops(pairs: list[Pair], values: list[str], size: int) -> None:
    found = subgroups(pairs, values, size=size)
    assert list(found) == sorted(set(values) - {""})
    for value, one in found.items():
        own = within(pairs, value, values)
        fmr, fnmr = oracles.fmr(own, STEP), oracles.fnmr(own, STEP)
        assert one.photos == values.count(value)
        assert one.fmr.value == one.errors.fmr == (None if fmr is None else float(fmr))
        assert one.fnmr.value == one.errors.fnmr == (None if fnmr is None else float(fnmr))
        assert one.errors.mated == sum(pair.mated for pair in own)
        assert one.errors.mated_failed == sum(pair.mated and pair.steps is None for pair in own)
        assert one.errors.non_mated == sum(not pair.mated and pair.steps is not None for pair in own)
        for rate, in_group, of_all in (
            (one.fmr, fmr, oracles.fmr(pairs, STEP)),
            (one.fnmr, fnmr, oracles.fnmr(pairs, STEP)),
        ):
            if in_group is None or not of_all:
                assert rate.ratio is None
                assert rate.ratio_interval is None
            else:
                assert rate.ratio == pytest.approx(float(in_group / of_all))


def test_intervals_match_explicit_loops() -> None:
    of = bootstrap()
    pairs = random_pairs(IDENTITIES, 200, seed=1)
    drawn = of._weights[:-1].T.tolist()
    everywhere = [oracles.replicate_rates(pairs, IDENTITIES, weights, STEP) for weights in drawn]
    found = subgroups(pairs, of=of)
    assert list(found) == ["a", "b"]
    for value, one in found.items():
        own = within(pairs, value)
        inside = [oracles.replicate_rates(own, IDENTITIES, weights, STEP) for weights in drawn]
        for kind, (rate, errors, trials) in enumerate(
            (
                (one.fmr, one.errors.false_matches, one.errors.non_mated),
                (one.fnmr, one.errors.false_non_matches, one.errors.mated),
            )
        ):
            by_chance = wilson(errors, trials)
            assert by_chance
            assert errors > 0
            assert rate.interval == pytest.approx(wider(by_chance, interval_of([both[kind] for both in inside])))
            ratios = [
                own_rates[kind] / all_rates[kind] if all_rates[kind] else math.nan
                for own_rates, all_rates in zip(inside, everywhere, strict=True)
            ]
            assert rate.ratio_interval == pytest.approx(interval_of(ratios))


def test_a_pair_of_two_subgroups_or_of_an_unknown_one_is_in_none() -> None:
    values = ("a", "a", "b", "b", "", "")
    pairs = [Pair(one, other, False, NO_FOLD, 1) for one in range(6) for other in range(one)]
    found = subgroups(pairs, values)
    assert {value: one.errors.non_mated for value, one in found.items()} == {"a": 1, "b": 1}
    assert subgroups(pairs, [""] * 6) == {}


def test_the_ratio_is_to_all_pairs() -> None:
    values = ("a", "a", "b", "b", "")
    near, far = 1, 9
    pairs = [
        *[Pair(0, 1, False, NO_FOLD, near)] * 2,
        *[Pair(0, 1, False, NO_FOLD, far)] * 2,
        *[Pair(2, 3, False, NO_FOLD, near)] * 1,
        *[Pair(2, 3, False, NO_FOLD, far)] * 7,
        *[Pair(0, 2, False, NO_FOLD, near)] * 1,
        *[Pair(1, 4, False, NO_FOLD, far)] * 7,
    ]
    found = subgroups(pairs, values)
    assert found["a"].fmr.value == 0.5
    assert found["a"].fmr.ratio == pytest.approx(0.5 / (4 / 20))
    assert found["b"].fmr.value == 1 / 8
    assert found["b"].fmr.ratio == pytest.approx(1 / 8 / (4 / 20))


def test_a_subgroup_without_pairs_has_no_rates() -> None:
    found = subgroups([Pair(0, 1, False, NO_FOLD, 1)], ("a", "a", "b"))
    nothing = Rate(None, None, None, None)
    assert (found["b"].fmr, found["b"].fnmr, found["a"].fnmr) == (nothing, nothing, nothing)
    assert found["b"].photos == 1
    assert found["b"].errors.fmr is None


def test_where_everything_failed_only_users_are_refused() -> None:
    found = subgroups([Pair(0, 1, is_mated, NO_FOLD, None) for is_mated in (True, False)], ("a", "a"))
    assert found["a"].fmr == Rate(None, None, None, None)
    assert found["a"].fnmr.value == 1.0
    assert found["a"].errors.mated_failed == 1


def test_no_error_anywhere_has_no_ratio() -> None:
    rate = subgroups([Pair(0, 1, False, NO_FOLD, 9)] * 10, ("a", "a"))["a"].fmr
    assert rate == Rate(0.0, wilson(0, 10), None, None)


def test_no_error_in_a_subgroup_leaves_room_for_one() -> None:
    pairs = [Pair(0, 1, False, NO_FOLD, 9)] * 10 + [Pair(2, 3, False, NO_FOLD, 1)] * 10
    rate = subgroups(pairs, ("a", "a", "b", "b"))["a"].fmr
    by_chance = wilson(0, 10)
    assert by_chance
    assert (rate.value, rate.ratio) == (0.0, 0.0)
    assert rate.ratio_interval == pytest.approx((0.0, by_chance[1] / 0.5))


def test_a_subgroup_of_all_pairs_has_their_rates() -> None:
    pairs = random_pairs(IDENTITIES, 60, seed=3)
    found = subgroups(pairs, ["a"] * len(IDENTITIES), of=bootstrap())["a"]
    assert found.fmr.ratio == found.fnmr.ratio == 1.0
    assert found.fmr.ratio_interval == found.fnmr.ratio_interval == (1.0, 1.0)


def test_blocks_of_any_size_give_the_same() -> None:
    pairs = random_pairs(IDENTITIES, 60, seed=2)
    assert subgroups(pairs, of=bootstrap()) == subgroups(pairs, of=bootstrap(), size=7)


def test_an_empty_block_counts_nothing() -> None:
    count = SubgroupCount("origin", ("a",), STEP, bootstrap([0]))
    count.add(block([]))
    assert [one.errors.mated for one in count.subgroups()] == [0]


@pytest.mark.parametrize(
    ("rates", "by_mean", "by_smallest"),
    [
        ((0.001, 0.002, 0.004), 2.0, 4.0),
        ((0.01, 0.0001), 10.0, 100.0),
        ((0.3, 0.3), 1.0, 1.0),
        ((0.001, None, 0.004), 2.0, 4.0),
        ((1e-300, 1e-300, 1e-300), 1.0, 1.0),
    ],
)
def test_the_spread_is_of_the_largest_rate(rates: Sequence[float | None], by_mean: float, by_smallest: float) -> None:
    assert spread(rates) == pytest.approx((by_mean, by_smallest))


@pytest.mark.parametrize("rates", [(), (0.1,), (None, 0.1), (None, None), (0.0, 0.1), (0.0, 0.0)])
def test_one_rate_or_a_rate_of_0_has_no_spread(rates: Sequence[float | None]) -> None:
    assert spread(rates) == (None, None)
