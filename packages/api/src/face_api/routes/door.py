"""What stands before every operation: who asks, how much is under way, the message, the deadline; and every failure."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from face_api.access import ANONYMOUS, Access, share_of
from face_api.errors import BusyError, RefusalError, RequestError, TooManyError
from face_api.inference import Analyser
from face_api.limits import AttemptLimits
from face_api.requests import BrokenMessageError, read_message
from face_api.responses import LastResponse
from face_api.settings import Settings
from face_api.store import Caller, Identity, StoreError
from face_engine.errors import FaceEngineError

MAX_JSON_BYTES = 16 * 1024

SHARES = 4
"""A company, or an administrator's key, may have one of so many parts of all requests that may be under way."""

SHARE_RETRY_S = 1

Expects = Literal["nothing", "json", "photo"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in, with its whole message."""

    request: Request
    identity: Identity
    caller: Caller
    message: bytes

    @property
    def request_id(self) -> str:
        value: str = self.request.state.request_id
        return value

    @property
    def content_type(self) -> str | None:
        return self.request.headers.get("content-type")


Handler = Callable[[Call], Awaitable[Response]]
Face = Callable[[str, RequestError], JSONResponse]
"""Makes an answer of a request id and an error."""


class Door:
    """Lets requests in, a bounded number at a time, and turns whatever goes wrong behind it into an answer."""

    def __init__(self, settings: Settings, access: Access, limits: AttemptLimits, analyser: Analyser) -> None:
        self._settings = settings
        self._access = access
        self._limits = limits
        self._analyser = analyser
        self.in_flight = 0
        self._in_flight_of: Counter[str] = Counter()

    async def answer(self, request: Request, expects: Expects, handler: Handler, face: Face) -> Response:
        """Return the handler's answer, or the one that `face` makes of what went wrong."""
        request_id: str = request.state.request_id
        unread = expects != "nothing"
        try:
            with self._counted() if unread else nullcontext():  # the others hold no message, and /metrics is for this
                identity = await self._identify(request)
                request.state.actor = identity.key_id
                with self._counted_of(identity):
                    if identity != ANONYMOUS:
                        await self._limits.count_request(identity.key_id)
                    if expects == "photo":
                        self._analyser.check_room()
                    message = await self._read(request, expects)
                    unread = False
                    call = Call(request, identity, Caller(identity.key_id, request_id), message)
                    return await self._finish(request, partial(handler, call))
        except RequestError as error:
            answer = face(request_id, error)
            return LastResponse(answer) if unread or isinstance(error, BrokenMessageError) else answer
        except (StoreError, FaceEngineError) as error:
            logger.error("%s: %s", error.reason, error)  # noqa: TRY400 - no bug
            answer = face(request_id, BusyError(error.reason))
            return LastResponse(answer) if unread else answer

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Each request may hold a message in memory."""
        if self.in_flight >= self._settings.max_in_flight:
            raise BusyError("overloaded")
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    @contextmanager
    def _counted_of(self, identity: Identity) -> Iterator[None]:
        """Who sends much, or slowly, must leave room for the others."""
        share = share_of(identity)
        if share is None:
            yield
            return
        if self._in_flight_of[share] >= max(2, self._settings.max_in_flight // SHARES):
            raise TooManyError("too_many_requests", SHARE_RETRY_S)
        self._in_flight_of[share] += 1
        try:
            yield
        finally:
            self._in_flight_of[share] -= 1
            if not self._in_flight_of[share]:
                del self._in_flight_of[share]

    async def _identify(self, request: Request) -> Identity:
        with anyio.move_on_after(self._settings.deadline_s):
            return await self._access.identify(request)
        raise BusyError("deadline_exceeded")

    async def _read(self, request: Request, expects: Expects) -> bytes:
        if expects == "nothing":
            return b""
        limit = MAX_JSON_BYTES if expects == "json" else self._settings.max_message_bytes
        return await read_message(request, limit, self._settings.message_timeout_s)

    async def _finish(self, request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
        """Finish the work, unless the caller goes away first or the deadline comes: then nobody waits for a worker.

        What is being written to the store is finished all the same, and the answer is then the true one.
        """
        answer: Response | None = None
        error: Exception | None = None
        with anyio.move_on_after(self._settings.deadline_s) as deadline:
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_on_departure, request, group.cancel_scope)
                try:
                    answer = await work()
                except Exception as failure:  # noqa: BLE001 - passed on below: a task group would wrap it into a group
                    error = failure
                group.cancel_scope.cancel()
        if error is not None:
            raise error
        if answer is not None:
            return answer
        raise BusyError("deadline_exceeded") if deadline.cancelled_caught else RefusalError("caller_gone")


async def _cancel_on_departure(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
