import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.calibration import Calibration, published
from face_engine.pipeline import FaceEngine

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
    known = Calibration("some", (0.4, 0.6, 0.8), (0.001, 0.1, 1.0), 1_000_000, "a test")
    assert known.false_match_rate(0.5) == pytest.approx(0.01)
    assert known.false_match_rate(0.7) == pytest.approx(math.sqrt(0.1))


def test_no_rate_is_below_what_the_comparisons_can_tell() -> None:
    known = Calibration("some", (0.3, 0.4, 0.6), (0.0, 0.0001, 1.0), 1000, "a test")
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
