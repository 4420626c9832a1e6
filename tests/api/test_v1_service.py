"""v1's counts and settings: how much is registered, and what the service runs with."""

import platform
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from face_api import __version__
from face_api.settings import PREFIX, Settings
from support.api import (
    ENROLLMENTS,
    TAMY,
    TAMY_AGAIN,
    Json,
    Planted,
    check_problem,
    enroll,
    new_key,
    served,
)

COUNTS, SETTINGS = "/v1/counts", "/v1/settings"
NONE = dict.fromkeys(
    ("companies", "users", "enrollments", "users_without_enrollment", "outdated_enrollments", "active_keys"), 0
)


def counts(client: TestClient, headers: dict[str, str] | None = None, **query: Any) -> Json:
    answer = client.get(COUNTS, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def settings_of(client: TestClient) -> dict[str, Json]:
    answer = client.get(SETTINGS)
    assert answer.status_code == 200, answer.text
    return {setting.pop("name"): setting for setting in answer.json()["settings"]}


def test_nothing_is_registered_at_first(client: TestClient) -> None:
    assert counts(client) == NONE


def test_what_was_enrolled_is_counted_of_all_and_of_one_company(client: TestClient) -> None:
    enroll(client, TAMY)
    removed = enroll(client, TAMY_AGAIN, ENROLLMENTS.replace("tamy", "joe"))
    enroll(client, TAMY, "/v1/companies/other/users/tamy/enrollments")
    client.delete(f"{ENROLLMENTS.replace('tamy', 'joe')}/{removed}")
    found = NONE | {"companies": 2, "users": 3, "enrollments": 2, "users_without_enrollment": 1}
    assert counts(client) == found
    assert counts(client, company="other") == NONE | {"companies": 1, "users": 1, "enrollments": 1}
    assert counts(client, company="nobodys") == NONE


def test_what_another_encoder_made_is_outdated(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        enroll(client, TAMY)
        assert counts(client)["outdated_enrollments"] == 0
    analyser = Planted()
    analyser.encoder_id = "another/1"
    with served(tmp_path, analyser) as client:
        assert counts(client)["outdated_enrollments"] == 1


def test_a_companys_key_counts_its_own(tmp_path: Path) -> None:
    with served(tmp_path, auth="keys") as client:
        admin, withminds, others = new_key(tmp_path), new_key(tmp_path, "withmind"), new_key(tmp_path, "other")
        enroll(client, TAMY, headers=admin.headers)
        assert counts(client, admin.headers)["active_keys"] == 3
        own = NONE | {"companies": 1, "users": 1, "enrollments": 1, "active_keys": 1}
        assert counts(client, withminds.headers) == counts(client, admin.headers, company="withmind") == own
        assert counts(client, others.headers) == NONE | {"companies": 1, "active_keys": 1}
        check_problem(
            client.get(COUNTS, params={"company": "other"}, headers=withminds.headers), "company_forbidden", 403
        )
        client.delete(f"/v1/keys/{others.key_id}", headers=admin.headers)
        assert counts(client, admin.headers)["active_keys"] == 2


def test_a_query_that_is_none_is_refused(still: TestClient) -> None:
    for query in ({"company": "With Mind"}, {"companies": "withmind"}):
        assert still.get(COUNTS, params=query).status_code == 422


def test_the_service_says_what_it_runs_with(still: TestClient) -> None:
    found = still.get(SETTINGS).json()
    del found["settings"]
    alive = still.get("/healthz").json()
    assert found == {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "database": "sqlite",
        "encoder_id": alive["encoder_id"],
        "runtime": alive["runtime"],
        "device": "cpu",
    }


def test_every_setting_is_told_and_who_chose_it(tmp_path: Path) -> None:
    with served(tmp_path, quality_gate=False, tolerance=0.6, image_types=("png",)) as client:
        found = settings_of(client)
    assert found.keys() == {PREFIX + name.upper() for name in Settings.model_fields}

    def told(value: str | None, *, is_default: bool) -> Json:
        return {"value": value, "is_default": is_default, "is_secret": False}

    assert found["FACE_API_DATA_DIR"] == told(str(tmp_path), is_default=False)
    assert found["FACE_API_QUALITY_GATE"] == told("false", is_default=False)
    assert found["FACE_API_TOLERANCE"] == told("0.6", is_default=False)
    assert found["FACE_API_IMAGE_TYPES"] == told("png", is_default=False)
    assert found["FACE_API_DEADLINE_S"] == told("30", is_default=True)
    assert found["FACE_API_PORT"] == told("8000", is_default=True)
    assert found["FACE_API_EXACT"] == told("false", is_default=True)
    assert found["FACE_API_TLS_CERT_FILE"] == told(None, is_default=True)


@pytest.mark.parametrize(
    ("value", "text"), [(0.61234567, "0.61234567"), (0.1 + 0.2, "0.30000000000000004"), (0.0, "0")]
)
def test_a_number_is_told_with_all_its_digits(tmp_path: Path, value: float, text: str) -> None:
    with served(tmp_path, tolerance=value) as client:
        assert settings_of(client)["FACE_API_TOLERANCE"]["value"] == text


def test_no_secret_is_told(tmp_path: Path) -> None:
    with served(tmp_path, limits_url="redis://:hush@127.0.0.1:1/0", limit_per_user="none") as client:
        answer = client.get(SETTINGS).text
        found = settings_of(client)
    assert "hush" not in answer
    secrets = {name for name, setting in found.items() if setting["is_secret"]}
    assert secrets == {"FACE_API_LIMITS_URL", "FACE_API_DATABASE_URL", "FACE_API_KEYS"}
    assert found["FACE_API_LIMITS_URL"] == {"value": None, "is_default": False, "is_secret": True}
    assert found["FACE_API_KEYS"] == {"value": None, "is_default": True, "is_secret": True}


def test_what_is_told_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value is written as the environment takes it."""
    with served(tmp_path, quality_gate=False, message_timeout_s=2.5) as client:
        found = settings_of(client)
    for name, setting in found.items():
        if setting["value"] is not None and name != "FACE_API_UPSAMPLE":  # which goes with FACE_API_EXACT alone
            monkeypatch.setenv(name, setting["value"])
    again = Settings()
    assert (again.quality_gate, again.message_timeout_s) == (False, 2.5)
    assert again.image_types == Settings.model_fields["image_types"].default
    assert again.data_dir == tmp_path
