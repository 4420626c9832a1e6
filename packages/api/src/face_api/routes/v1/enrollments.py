"""The enrollments of a user: list, view, remove."""

import hashlib

from anyio.to_thread import run_sync
from starlette.responses import Response

from face_api.errors import RefusalError
from face_api.responses import is_known, json_answer
from face_api.routes.door import Call
from face_api.routes.v1 import schemas
from face_api.routes.v1.endpoints import PNG, PREFIX, Endpoint, company_of, number_of, user_of
from face_api.store import Store

TAG = "people"

NOT_MODIFIED = 304


def enrollment_endpoints(store: Store) -> list[Endpoint]:
    async def list_enrollments(call: Call) -> Response:
        user = await run_sync(store.directory.user, call.caller, company_of(call), user_of(call))
        if user is None:
            raise RefusalError("user_unregistered")
        items = [schemas.Reference.of(reference) for reference in user.references]
        return json_answer(schemas.Page[schemas.Reference](items=items, next_cursor=None))

    async def view_enrollment(call: Call) -> Response:
        reference = await run_sync(
            store.directory.reference, call.caller, company_of(call), user_of(call), number_of(call)
        )
        if reference is None:
            raise RefusalError("enrollment_unknown")
        return json_answer(schemas.Reference.of(reference))

    async def remove_enrollment(call: Call) -> Response:
        place = company_of(call), user_of(call), number_of(call)
        if not await run_sync(store.enrollments.remove, call.caller, *place):
            raise RefusalError("enrollment_unknown")
        return Response(status_code=204)

    async def view_image(call: Call) -> Response:
        place = company_of(call), user_of(call), number_of(call)
        chip_png = await run_sync(store.directory.chip, call.caller, *place)
        if chip_png is None:
            known = await run_sync(store.directory.reference, call.caller, *place)
            raise RefusalError("enrollment_unknown" if known is None else "image_not_kept")
        tag = f'"{hashlib.sha256(chip_png).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if is_known(call.request, tag):
            return Response(status_code=NOT_MODIFIED, headers=headers)
        return Response(chip_png, media_type=PNG, headers=headers)

    enrollments = PREFIX + "/companies/{company}/users/{user}/enrollments"
    enrollment = enrollments + "/{enrollment}"
    return [
        Endpoint(
            "GET",
            enrollments,
            list_enrollments,
            TAG,
            "List the enrollments of a user, the oldest first, all at once: they are few",
            {200: schemas.Page[schemas.Reference]},
            ("user_unregistered",),
        ),
        Endpoint(
            "GET",
            enrollment,
            view_enrollment,
            TAG,
            "View an enrollment",
            {200: schemas.Reference},
            ("enrollment_unknown",),
        ),
        Endpoint(
            "DELETE",
            enrollment,
            remove_enrollment,
            TAG,
            "Remove an enrollment; the user stays, also without any",
            {204: None},
            ("enrollment_unknown",),
        ),
        Endpoint(
            "GET",
            enrollment + "/image",
            view_image,
            TAG,
            "The aligned face that was enrolled, 150 x 150",
            {200: PNG, 304: None},
            ("image_not_kept", "enrollment_unknown"),
        ),
    ]
