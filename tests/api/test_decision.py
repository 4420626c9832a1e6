import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from face_api.cli.serve import tell_tolerance
from face_api.services.decision import Decision
from face_api.settings import Settings, SettingsError
from face_api.store import Applied
from face_engine.calibration import Calibration, published
from face_engine.errors import CalibrationError
from support.api import ENROLLMENTS, TAMY, TAMY_AGAIN, VERIFICATIONS, app_of, enroll, opened, send, served
from support.command import face_api
from support.fakes import ENCODER_ID
from support.made import begin_sqlite
from support.store import CALLER, rows

DEFAULT_ENCODER = "dlib-resnet-v1:55533b28a958/5pt-150px-pad0.25/diagonal4/float32"


def calibration_file(folder: Path, tolerance: float | None = 0.45, encoder_id: str = ENCODER_ID) -> Path:
    calibration = Calibration(
        encoder_id=encoder_id,
        distances=(0.25, 0.5, 1.0),
        false_match_rates=(0.01, 0.1, 1.0),
        comparisons=100_000,
        persons=500,
        source="a test",
        target_fmr=0.05,
        tolerance=tolerance,
        tolerance_interval=None if tolerance is None else (0.4, 0.5),
    )
    path = folder / "calibration.json"
    path.write_text(json.dumps(calibration.to_json()))
    return path


@pytest.mark.parametrize(
    ("given", "recommended", "tolerance", "origin"),
    [
        ({}, 0.45, 0.45, "FILE, for an FMR of 0.05 by 100,000 comparisons"),
        ({"tolerance": 0.7}, 0.45, 0.7, "FACE_API_TOLERANCE"),
        ({"tolerance": 0.6}, 0.45, 0.6, "FACE_API_TOLERANCE"),
        ({}, None, 0.6, "the default, since the calibration file recommends none"),
    ],
)
def test_what_was_set_wins_over_what_is_recommended(
    tmp_path: Path, given: dict[str, Any], recommended: float | None, tolerance: float, origin: str
) -> None:
    path = calibration_file(tmp_path, recommended)
    decision = Decision.from_settings(Settings(calibration_file=path, **given))
    assert (decision.tolerance, decision.origin.replace(str(path), "FILE")) == (tolerance, origin)


def test_without_a_file_the_published_rates_are_told() -> None:
    decision = Decision.from_settings(Settings())
    assert (decision.tolerance, decision.origin) == (0.6, "the default")
    assert decision.calibration(DEFAULT_ENCODER) == published(DEFAULT_ENCODER) is not None
    assert decision.calibration("fake/1") is None
    decision.check("whatever")


def test_the_file_decides_and_its_rates_are_told(tmp_path: Path) -> None:
    with served(tmp_path, calibration_file=calibration_file(tmp_path)) as client:
        enroll(client, TAMY, ENROLLMENTS)
        (same,) = send(client, VERIFICATIONS, TAMY).json()["persons"]
        (again,) = send(client, VERIFICATIONS, TAMY_AGAIN).json()["persons"]
    assert (same["verdict"], same["tolerance"]) == ("match", 0.45)
    assert (again["verdict"], again["distance"]) == ("dismatch", 0.5)
    assert same["estimated_false_match_rate"] == pytest.approx(0.01)
    assert again["estimated_false_match_rate"] == pytest.approx(0.1)


def test_a_file_of_another_encoder_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="was measured with the encoder other/1, and this service has fake/1"):
        Decision.from_settings(Settings(calibration_file=calibration_file(tmp_path, encoder_id="other/1"))).check(
            ENCODER_ID
        )
    path = calibration_file(tmp_path)
    face_api("serve", "--port", "0", "--data-dir", tmp_path / "data", calibration_file=path).expect_refusal(
        "FACE_API_CALIBRATION_FILE was measured with the encoder fake/1, and this service has dlib-resnet-v1:"
    )
    assert not (tmp_path / "data").exists()


def test_what_is_no_calibration_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text("{}")
    with pytest.raises(CalibrationError, match="is no calibration file of this version"):
        app_of(tmp_path / "data", calibration_file=path)
    face_api("serve", "--port", "0", "--data-dir", tmp_path / "data", calibration_file=path).expect_refusal(
        "calibration.json: is no calibration file of this version: its schema is not face-engine-calibration/1"
    )


@pytest.mark.parametrize(
    ("given", "made_by", "told"),
    [
        ({}, ENCODER_ID, ["the tolerance is 0.52, from what key applied at 2026-03-01 12:00 UTC"]),
        (
            {},
            "other/1",
            [
                "a tolerance was applied for other/1, and is not used: this service has fake/1",
                "the tolerance is 0.6, from the default",
            ],
        ),
        (
            {"tolerance": 0.7},
            ENCODER_ID,
            [
                "the tolerance 0.52, which was applied, is not used: FACE_API_TOLERANCE outranks it",
                "the tolerance is 0.7, from FACE_API_TOLERANCE",
            ],
        ),
    ],
)
def test_a_start_tells_which_tolerance_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, given: dict[str, Any], made_by: str, told: list[str]
) -> None:
    begin_sqlite(tmp_path)
    caplog.set_level(logging.INFO, "face_api.cli.serve")
    decision = Decision.from_settings(Settings(**given))
    with opened(tmp_path) as store:
        tell_tolerance(store, decision, ENCODER_ID)
        assert caplog.messages[-1].startswith(f"the tolerance is {decision.tolerance:g}, from ")
        at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        store.decisions.apply(CALLER, Applied(0.52, made_by, "", None, at, "key"), decision.tolerance)
        caplog.clear()
        tell_tolerance(store, decision, ENCODER_ID)
        assert caplog.messages == told
        assert [record.levelname for record in caplog.records][:-1] == ["WARNING"] * (len(told) - 1)
        rows(store, "UPDATE applied_decisions SET token = 'another'")
        caplog.clear()
        tell_tolerance(store, decision, ENCODER_ID)
        # The store's opening told it; and another encoder's is nothing to us.
        assert caplog.messages == ([] if made_by == ENCODER_ID else told)
