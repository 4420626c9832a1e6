"""What was asked, how it ended, and how long it took."""

from datetime import UTC, datetime, timedelta

from anyio.to_thread import run_sync
from starlette.responses import Response

from face_api.access import require_company
from face_api.errors import RefusalError
from face_api.responses import json_answer
from face_api.routes.door import Call
from face_api.routes.v1 import schemas
from face_api.routes.v1.endpoints import PREFIX, Endpoint, next_cursor, number_cursor_of, query_of
from face_api.store import EventFilter, Store, utc_now

TAG = "activity"

DEFAULT_STRETCH = timedelta(days=1)

_EARLIEST = datetime.min.replace(tzinfo=UTC)


def activity_endpoints(store: Store) -> list[Endpoint]:
    async def list_events(call: Call) -> Response:
        query = query_of(call, schemas.EventsQuery)
        wanted = _wanted(call, query)
        page = await run_sync(store.events.page, call.caller, wanted, number_cursor_of(query.cursor), query.limit)
        items = [schemas.Event.model_validate(event) for event in page.items]
        return json_answer(schemas.Page[schemas.Event](items=items, next_cursor=next_cursor(page)))

    async def view_statistics(call: Call) -> Response:
        query = query_of(call, schemas.StatsQuery)
        until = _in_utc(query.until) or utc_now()
        since = _in_utc(query.since) or max(until, _EARLIEST + DEFAULT_STRETCH) - DEFAULT_STRETCH
        if (until - since) / timedelta(seconds=query.bucket_s) > schemas.MAX_BUCKETS:
            problem = f"more than {schemas.MAX_BUCKETS} buckets: choose longer ones"
            raise RefusalError("query_invalid", {"errors": [{"parameter": "bucket_s", "problem": problem}]})
        wanted = _wanted(call, query.model_copy(update={"since": since, "until": until}))

        def work() -> Response:  # all of it in a thread: an answer may have megabytes
            buckets = store.statistics.summary(wanted, query.bucket_s)
            return json_answer(
                schemas.Stats(
                    since=since,
                    until=until,
                    bucket_s=query.bucket_s,
                    buckets=[schemas.Bucket.model_validate(bucket) for bucket in buckets],
                )
            )

        return await run_sync(work)

    return [
        Endpoint(
            "GET",
            PREFIX + "/events",
            list_events,
            TAG,
            "How requests for photos ended, the newest first; with a company's key, that company's",
            {200: schemas.Page[schemas.Event]},
            ("cursor_invalid", "company_forbidden"),
            query=schemas.EventsQuery,
        ),
        Endpoint(
            "GET",
            PREFIX + "/stats",
            view_statistics,
            TAG,
            "Requests by outcome, and percentiles of their time by stage; of the last day by default",
            {200: schemas.Stats},
            ("company_forbidden",),
            query=schemas.StatsQuery,
        ),
    ]


def _wanted(call: Call, query: schemas.Filter) -> EventFilter:
    company = query.company or call.identity.company
    if company is not None:
        require_company(call.identity, company)
    if query.user is not None and company is None:
        raise RefusalError("query_invalid", {"errors": [{"parameter": "user", "problem": "needs company"}]})
    return EventFilter(company, query.user, query.operation, query.reason, _in_utc(query.since), _in_utc(query.until))


def _in_utc(moment: datetime | None) -> datetime | None:
    """Return the moment in UTC, which it is taken to be where it does not say. Raises RefusalError."""
    if moment is None:
        return None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise RefusalError("query_invalid", {"errors": [{"parameter": "", "problem": "no such moment"}]}) from error
