import json
from typing import Any

import pytest

from face_engine.evaluation.summary import headline, percent, table, why_withheld
from support.evaluation import NAMES, results


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (None, "-"),
        (0.0, "0%"),
        (1.0, "100%"),
        (0.5, "50%"),
        (0.123456, "12.35%"),
        (0.0123456, "1.23%"),
        (0.00001, "0.001%"),
        (0.0000012, "0.00012%"),
        (0.999999, "100%"),
    ],
)
def test_a_rate_is_told_as_a_percentage(rate: float | None, text: str) -> None:
    assert percent(rate) == text


def test_the_headline_is_one_line_of_numbers() -> None:
    document = results()
    told = headline(document, "report")
    assert json.loads(json.dumps(told)) == told
    assert told["accuracy_mean"] == document["accuracy"]["mean"]
    assert told["accuracy_se"] == document["accuracy"]["standard_error"]
    assert told["eer"] == document["eer"]["value"]
    assert list(told["fnmr_at_fmr"]) == [f"1e-{power}" for power in range(1, 7)]
    assert told["fnmr_at_fmr"]["1e-1"] == document["fnmr_at_fmr"][0]["fnmr"]["value"]
    assert told["fnmr_at_fmr"]["1e-6"] is None
    assert (told["fta"], told["fte"], told["pairs"], told["images"]) == (0.0, 0.0, 630, 36)
    assert told["images_per_second"] == 24.0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"names": NAMES[:1]},
        {"photos_each": 1},
        {"without_face": tuple(range(36))},
        {"subgroups": {"sex": ["f", "m"] * 6, "lone": ["x"] + [""] * 11}},
        {"problems": ["one", "two"]},
    ],
)
def test_the_table_is_whole_whatever_is_missing(options: dict[str, object]) -> None:
    document = results(**options)
    told = headline(document, "report")
    lines = table(document, "report")
    assert lines[-1] == "Report: report/report.html"
    assert sum("FNMR at FMR" in line for line in lines) == 6
    assert any(f"withheld: {why_withheld(document, 1e-6)}" in line for line in lines)
    assert ("EER" in "\n".join(lines)) == (told["eer"] is not None)
    assert any("2 problems in the set skipped" in line for line in lines) == ("problems" in options)
    assert not any("None" in line or "nan" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "fmr", "reason"),
    [
        ({}, 0.001, "it takes 3,000 non-mated pairs, and 594 were compared"),
        ({"photos_each": 1}, 0.1, "the set has no mated pair"),
        ({}, 0.1, "at a tolerance of 0 more strangers match already"),
    ],
)
def test_why_a_level_is_withheld(options: dict[str, Any], fmr: float, reason: str) -> None:
    assert why_withheld(results(**options), fmr) == reason


@pytest.mark.parametrize(
    ("notes", "line"),
    [([], None), (["a.txt: one"], "a.txt: one"), (["a: x", "b: y", "c: z"], "a: x; and 2 more notes in results.json")],
)
def test_the_first_note_is_shown(notes: list[str], line: str | None) -> None:
    document = results()
    document["data_set"]["notes"] = notes
    assert table(document, "report")[2] == (line or "")
