import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.calibration import Calibration, load_calibration, published
from face_engine.errors import CalibrationError
from face_engine.pipeline import FaceEngine

SOME = Calibration(
    encoder_id="some",
    distances=(0.3, 0.4, 0.6),
    false_match_rates=(0.0, 0.0001, 1.0),
    comparisons=1000,
    persons=50,
    source="a test",
    target_fmr=0.001,
    tolerance=0.45,
    tolerance_interval=(0.4, 0.5),
)
ENCODER = "dlib-resnet-v1:55533b28a958/5pt-150px-pad0.25/diagonal4/float32"


def calibration() -> Calibration:
    known = published(ENCODER)
    assert known
    return known


def test_the_default_engine_is_calibrated(engine: FaceEngine) -> None:
    known = published(engine.encoder_id)
    assert known
    assert known.encoder_id == engine.encoder_id
    assert known.comparisons == 443_145


def test_other_encoders_are_not(engine: FaceEngine) -> None:
    plain = FaceEngine.exact(engine.runtime, upsample=0).encoder_id
    for encoder_id in (plain, ENCODER.replace("float32", "tf32"), "", "fake/1"):
        assert published(encoder_id) is None


def test_the_table_grows_from_nothing_to_all() -> None:
    known = calibration()
    assert len(known.distances) == len(known.false_match_rates)
    assert all(near < far for near, far in pairwise(known.distances))
    assert all(near <= far for near, far in pairwise(known.false_match_rates))
    assert known.false_match_rates[-1] == 1.0


@pytest.mark.parametrize(("distance", "rate"), [(0.45, 7.4e-5), (0.5, 5.4e-4), (0.55, 2.9e-3), (0.6, 1.4e-2)])
def test_a_measured_point_has_its_rate(distance: float, rate: float) -> None:
    assert calibration().false_match_rate(distance) == pytest.approx(rate, rel=0.01)


def test_between_two_points_the_logarithm_is_linear() -> None:
    known = replace(SOME, distances=(0.4, 0.6, 0.8), false_match_rates=(0.001, 0.1, 1.0), comparisons=1_000_000)
    assert known.false_match_rate(0.5) == pytest.approx(0.01)
    assert known.false_match_rate(0.7) == pytest.approx(math.sqrt(0.1))


def test_no_rate_is_below_what_the_comparisons_can_tell() -> None:
    known = SOME
    for distance in (0.0, 0.2, 0.3, 0.4):
        assert known.false_match_rate(distance) == pytest.approx(0.003)
    assert calibration().false_match_rate(0.0) == pytest.approx(3 / 443_145)


def test_beyond_the_last_point_everybody_matches() -> None:
    for distance in (1.175, 1.5, 5.0, math.inf):
        assert calibration().false_match_rate(distance) == 1.0


@given(st.floats(0, 2), st.floats(0, 2))
def test_a_rate_grows_with_the_distance(one: float, other: float) -> None:
    near, far = sorted((one, other))
    assert 0 < calibration().false_match_rate(near) <= calibration().false_match_rate(far) <= 1


def test_few_comparisons_tell_nothing() -> None:
    assert replace(SOME, comparisons=2).false_match_rate(0.1) == 1.0


@pytest.mark.parametrize("calibration", [SOME, replace(SOME, tolerance=None, tolerance_interval=None)])
def test_what_is_written_is_read_again(tmp_path: Path, calibration: Calibration) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(calibration.to_json()))
    assert load_calibration(path) == calibration


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": "face-engine-calibration/2"}, "its schema is not face-engine-calibration/1"),
        ({"distances": []}, "it has no distances"),
        ({"distances": [0.3, 0.6]}, "not as many rates as distances"),
        ({"distances": [0.3, 0.3, 0.6]}, "its distances do not ascend"),
        ({"distances": [0.3, 0.4, float("inf")]}, "its distances do not ascend"),
        ({"false_match_rates": [0.0, 0.2, 0.1]}, "its rates do not grow"),
        ({"false_match_rates": [0.0, 0.1, 0.5]}, "its rates do not grow from 0 or more to 1"),
        ({"false_match_rates": [-0.1, 0.1, 1.0]}, "its rates do not grow from 0"),
        ({"false_match_rates": [float("nan"), 0.1, 1.0]}, "its rates do not grow from 0"),
        ({"comparisons": 0}, "no comparisons"),
        ({"comparisons": float("inf")}, "infinity"),
        ({"comparisons": None}, "NoneType"),
        ({"tolerance": 3}, "its tolerance is not between 0 and 2"),
        ({"tolerance": float("nan")}, "its tolerance is not between 0 and 2"),
        ({"tolerance_interval": [0.1]}, "index"),
        ({"tolerance_interval": [0.5, 0.4]}, "its tolerance_interval is none"),
        ({"tolerance_interval": [0.4, float("inf")]}, "its tolerance_interval is none"),
        ({"tolerance_interval": [0.4, 2.1]}, "its tolerance_interval is none"),
        ({"tolerance_interval": [-0.1, 0.4]}, "its tolerance_interval is none"),
        ({"tolerance_interval": [float("nan"), 0.4]}, "its tolerance_interval is none"),
        ({"persons": 0}, "it has no persons"),
        ({"persons": -3}, "it has no persons"),
        ({"persons": 1 << 53}, "it has no persons"),
        ({"source": "x" * 501}, "its source has more than 500 characters"),
        ({"source": "one\nmore"}, "some that are not printable"),
        ({"distances": "abc"}, "could not convert"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(SOME.to_json() | change))
    with pytest.raises(CalibrationError, match=problem):
        load_calibration(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b" " * 2_000_000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calibration.json"
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match="calibration file"):
        load_calibration(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"missing\.json: No such file or directory"):
        load_calibration(tmp_path / "missing.json")
