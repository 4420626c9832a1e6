import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from face_engine.evaluation.intervals import (
    CELL_STEPS,
    CELLS,
    REPLICATES,
    TILE_PAIRS,
    CurveReplicates,
    IdentityBootstrap,
    Resampled,
    is_supported,
    percentiles,
    wider,
    wilson,
)
from face_engine.evaluation.labels import NO_FOLD
from face_engine.evaluation.results import FMR_LEVELS
from face_engine.evaluation.scores import MAX_STEP
from support import oracles
from support.oracles import Pair, block, random_pairs, replicate_rates

Z = 1.959963984540054
"""Of a normal distribution 95 % are within so many standard deviations."""

IDENTITIES = (0, 0, 0, 1, 1, 2, 3, 3, 4, 5, 5, 5)

TOP_CELL = 12
"""Random pairs are no farther apart than so many thousandths."""


def bootstrap(identities: Sequence[int] = IDENTITIES, seed: int = 1) -> IdentityBootstrap:
    return IdentityBootstrap(np.array(identities, np.int32), seed)


def drawn(of: IdentityBootstrap) -> list[list[int]]:
    """Return how often each person was drawn in each replicate."""
    weights: list[list[int]] = of._weights[:-1].T.tolist()
    return weights


def totals(of: IdentityBootstrap, pairs: Sequence[Pair], keys: Sequence[int], rows: int) -> npt.NDArray[np.float64]:
    result = np.zeros((rows, REPLICATES))
    of.add(block(pairs), np.array(keys, np.int64), result)
    return result


def resampled(of: IdentityBootstrap, pairs: Sequence[Pair]) -> Resampled:
    curve = CurveReplicates(of)
    curve.add(block(pairs))
    return curve.rates()


def width(interval: tuple[float, float] | None) -> float:
    assert interval
    return interval[1] - interval[0]


def selves(wrong: Sequence[bool]) -> list[Pair]:
    """Return a mated pair of each photo, of 0 or 2 steps."""
    return [Pair(photo, photo, True, NO_FOLD, 2 * is_wrong) for photo, is_wrong in enumerate(wrong)]


def errors_interval(of: IdentityBootstrap, pairs: Sequence[Pair]) -> tuple[float, float]:
    """Return the bootstrap's interval of the share of pairs that have more than a step."""
    counts = totals(of, pairs, [int((pair.steps or 0) > 1) for pair in pairs], 2)
    interval = percentiles(counts[1] / counts.sum(axis=0))
    assert interval
    return interval


@given(st.integers(1, 10**7), st.floats(0, 1), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilsons_interval_solves_its_equation(trials: int, rate: float, confidence: float) -> None:
    errors = round(rate * trials)
    expected = oracles.wilson(errors, trials, NormalDist().inv_cdf((1 + confidence) / 2))
    assert wilson(errors, trials, confidence) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@settings(max_examples=50)
@given(st.integers(1, 10**6), st.floats(0, 1))
def test_wilsons_interval_is_scipys(trials: int, rate: float) -> None:
    errors = round(rate * trials)
    expected = binomtest(errors, trials).proportion_ci(method="wilson")
    assert wilson(errors, trials) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("errors", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_as_published(errors: int, trials: int, low: float, high: float) -> None:
    """Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I, method 3."""
    assert wilson(errors, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_wilsons_interval_holds_the_rate_and_mirrors(trials: int, rate: float) -> None:
    errors = round(rate * trials)
    interval, mirrored = wilson(errors, trials), wilson(trials - errors, trials)
    assert interval and mirrored
    assert 0 <= interval[0] <= errors / trials <= interval[1] <= 1
    assert interval == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-12)


def test_wilsons_interval_ends_where_rates_end() -> None:
    none, all_of_them = wilson(0, 1000), wilson(1000, 1000)
    assert none and all_of_them
    assert none[0] == 0.0
    assert none[1] == pytest.approx(Z**2 / (1000 + Z**2))
    assert all_of_them[1] == 1.0
    assert wilson(0, 0) is None


@pytest.mark.parametrize(
    ("rate", "trials", "expected"),
    [
        (1e-3, 3000, True),
        (1e-3, 2999, False),
        (0.1, 30, True),
        (0.1, 29, False),
        (0.3, 10, True),
        (0.07, 43, True),
        (0.07, 42, False),
        (0.1, 0, False),
        (0.0, 10**9, False),
    ],
)
def test_a_rate_takes_three_expected_errors(rate: float, trials: int, expected: bool) -> None:
    assert is_supported(rate, trials) is expected


@pytest.mark.parametrize(("level", "rate"), FMR_LEVELS)
def test_each_level_is_supported_from_its_exact_number_of_pairs(level: str, rate: float) -> None:
    needed = 3 / Fraction(level)
    assert needed.denominator == 1
    assert is_supported(rate, int(needed))
    assert not is_supported(rate, int(needed) - 1)


def test_percentiles_are_of_the_known_ones() -> None:
    values = np.arange(101) / 100
    known = percentiles(values)
    assert known == pytest.approx((0.025, 0.975))
    assert percentiles(np.concatenate([[math.nan] * 50, values])) == known
    assert percentiles(values, 0.5) == pytest.approx((0.25, 0.75))
    assert percentiles(np.full(10, math.nan)) is None
    assert percentiles(np.empty(0)) is None


def test_the_wider_interval_covers_all() -> None:
    assert wider((0.1, 0.3), None, (0.2, 0.4)) == (0.1, 0.4)
    assert wider(None, (0.1, 0.3)) == (0.1, 0.3)
    assert wider(None, None) is None
    assert wider() is None


@pytest.mark.parametrize("seed", range(2))
def test_totals_match_explicit_loops(seed: int) -> None:
    of = bootstrap(seed=seed)
    pairs = random_pairs(IDENTITIES, TILE_PAIRS + 100, seed=seed)
    keys = [index % 7 and index % 3 - 1 for index in range(len(pairs))]  # -1 counts nowhere, most are in 0
    assert keys.count(0) < TILE_PAIRS < len(pairs)
    keys = [0 if key == 1 and index % 2 else key for index, key in enumerate(keys)]
    expected = np.zeros((3, REPLICATES))
    for replicate, weights in enumerate(drawn(of)):
        for pair, key in zip(pairs, keys, strict=True):
            one, other = weights[IDENTITIES[pair.reference]], weights[IDENTITIES[pair.probe]]
            if key >= 0:
                expected[key, replicate] += one if pair.mated else one * other
    assert (totals(of, pairs, keys, 3) == expected).all()


def test_pairs_may_come_in_any_order_and_pieces() -> None:
    of = bootstrap()
    pairs = random_pairs(IDENTITIES, 3 * TILE_PAIRS, seed=3)
    keys = [index % 4 - 1 for index in range(len(pairs))]
    whole = totals(of, pairs, keys, 3)
    order = np.random.default_rng(0).permutation(len(pairs)).tolist()
    assert (whole == totals(of, [pairs[index] for index in order], [keys[index] for index in order], 3)).all()
    pieces = np.zeros((3, REPLICATES))
    for start in range(0, len(pairs), 100):
        part = slice(start, start + 100)
        of.add(block(pairs[part]), np.array(keys[part], np.int64), pieces)
    assert (whole == pieces).all()
    of.add(block([]), np.empty(0, np.int64), pieces)
    assert (whole == pieces).all()


def test_the_seed_decides() -> None:
    pairs = random_pairs(IDENTITIES, 50, seed=4)
    keys = [0] * len(pairs)
    first = totals(bootstrap(seed=1), pairs, keys, 1)
    assert (first == totals(bootstrap(seed=1), pairs, keys, 1)).all()
    assert (first != totals(bootstrap(seed=2), pairs, keys, 1)).any()


@pytest.mark.parametrize("persons", [1, 2, 7, 500])
def test_as_many_persons_are_drawn_as_there_are(persons: int) -> None:
    weights = np.array(drawn(bootstrap(range(persons))))
    assert weights.shape == (REPLICATES, persons)
    assert (weights.sum(axis=1) == persons).all()
    assert weights.var() == pytest.approx(1 - 1 / persons, abs=0.05)


def test_nobody_is_drawn_where_there_is_nobody() -> None:
    found = resampled(bootstrap([]), [])
    assert np.isnan(found.equal_error()).all()


@pytest.mark.parametrize("seed", range(3))
def test_rates_at_a_tolerance_match_brute_force(seed: int) -> None:
    of = bootstrap(seed=seed)
    pairs = random_pairs(IDENTITIES, 25, seed=seed, scale=CELL_STEPS)
    found = resampled(of, pairs)
    for step in (0, 4 * CELL_STEPS, 5 * CELL_STEPS, MAX_STEP):
        fmr, fnmr = found.at(step)
        expected = [replicate_rates(pairs, IDENTITIES, weights, step) for weights in drawn(of)]
        assert np.column_stack([fmr, fnmr]) == pytest.approx(np.array(expected), abs=1e-12, nan_ok=True)


def test_rates_between_two_cells_are_linear() -> None:
    of = bootstrap()
    pairs = random_pairs(IDENTITIES, 25, seed=5, scale=CELL_STEPS)
    found = resampled(of, pairs)
    for cell, rest in ((4, 250), (5, 999), (CELLS - 2, 500)):
        at = np.array(found.at(cell * CELL_STEPS + rest))
        near, far = np.array(found.at(cell * CELL_STEPS)), np.array(found.at((cell + 1) * CELL_STEPS))
        assert at == pytest.approx(near + rest / CELL_STEPS * (far - near), abs=1e-12, nan_ok=True)


def test_a_distance_counts_at_the_first_cell_that_it_does_not_exceed() -> None:
    pairs = [Pair(0, 5, False, NO_FOLD, step) for step in (0, 1, 1000, 1001, 1999, 2000, MAX_STEP)]
    fmr = resampled(bootstrap([0] * 5 + [1]), pairs).fmr
    known = fmr[:, ~np.isnan(fmr[0])]
    assert known.shape[1] > 0
    for cell, count in ((0, 1), (1, 3), (2, 6), (1999, 6), (2000, 7)):
        assert known[cell] == pytest.approx(count / 7)


@pytest.mark.parametrize("level", [0.0, 0.05, 0.2, 0.5, 0.999])
def test_the_fnmr_at_an_fmr_matches_brute_force(level: float) -> None:
    of = bootstrap(seed=6)
    pairs = [*random_pairs(IDENTITIES, 20, seed=6, scale=CELL_STEPS), Pair(0, 11, False, NO_FOLD, 0)]
    fnmr, tolerances = resampled(of, pairs).at_fmr(level)
    unknown = 0
    for replicate, weights in enumerate(drawn(of)):
        at = [replicate_rates(pairs, IDENTITIES, weights, cell * CELL_STEPS) for cell in range(TOP_CELL + 1)]
        passing = [cell for cell, (fmr, _) in enumerate(at) if fmr <= level]
        if math.isnan(at[0][0]):
            assert math.isnan(fnmr[replicate])
            assert math.isnan(tolerances[replicate])
        elif not passing:  # nobody may match
            unknown += 1
            assert tolerances[replicate] == 0
            assert fnmr[replicate] == pytest.approx(1.0 if not math.isnan(at[0][1]) else math.nan, nan_ok=True)
        else:
            assert fnmr[replicate] == pytest.approx(at[passing[-1]][1], abs=1e-12, nan_ok=True)
            assert tolerances[replicate] == pytest.approx(passing[-1] / 1000)
    assert unknown > 0 or level >= 0.5


@pytest.mark.parametrize("nearest", [3, 0])
def test_the_equal_error_of_each_replicate_matches_brute_force(nearest: int) -> None:
    of = bootstrap(seed=7)
    pairs = random_pairs(IDENTITIES, 25, seed=7, scale=CELL_STEPS)
    pairs += [Pair(0, 11, False, NO_FOLD, nearest * CELL_STEPS)] * 15 + [
        Pair(0, 1, True, NO_FOLD, nearest * CELL_STEPS)
    ]
    found = resampled(of, pairs).equal_error()
    assert not np.isnan(found).all()
    for replicate, weights in enumerate(drawn(of)):
        points = [(Fraction(0), Fraction(1))]
        for cell in range(TOP_CELL + 1):
            counts = oracles.replicate_counts(pairs, IDENTITIES, weights, cell * CELL_STEPS)
            if counts[1] and counts[3]:
                points.append((Fraction(*counts[:2]), Fraction(*counts[2:])))
        if len(points) == 1:
            assert math.isnan(found[replicate])
        else:
            assert found[replicate] == pytest.approx(float(oracles.crossing(points)), abs=1e-9)


def test_distances_that_are_all_0_have_an_equal_error_of_a_half_in_every_replicate() -> None:
    pairs = [Pair(0, 1, True, NO_FOLD, 0), Pair(0, 5, False, NO_FOLD, 0)]
    found = resampled(bootstrap(), pairs).equal_error()
    assert (found[~np.isnan(found)] == 0.5).all()


def test_failures_count_in_replicates_as_they_do_in_rates() -> None:
    pairs = [Pair(0, 1, True, NO_FOLD, None), Pair(0, 1, True, NO_FOLD, 5), Pair(0, 5, False, NO_FOLD, None)]
    found = resampled(bootstrap(), pairs)
    assert np.isnan(found.fmr).all()
    fnmr = found.at(MAX_STEP)[1]
    assert (fnmr[~np.isnan(fnmr)] == 0.5).all()
    assert percentiles(found.at(MAX_STEP)[0]) is None
    assert np.isnan(found.at_fmr(0.1)[0]).all()


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_of_independent_pairs_the_interval_is_as_wide_as_theory_says(rate: float) -> None:
    persons = 1000
    wrong = [index < rate * persons for index in range(persons)]
    interval = errors_interval(bootstrap(range(persons)), selves(wrong))
    assert width(interval) == pytest.approx(2 * Z * math.sqrt(rate * (1 - rate) / persons), rel=0.25)
    assert interval[0] < rate < interval[1]


def test_of_strangers_who_are_met_once_the_interval_is_too_wide_rather_than_too_narrow() -> None:
    # A product of two draws varies three times as much as one.
    count, rate = 1000, 0.1
    pairs = [Pair(2 * one, 2 * one + 1, False, NO_FOLD, 0 if one >= rate * count else 2) for one in range(count)]
    interval = errors_interval(bootstrap(range(2 * count)), pairs)
    theory = 2 * Z * math.sqrt(rate * (1 - rate) / count)
    assert width(interval) == pytest.approx(math.sqrt(3) * theory, rel=0.25)


def test_where_one_person_makes_all_errors_the_interval_is_much_wider_than_wilsons() -> None:
    identities = [person for person in range(50) for _ in range(20)]
    wrong = [person == 0 for person in identities]
    interval = errors_interval(bootstrap(identities), selves(wrong))
    assert interval[0] == 0.0
    assert width(interval) > 2.5 * width(wilson(sum(wrong), len(wrong)))


def test_no_error_is_no_knowledge_of_the_bootstrap() -> None:
    assert errors_interval(bootstrap(range(100)), selves([False] * 100)) == (0.0, 0.0)


def test_the_interval_covers_the_rate_of_persons_who_differ() -> None:
    """Each person has ten mated pairs and errs at a rate of their own; Wilson's interval takes them for independent."""
    persons, each, rounds = 60, 10, 200
    random = np.random.default_rng(8)
    identities = [person for person in range(persons) for _ in range(each)]
    of = bootstrap(identities)
    covered = {"bootstrap": 0, "wilson": 0}
    for _ in range(rounds):
        errs = random.beta(0.3, 0.7, persons)  # of 0.3 in the mean
        wrong = (random.random(len(identities)) < errs[identities]).tolist()
        interval, naive = errors_interval(of, selves(wrong)), wilson(sum(wrong), len(wrong))
        assert naive
        covered["bootstrap"] += interval[0] <= 0.3 <= interval[1]
        covered["wilson"] += naive[0] <= 0.3 <= naive[1]
    assert covered["bootstrap"] >= 0.9 * rounds
    assert covered["wilson"] <= 0.75 * rounds


def test_the_interval_covers_the_rate_of_strangers_who_look_alike() -> None:
    """Each person looks more or less like everybody: all pairs of a person err together."""
    persons, rounds, limit = 40, 150, 1.5
    random = np.random.default_rng(9)
    pairs = [(one, other) for one in range(persons) for other in range(one)]
    first, second = np.array(pairs).T
    of = bootstrap(range(persons))
    rate = NormalDist(0, math.sqrt(3)).cdf(-limit)
    covered = {"bootstrap": 0, "wilson": 0}
    for _ in range(rounds):
        looks = random.normal(size=persons)
        wrong = (looks[first] + looks[second] + random.normal(size=len(pairs)) > limit).tolist()
        scored = [Pair(*pair, False, NO_FOLD, 2 * is_wrong) for pair, is_wrong in zip(pairs, wrong, strict=True)]
        interval, naive = errors_interval(of, scored), wilson(sum(wrong), len(wrong))
        assert naive
        covered["bootstrap"] += interval[0] <= rate <= interval[1]
        covered["wilson"] += naive[0] <= rate <= naive[1]
    assert covered["bootstrap"] >= 0.88 * rounds
    assert covered["wilson"] <= 0.6 * rounds
