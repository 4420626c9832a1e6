"""The OpenAPI 3.1 document of both endpoints of the specification and of v1, made of what declares them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from face_api import __version__
from face_api.access import KEY_HEADER
from face_api.middleware import REQUEST_ID_HEADER, REQUEST_ID_PATTERN
from face_api.problems import PROBLEMS
from face_api.requests import NAME_PATTERN
from face_api.responses import PROBLEM_TYPE, REASON_HEADER, TIMING_HEADER
from face_api.routes.spec import ANALYSIS_PATH, ENROLLMENT_PATH
from face_api.routes.v1.endpoints import PNG, Endpoint
from face_api.routes.v1.once import KEY_HEADER as IDEMPOTENCY_HEADER
from face_api.routes.v1.once import KEY_PATTERN, REPLAYED_HEADER
from face_api.routes.v1.schemas import Problem
from face_api.settings import Settings

JSON = "application/json"
FORM = "multipart/form-data"

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"
_PATH_PARAMETER = re.compile(r"{(\w+)}")

_ALWAYS = ("internal_error",)
_WITH_KEYS = ("key_missing", "key_invalid", "too_many_requests")
_WITHOUT_KEYS = ("proxy_forbidden", "host_forbidden", "origin_forbidden")
_WITH_STORE = ("overloaded", "deadline_exceeded", "store_unavailable", "store_damaged", "audit_broken")
_WITH_MESSAGE = ("message_incomplete", "message_too_large")
_WITH_NETWORKS = ("inference_failed", "inference_out_of_memory", "inference_timeout", "inference_worker_lost")
_WITH_PHOTO = ("form_invalid", "image_missing", "image_repeated", *_WITH_NETWORKS)
_IDEMPOTENT = ("idempotency_key_invalid", "idempotency_key_in_use", "idempotency_key_reused")

_FIELDS: Mapping[str, Json] = {
    "company": {"type": "string", "pattern": f"^{NAME_PATTERN}$", "examples": ["withmind"]},
    "id": {"type": "string", "pattern": f"^{NAME_PATTERN}$", "examples": ["tamy"]},
    "gender": {"type": "string", "enum": ["0", "1"], "description": "0 female, 1 male"},
    "age": {"type": "string", "pattern": "^([0-9]{1,2}|1[0-4][0-9]|150)$"},
    "image": {"type": "string", "contentMediaType": "image/*", "format": "binary"},
}

_ERROR_RESULT: Json = {
    "type": "object",
    "required": ["message", "reason"],
    "additionalProperties": False,
    "properties": {"message": {"const": "Fail"}, "reason": {"enum": ["img_size_err", "File type err"]}},
}
_UNREGISTERED_RESULT: Json = {
    "type": "object",
    "required": ["result"],
    "additionalProperties": False,
    "properties": {"result": {"const": "unregistered user"}},
}
_VERDICTS_RESULT: Json = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "patternProperties": {"^person_[1-9][0-9]*$": {"enum": ["match", "dismatch"]}},
}


def openapi_document(endpoints: Sequence[Endpoint], settings: Settings) -> Json:
    """Return the document as the settings make it: with keys, or without."""
    with_keys = settings.auth == "keys"
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
    for endpoint in endpoints:
        models += [(body, "serialization") for body in endpoint.answers.values() if isinstance(body, type)]
        if endpoint.body is not None:
            models.append((endpoint.body, "validation"))
    references, definitions = models_json_schema(models, ref_template=_REF)
    paths: dict[str, Json] = defaultdict(dict)
    for name, summary, fields, results in (
        (ENROLLMENT_PATH, "안면 이미지 등록: register a photo", ("gender", "age"), [{"enum": ["Success", "Fail"]}]),
        (
            ANALYSIS_PATH,
            "안면 이미지 분석: compare every face of a photo",
            (),
            [{"const": "Fail"}, _UNREGISTERED_RESULT, _VERDICTS_RESULT],
        ),
    ):
        paths[name + "/"]["post"] = _contract_operation(name, summary, fields, [*results, _ERROR_RESULT], with_keys)
    for endpoint in endpoints:
        paths[endpoint.path][endpoint.method.lower()] = _operation(endpoint, references, with_keys)
    document: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "Face verification",
            "version": __version__,
            "summary": "Enroll a photo of a user, then ask of every face in another photo whether it is that user.",
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "tags": _TAGS,
        "paths": dict(paths),
        "components": {"schemas": definitions.get("$defs", {}), "headers": _HEADERS},
    }
    if with_keys:
        document["security"] = [{"bearer": []}, {"apiKey": []}]
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "apiKey": {"type": "apiKey", "in": "header", "name": KEY_HEADER},
        }
    return document


_DESCRIPTION = """
The two endpoints of the specification A_2021_F001 answer every outcome with HTTP 200 and tell it in the body; v1
answers the same with details, status codes, and problem details (RFC 9457). Every answer has the headers X-Request-ID
and, where there is one, X-Face-Reason: a stable token for programs. What is no HTTP (400 `http_invalid`), comes too
late (408 `head_timeout`) or over one connection too many (503 `too_many_connections`) is answered {"result":"Fail"} as
application/json, below /v1 too.
"""

_TAGS = [
    {"name": "specification", "description": "The two endpoints of A_2021_F001."},
    {"name": "photos", "description": "Enroll and verify, with all that is known."},
    {"name": "decision", "description": "At which distance a face is a match, for administrators."},
    {"name": "people", "description": "Companies, users, enrollments."},
    {"name": "activity", "description": "What was asked, how it ended, how long it took."},
    {"name": "keys", "description": "API keys, for administrators."},
    {"name": "audit", "description": "Who did what, for administrators."},
    {"name": "service", "description": "How much is registered, and what the service runs with."},
]

_HEADERS: Json = {
    REQUEST_ID_HEADER: {
        "description": "The request's own, if it sent one; else a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": f"^{REQUEST_ID_PATTERN}$"},
    },
    REASON_HEADER: {
        "description": "How it ended, in one word.",
        "schema": {"type": "string", "pattern": "^[a-z_]+$"},
    },
    TIMING_HEADER: {"description": "Milliseconds by stage.", "required": True, "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    REPLAYED_HEADER: {
        "description": "The answer is that to the first request of this key.",
        "schema": {"const": "true"},
    },
    "WWW-Authenticate": {"required": True, "schema": {"type": "string"}},
    "ETag": {"schema": {"type": "string"}},
}


def _contract_operation(name: str, summary: str, fields: Iterable[str], results: list[Json], with_keys: bool) -> Json:
    body = {
        "type": "object",
        "required": ["result"],
        "additionalProperties": False,
        "properties": {"result": {"anyOf": results}},
    }
    failure = {
        "type": "object",
        "required": ["result"],
        "additionalProperties": False,
        "properties": {"result": {"const": "Fail"}},
    }
    limited = ("too_many_attempts", "limits_unavailable") if name == ANALYSIS_PATH else ()
    reasons = (*_ALWAYS, *_access_problems(with_keys, company=True), *_WITH_STORE, *_WITH_NETWORKS, *limited)
    answers: Json = {"200": {"description": "Every outcome.", "headers": _headers(), "content": _content(JSON, body)}}
    for status, told in _by_status(reasons).items():
        answers[str(status)] = {
            "description": ", ".join(told),
            "headers": _headers(status),
            "content": _content(JSON, failure),
        }
    return {
        "operationId": name.strip("/"),
        "tags": ["specification"],
        "summary": summary,
        "parameters": [_REQUEST_ID_PARAMETER],
        "requestBody": _form(("company", "id", *fields)),
        "responses": answers,
    }


def _operation(endpoint: Endpoint, references: Mapping[Any, Json], with_keys: bool) -> Json:
    names = _PATH_PARAMETER.findall(endpoint.path)
    reasons = [*_ALWAYS, *_access_problems(with_keys, company="company" in names), *_WITH_STORE, *endpoint.problems]
    reasons += [f"{name}_invalid" for name in ("company", "id") if {"id": "user"}.get(name, name) in names]
    reasons += ["admin_required"] if endpoint.admin and with_keys else []
    reasons += ["query_invalid"] if endpoint.query else []
    reasons += _WITH_MESSAGE if endpoint.expects != "nothing" else ()
    reasons += _WITH_PHOTO if endpoint.expects == "photo" else ()
    reasons += ["json_invalid"] if endpoint.expects == "json" else []
    reasons += _IDEMPOTENT if endpoint.idempotent else ()
    answers: Json = {}
    for status, body in endpoint.answers.items():
        answers[str(status)] = {"description": _SUCCESSES[status], "headers": _success_headers(endpoint, status)}
        if body == PNG:
            answers[str(status)]["content"] = {PNG: {}}
        elif body is not None:
            answers[str(status)]["content"] = _content(JSON, references[(body, "serialization")])
    for status, told in _by_status(reasons).items():
        answers[str(status)] = {
            "description": " ".join(f"`{reason}`: {PROBLEMS[reason][1]}" for reason in told),
            "headers": _headers(status),
            "content": _content(PROBLEM_TYPE, references[(Problem, "serialization")]),
        }
    operation: Json = {
        "operationId": endpoint.handler.__name__,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "parameters": list(_parameters(endpoint, names)),
        "responses": answers,
    }
    if endpoint.expects == "photo":
        operation["requestBody"] = _form(endpoint.fields)
    elif endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": _content(JSON, references[(endpoint.body, "validation")]),
        }
    return operation


_SUCCESSES = {200: "Done.", 201: "Made.", 204: "Done.", 304: "Not modified."}


def _access_problems(with_keys: bool, *, company: bool) -> tuple[str, ...]:
    if not with_keys:
        return _WITHOUT_KEYS
    return (*_WITH_KEYS, "company_forbidden", "limits_unavailable") if company else (*_WITH_KEYS, "limits_unavailable")


def _by_status(reasons: Iterable[str]) -> dict[int, list[str]]:
    told: dict[int, list[str]] = defaultdict(list)
    for reason in dict.fromkeys(reasons):
        told[PROBLEMS[reason][0]].append(reason)
    return dict(sorted(told.items()))


def _content(media_type: str, schema: Json) -> Json:
    return {media_type: {"schema": schema}}


def _form(fields: Iterable[str]) -> Json:
    required = [name for name in fields if name in {"company", "id"}]
    schema = {
        "type": "object",
        "required": [*required, "image"],
        "properties": {name: _FIELDS[name] for name in (*fields, "image")},
    }
    return {"required": True, "content": {FORM: {"schema": schema, "encoding": {"image": {"contentType": "image/*"}}}}}


def _headers(status: int = 200) -> Json:
    names = [REQUEST_ID_HEADER, TIMING_HEADER, REASON_HEADER]
    names += {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _success_headers(endpoint: Endpoint, status: int) -> Json:
    names = [REPLAYED_HEADER] if endpoint.idempotent else []
    names += ["ETag"] if PNG in endpoint.answers.values() else []
    return _headers(status) | {name: {"$ref": f"#/components/headers/{name}"} for name in names}


_REQUEST_ID_PARAMETER: Json = {
    "name": REQUEST_ID_HEADER,
    "in": "header",
    "description": f"Comes back where it is {REQUEST_ID_PATTERN}; else the answer has a new one.",
    "schema": {"type": "string"},
}


def _parameters(endpoint: Endpoint, names: Iterable[str]) -> Iterable[Json]:
    for name in names:
        schema: Json = {"type": "string", "pattern": "^[0-9]{1,18}$"} if name == "enrollment" else {"type": "string"}
        if name in {"company", "user"}:
            schema = {"type": "string", "pattern": f"^{NAME_PATTERN}$"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if endpoint.query is not None:
        for name, schema in endpoint.query.model_json_schema()["properties"].items():
            yield {"name": name, "in": "query", "schema": _without_null(schema)}
    if endpoint.idempotent:
        yield {"name": IDEMPOTENCY_HEADER, "in": "header", "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"}}
    if PNG in endpoint.answers.values():
        yield {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}
    yield _REQUEST_ID_PARAMETER


def _without_null(schema: Json) -> Json:
    """Return the schema of a parameter, which is there or not, but never null."""
    kinds: list[Json] = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return kinds[0] | rest
