"""Enroll and verify, with all that is known."""

import hashlib

from starlette.responses import Response

from face_api.requests import parse_photo, parse_photo_form
from face_api.responses import details, json_answer
from face_api.routes.door import Call
from face_api.routes.v1 import schemas
from face_api.routes.v1.endpoints import PREFIX, Endpoint, company_of, user_of
from face_api.routes.v1.once import Once
from face_api.services.analysis import AnalysisService
from face_api.services.enrollment import EnrollmentService
from face_api.services.photos import PhotoLimits

TAG = "photos"

PHOTO_PROBLEMS = (
    "image_type_unsupported",
    "image_truncated",
    "image_corrupt",
    "image_too_many_pixels",
    "image_too_many_scans",
    "no_face",
)


def photo_endpoints(
    enrollment: EnrollmentService,
    analysis: AnalysisService,
    photo_limits: PhotoLimits,
    once: Once,
) -> list[Endpoint]:
    async def enroll(call: Call) -> Response:
        company, user = company_of(call), user_of(call)
        form = parse_photo_form(call.content_type, call.message)

        async def work() -> Response:
            result = await enrollment.enroll(call.caller, company, user, form.profile, form.image, photo_limits, "v1")
            body = schemas.Enrollment(
                outcome=result.reason,
                reference_id=result.reference_id,
                face=result.face and schemas.Face.of(result.face),
                timings_ms=result.timings_ms,
                request_id=call.request_id,
            )
            status = 201 if result.reason == "enrolled" else 200
            return json_answer(body, status, details(result.reason, result.timings_ms))

        asked = form.profile, hashlib.sha256(form.image).hexdigest()
        return await once.answer(call, asked, work, company, user)

    async def verify(call: Call) -> Response:
        company, user = company_of(call), user_of(call)
        image = parse_photo(call.content_type, call.message)
        result = await analysis.analyse(call.caller, company, user, image, photo_limits)
        body = schemas.Verification(
            photo=schemas.Photo(width=result.width, height=result.height),
            persons=[
                schemas.Person.compared(number, person, result.calibration)
                for number, person in enumerate(result.persons, start=1)
            ],
            encoder_id=result.encoder_id,
            timings_ms=result.timings_ms,
            request_id=call.request_id,
        )
        return json_answer(body, headers=details("compared", result.timings_ms))

    user_path = PREFIX + "/companies/{company}/users/{user}"
    return [
        Endpoint(
            "POST",
            user_path + "/enrollments",
            enroll,
            TAG,
            "Register the face of a photo as a reference of the user, who is made where they are new",
            {201: schemas.Enrollment, 200: schemas.Enrollment},
            problems=(
                *PHOTO_PROBLEMS,
                "several_faces",
                "face_too_small",
                "face_blurred",
                "face_too_dark",
                "face_too_bright",
                "face_turned",
                "face_cut",
                "gender_invalid",
                "age_invalid",
            ),
            expects="photo",
            fields=("gender", "age"),
            operation="enroll",
            idempotent=True,
        ),
        Endpoint(
            "POST",
            user_path + "/verifications",
            verify,
            TAG,
            "Compare every face of a photo with the user's references",
            {200: schemas.Verification},
            problems=(
                *PHOTO_PROBLEMS,
                "user_unregistered",
                "references_outdated",
                "too_many_attempts",
                "limits_unavailable",
            ),
            expects="photo",
            operation="analyse",
        ),
    ]
