"""`face-api serve` and API keys, as operators meet them: what is not safe does not start, and says what to do."""

from pathlib import Path
from typing import Any

import pytest

from support.command import Outcome, face_api
from support.server import running_server

REMEDY = "make an administrator's key with `face-api keys create --admin`"


def serve(data_dir: Path, *options: str, **settings: Any) -> Outcome:
    """Run `face-api serve` where it is expected to refuse."""
    return face_api("serve", "--port", "0", "--data-dir", data_dir, *options, **settings)


def refusal_of(outcome: Outcome) -> str:
    """Return the line that says why. What was logged before, when a new database was made, is JSON."""
    outcome.expect(3)
    *logged, refusal = outcome.err.splitlines()
    assert all(line.startswith("{") for line in logged), outcome.err
    return refusal


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - it must be refused
def test_without_keys_it_listens_on_this_machine_alone(tmp_path: Path, host: str) -> None:
    refusal = refusal_of(serve(tmp_path, "--host", host))
    assert refusal.startswith(f"face-api: FACE_API_HOST={host} can be reached from elsewhere")
    assert f"{REMEDY} and set FACE_API_AUTH=keys, or listen on 127.0.0.1" in refusal


def test_with_keys_it_does_not_start_before_there_is_one(tmp_path: Path) -> None:
    for _ in range(2):
        refusal = refusal_of(serve(tmp_path, auth="keys"))
        assert refusal == f"face-api: FACE_API_AUTH=keys, and there is no key that could be let in: {REMEDY}"
        # Nor with one that was revoked.
        secret = face_api("keys", "create", "--admin", "--data-dir", tmp_path).expect().strip()
        face_api("keys", "revoke", secret.split("_")[1], "--data-dir", tmp_path).expect()


def test_it_starts_once_there_is_a_key_and_lets_its_owner_in(tmp_path: Path) -> None:
    secret = face_api("keys", "create", "--admin", "--data-dir", tmp_path).expect().strip()
    with running_server(tmp_path, auth="keys") as server:
        assert server.client.get("/v1/companies").status_code == 401
        admin = {"Authorization": f"Bearer {secret}"}
        made = server.client.post("/v1/keys", json={"company": "withmind"}, headers=admin).json()
        own = {"X-API-Key": made["secret"]}
        companies = server.client.get("/v1/companies", headers=own).json()["items"]
        assert [company["name"] for company in companies] == ["withmind"]
        face_api("keys", "revoke", made["key_id"], "--data-dir", tmp_path).expect()
        assert server.client.get("/v1/companies", headers=own).status_code == 401
    for line in server.log:
        assert secret not in line
        assert made["secret"] not in line


def test_a_url_of_redis_that_is_none_is_named_and_its_password_is_not(tmp_path: Path) -> None:
    refusal = refusal_of(serve(tmp_path, limits_url="redis://:hunter2@127.0.0.1:port"))
    assert refusal == "face-api: FACE_API_LIMITS_URL is no URL such as redis://host:6379/0"
