"""The document as a whole: that it keeps to its schema, and that its parts agree with each other."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import numpy as np
import pytest

from face_engine.evaluation.labels import NO_FOLD
from face_engine.evaluation.rates import Tally
from face_engine.evaluation.results import (
    FMR_LEVELS,
    MAX_CURVE_POINTS,
    SCHEMA,
    _histogram,
    _thinned,
)
from support.evaluation import NAMES, results
from support.oracles import Pair, block

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads(files("face_engine.evaluation").joinpath("results.schema.json").read_bytes())
)
SUBGROUPS = {"sex": ["f", "m"] * 6, "lone": ["x"] + [""] * 11}
SETTINGS = {"exact_upsample": None, "face": "centre", "max_non_mated": 1_000_000}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "subgroups": {"subgroups": SUBGROUPS},
    "failures": {"without_face": (0, 4), "problems": ["something is wrong"]},
    "nothing compared": {"without_face": range(36)},
    "one person": {"names": NAMES[:1]},
    "strangers": {"photos_each": 1},
    "far apart": {"within": 0.01},
    "a rare error": {"target_fmr": 1e-6},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_document_keeps_to_its_schema(kind: str) -> None:
    document = results(**KINDS[kind])
    document["settings"] = SETTINGS | document["settings"]
    VALIDATOR.validate(document)
    assert document["schema"] == SCHEMA
    assert list(document)[-1] == "timing"


def test_every_field_of_the_schema_is_described() -> None:
    schema = VALIDATOR.schema
    assert isinstance(schema, dict)
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["properties"]["schema"]["const"] == SCHEMA


def test_the_figures_agree_with_each_other() -> None:
    document = results(without_face=(0, 4))
    data, at = document["data_set"], document["at_tolerance"]
    assert data["pairs"] == data["mated_pairs"] + data["non_mated_pairs"] == 36 * 35 // 2
    assert at["fnmr"]["of"] == data["mated_pairs"]
    assert at["fmr"]["of"] == data["non_mated_pairs"] - data["non_mated_pairs_not_compared"]
    assert at["fnmr_compared"]["of"] == data["mated_pairs"] - data["mated_pairs_not_compared"]
    assert at["fnmr"]["count"] == at["fnmr_compared"]["count"] + data["mated_pairs_not_compared"]
    same = next(one for one in document["by_tolerance"] if one["tolerance"] == at["tolerance"])
    assert (same["fmr"], same["fnmr"]) == (at["fmr"], at["fnmr"])
    assert sum(document["histogram"]["non_mated"]) == at["fmr"]["of"]
    assert sum(document["histogram"]["mated"]) == at["fnmr_compared"]["of"]
    assert at["gfar"]["of"] == data["non_mated_pairs"]
    assert at["gfrr"]["count"] >= at["fnmr"]["count"]
    for rate in (at["fmr"], at["fnmr"], at["gfar"], document["acquisition"]["fta"]):
        assert rate["low"] <= rate["value"] == rate["count"] / rate["of"] <= rate["high"]


def test_a_level_is_withheld_where_the_pairs_cannot_tell_it() -> None:
    document = results()
    compared = document["at_tolerance"]["fmr"]["of"]
    assert [one["level"] for one in document["fnmr_at_fmr"]] == [level for level, _ in FMR_LEVELS]
    for one in document["fnmr_at_fmr"]:
        assert one["supported"] == (one["fmr"] * compared >= 3)
        if one["supported"]:
            there = one["fmr_there"]
            assert there["count"] <= one["fmr"] * compared
            assert one["tolerance"]["value"] == round(one["tolerance"]["value"], 4)
            assert one["tolerance"]["low"] <= one["tolerance"]["value"] <= one["tolerance"]["high"]
        else:
            assert one["fnmr"] is one["tolerance"] is one["fmr_there"] is None


def test_intervals_reach_as_far_as_the_draws_of_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(document: dict[str, Any]) -> list[tuple[float, float]]:
        at, (level, *_) = document["at_tolerance"], document["fnmr_at_fmr"]
        figures = [document["eer"], at["fmr"], at["fnmr"], level["fnmr"], level["fmr_there"], level["tolerance"]]
        return [(one["low"], one["high"]) for one in figures]

    assert (0.0, 1.0) not in ends(results())
    monkeypatch.setattr("face_engine.evaluation.results.percentiles", lambda _draws: (0.0, 1.0))
    # Documents are made once: of these options nobody else asks for one.
    assert set(ends(results(target_fmr=0.0123))) == {(0.0, 1.0)}


def test_the_same_set_gives_the_same_document() -> None:
    one, other = results(subgroups=SUBGROUPS), results(subgroups=SUBGROUPS)
    assert json.dumps(one) == json.dumps(other)


def test_the_worst_pairs_say_whether_they_are_errors() -> None:
    document = results()
    tolerance = document["at_tolerance"]["tolerance"]
    for pair in document["worst"]["false_matches"]:
        assert pair["is_error"] == (pair["distance"] <= tolerance)
        assert pair["photos"][0]["person"] != pair["photos"][1]["person"]
    for pair in document["worst"]["false_non_matches"]:
        assert pair["is_error"] == (pair["distance"] > tolerance)
        assert pair["photos"][0]["person"] == pair["photos"][1]["person"]
    distances = [pair["distance"] for pair in document["worst"]["false_matches"]]
    assert distances == sorted(distances)


def test_a_bin_holds_its_upper_edge() -> None:
    tally = Tally()
    tally.add(block([Pair(0, 1, True, NO_FOLD, step) for step in (0, 1, 20_000, 20_001, 40_000)]))
    tally.add(block([Pair(0, 2, False, NO_FOLD, 60_001)]))
    assert _histogram(tally) == {"width": 0.02, "mated": [3, 2, 0, 0], "non_mated": [0, 0, 0, 1]}


@pytest.mark.parametrize("count", [3, 5_000])
def test_the_curve_is_thinned_and_keeps_its_ends(count: int) -> None:
    rng = np.random.default_rng(0)
    tally = Tally()
    tally.add(block([Pair(0, 1, True, NO_FOLD, int(step)) for step in rng.integers(1, 900_000, count)]))
    tally.add(block([Pair(0, 2, False, NO_FOLD, int(step)) for step in rng.integers(300_000, 1_200_000, count)]))
    curve = tally.curve()
    points = _thinned(curve)
    assert points
    tolerances, fmr, fnmr = points["tolerance"], points["fmr"], points["fnmr"]
    assert len(tolerances) == len(fmr) == len(fnmr) <= MAX_CURVE_POINTS + 2
    assert (fmr[0], fnmr[0], fmr[-1], fnmr[-1]) == (0, 1, 1, 0)
    assert tolerances == sorted(tolerances)
    for tolerance, one, other in zip(tolerances, fmr, fnmr, strict=True):
        errors = curve.at(round(tolerance * 1_000_000))
        assert (errors.fmr, errors.fnmr) == (one, other)
