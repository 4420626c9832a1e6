"""Around every request: an id, a bound on how many are in flight, and one line in the log."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from face_api.responses import FAIL, REASON_HEADER, RETRY_AFTER_S, TIMING_HEADER, LastResponse, details

REQUEST_ID_HEADER = "X-Request-ID"
HEALTH_PATH = "/healthz"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAX_LOGGED_PATH = 100

logger = logging.getLogger(__name__)


class RequestMiddleware:
    """Gives the caller's request id back, or a new one, and logs how the request ended, never what the form held."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        proposed = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = proposed if _REQUEST_ID.fullmatch(proposed) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        start = time.perf_counter()
        status = 0
        reason = "-"

        async def send_and_note(message: Message) -> None:
            nonlocal status, reason
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                total = f"total;dur={_ms_since(start):.1f}"
                stages = headers.get(TIMING_HEADER)
                headers[TIMING_HEADER] = f"{stages}, {total}" if stages else total
                status, reason = message["status"], headers.get(REASON_HEADER, "-")
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            logger.exception("request_id=%s failed", request_id)
            if status:
                raise  # the answer had begun: only the server can end the connection
            await JSONResponse(FAIL, 500, details("internal_error"))(scope, receive, send_and_note)
        finally:
            # Health checks come every few seconds for ever.
            logger.log(
                logging.DEBUG if scope["method"] == "GET" and scope["path"] == HEALTH_PATH else logging.INFO,
                "request_id=%s method=%s path=%r status=%d reason=%s ms=%.1f",
                request_id,
                scope["method"],
                scope["path"][:_MAX_LOGGED_PATH],
                status,
                reason,
                _ms_since(start),
            )


class InFlightLimitMiddleware:
    """Answers 503 at once when `limit` POSTs are being served: each may hold a message in memory."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if self._in_flight >= self._limit:
            headers = details("overloaded") | {"Retry-After": str(RETRY_AFTER_S)}
            await LastResponse(JSONResponse(FAIL, 503, headers))(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
