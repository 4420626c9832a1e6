"""/healthz, /readyz and /metrics; /openapi.json and /docs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from face_api import __version__
from face_api.store import StoreUnavailableError
from face_api.store.database import Database
from support.api import (
    CROWD,
    EMPTY,
    ENROLLMENTS,
    TAMY,
    TAMYS,
    VERIFICATIONS,
    Headers,
    Planted,
    check_problem,
    enroll,
    new_key,
    opened,
    photo,
    post,
    send,
    served,
)
from support.store import rows

OPEN_PATHS = ["/healthz", "/readyz", "/openapi.json", "/docs"]
FOREIGN = {"Host": "faces.example", "X-Forwarded-For": "192.0.2.1", "Origin": "https://faces.example"}
URL = re.compile("https?://")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client without a key, of a service that asks for keys."""
    with served(tmp_path_factory.mktemp("keyed"), auth="keys") as client:
        yield client


@pytest.mark.parametrize("path", OPEN_PATHS)
def test_some_paths_are_for_everybody(keyed: TestClient, still: TestClient, path: str) -> None:
    assert keyed.get(path).status_code == 200
    assert still.get(path, headers=FOREIGN).status_code == 200


# Alive and ready.


def test_alive(client: TestClient) -> None:
    assert client.get("/healthz").json() == {
        "status": "ok",
        "version": __version__,
        "runtime": "fake",
        "device": "cpu",
        "encoder_id": "fake/1",
        "inference_workers": 1,
    }


def check_not_ready(client: TestClient, **checks: bool) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"status": "not ready", **checks}
    assert client.get("/healthz").status_code == 200


def test_ready_while_a_worker_is(client: TestClient, analyser: Planted) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "model": True, "database": True})
    analyser.ready_workers = 0
    check_not_ready(client, model=False, database=True)
    analyser.ready_workers = 1
    assert client.get("/readyz").status_code == 200


def test_ready_while_the_database_answers(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_database: Database) -> None:
        raise StoreUnavailableError("password=secret")

    with monkeypatch.context() as broken:
        broken.setattr(Database, "ping", fail)
        check_not_ready(client, model=True, database=False)
    assert client.get("/readyz").status_code == 200


def test_a_database_that_is_none_any_more_is_noticed(client: TestClient, tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        rows(store, "DROP TABLE alembic_version")
    check_not_ready(client, model=True, database=False)


# Figures.


def figures(client: TestClient, name: str, headers: Headers | None = None) -> dict[tuple[str, ...], float]:
    """Return the samples of a figure by their labels' values, in the order of the labels' names."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    found = [sample for sample in samples if sample.name == name]
    return {tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value for sample in found}


def test_figures_are_for_administrators(tmp_path: Path) -> None:
    admin, own = new_key(tmp_path), new_key(tmp_path, "withmind")
    with served(tmp_path, auth="keys") as client:
        check_problem(client.get("/metrics"), "key_missing", 401)
        check_problem(client.get("/metrics", headers=own.headers), "admin_required", 403)
        assert figures(client, "face_api_info", admin.headers)


def test_without_keys_figures_are_for_this_machine(client: TestClient) -> None:
    check_problem(client.get("/metrics", headers={"Host": "faces.example"}), "host_forbidden", 403)


def test_what_runs_is_told(client: TestClient) -> None:
    assert figures(client, "face_api_info") == {("cpu", "fake/1", "fake", __version__): 1}


def test_outcomes_are_counted_by_the_body_that_says_them(client: TestClient) -> None:
    assert figures(client, "face_api_outcomes_total") == {}
    for image in (TAMY, TAMY, EMPTY, b"GIF89a", photo("large").ljust(600_000)):
        post(client, "/enrollment_img/", image)
    post(client, "/enrollment_img/", TAMY, id="UPPER")
    for user, image in (("tamy", TAMY), ("tamy", CROWD), ("nobody", TAMY)):
        post(client, "/analy_img/", image, id=user)
    assert figures(client, "face_api_outcomes_total") == {
        ("enroll", "enrolled", "Success"): 1,
        ("enroll", "already_enrolled", "Success"): 1,
        ("enroll", "no_face", "Fail"): 1,
        ("enroll", "image_type_unsupported", "File type err"): 1,
        ("enroll", "image_too_large", "img_size_err"): 1,
        ("enroll", "id_invalid", "Fail"): 1,
        ("analyse", "compared", "verdicts"): 2,
        ("analyse", "user_unregistered", "unregistered user"): 1,
    }


def test_v1_is_counted_with_the_contract(client: TestClient, analyser: Planted) -> None:
    once = {"Idempotency-Key": "x"}
    for _ in range(2):
        send(client, ENROLLMENTS, TAMY, once)
    send(client, VERIFICATIONS, CROWD)
    post(client, "/analy_img/", CROWD)
    analyser.planted[EMPTY] = ZeroDivisionError()
    send(client, VERIFICATIONS, EMPTY)
    client.get(TAMYS)
    assert figures(client, "face_api_outcomes_total") == {
        ("enroll", "enrolled", "Success"): 1,
        ("enroll", "replayed", "Success"): 1,
        ("analyse", "compared", "verdicts"): 2,
        ("analyse", "internal_error", "Fail"): 1,
    }
    assert figures(client, "face_api_verdicts_total") == {
        ("enroll", "match"): 0,
        ("enroll", "dismatch"): 0,
        ("analyse", "match"): 2,
        ("analyse", "dismatch"): 4,
    }


def test_stages_are_measured(client: TestClient) -> None:
    enroll(client, TAMY)
    send(client, VERIFICATIONS, TAMY)
    counts = figures(client, "face_api_stage_seconds_count")
    stages = {"store", "decode", "detect", "align", "encode", "total"}
    assert counts == {
        **{("enroll", stage): 1 for stage in stages},
        **{("analyse", stage): 1 for stage in stages | {"match"}},
    }
    assert figures(client, "face_api_stage_seconds_sum")["analyse", "detect"] == pytest.approx(0.002)


def test_requests_are_counted_by_route_never_by_path(client: TestClient) -> None:
    enroll(client, TAMY)
    for path in (TAMYS, TAMYS.replace("tamy", "nobody"), "/nowhere/secret", "/v1/secret"):
        client.get(path)
    client.request("BREW", TAMYS)
    user = "/v1/companies/{company}/users/{user}"
    counts = figures(client, "face_api_http_requests_total")
    told = {labels: count for labels, count in counts.items() if not labels[1].startswith(("/metrics", "/openapi"))}
    assert told == {
        ("POST", user + "/enrollments", "201"): 1,
        ("GET", user, "200"): 1,
        ("GET", user, "404"): 1,
        ("other", user, "405"): 1,
        ("GET", "unknown", "404"): 2,
    }
    assert "secret" not in client.get("/metrics").text
    assert "tamy" not in client.get("/metrics").text


def test_the_line_and_the_workers_are_measured(client: TestClient, analyser: Planted) -> None:
    analyser.waiting, analyser.ready_workers = 3, 2
    assert figures(client, "face_api_queue_waiting") == {(): 3}
    assert figures(client, "face_api_inference_workers_ready") == {(): 2}
    assert figures(client, "face_api_in_flight") == {(): 0}  # who asks for the figures holds no message


# The document and its page.


def test_the_document_and_its_page_name_nothing_outside(client: TestClient) -> None:
    for path in ("/docs", "/docs/start.js", "/openapi.json"):
        assert not URL.search(client.get(path).text), path


def test_the_page_finds_all_that_it_loads_here(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    types = {path: client.get(f"/{path}").headers["content-type"].split(";")[0] for path in loaded}
    assert types == {
        "docs/favicon-32x32.png": "image/png",
        "docs/swagger-ui.css": "text/css",
        "docs/swagger-ui-bundle.js": "text/javascript",
        "docs/start.js": "text/javascript",
    }
    assert "SwaggerUIBundle" in client.get("/docs/swagger-ui-bundle.js").text
    assert "url: 'openapi.json'" in client.get("/docs/start.js").text


@pytest.mark.parametrize("path", ["/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"])
def test_the_page_may_reach_nothing_outside(client: TestClient, path: str) -> None:
    policy = dict(
        directive.strip().split(" ", 1) for directive in client.get(path).headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"  # and so no inline script
    sources: set[Any] = {source for sources in policy.values() for source in sources.split()}
    assert sources == {"'none'", "'self'", "'unsafe-inline'", "data:"}
    assert client.get(path).headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/docs/", "/docs/secret", "/docs/../app.py", "/docs/swagger-ui.css/x"])
def test_the_page_has_no_other_files(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_document_is_sent_again_only_where_it_has_changed(client: TestClient) -> None:
    tag = client.get("/openapi.json").headers["etag"]
    same = client.get("/openapi.json", headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    assert client.get("/openapi.json", headers={"If-None-Match": '"other"'}).status_code == 200
