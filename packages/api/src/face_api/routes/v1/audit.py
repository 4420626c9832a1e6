"""The audit trail: for administrators alone."""

from time import perf_counter

from anyio.to_thread import run_sync
from starlette.responses import Response

from face_api.responses import json_answer
from face_api.routes.door import Call
from face_api.routes.v1 import schemas
from face_api.routes.v1.endpoints import (
    PREFIX,
    Endpoint,
    check_whose,
    in_utc,
    next_cursor,
    number_cursor_of,
    query_of,
)
from face_api.store import EntryFilter, Store, utc_now

TAG = "audit"


def audit_endpoints(store: Store) -> list[Endpoint]:
    async def list_audit_entries(call: Call) -> Response:
        query = query_of(call, schemas.AuditQuery)
        check_whose(query.company, query.user)
        wanted = EntryFilter(
            query.company, query.user, query.action, query.actor, in_utc(query.since), in_utc(query.until)
        )
        page = await run_sync(store.inspector.page, call.caller, wanted, number_cursor_of(query.cursor), query.limit)
        items = [schemas.AuditEntry.of(entry) for entry in page.items]
        return json_answer(schemas.Page[schemas.AuditEntry](items=items, next_cursor=next_cursor(page)))

    async def verify_audit_trail(_call: Call) -> Response:
        def work() -> schemas.AuditVerification:
            checked_at, start = utc_now(), perf_counter()
            inspection = store.inspector.verify()
            return schemas.AuditVerification.of(inspection, checked_at, (perf_counter() - start) * 1000)

        return json_answer(await run_sync(work))

    audit = PREFIX + "/audit"
    return [
        Endpoint(
            "GET",
            audit,
            list_audit_entries,
            TAG,
            "Who did what to whom, and how it ended, the newest first",
            {200: schemas.Page[schemas.AuditEntry]},
            ("cursor_invalid",),
            query=schemas.AuditQuery,
            admin=True,
        ),
        Endpoint(
            "GET",
            audit + "/verification",
            verify_audit_trail,
            TAG,
            "Check that every entry of the audit trail is as it was appended",
            {200: schemas.AuditVerification},
            admin=True,
            lasting=True,
        ),
    ]
