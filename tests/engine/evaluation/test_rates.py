from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.metrics import det_curve, roc_auc_score, roc_curve

from face_engine.evaluation.labels import Pairs
from face_engine.evaluation.rates import Curve, Errors, Tally
from face_engine.evaluation.scores import MAX_STEP, STEPS, to_steps
from support import oracles
from support.oracles import Pair, block, blocks, mated, non_mated, pair_lists

# A tally has a place for each of two million distances, and so takes some milliseconds.
few = settings(max_examples=50)

LEVELS = ["0", "0.1", "0.2", "0.3", "0.5", "0.7", "0.9", "1", "0.001"]


def tally_of(*scored: Pairs) -> Tally:
    tally = Tally()
    for one in scored:
        tally.add(one)
    return tally


def curve_of(pairs: list[Pair]) -> Curve:
    return tally_of(block(pairs)).curve()


def random_scores(seed: int, count: int = 4000) -> Pairs:
    """Return pairs without failures, of a distance each to the last step, some of them equal."""
    random = np.random.default_rng(seed)
    scored = block(mated(*[0] * (count // 4)) + non_mated(*[0] * (count - count // 4)))
    distances = random.normal(np.where(scored["mated"], 0.45, 0.75), 0.12).clip(0, 2)
    distances[::3] = distances[::3].round(2)
    scored["steps"] = to_steps(distances)
    return scored


@few
@given(pair_lists())
def test_both_rates_match_brute_force(pairs: list[Pair]) -> None:
    curve = curve_of(pairs)
    for step in range(-1, 9):
        errors = curve.at(step)
        fmr, fnmr = oracles.fmr(pairs, step), oracles.fnmr(pairs, step)
        assert errors.fmr == (None if fmr is None else float(fmr))
        assert errors.fnmr == (None if fnmr is None else float(fnmr))
        compared = oracles.fnmr([pair for pair in pairs if pair.steps is not None], step)
        assert errors.fnmr_compared == (None if compared is None else float(compared))


@few
@given(pair_lists(), st.sampled_from(LEVELS))
def test_the_largest_tolerance_of_an_fmr_matches_brute_force(pairs: list[Pair], level: str) -> None:
    assert curve_of(pairs).largest_step(float(level)) == oracles.largest_step(pairs, Fraction(level))


@few
@given(pair_lists())
def test_the_equal_error_matches_brute_force(pairs: list[Pair]) -> None:
    found, expected = curve_of(pairs).equal_error(), oracles.equal_error(pairs)
    assert (found is None) == (expected is None)
    if found is not None:
        assert found[0] == pytest.approx(float(expected or 0), abs=1e-12)


@few
@given(pair_lists())
def test_the_tolerance_of_the_equal_error_is_where_the_rates_cross(pairs: list[Pair]) -> None:
    curve = curve_of(pairs)
    if found := curve.equal_error():
        # It is between two neighbouring distances, or on the farther one.
        farther = min(pair.steps for pair in pairs if pair.steps is not None and pair.steps >= found[1] * STEPS - 1e-6)
        before, after = curve.at(farther - 1), curve.at(farther)
        assert (before.fmr or 0) < (before.fnmr or 0)
        assert (after.fmr or 0) >= (after.fnmr or 0)


@few
@given(pair_lists())
def test_the_area_matches_brute_force(pairs: list[Pair]) -> None:
    expected = oracles.auc(pairs)
    assert curve_of(pairs).auc() == (None if expected is None else pytest.approx(float(expected), abs=1e-12))


@few
@given(pair_lists(), st.integers(1, 7))
def test_blocks_of_any_size_count_the_same(pairs: list[Pair], size: int) -> None:
    whole, pieces = tally_of(block(pairs)), tally_of(*blocks(pairs, size))
    assert (whole.mated == pieces.mated).all()
    assert (whole.non_mated == pieces.non_mated).all()
    assert whole.mated_failed == pieces.mated_failed == sum(pair.mated and pair.steps is None for pair in pairs)
    assert whole.all_mated == sum(pair.mated for pair in pairs)
    assert whole.all_non_mated == sum(not pair.mated for pair in pairs)


@pytest.mark.parametrize("seed", range(3))
def test_every_point_is_scikit_learns(seed: int) -> None:
    scored = random_scores(seed)
    score = -scored["steps"].astype(np.int64)
    curve = tally_of(scored).curve()
    fmr, fnmr = curve.rates()
    false_positives, true_positives, _ = roc_curve(scored["mated"], score, drop_intermediate=False)
    assert fmr == pytest.approx(false_positives, abs=1e-12)
    assert fnmr == pytest.approx(1 - true_positives, abs=1e-12)
    assert curve.auc() == pytest.approx(roc_auc_score(scored["mated"], score), abs=1e-12)
    assert curve.auc() == pytest.approx(np.trapezoid(1 - fnmr, fmr), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_every_point_of_scikit_learns_error_tradeoff_is_told(seed: int) -> None:
    scored = random_scores(seed)
    curve = tally_of(scored).curve()
    points = det_curve(scored["mated"], -scored["steps"].astype(np.int64))
    finite = [point for point in zip(*points, strict=True) if np.isfinite(point[2])]
    assert len(finite) > 100
    for false_positives, false_negatives, threshold in finite:
        errors = curve.at(int(-threshold))
        assert errors.fmr == pytest.approx(false_positives, abs=1e-12)
        assert errors.fnmr == pytest.approx(false_negatives, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_equal_error_is_where_scikit_learns_roc_crosses_the_diagonal(seed: int) -> None:
    scored = random_scores(seed)
    fpr, tpr, _ = roc_curve(scored["mated"], -scored["steps"].astype(np.int64), drop_intermediate=False)
    expected = brentq(lambda rate: 1 - rate - np.interp(rate, fpr, tpr), 0, 1, xtol=1e-12)
    found = tally_of(scored).curve().equal_error()
    assert found
    assert found[0] == pytest.approx(expected, abs=1e-9)


def test_a_failed_mated_pair_is_a_false_non_match() -> None:
    errors = curve_of(mated(1, 1, 5, None) + non_mated(5)).at(2)
    assert errors == Errors(false_matches=0, non_mated=1, false_non_matches=2, mated=4, mated_failed=1)
    assert errors.fnmr == 0.5
    assert errors.fnmr_compared == pytest.approx(1 / 3)


def test_a_failed_non_mated_pair_is_left_out() -> None:
    errors = curve_of(mated(1) + non_mated(1, 5, None, None)).at(2)
    assert errors.non_mated == 2
    assert errors.fmr == 0.5


def test_failed_mated_pairs_raise_the_equal_error() -> None:
    equal = curve_of(mated(1, 1, None, None) + non_mated(3, 4, 5, 6)).equal_error()
    assert equal
    assert equal[0] == 0.5


@pytest.mark.parametrize(
    ("pairs", "fmr", "fnmr"),
    [
        ([], None, None),
        (mated(1, 3), None, 0.5),
        (non_mated(1, 3), 0.5, None),
        (mated(None), None, 1.0),
        (non_mated(None), None, None),
        (mated(None, None) + non_mated(None), None, 1.0),
    ],
)
def test_a_kind_without_pairs_has_no_rate(pairs: list[Pair], fmr: float | None, fnmr: float | None) -> None:
    curve = curve_of(pairs)
    errors = curve.at(2)
    assert (errors.fmr, errors.fnmr) == (fmr, fnmr)
    assert curve.equal_error() is None
    assert curve.auc() is None
    assert (curve.largest_step(0.1) is None) == (fmr is None)


def test_where_all_mated_pairs_failed_every_tolerance_is_in_vain() -> None:
    curve = curve_of(mated(None) + non_mated(2, 5))
    equal = curve.equal_error()
    assert equal == (1.0, 5 / STEPS)
    assert curve.at(MAX_STEP).fnmr == 1.0
    assert curve.at(MAX_STEP).fnmr_compared is None
    assert curve.auc() is None


@pytest.mark.parametrize(
    ("pairs", "rate", "area"),
    [
        (mated(1, 2) + non_mated(5, 6), 0.0, 1.0),
        (mated(5, 6) + non_mated(1, 2), 1.0, 0.0),
        (mated(4, 4) + non_mated(4, 4, 4), 0.5, 0.5),
        (mated(0) + non_mated(0), 0.5, 0.5),
        (mated(MAX_STEP) + non_mated(MAX_STEP), 0.5, 0.5),
        (mated(1) + non_mated(2), 0.0, 1.0),
        (mated(2) + non_mated(1), 1.0, 0.0),
        (mated(0) + non_mated(MAX_STEP), 0.0, 1.0),
    ],
    ids=["apart", "reversed", "all equal", "all 0", "all at the end", "one each", "one each reversed", "extremes"],
)
def test_extremes_are_told(pairs: list[Pair], rate: float, area: float) -> None:
    curve = curve_of(pairs)
    equal = curve.equal_error()
    assert equal
    assert equal[0] == rate
    assert 0 <= equal[1] <= 2
    assert curve.auc() == area


def test_the_tolerance_of_perfect_separation_makes_no_error() -> None:
    curve = curve_of(mated(1, 2) + non_mated(5, 6))
    equal = curve.equal_error()
    assert equal == (0.0, 2 / STEPS)
    errors = curve.at(2)
    assert (errors.fmr, errors.fnmr) == (0.0, 0.0)


def test_the_tolerance_itself_is_a_match() -> None:
    curve = curve_of(mated(5) + non_mated(5))
    assert (curve.at(4).fmr, curve.at(4).fnmr) == (0.0, 1.0)
    assert (curve.at(5).fmr, curve.at(5).fnmr) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("steps", "level", "expected"),
    [
        ((5, 6, 7), 0.0, 4),
        ((5, 6, 7), 1 / 3, 5),
        ((5, 5, 7), 1 / 3, 4),
        ((5, 5, 7), 0.999, 6),
        ((5, 5, 7), 1.0, MAX_STEP),
        ((0, 5, 7), 0.1, None),
        ((0, 5, 7), 1 / 3, 4),
        ((0, 0, 0), 0.5, None),
        ((1, 5, 7), 0.1, 0),
        ((MAX_STEP,), 0.5, MAX_STEP - 1),
    ],
)
def test_the_largest_tolerance_stops_before_one_match_too_many(
    steps: tuple[int, ...], level: float, expected: int | None
) -> None:
    assert curve_of(non_mated(*steps)).largest_step(level) == expected


@pytest.mark.parametrize(("level", "pairs", "allowed"), [(0.1, 30, 3), (0.3, 10, 3), (0.07, 100, 7), (1e-3, 3000, 3)])
def test_the_levels_rounding_costs_no_match(level: float, pairs: int, allowed: int) -> None:
    curve = curve_of(non_mated(*range(pairs)))
    assert curve.largest_step(level) == allowed - 1
    assert curve.at(allowed - 1).false_matches == allowed
