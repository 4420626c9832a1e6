"""At which distance a face is a match: view, apply, withdraw. For administrators alone."""

from starlette.responses import Response

from face_api.errors import RefusalError
from face_api.responses import json_answer
from face_api.routes.door import Call
from face_api.routes.v1 import schemas
from face_api.routes.v1.endpoints import PREFIX, Endpoint, json_of
from face_api.services.decision import Decisions
from face_engine.calibration import Calibration, parse_calibration
from face_engine.errors import CalibrationError

TAG = "decision"


def decision_endpoints(decisions: Decisions) -> list[Endpoint]:
    async def view_decision(_call: Call) -> Response:
        return await _current(decisions)

    async def apply_decision(call: Call) -> Response:
        wanted = json_of(call, schemas.DecisionRequest)
        await decisions.apply(call.caller, wanted.tolerance, wanted.note, _calibration(wanted))
        return await _current(decisions)

    async def withdraw_decision(call: Call) -> Response:
        await decisions.withdraw(call.caller)
        return await _current(decisions)

    path = PREFIX + "/decision"
    return [
        Endpoint(
            "GET",
            path,
            view_decision,
            TAG,
            "At which distance a face is a match, and where that comes from",
            {200: schemas.Decision},
            admin=True,
        ),
        Endpoint(
            "PUT",
            path,
            apply_decision,
            TAG,
            "Apply a tolerance, from the next analysis on",
            {200: schemas.Decision},
            ("decision_fixed", "encoder_mismatch"),
            expects="json",
            body=schemas.DecisionRequest,
            admin=True,
        ),
        Endpoint(
            "DELETE",
            path,
            withdraw_decision,
            TAG,
            "Withdraw the tolerance that was applied: what the settings say holds again",
            {200: schemas.Decision},
            admin=True,
        ),
    ]


async def _current(decisions: Decisions) -> Response:
    return json_answer(schemas.Decision.of(await decisions.current(), decisions.default, decisions.encoder_id))


def _calibration(wanted: schemas.DecisionRequest) -> Calibration | None:
    if wanted.calibration is None:
        return None
    try:
        return parse_calibration(wanted.calibration)
    except CalibrationError as error:
        problem = "is not what face-engine evaluate writes to calibration.json"
        raise RefusalError("json_invalid", {"errors": [{"field": "calibration", "problem": problem}]}) from error
