"""The two endpoints of the specification. Its outcomes are all HTTP 200; only what is none of them has a status."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from face_api.requests import BrokenMessageError, parse_analysis, parse_enrollment, read_message
from face_api.responses import FAIL, RETRY_AFTER_S, SUCCESS, LastResponse, details, refusal_body, verdicts_body
from face_api.services.analysis import AnalysisService
from face_api.services.enrollment import EnrollmentService
from face_api.services.photos import RefusalError
from face_api.settings import Settings
from face_api.store import Caller, StoreError
from face_engine.errors import FaceEngineError

logger = logging.getLogger(__name__)

Handler = Callable[[Caller, str | None, bytes], Awaitable[Response]]

ANONYMOUS = "anonymous"


def spec_routes(settings: Settings, enrollment: EnrollmentService, analysis: AnalysisService) -> list[Route]:
    """Return both endpoints, each with and without its trailing slash."""

    async def enroll(caller: Caller, content_type: str | None, message: bytes) -> Response:
        fields = parse_enrollment(content_type, message)
        result = await enrollment.enroll(caller, fields.company, fields.user, fields.profile, fields.image)
        return JSONResponse(SUCCESS, headers=details(result.reason, result.timings_ms))

    async def analyse(caller: Caller, content_type: str | None, message: bytes) -> Response:
        fields = parse_analysis(content_type, message)
        result = await analysis.analyse(caller, fields.company, fields.user, fields.image)
        body = verdicts_body(comparison.verdict for comparison in result.comparisons)
        return JSONResponse(body, headers=details("compared", result.timings_ms))

    return [
        Route(path, _Endpoint(settings, handler).answer, methods=["POST"])
        for name, handler in (("/enrollment_img", enroll), ("/analy_img", analyse))
        for path in (name, name + "/")
    ]


class _Endpoint:
    """Reads the message, and turns whatever happens into one of the contract's answers."""

    def __init__(self, settings: Settings, handler: Handler) -> None:
        self._settings = settings
        self._handler = handler

    async def answer(self, request: Request) -> Response:
        try:
            message = await read_message(request, self._settings.max_message_bytes, self._settings.message_timeout_s)
            caller = Caller(ANONYMOUS, request.state.request_id)
            content_type = request.headers.get("content-type")
            return await _while_connected(request, partial(self._handler, caller, content_type, message))
        except BrokenMessageError as refusal:
            return LastResponse(_refuse(refusal))
        except RefusalError as refusal:
            return _refuse(refusal)
        except (StoreError, FaceEngineError) as error:
            return _fail(request, error.reason, error)


async def _while_connected(request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
    """Finish the work, unless the caller goes away first: then nobody waits for a worker in its name.

    What is being written to the store is finished all the same, and the answer is then the true one.
    """
    answer: Response | None = None
    error: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_on_departure, request, group.cancel_scope)
        try:
            answer = await work()
        except Exception as failure:  # noqa: BLE001 - passed on below: a task group would wrap it into a group
            error = failure
        group.cancel_scope.cancel()
    if error is not None:
        raise error
    if answer is None:
        raise RefusalError("caller_gone")
    return answer


async def _cancel_on_departure(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _fail(request: Request, reason: str, error: Exception) -> JSONResponse:
    logger.error("request_id=%s %s: %s", request.state.request_id, reason, error)
    return JSONResponse(FAIL, 503, details(reason) | {"Retry-After": str(RETRY_AFTER_S)})


def _refuse(refusal: RefusalError) -> JSONResponse:
    return JSONResponse(refusal_body(refusal.reason), headers=details(refusal.reason))
