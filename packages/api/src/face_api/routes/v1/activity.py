"""What was asked, how it ended, and how long it took."""

from datetime import UTC, datetime, timedelta

from anyio.to_thread import run_sync
from starlette.responses import Response

from face_api.access import require_company
from face_api.errors import RefusalError
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
        since, until = _stretch(query.since, query.until)
        if not query.whole and (until - since) / timedelta(seconds=query.bucket_s) > schemas.MAX_BUCKETS:
            problem = f"more than {schemas.MAX_BUCKETS} buckets: choose longer ones"
            raise RefusalError("query_invalid", {"errors": [{"parameter": "bucket_s", "problem": problem}]})
        wanted = _wanted(call, query.model_copy(update={"since": since, "until": until}))
        bucket_s = None if query.whole else query.bucket_s

        def work() -> Response:  # all of it in a thread: an answer may have megabytes
            buckets = store.statistics.summary(wanted, bucket_s)
            return json_answer(
                schemas.Stats(
                    since=since,
                    until=until,
                    bucket_s=bucket_s,
                    buckets=[schemas.Bucket.model_validate(bucket) for bucket in buckets],
                )
            )

        return await run_sync(work)

    async def compare_companies(call: Call) -> Response:
        query = query_of(call, schemas.CompanyStatsQuery)
        since, until = _stretch(query.since, query.until)
        wanted = _wanted(call, schemas.Filter(operation=query.operation, since=since, until=until))

        def work() -> Response:
            tallies = store.statistics.companies(wanted)
            items = [schemas.CompanyTally.model_validate(tally) for tally in tallies.items]
            return json_answer(schemas.CompanyStats(since=since, until=until, items=items, more=tallies.more))

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
        Endpoint(
            "GET",
            PREFIX + "/stats/companies",
            compare_companies,
            TAG,
            "The same by company, those with the most requests first; with a company's key, of that company",
            {200: schemas.CompanyStats},
            query=schemas.CompanyStatsQuery,
        ),
    ]


def _stretch(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Return both moments in UTC: the last day, if they say nothing else. Raises RefusalError."""
    end = in_utc(until) or utc_now()
    return in_utc(since) or max(end, _EARLIEST + DEFAULT_STRETCH) - DEFAULT_STRETCH, end


def _wanted(call: Call, query: schemas.Filter) -> EventFilter:
    company = query.company or call.identity.company
    if company is not None:
        require_company(call.identity, company)
    check_whose(company, query.user)
    return EventFilter(company, query.user, query.operation, query.reason, in_utc(query.since), in_utc(query.until))
