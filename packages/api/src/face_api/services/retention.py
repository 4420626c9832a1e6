"""Removes what is older than it is kept: events, and answers to requests that might have been sent again."""

import logging
from datetime import timedelta

import anyio
from anyio.to_thread import run_sync

from face_api.store import Caller, StatementRefusedError, Store, StoreError, utc_now

INTERVAL_S = 3600.0

logger = logging.getLogger(__name__)


def purge(store: Store, caller: Caller, keep_days: int) -> int:
    """Remove the events that are older than so many days, and return how many they were. Raises StoreError.

    And the answers of more than a day ago, and the traces of earlier erasures.
    """
    store.database.catch_up()
    store.idempotency.purge()
    return store.events.purge(caller, utc_now() - timedelta(days=keep_days))


async def purge_regularly(store: Store, keep_days: int) -> None:
    """Purge now and every hour, until cancelled. Several services on one database may all do so."""
    while True:
        try:
            await run_sync(purge, store, Caller("service"), keep_days)
        except StoreError as error:
            logger.error("what is old could not be purged; tried again in an hour: %s", error)  # noqa: TRY400 - no bug
        except StatementRefusedError:  # the service goes on without
            logger.exception("a bug")
        await anyio.sleep(INTERVAL_S)
