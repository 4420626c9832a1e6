"""What may come back, whatever was sent: the specification's bodies, v1's results and problems, and nothing else."""

import json
from collections.abc import Mapping
from typing import Any

from face_api.problems import PROBLEMS, TYPE_PREFIX
from face_api.responses import PROBLEM_TYPE, TIMING_HEADER
from support.multipart import ANALYSE, ENROLL
from support.raw_http import Answer

_FAIL = {"result": "Fail"}
_REFUSALS = [_FAIL] + [
    {"result": {"message": "Fail", "reason": reason}} for reason in ("img_size_err", "File type err")
]
_SUCCESS, _UNREGISTERED = {"result": "Success"}, {"result": {"result": "unregistered user"}}

_FAILING = frozenset({401, 403, 429, 503})
"""Besides 200, with the body Fail."""

DELIBERATE = frozenset({"overloaded", "too_many_connections", "deadline_exceeded"})
"""The reasons of a 503 while the database and the workers are well."""

_NO_REQUEST = {400: "http_invalid", 408: "head_timeout", 503: "too_many_connections"}
"""Answers that no application gives: the request is broken, or none. They have the body Fail."""

_TAKEN = frozenset({"enrolled", "already_enrolled", "compared", "user_unregistered"})
_LIST = frozenset({"items", "next_cursor"})
_RESULT = frozenset({"timings_ms", "request_id"})


def is_taken(answer: Answer) -> bool:
    """Whether the form was: what it asked for was done, or it asked for a user who is not registered."""
    return answer.headers.get("x-face-reason") in _TAKEN


def is_to_request(answer: Answer) -> bool:
    """Whether the application gave it."""
    return answer.headers.get("x-face-reason") not in _NO_REQUEST.values()


def wrong(answer: Answer, path: bytes | None) -> str | None:
    """Return what is wrong with an answer, None for nothing.

    Args:
        path: that was asked for; None where nobody knows.
    """
    headers, status = answer.headers, answer.status
    kind, reason = headers.get("content-type"), headers.get("x-face-reason")
    if kind not in {"application/json", PROBLEM_TYPE}:
        return "neither JSON nor a problem"
    try:
        body = json.loads(answer.body)
    except ValueError:
        return "no JSON"
    if path is None and status == 200 and body.keys() == _LIST:
        return None  # the method has become GET
    if not reason:
        return "no reason"
    if status == 503 and ("retry-after" not in headers or reason not in DELIBERATE):
        return "a 503 that nobody meant"
    if not is_to_request(answer):
        return None if (_NO_REQUEST.get(status), _FAIL) == (reason, body) else "no answer to what is no request"
    if not {"x-request-id", TIMING_HEADER.lower()} <= headers.keys():
        return "no id, or no time"
    if kind == PROBLEM_TYPE:
        return "a problem for the specification" if path in {ENROLL, ANALYSE} else _wrong_problem(answer, body)
    if path is None:
        is_ours = (
            body in [*_REFUSALS, _SUCCESS, _UNREGISTERED] or _is_verdicts(body) or (body.keys() >= _RESULT)
        ) and status in {200, 201, 404, 405, *_FAILING}
    elif path in {ENROLL, ANALYSE}:
        own = body == _SUCCESS if path == ENROLL else body == _UNREGISTERED or _is_verdicts(body)
        is_ours = (status == 200 and (body in _REFUSALS or own)) or (status in _FAILING and body == _FAIL)
    else:
        is_ours = status in {200, 201} and body.keys() >= _RESULT
    return None if is_ours else "no body of ours"


def _is_verdicts(body: Mapping[str, Any]) -> bool:
    result = body.get("result")
    if body.keys() != {"result"} or not isinstance(result, dict):
        return False
    persons = [f"person_{number}" for number in range(1, len(result) + 1)]
    return bool(result) and list(result) == persons and set(result.values()) <= {"match", "dismatch"}


def _wrong_problem(answer: Answer, body: Mapping[str, Any]) -> str | None:
    reason = str(body.get("reason"))
    if reason not in PROBLEMS or reason == "internal_error":
        return "no problem of ours"
    status, title = PROBLEMS[reason]
    told = {
        "type": TYPE_PREFIX + reason,
        "title": title,
        "status": status,
        "request_id": answer.headers["x-request-id"],
    }
    is_one = told.items() <= body.items() and answer.status == status and answer.headers["x-face-reason"] == reason
    return None if is_one else "a problem that contradicts itself"
