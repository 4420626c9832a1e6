import json
from pathlib import Path
from typing import Any

import pytest

from face_engine.calibration import load_calibration
from face_engine.evaluation.calibrating import calibration_of
from face_engine.evaluation.labels import NO_FOLD
from face_engine.evaluation.rates import Tally
from support.evaluation import documents
from support.oracles import Pair, block

DISTANCES = (380_001, 455_000, 500_000, 612_345, 700_000)


def curve_of(*steps: int) -> Any:
    tally = Tally()
    tally.add(block([Pair(0, number, False, NO_FOLD, step) for number, step in enumerate(steps)]))
    return tally.curve()


def test_the_rates_are_those_that_were_counted(tmp_path: Path) -> None:
    results, manifest = documents(target_fmr=0.1)
    calibration = calibration_of(curve_of(*DISTANCES), results, manifest)
    assert calibration
    assert calibration.encoder_id == "fake/1"
    assert calibration.comparisons == 5
    assert (calibration.distances[0], calibration.distances[-1]) == (0.38, 0.7)
    rates = dict(zip(calibration.distances, calibration.false_match_rates, strict=True))
    assert [rates[distance] for distance in (0.38, 0.39, 0.45, 0.46, 0.5, 0.61, 0.62, 0.69, 0.7)] == [
        0.0,
        0.2,
        0.2,
        0.4,
        0.6,
        0.6,
        0.8,
        0.8,
        1.0,
    ]
    recommended = results["recommended"]["tolerance"]
    assert (calibration.target_fmr, calibration.tolerance) == (0.1, recommended["value"])
    assert calibration.tolerance_interval == (recommended["low"], recommended["high"])
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(calibration.to_json()))
    assert load_calibration(path) == calibration


@pytest.mark.parametrize("name", ["한글\u3000세트\n2", "x" * 5000])
def test_a_set_of_any_name_makes_a_calibration_that_is_read_again(tmp_path: Path, name: str) -> None:
    results, manifest = documents()
    results["data_set"]["name"] = name
    calibration = calibration_of(curve_of(*DISTANCES), results, manifest)
    assert calibration
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(calibration.to_json()))
    assert load_calibration(path) == calibration
    assert calibration.source.startswith(("한글 세트 2: ", "xxx"))


def test_too_few_pairs_recommend_nothing() -> None:
    results, manifest = documents(target_fmr=1e-6)
    calibration = calibration_of(curve_of(*DISTANCES), results, manifest)
    assert calibration
    assert (calibration.tolerance, calibration.tolerance_interval) == (None, None)


@pytest.mark.parametrize("steps", [(0,), (600_000,), (599_999, 600_001)])
def test_the_last_rate_is_one(steps: tuple[int, ...]) -> None:
    calibration = calibration_of(curve_of(*steps), *documents())
    assert calibration
    assert calibration.false_match_rates[-1] == 1.0
    assert list(calibration.distances) == sorted(set(calibration.distances))


def test_nothing_compared_calibrates_nothing() -> None:
    assert calibration_of(curve_of(), *documents()) is None
