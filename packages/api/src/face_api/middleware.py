"""Around every request: an id, one line in the log, the figures, and an answer also where there is a bug."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from face_api.errors import RequestError
from face_api.logs import request_id as current_request_id
from face_api.metrics import Metrics, known_method
from face_api.responses import REASON_HEADER, TIMING_HEADER, answer_of, result_of

REQUEST_ID_HEADER = "X-Request-ID"
REQUEST_ID_PATTERN = "[A-Za-z0-9._-]{1,64}"

ALIVE_PATH = "/healthz"
READY_PATH = "/readyz"
METRICS_PATH = "/metrics"

_ROUTINE = {ALIVE_PATH, READY_PATH, METRICS_PATH}

_REQUEST_ID = re.compile(REQUEST_ID_PATTERN)

logger = logging.getLogger(__name__)


def request_id_of(scope: Scope) -> str:
    """Return the id of a request: the one that it brought, or else one that is made when it is first asked for."""
    state = scope.setdefault("state", {})
    if "request_id" not in state:
        proposed = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        state["request_id"] = proposed if _REQUEST_ID.fullmatch(proposed) else uuid.uuid4().hex
    request_id: str = state["request_id"]
    return request_id


class RequestMiddleware:
    """Gives the caller's request id back, or a new one, and notes how the request ended, never what the form held."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        token = current_request_id.set(request_id)
        start = time.perf_counter()
        answered_s = 0.0
        status = 0
        reason = ""

        async def send_and_note(message: Message) -> None:
            nonlocal status, reason, answered_s
            if message["type"] == "http.response.start":
                answered_s = time.perf_counter() - start
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                total = f"total;dur={answered_s * 1000:.1f}"
                stages = headers.get(TIMING_HEADER)
                headers[TIMING_HEADER] = f"{stages}, {total}" if stages else total
                status, reason = message["status"], headers.get(REASON_HEADER, "")
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            logger.exception("a bug")
            if status:
                raise  # the answer had begun: only the server can end the connection
            error = RequestError("internal_error")
            await answer_of(scope["path"], request_id, error)(scope, receive, send_and_note)
        finally:
            self._note(scope, status, reason, answered_s or time.perf_counter() - start)
            current_request_id.reset(token)

    def _note(self, scope: Scope, status: int, reason: str, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        method = known_method(scope["method"])
        self._metrics.request(route, method, status, seconds)
        if operation := scope["state"].get("operation"):
            self._metrics.outcome(operation, result_of(reason), reason)
        # Health checks come every few seconds for ever.
        is_routine = method == "GET" and scope["path"] in _ROUTINE and status < 400  # noqa: PLR2004 - a success
        logger.log(
            logging.DEBUG if is_routine else logging.INFO,
            "request",
            extra={
                "method": method,
                "route": route,  # a path may name a person, and the log outlives their erasure
                "status": status,
                "reason": reason,
                "ms": round(seconds * 1000, 1),
            }
            | ({"actor": actor} if (actor := scope["state"].get("actor")) else {}),
        )
