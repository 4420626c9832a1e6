"""From an outcome to the bodies of the contract. Every body that the two endpoints can answer is built here.

What the bodies have no room for goes into headers: X-Face-Reason, a stable token, and Server-Timing, milliseconds.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import anyio
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from face_engine.matching import Verdict

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
DRAIN_S = 30.0
DRAIN_IDLE_S = 2.0


def refusal_body(reason: str) -> Mapping[str, Any]:
    """Return the body for a refusal's reason: the specification's own where it has one, else `Fail`."""
    return _REFUSAL_BODIES.get(reason, FAIL)


def verdicts_body(verdicts: Iterable[Verdict]) -> Mapping[str, Any]:
    """Return the body of an analysis: person_1 is the leftmost face."""
    return {"result": {f"person_{number}": verdict for number, verdict in enumerate(verdicts, start=1)}}


def details(reason: str, timings_ms: Mapping[str, float] | None = None) -> dict[str, str]:
    """Return the headers that tell what the body cannot."""
    headers = {REASON_HEADER: reason}
    if timings_ms:
        headers[TIMING_HEADER] = ", ".join(f"{stage};dur={ms:.1f}" for stage, ms in timings_ms.items())
    return headers


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
            if message["type"] == "http.disconnect":
                return
            drained += len(message.get("body", b""))
