"""The OpenAPI document: valid and complete. support.documented holds every answer of the other tests against it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

import face_api
import face_engine
from face_api import __version__
from face_api.errors import BusyError
from face_api.problems import PROBLEMS, problem
from face_api.store import KeysError, StoreDamagedError, StoreUnavailableError
from face_engine.errors import FaceCountError, ImageError, InferenceError
from support.api import V1, Json, app_of, check_problem, served
from support.documented import Documented

SPEC_PATHS = {"/enrollment_img/", "/analy_img/"}
NOT_OF_THE_API = ("/docs", "/openapi.json", "/healthz", "/readyz", "/metrics")
AUTHS = ["open", "keys"]


@pytest.fixture(scope="module", params=AUTHS)
def document(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Json]:
    with served(tmp_path_factory.mktemp(request.param), auth=request.param) as client:
        yield client.get("/openapi.json").json()


def test_it_is_openapi_3_1(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_it_is_of_this_version(document: Json) -> None:
    assert document["info"]["version"] == __version__


def test_the_validator_would_see_a_mistake(document: Json) -> None:
    mistaken = document | {"paths": {"/x": {"get": {"responses": {"200": {}}}}}}
    assert list(OpenAPIV31SpecValidator(mistaken).iter_errors())


def operations_of(document: Json) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}


def test_it_has_every_route_and_no_other(tmp_path: Path, document: Json) -> None:
    app: Starlette = app_of(tmp_path)
    routes = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route) and not route.path.startswith(NOT_OF_THE_API)
        for method in (route.methods or set()) - {"HEAD"}
    }
    without_slash = {("POST", path.rstrip("/")) for path in SPEC_PATHS}
    assert without_slash <= routes
    assert operations_of(document) == routes - without_slash
    assert operations_of(document) == {(endpoint.method, endpoint.path) for endpoint in V1} | {
        ("POST", path) for path in SPEC_PATHS
    }


def test_operations_have_names_of_their_own_and_known_tags(document: Json) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    tags = {tag for operation in operations for tag in operation["tags"]}
    assert tags == {tag["name"] for tag in document["tags"]}


def test_every_model_is_used(document: Json) -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert used == document["components"]["schemas"].keys()


def test_with_keys_it_says_so(tmp_path: Path) -> None:
    documents: dict[str, Json] = {}
    for auth in AUTHS:
        with served(tmp_path / auth, auth=auth) as client:
            documents[auth] = client.get("/openapi.json").json()
    assert "security" not in documents["open"]
    assert documents["keys"]["security"] == [{"bearer": []}, {"apiKey": []}]
    schemes = documents["keys"]["components"]["securitySchemes"]
    assert (schemes["bearer"]["scheme"], schemes["apiKey"]["name"]) == ("bearer", "X-API-Key")
    for methods in documents["keys"]["paths"].values():
        for operation in methods.values():
            assert {"401", "429"} <= operation["responses"].keys()


# The oracle itself.


def test_what_is_not_documented_is_noticed(still: TestClient) -> None:
    answer = still.get("/v1/companies")
    document: Json = still.get("/openapi.json").json()
    Documented(document).check(answer)
    told = document["paths"]["/v1/companies"]["get"]["responses"]
    good: Json = told.pop("200")
    with pytest.raises(AssertionError, match="200 is not documented"):
        Documented(document).check(answer)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"content": {"text/plain": {}}}, "application/json is not documented"),
        ({"content": {}}, "no content is documented"),
        ({"headers": {"Retry-After": {}}}, "Retry-After is missing"),
    ]
    for change, message in wrong:
        told["200"] = good | change
        with pytest.raises(AssertionError, match=message):
            Documented(document).check(answer)
    told["200"] = good | {"content": {"application/json": {"schema": {"required": ["total"]}}}}
    with pytest.raises(Exception, match="'total' is a required property"):
        Documented(document).check(answer)


def test_a_reason_that_is_not_documented_is_noticed(still: TestClient) -> None:
    answer = still.get("/v1/companies?limit=0")
    check_problem(answer, "query_invalid", 422, errors=answer.json()["errors"])
    document: Json = still.get("/openapi.json").json()
    told = document["paths"]["/v1/companies"]["get"]["responses"]["422"]
    told["description"] = told["description"].replace("query_invalid", "query")
    with pytest.raises(AssertionError, match="query_invalid is not documented"):
        Documented(document).check(answer)


# Reasons.

MODULES = [path for package in (face_api, face_engine) for path in Path(package.__path__[0]).rglob("*.py")]
TABLES = {"problems.py", "openapi.py"}
"""Name the reasons, and give none."""

MAKERS = {"RefusalError", "BrokenMessageError", "AccessError", "TooManyError", "BusyError", "_end", "_count"}
"""What is called with a reason."""

BASES = [ImageError, FaceCountError]
ERRORS = [InferenceError, StoreUnavailableError, StoreDamagedError, KeysError]


def nodes() -> Iterator[ast.AST]:
    for path in MODULES:
        if path.name not in TABLES:
            yield from ast.walk(ast.parse(path.read_text()))


def reasons_given() -> Iterator[str]:
    """Return each reason that stands where something is made of it; of f"{name}_invalid" nothing."""
    for node in nodes():
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in MAKERS:
            arguments = [argument for argument in node.args if not isinstance(argument, ast.Dict)]
            texts = [part for argument in arguments for part in ast.walk(argument) if isinstance(part, ast.Constant)]
            yield from (str(text.value) for text in texts if re.fullmatch("[a-z]+_[a-z_]+", str(text.value)))


def subclasses_of(error: type[Exception]) -> Iterator[type[Exception]]:
    for subclass in error.__subclasses__():
        yield subclass
        yield from subclasses_of(subclass)


def test_every_reason_is_a_problem() -> None:
    given = set(reasons_given())
    assert {"key_missing", "caller_gone", "too_many_attempts", "enrollment_unknown", "head_timeout"} <= given
    assert given - PROBLEMS.keys() == set()
    errors = [*ERRORS, *(subclass for base in BASES + ERRORS for subclass in subclasses_of(base))]
    assert {getattr(error, "reason", None) for error in errors} - PROBLEMS.keys() == set()


def test_every_problem_is_a_reason_somewhere() -> None:
    texts = [node.value for node in nodes() if isinstance(node, ast.Constant)]
    fields = {f"{name}_{end}" for name in ("company", "id", "gender", "age") for end in ("missing", "invalid")}
    assert PROBLEMS.keys() - set(texts) - fields == set()


def test_what_has_no_title_of_its_own_is_told_all_the_same() -> None:
    status, body = problem(BusyError("weights_missing"), "order-17")
    assert (status, body["status"], body["reason"]) == (503, 503, "weights_missing")
    assert body["title"] == "The service cannot answer now."
