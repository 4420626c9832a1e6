"""Idempotency-Key: a write that is sent again is answered as the first time, and done once."""

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial

from anyio import CancelScope
from anyio.to_thread import run_sync
from starlette.responses import Response

from face_api.errors import RefusalError
from face_api.responses import details
from face_api.routes.door import Call
from face_api.store import Claim, IdempotencyError, StatementRefusedError, Store, StoredAnswer, StoreError

KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"

KEY_PATTERN = "[A-Za-z0-9._-]{1,64}"

logger = logging.getLogger(__name__)

_KEY = re.compile(f'{KEY_PATTERN}|"{KEY_PATTERN}"')  # a string of RFC 8941 has quotes; most senders leave them away


class Once:
    """Does what was asked once for each Idempotency-Key; without one, each time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def answer(
        self,
        call: Call,
        asked: tuple[object, ...],
        work: Callable[[], Awaitable[Response]],
        company: str | None,
        user: str | None,
        remember: Callable[[Response], bytes] = lambda response: bytes(response.body),
    ) -> Response:
        """Return what `work` answers, or the answer that this key had before. A failure frees the key.

        Args:
            asked: all of the request that counts; a form's boundary, for instance, does not.
            company, user: whom the answer is about, and with whom it is erased.
            remember: what is kept of the body.

        Raises:
            RefusalError: the key is malformed, was sent with another request, or its request is under way.
        """
        key = call.request.headers.get(KEY_HEADER)
        if key is None:
            return await work()
        if not _KEY.fullmatch(key):
            raise RefusalError("idempotency_key_invalid")
        request = (call.request.method, call.request.url.path, *asked)
        fingerprint = hashlib.sha256(repr(request).encode()).digest()
        try:
            claim = await run_sync(self._store.idempotency.claim, call.caller.actor, key.strip('"'), fingerprint)
        except IdempotencyError as error:
            raise RefusalError(error.reason) from error
        if isinstance(claim, StoredAnswer):
            return Response(
                claim.body, claim.status, details("replayed") | {REPLAYED_HEADER: "true"}, media_type="application/json"
            )
        return await self._first(claim, work, company, user, remember)

    async def _first(
        self,
        claim: Claim,
        work: Callable[[], Awaitable[Response]],
        company: str | None,
        user: str | None,
        remember: Callable[[Response], bytes],
    ) -> Response:
        try:
            answer = await work()
        except BaseException:
            await self._conclude(partial(self._store.idempotency.release, claim))
            raise
        body = remember(answer)
        await self._conclude(partial(self._store.idempotency.complete, claim, answer.status_code, body, company, user))
        return answer

    async def _conclude(self, conclude: Callable[[], object]) -> None:
        """Keep the answer, or free the key. Where that fails, what happened is the answer all the same.

        A retry will then not have it, and the key is free again after a while.
        """
        try:
            with CancelScope(shield=True):
                await run_sync(conclude)
        except StoreError as error:
            logger.error("an Idempotency-Key could not be concluded: %s", error)  # noqa: TRY400 - no bug
        except StatementRefusedError:
            logger.exception("a bug")
