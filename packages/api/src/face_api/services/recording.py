"""What both use cases record: how long it took, and their refusals."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from anyio.to_thread import run_sync

from face_api.errors import RefusalError, TooManyError
from face_api.store import Caller, Operation, Outcome, Store
from face_engine.timing import StageTimings, timed


def with_total(timings_ms: Mapping[str, float], start: float) -> StageTimings:
    """Return the stages and the total since `start`, a time.perf_counter(): it has the wait for a worker in it too."""
    return {**timings_ms, "total": (time.perf_counter() - start) * 1000}


@asynccontextmanager
async def recorded(
    store: Store, caller: Caller, operation: Operation, company: str, user: str, timings_ms: StageTimings
) -> AsyncIterator[None]:
    """Record the refusal with which the block ends, before it is passed on."""
    start = time.perf_counter()
    try:
        yield
    except (RefusalError, TooManyError) as refusal:
        outcome = Outcome(operation, refusal.reason, with_total(timings_ms, start))
        with timed(timings_ms, "store"):
            await run_sync(store.events.record, caller, company, user, outcome)
        raise
