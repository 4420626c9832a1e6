"""The two endpoints of the specification. Its outcomes are all HTTP 200; only what is none of them has a status."""

from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from face_api.access import require_company
from face_api.requests import parse_analysis, parse_enrollment
from face_api.responses import SUCCESS, contract_answer, details, verdicts_body
from face_api.routes.door import Call, Door, Handler
from face_api.services.analysis import AnalysisService
from face_api.services.enrollment import EnrollmentService
from face_api.services.photos import PhotoLimits
from face_api.store import Operation

ENROLLMENT_PATH = "/enrollment_img"
ANALYSIS_PATH = "/analy_img"


def spec_routes(
    door: Door, enrollment: EnrollmentService, analysis: AnalysisService, photo_limits: PhotoLimits
) -> list[Route]:
    """Return both endpoints, each with and without its trailing slash."""

    async def enroll(call: Call) -> Response:
        fields = parse_enrollment(call.content_type, call.message)
        require_company(call.identity, fields.company)
        result = await enrollment.enroll(
            call.caller, fields.company, fields.user, fields.profile, fields.image, photo_limits, "contract"
        )
        return JSONResponse(SUCCESS, headers=details(result.reason, result.timings_ms))

    async def analyse(call: Call) -> Response:
        fields = parse_analysis(call.content_type, call.message)
        require_company(call.identity, fields.company)
        result = await analysis.analyse(call.caller, fields.company, fields.user, fields.image, photo_limits)
        body = verdicts_body(person.comparison.verdict for person in result.persons)
        return JSONResponse(body, headers=details("compared", result.timings_ms))

    endpoints: list[tuple[str, Operation, Handler]] = [
        (ENROLLMENT_PATH, "enroll", enroll),
        (ANALYSIS_PATH, "analyse", analyse),
    ]
    return [
        Route(path, partial(_answer, door, operation, handler), methods=["POST"])
        for name, operation, handler in endpoints
        for path in (name, name + "/")
    ]


async def _answer(door: Door, operation: Operation, handler: Handler, request: Request) -> Response:
    request.state.operation = operation
    return await door.answer(request, "photo", handler, contract_answer)
