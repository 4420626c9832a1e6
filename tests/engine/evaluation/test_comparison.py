import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from face_engine.errors import ReportError
from face_engine.evaluation.comparison import compare, holm, mcnemar
from face_engine.evaluation.progress import silent
from face_engine.evaluation.reports import Report, write_json
from face_engine.evaluation.results import SCHEMA
from face_engine.evaluation.scores import STEPS
from support import oracles
from support.oracles import Pair, blocks

COUNTS = st.integers(0, 60)
# SciPy's p of 38 and 1,044 pairs is 0, where it is 8e-256.
SCIPYS_ZERO = 1e-240

NEAR, FAR = STEPS // 2, STEPS
TOLERANCE = 0.6

FMR, FNMR, FOLDS = "FMR at the tolerance 0.6", "FNMR at the tolerance 0.6", "errors in the folds, of all pairs"
NO_DIFFERENCE = "none"


def level(name: str, tolerance: float | None) -> dict[str, Any]:
    supported = tolerance is not None
    return {
        "level": name,
        "fmr": float(name),
        "supported": supported,
        "tolerance": {"value": tolerance} if supported else None,
    }


def document(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return what a comparison reads of results.json."""
    return {
        "schema": SCHEMA,
        "settings": {"encoder_id": "fake/1", "tolerance": TOLERANCE},
        "data_set": {"hash": "ab" * 32, "pairs": len(pairs), "folds": 0},
        "acquisition": {"fta": {"count": 0}, "fte": {"count": 0}},
        "eer": {"value": 0.01},
        "at_tolerance": {"tolerance": TOLERANCE},
        "fnmr_at_fmr": [level("1e-1", None), level("1e-2", None)],
        "accuracy": None,
        "timing": {"images_per_second": 8.0},
    }


def in_folds(pairs: Sequence[Pair], *tolerances: float) -> dict[str, Any]:
    tested = [{"fold": number + 1, "tolerance": tolerance} for number, tolerance in enumerate(tolerances)]
    results = document(pairs)
    results["data_set"]["folds"] = len(tolerances)
    return results | {"accuracy": {"mean": 0.9, "folds": tested}}


def report(folder: Path, pairs: Sequence[Pair], results: dict[str, Any] | None = None, *, size: int = 1000) -> Report:
    """Write a report of these pairs, which were scored in blocks of at most so many."""
    made = Report(folder)
    with made.being_written():
        for _ in made.scores.write(blocks(pairs, size), len(pairs), silent):
            pass
        write_json(made.manifest_path, {"engine": {"version": "1.0", "source_sha256": "cd" * 32}})
        write_json(made.results_path, document(pairs) if results is None else results)
        photos = 1 + max((max(pair.reference, pair.probe) for pair in pairs), default=-1)
        made.photos_path.write_text("identity\n" + "".join(f"{number}\n" for number in range(photos)))
        made.remove_work()
    return made


def scored(*, mated: Sequence[int | None] = (), non_mated: Sequence[int | None] = ()) -> list[Pair]:
    """Return pairs in two folds by turns."""
    return [
        Pair(number, number + 1, is_mated, number % 2, steps)
        for is_mated, kind in ((True, mated), (False, non_mated))
        for number, steps in enumerate(kind)
    ]


def named(comparison: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {test["what"]: test for test in comparison["tests"]}


def verdicts(comparison: dict[str, Any]) -> dict[str, str]:
    return {test["what"]: test["verdict"] for test in comparison["tests"]}


GOOD = scored(mated=[NEAR] * 100, non_mated=[FAR] * 200)
"""No errors at the tolerance."""

REFUSING = scored(mated=[FAR] * 20 + [NEAR] * 80, non_mated=[FAR] * 200)
ACCEPTING = scored(mated=[NEAR] * 100, non_mated=[NEAR] * 20 + [FAR] * 180)


@given(COUNTS, COUNTS)
@example(10, 1065)
@example(1044, 38)
def test_mcnemars_p_is_the_exact_sum(worse: int, better: int) -> None:
    assert mcnemar(worse, better) == pytest.approx(float(oracles.mcnemar(worse, better)), rel=1e-12)


@given(st.integers(0, 3000), st.integers(0, 3000))
@example(0, 3000)
@example(2999, 3000)
@settings(max_examples=50)
def test_mcnemars_p_is_scipys(worse: int, better: int) -> None:
    expected = binomtest(worse, worse + better).pvalue if worse + better else 1.0
    assert mcnemar(worse, better) == pytest.approx(expected, rel=1e-9, abs=SCIPYS_ZERO)
    assert mcnemar(worse, better) == mcnemar(better, worse)


@pytest.mark.parametrize(
    ("worse", "better"),
    [(1_000_000, 1_000_000), (1_001_000, 1_000_000), (1_000_000, 1_004_000), (1_000_000, 1_020_000), (10, 1_000_000)],
)
def test_mcnemars_p_of_a_million_pairs_is_right(worse: int, better: int) -> None:
    found = mcnemar(worse, better)
    assert math.isfinite(found)
    assert found == pytest.approx(binomtest(worse, worse + better).pvalue, rel=1e-6, abs=SCIPYS_ZERO)


@pytest.mark.parametrize(
    ("worse", "better", "p"),
    [(0, 0, 1.0), (0, 1, 1.0), (0, 5, 0.0625), (6, 0, 0.03125), (9, 2, 0.06543), (1, 1, 1.0), (2, 1, 1.0)],
)
def test_mcnemars_p_is_as_published(worse: int, better: int, p: float) -> None:
    """9 and 2: Fay, Exact McNemar's test and matching confidence intervals, 2011, of R's package exact2x2."""
    assert mcnemar(worse, better) == pytest.approx(p, abs=5e-6)


@pytest.mark.parametrize(
    ("values", "corrected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.04, 0.04, 0.04], [0.12, 0.12, 0.12]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_holms_correction_is_as_published(values: list[float], corrected: list[float]) -> None:
    """The first: the example by which the correction is commonly taught, where 0.01 and 0.005 count at 0.05."""
    assert holm(values) == pytest.approx(corrected)


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.5))
def test_holms_correction_rejects_step_by_step(values: list[float], alpha: float) -> None:
    rejected: set[int] = set()
    for rank, index in enumerate(sorted(range(len(values)), key=lambda index: values[index])):
        if values[index] * (len(values) - rank) >= alpha:
            break
        rejected.add(index)
    corrected = holm(values)
    assert {index for index, value in enumerate(corrected) if value < alpha} == rejected
    assert all(p <= one <= min(1.0, p * len(values)) for p, one in zip(values, corrected, strict=True))


def test_a_report_is_no_worse_than_itself(tmp_path: Path) -> None:
    same = report(tmp_path / "old", ACCEPTING)
    comparison = compare(same, same, 0.05)
    assert not comparison["regression"]
    assert comparison["changes"] == []
    assert comparison["pairs"] == 300
    assert comparison["conclusion"] == "NEW is not worse beyond chance."
    assert verdicts(comparison) == {FMR: NO_DIFFERENCE, FNMR: NO_DIFFERENCE}
    for test in comparison["tests"]:
        assert test["worse"] == test["better"] == 0
        assert test["p_mcnemar"] == test["p_persons"] == test["p_corrected"] == 1.0


@pytest.mark.parametrize(("pairs", "what", "of"), [(REFUSING, FNMR, 100), (ACCEPTING, FMR, 200)])
def test_what_is_worse_is_named(tmp_path: Path, pairs: list[Pair], what: str, of: int) -> None:
    comparison = compare(report(tmp_path / "old", GOOD), report(tmp_path / "new", pairs), 0.05)
    assert comparison["regression"]
    assert comparison["conclusion"] == f"NEW is worse: {what}."
    assert verdicts(comparison) == {FMR: NO_DIFFERENCE, FNMR: NO_DIFFERENCE} | {what: "worse"}
    test = named(comparison)[what]
    assert (test["old"], test["new"], test["pairs"]) == (0.0, 20 / of, of)
    assert (test["worse"], test["better"]) == (20, 0)
    assert test["p_mcnemar"] == pytest.approx(2 * 0.5**20)
    assert test["p_mcnemar"] < test["p_persons"] < 0.01
    assert test["p_corrected"] == pytest.approx(2 * test["p_persons"])


def test_what_is_better_is_no_regression(tmp_path: Path) -> None:
    comparison = compare(report(tmp_path / "old", REFUSING), report(tmp_path / "new", GOOD), 0.05)
    assert not comparison["regression"]
    assert comparison["conclusion"] == f"NEW is not worse beyond chance. It is better: {FNMR}."
    assert verdicts(comparison)[FNMR] == "better"


def test_one_gain_does_not_pay_for_a_loss(tmp_path: Path) -> None:
    comparison = compare(report(tmp_path / "old", REFUSING), report(tmp_path / "new", ACCEPTING), 0.05)
    assert comparison["regression"]
    assert comparison["conclusion"] == f"NEW is worse: {FMR}. It is better: {FNMR}."


def test_errors_that_only_changed_places_are_no_difference(tmp_path: Path) -> None:
    other = scored(mated=[NEAR] * 80 + [FAR] * 20, non_mated=[FAR] * 200)
    comparison = compare(report(tmp_path / "old", REFUSING), report(tmp_path / "new", other), 0.05)
    test = named(comparison)[FNMR]
    assert (test["worse"], test["better"], test["p_mcnemar"], test["verdict"]) == (20, 20, 1.0, NO_DIFFERENCE)


def test_a_lone_p_just_below_the_limit_does_not_count(tmp_path: Path) -> None:
    new = scored(mated=[FAR] * 6 + [NEAR] * 94, non_mated=[FAR] * 200)
    reports = report(tmp_path / "old", GOOD), report(tmp_path / "new", new)
    comparison = compare(*reports, 0.05)
    test = named(comparison)[FNMR]
    assert test["p_mcnemar"] == pytest.approx(0.03125)
    assert test["p_corrected"] == pytest.approx(0.0625)
    assert not comparison["regression"]
    assert compare(*reports, 0.07)["regression"]


def test_an_alpha_that_the_draws_cannot_tell_is_refused(tmp_path: Path) -> None:
    reports = report(tmp_path / "old", GOOD), report(tmp_path / "new", REFUSING)
    with pytest.raises(ReportError, match=r"cannot tell a p below 0\.004: alpha must be above it"):
        compare(*reports, 0.003)
    assert compare(*reports, 0.005)["regression"]


def test_every_line_has_a_name_for_programs(tmp_path: Path) -> None:
    same = report(tmp_path / "old", GOOD)
    assert [test["metric"] for test in compare(same, same, 0.05)["tests"]] == ["fmr_at_tolerance", "fnmr_at_tolerance"]


def test_the_errors_of_one_person_are_chance(tmp_path: Path) -> None:
    old, new = ([Pair(0, number + 1, True, 0, steps) for number in range(100)] for steps in (NEAR, FAR))
    reports = report(tmp_path / "old", old), report(tmp_path / "new", new)
    for one in reports:
        one.photos_path.write_text("identity\n" + "0\n" * 101 + "1\n" * 10)
    test = named(compare(*reports, 0.05))[FNMR]
    assert test["p_mcnemar"] < 1e-20
    assert test["p_persons"] > 0.2
    assert test["verdict"] == NO_DIFFERENCE


def test_a_mated_pair_that_fails_now_is_worse(tmp_path: Path) -> None:
    new = scored(mated=[None] * 20 + [NEAR] * 80, non_mated=[FAR] * 200)
    comparison = compare(report(tmp_path / "old", GOOD), report(tmp_path / "new", new), 0.05)
    assert comparison["conclusion"] == f"NEW is worse: {FNMR}."


def test_a_non_mated_pair_that_fails_now_does_not_make_the_fmr_smaller(tmp_path: Path) -> None:
    new = scored(mated=[NEAR] * 100, non_mated=[None] * 20 + [FAR] * 180)
    comparison = compare(report(tmp_path / "old", ACCEPTING), report(tmp_path / "new", new), 0.05)
    test = named(comparison)[FMR]
    assert (test["old"], test["new"], test["pairs"]) == (0.0, 0.0, 180)
    assert (test["worse"], test["better"], test["verdict"]) == (0, 0, NO_DIFFERENCE)


def test_where_nothing_is_compared_any_more_only_refusals_are_told(tmp_path: Path) -> None:
    nothing = scored(mated=[None] * 100, non_mated=[None] * 200)
    comparison = compare(report(tmp_path / "old", GOOD), report(tmp_path / "new", nothing), 0.05)
    assert verdicts(comparison) == {FNMR: "worse"}


def test_each_report_is_told_at_its_own_tolerance(tmp_path: Path) -> None:
    stricter = document(GOOD) | {"at_tolerance": {"tolerance": 0.4}}
    comparison = compare(report(tmp_path / "old", GOOD), report(tmp_path / "new", GOOD, stricter), 0.05)
    assert verdicts(comparison) == {"FMR at the tolerance": NO_DIFFERENCE, "FNMR at the tolerance": "worse"}
    assert named(comparison)["FNMR at the tolerance"]["new"] == 1.0


def test_a_distance_on_the_tolerance_is_a_match(tmp_path: Path) -> None:
    old, new = (scored(mated=[600_000 + more] * 20) for more in (0, 1))
    comparison = compare(report(tmp_path / "old", old), report(tmp_path / "new", new), 0.05)
    test = named(comparison)[FNMR]
    assert (test["old"], test["new"]) == (0.0, 1.0)


def test_each_report_has_a_tolerance_for_an_fmr_of_its_own(tmp_path: Path) -> None:
    levels = (
        [level("1e-1", 0.7), level("1e-2", 0.45)],
        [level("1e-1", 0.45), level("1e-2", None)],
    )
    old, new = ({**document(GOOD), "fnmr_at_fmr": one} for one in levels)
    comparison = compare(report(tmp_path / "old", GOOD, old), report(tmp_path / "new", GOOD, new), 0.05)
    assert set(named(comparison)) == {FMR, FNMR, "FNMR at FMR 1e-1"}
    line = named(comparison)["FNMR at FMR 1e-1"]
    # Where the tolerance fell is chance: the distances are the same, and so is each draw's own tolerance.
    assert (line["worse"], line["p_persons"], line["verdict"]) == (100, 1.0, NO_DIFFERENCE)


def test_what_is_worse_at_any_tolerance_for_an_fmr_is_told(tmp_path: Path) -> None:
    old, new = ({**document(GOOD), "fnmr_at_fmr": [level("1e-1", 0.6)]} for _ in range(2))
    comparison = compare(report(tmp_path / "old", GOOD, old), report(tmp_path / "new", REFUSING, new), 0.05)
    assert verdicts(comparison)["FNMR at FMR 1e-1"] == "worse"


def test_each_fold_has_a_tolerance_of_its_own(tmp_path: Path) -> None:
    old, new = in_folds(GOOD, 0.6, 0.6), in_folds(GOOD, 0.6, 0.4)
    comparison = compare(report(tmp_path / "old", GOOD, old), report(tmp_path / "new", GOOD, new), 0.05)
    test = named(comparison)[FOLDS]
    assert (test["pairs"], test["worse"], test["better"], test["verdict"]) == (300, 50, 0, "worse")


def test_in_a_fold_any_pair_that_fails_is_an_error(tmp_path: Path) -> None:
    new = scored(mated=[NEAR] * 100, non_mated=[None] * 20 + [FAR] * 180)
    old_results, new_results = in_folds(GOOD, 0.6, 0.6), in_folds(new, 0.6, 0.6)
    comparison = compare(report(tmp_path / "old", GOOD, old_results), report(tmp_path / "new", new, new_results), 0.05)
    assert comparison["conclusion"] == f"NEW is worse: {FOLDS}."


def test_a_fold_that_was_not_tested_does_not_count(tmp_path: Path) -> None:
    results = in_folds(GOOD, 0.6, 0.6)
    del results["accuracy"]["folds"][1]
    same = report(tmp_path / "old", GOOD, results)
    assert named(compare(same, same, 0.05))[FOLDS]["pairs"] == 150


def test_what_is_no_test_is_told_as_a_change(tmp_path: Path) -> None:
    new = document(GOOD) | {"eer": None, "acquisition": {"fta": {"count": 3}, "fte": {"count": 0}}}
    new["settings"] = {"encoder_id": "fake/2", "tolerance": TOLERANCE}
    comparison = compare(report(tmp_path / "old", GOOD), report(tmp_path / "new", GOOD, new), 0.05)
    assert comparison["changes"] == [
        {"what": "encoder_id", "old": "fake/1", "new": "fake/2"},
        {"what": "FTA", "old": 0, "new": 3},
        {"what": "EER", "old": 0.01, "new": None},
    ]


def test_shards_are_compared_in_their_order(tmp_path: Path) -> None:
    old, new = (report(tmp_path / name, pairs, size=5) for name, pairs in (("old", GOOD), ("new", REFUSING)))
    assert len(list(old.scores.blocks())) == 4
    assert named(compare(old, new, 0.05))[FNMR]["worse"] == 20


def test_other_sets_do_not_compare(tmp_path: Path) -> None:
    other = document(GOOD)
    other["data_set"]["hash"] = "ef" * 32
    with pytest.raises(ReportError, match="not of the same pairs: their data sets differ"):
        compare(report(tmp_path / "old", GOOD), report(tmp_path / "new", GOOD, other), 0.05)


@pytest.mark.parametrize(
    "pair",
    [
        Pair(7, 1, True, 0, NEAR),
        Pair(0, 7, True, 0, NEAR),
        Pair(0, 1, False, 0, NEAR),
        Pair(0, 1, True, 1, NEAR),
    ],
)
def test_other_pairs_do_not_compare(tmp_path: Path, pair: Pair) -> None:
    with pytest.raises(ReportError, match="not of the same pairs"):
        compare(report(tmp_path / "old", GOOD), report(tmp_path / "new", [pair, *GOOD[1:]]), 0.05)


@pytest.mark.parametrize(("old_size", "new_size"), [(1000, 5), (5, 1000), (5, 6)])
def test_other_shards_do_not_compare(tmp_path: Path, old_size: int, new_size: int) -> None:
    old, new = (report(tmp_path / name, GOOD, size=size) for name, size in (("old", old_size), ("new", new_size)))
    with pytest.raises(ReportError, match="not of the same pairs"):
        compare(old, new, 0.05)


@pytest.mark.parametrize("shards", [1, 4])
def test_missing_scores_are_told(tmp_path: Path, shards: int) -> None:
    old, new = (report(tmp_path / name, GOOD, size=5) for name in ("old", "new"))
    for made in (old, new):
        for path in sorted((made.folder / "scores").iterdir())[:shards]:
            path.unlink()
    with pytest.raises(ReportError, match=r"not complete: \d+ of 300 pairs"):
        compare(old, new, 0.05)


@pytest.mark.parametrize("name", ["results.json", "manifest.json", "scores/000000.npy"])
@pytest.mark.parametrize("data", [None, b"", b"{", b"[]", b"\x80\0\xff"])
def test_missing_and_damaged_files_are_told(tmp_path: Path, name: str, data: bytes | None) -> None:
    old, new = report(tmp_path / "old", GOOD), report(tmp_path / "new", GOOD)
    path = new.folder / name
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ReportError):
        compare(old, new, 0.05)


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": "face-engine-evaluation/0"},
        {"schema": None},
        {"settings": []},
        {"data_set": None},
        {"data_set": {"hash": "ab" * 32}},
        {"at_tolerance": {"tolerance": "0.6"}},
        {"at_tolerance": {"tolerance": 1e999}},
        {"fnmr_at_fmr": [{"level": "1e-1", "supported": True}, level("1e-2", None)]},
        {"accuracy": {"folds": [{"fold": 9, "tolerance": 0.6}]}},
        {"accuracy": {"folds": [{"fold": -5, "tolerance": 0.6}]}},
        {"accuracy": {"folds": []}, "data_set": {"hash": "ab" * 32, "pairs": 300, "folds": 10**15}},
        {"accuracy": []},
        {"data_set": {"hash": "ab" * 32, "pairs": "many", "folds": 0}},
        {"eer": 0.01},
        {"acquisition": {}},
    ],
)
def test_results_that_are_none_are_told(tmp_path: Path, damage: dict[str, Any]) -> None:
    damaged = report(tmp_path / "damaged", GOOD)
    damaged.results_path.write_text(json.dumps(document(GOOD) | damage))
    with pytest.raises(ReportError):
        compare(damaged, damaged, 0.05)


def test_other_levels_of_fmr_are_told(tmp_path: Path) -> None:
    new = document(GOOD) | {"fnmr_at_fmr": [level("1e-1", 0.5)]}
    with pytest.raises(ReportError, match="damaged"):
        compare(report(tmp_path / "old", GOOD), report(tmp_path / "new", GOOD, new), 0.05)


@pytest.mark.parametrize("wrong", [Pair(0, 1, True, 7, NEAR), Pair(0, 1, True, -7, NEAR)])
def test_scores_of_a_fold_that_the_results_do_not_have_are_told(tmp_path: Path, wrong: Pair) -> None:
    pairs = [wrong, *GOOD[1:]]
    damaged = report(tmp_path / "damaged", pairs, in_folds(pairs, 0.6, 0.6))
    with pytest.raises(ReportError, match="damaged"):
        compare(damaged, damaged, 0.05)


def test_scores_of_photos_that_are_not_listed_are_told(tmp_path: Path) -> None:
    old, new = report(tmp_path / "old", GOOD), report(tmp_path / "new", REFUSING)
    old.photos_path.write_text("identity\n0\n")
    with pytest.raises(ReportError, match="damaged"):
        compare(old, new, 0.05)
