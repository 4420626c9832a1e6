"""API keys: for administrators alone."""

from anyio.to_thread import run_sync
from starlette.responses import Response

from face_api.access import ANONYMOUS
from face_api.errors import AccessError, RefusalError
from face_api.responses import json_answer
from face_api.routes.door import Call
from face_api.routes.v1 import schemas
from face_api.routes.v1.endpoints import PREFIX, Endpoint, cursor_of, json_of, next_cursor, query_of
from face_api.routes.v1.once import Once
from face_api.store import KeySummary, Store

TAG = "keys"


def key_endpoints(store: Store, once: Once) -> list[Endpoint]:
    async def list_keys(call: Call) -> Response:
        query = query_of(call, schemas.KeysQuery)
        page = await run_sync(store.api_keys.page, call.caller, cursor_of(query.cursor), query.limit, query.company)
        items = [schemas.Key.model_validate(key) for key in page.items]
        return json_answer(schemas.Page[schemas.Key](items=items, next_cursor=next_cursor(page)))

    async def create_key(call: Call) -> Response:
        wanted = json_of(call, schemas.KeyRequest)
        if (wanted.company is None) != wanted.admin:
            problem = "either a company, or admin: true"
            raise RefusalError("json_invalid", {"errors": [{"field": "company", "problem": problem}]})
        if call.identity == ANONYMOUS:
            # It would be valid still when keys are asked for. Who can read the store makes them with `face-api keys`.
            raise AccessError("admin_required")

        async def work() -> Response:
            made = await run_sync(store.api_keys.create, call.caller, wanted.company, wanted.label)
            key = schemas.Key.model_validate(made.summary)
            return json_answer(schemas.NewKey(**key.model_dump(), secret=made.secret), 201)

        return await once.answer(call, (wanted,), work, wanted.company, None, _without_secret)

    async def view_key(call: Call) -> Response:
        return _key(await run_sync(store.api_keys.get, call.caller, call.request.path_params["key"]))

    async def revoke_key(call: Call) -> Response:
        return _key(await run_sync(store.api_keys.revoke, call.caller, call.request.path_params["key"]))

    keys = PREFIX + "/keys"
    key = keys + "/{key}"
    return [
        Endpoint(
            "GET",
            keys,
            list_keys,
            TAG,
            "List the API keys, without their secrets",
            {200: schemas.Page[schemas.Key]},
            ("cursor_invalid",),
            query=schemas.KeysQuery,
            admin=True,
        ),
        Endpoint(
            "POST",
            keys,
            create_key,
            TAG,
            "Make a key for a company, which is made where it is new, or for an administrator",
            {201: schemas.NewKey},
            ("admin_required",),
            expects="json",
            body=schemas.KeyRequest,
            admin=True,
            idempotent=True,
        ),
        Endpoint("GET", key, view_key, TAG, "View a key", {200: schemas.Key}, ("key_unknown",), admin=True),
        Endpoint(
            "DELETE",
            key,
            revoke_key,
            TAG,
            "Revoke a key: from now on it is not valid",
            {200: schemas.Key},
            ("key_unknown",),
            admin=True,
        ),
    ]


def _key(summary: KeySummary | None) -> Response:
    if summary is None:
        raise RefusalError("key_unknown")
    return json_answer(schemas.Key.model_validate(summary))


def _without_secret(answer: Response) -> bytes:
    """Return what is kept of the answer: the secret is shown once."""
    made = schemas.NewKey.model_validate_json(bytes(answer.body))
    return bytes(json_answer(made.model_copy(update={"secret": None})).body)
