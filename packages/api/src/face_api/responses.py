"""From an outcome to an answer: the bodies of the contract, every one that the two endpoints can give, and problems.

What the bodies have no room for goes into headers: X-Face-Reason, a stable token, and Server-Timing, milliseconds.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import anyio
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from face_api.errors import AccessError, BusyError, RefusalError, RequestError, TooManyError
from face_api.problems import problem
from face_engine.matching import Verdict

PROBLEM_TYPE = "application/problem+json"
NO_STORE = {"Cache-Control": "no-store"}

UNAUTHORIZED = 401
CHALLENGE = {"WWW-Authenticate": "Bearer"}

REASON_HEADER = "X-Face-Reason"
TIMING_HEADER = "Server-Timing"

RETRY_AFTER_S = 1
"""Seconds after which a caller who got a 503 may come back."""

SUCCESS: Mapping[str, Any] = {"result": "Success"}
FAIL: Mapping[str, Any] = {"result": "Fail"}
IMAGE_SIZE_ERROR: Mapping[str, Any] = {"result": {"message": "Fail", "reason": "img_size_err"}}
FILE_TYPE_ERROR: Mapping[str, Any] = {"result": {"message": "Fail", "reason": "File type err"}}
UNREGISTERED_USER: Mapping[str, Any] = {"result": {"result": "unregistered user"}}

_REFUSAL_BODIES = {
    "message_too_large": IMAGE_SIZE_ERROR,
    "image_too_small": IMAGE_SIZE_ERROR,
    "image_too_large": IMAGE_SIZE_ERROR,
    "image_type_unsupported": FILE_TYPE_ERROR,
    "user_unregistered": UNREGISTERED_USER,
}

DRAIN_BYTES = 64 * 1024 * 1024
DRAIN_S = 10.0
DRAIN_IDLE_S = 2.0


def refusal_body(reason: str) -> Mapping[str, Any]:
    """Return the body for a refusal's reason: the specification's own where it has one, else `Fail`."""
    return _REFUSAL_BODIES.get(reason, FAIL)


def result_of(reason: str) -> str:
    """Return what the contract's body says for a reason, in one word for the metrics."""
    if reason == "compared":
        return "verdicts"
    if reason in {"enrolled", "already_enrolled", "replayed"}:
        return "Success"
    result = refusal_body(reason)["result"]
    return result if isinstance(result, str) else str(result.get("reason", result.get("result")))


def contract_answer(_request_id: str, error: RequestError) -> JSONResponse:
    """Return the answer of one of the contract's endpoints: its refusals are HTTP 200."""
    if isinstance(error, RefusalError):
        return JSONResponse(refusal_body(error.reason), headers=details(error.reason))
    return JSONResponse(FAIL, error.status, _headers(error))


def problem_answer(request_id: str, error: RequestError) -> JSONResponse:
    """Return the answer of one of v1's operations: problem details (RFC 9457) and a status of its own."""
    status, body = problem(error, request_id)
    return JSONResponse(body, status, _headers(error) | NO_STORE, media_type=PROBLEM_TYPE)


def answer_of(path: str, request_id: str, error: RequestError) -> JSONResponse:
    """Return the answer that a path gives to an error, also where there is no such path."""
    return (problem_answer if (path + "/").startswith("/v1/") else contract_answer)(request_id, error)


def _headers(error: RequestError) -> dict[str, str]:
    headers = details(error.reason)
    if isinstance(error, TooManyError):
        headers["Retry-After"] = str(error.retry_after_s)
    elif isinstance(error, BusyError):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    elif isinstance(error, AccessError) and error.status == UNAUTHORIZED:
        headers |= CHALLENGE
    return headers


def verdicts_body(verdicts: Iterable[Verdict]) -> Mapping[str, Any]:
    """Return the body of an analysis: person_1 is the leftmost face."""
    return {"result": {f"person_{number}": verdict for number, verdict in enumerate(verdicts, start=1)}}


def details(reason: str, timings_ms: Mapping[str, float] | None = None) -> dict[str, str]:
    """Return the headers that tell what the body cannot."""
    headers = {REASON_HEADER: reason}
    if timings_ms:
        stages = [f"{stage};dur={ms:.1f}" for stage, ms in timings_ms.items() if stage != "total"]
        headers[TIMING_HEADER] = ", ".join(stages)  # RequestMiddleware adds its own total
    return headers


def json_answer(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a model as JSON."""
    return Response(body.model_dump_json(), status, headers, media_type="application/json")


def is_known(request: Request, tag: str) -> bool:
    """Tell whether the caller has what an ETag stands for, by If-None-Match (RFC 9110, weak comparison)."""
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    return tag in known or known == {"*"}


class LastResponse(Response):
    """An answer after which the connection ends, because the message was not read, or not what its head said.

    A connection that is closed with bytes unread is reset, and a reset can destroy the answer on its way. So the answer
    is sent at once, and what the client still sends is thrown away for a while, bounded in bytes and time.
    """

    def __init__(self, response: JSONResponse) -> None:
        super().__init__(response.body, response.status_code, dict(response.headers) | {"connection": "close"})

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    drained = 0
    with anyio.move_on_after(DRAIN_S), suppress(TimeoutError):
        while drained < DRAIN_BYTES:
            with anyio.fail_after(DRAIN_IDLE_S):
                message = await receive()
            drained += len(message.get("body", b""))
            if not message.get("more_body", False):
                return  # the message is complete, or the caller left
