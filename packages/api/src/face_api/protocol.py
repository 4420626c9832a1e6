"""uvicorn's HTTP/1.1, with bounds on what a connection may cost, and answers in the contract's body.

Bounded are the connections, the time until a request's head is there, the time that an answer may wait for its reader,
and a head's size. The time of a message's body is the application's business (see requests.py).
"""

import asyncio
import logging
import math
import ssl
import uuid
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import h11
from starlette.responses import JSONResponse
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from face_api.logs import CONNECTIONS
from face_api.middleware import REQUEST_ID_HEADER, request_id_of
from face_api.responses import DRAIN_BYTES, DRAIN_S, FAIL, RETRY_AFTER_S, details

HEAD_TIMEOUT_S = 10.0
"""For TLS and a request's head: from the moment when the connection was opened, or from the head's first byte."""

HEAD_BYTES = 16 * 1024
"""A head of so many bytes is served, one of twice as many is not: it takes up to 13 ms to parse."""

KEEP_ALIVE_S = 15
WRITE_TIMEOUT_S = 30.0
WRITE_BYTES = 64 * 1024
"""What a caller has to read in WRITE_TIMEOUT_S of an answer that waits for it: 2 kB a second."""

LINGER_S = 2.0
MAX_LINGERING = 128
EVICTABLE_S = 1.0
"""A connection that has waited so long for its next request may have to make room for another one."""

REFUSALS_S = 1.0
"""The log has a line for the first refusal of a reason, then none for so long: a refusal costs its caller nothing."""

MAX_CHUNKS = 1_000
CHUNK_BYTES = 256
"""Of a chunked message: so many chunks at most, and one more for each so many bytes. Each takes 5 us to parse."""

logger = logging.getLogger(__name__)


class _Messages(h11.Connection):
    """h11's, with a bound on what the framing of a message may cost, and on what is read of one that was answered."""

    def __init__(self, max_incomplete_event_size: int | None) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size or HEAD_BYTES)
        self._chunks = self._bytes = self._in_vain = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = self._in_vain = 0
            if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
                raise h11.RemoteProtocolError("two framings")  # a proxy may believe the other one
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            self._bytes += len(event.data)
            if self._chunks > MAX_CHUNKS + self._bytes // CHUNK_BYTES:
                raise h11.RemoteProtocolError("chunks too small")
            if self.our_state is h11.DONE:
                self._in_vain += len(event.data)
                if self._in_vain > DRAIN_BYTES:
                    raise h11.RemoteProtocolError("more of a message than is read for nothing")
        return event


class Connections:
    """What the connections of one server share.

    Args:
        limit: connections that may be open at a time.
        count_refusal: is called with the reason of each refusal.
        tls: None for plain HTTP.
    """

    def __init__(self, limit: int, count_refusal: Callable[[str], None], tls: ssl.SSLContext | None = None) -> None:
        self.limit = limit
        self._count_refusal = count_refusal
        self._logged: dict[str, tuple[float, int]] = {}
        """For each reason, when the log had a line of it, and how many refusals it was not told of since."""
        self.tls = tls
        self.waiting: dict[Protocol, float] = {}
        """Those whose caller owes a request's head, and since when, on the loop's clock; the longest one first."""
        self.lingering: set[Protocol] = set()

    def make_room(self, count: int, now: float) -> bool:
        """Tell whether there is room for one more than `count`; where there is none, one that waits is closed."""
        if count < self.limit:
            return True
        for protocol, since in self.waiting.items():
            if now - since < EVICTABLE_S:
                break
            protocol.evict()
            return True
        return False

    def note_refusal(self, reason: str, now: float, **answer: object) -> None:
        """Count a refusal, and log it if its turn has come; `answer` is what the line tells of what was answered."""
        self._count_refusal(reason)
        last, left_out = self._logged.get(reason, (-math.inf, 0))
        if now - last < REFUSALS_S:
            self._logged[reason] = last, left_out + 1
            return
        self._logged[reason] = now, 0
        logger.info("refused", extra=answer | {"reason": reason, "left_out": left_out})


class Protocol(H11Protocol):
    """A connection. uvicorn makes it; `shared` comes by functools.partial.

    TLS begins here rather than in uvicorn: a connection whose handshake is not done counts, and its time, too.
    """

    def __init__(
        self,
        shared: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = logging.getLogger(CONNECTIONS)
        self.conn = _Messages(config.h11_max_incomplete_event_size)
        self._shared = shared
        self._socket: asyncio.Transport = None  # type: ignore[assignment] # set by connection_made, as in uvicorn
        """Below `transport`, which is TLS' own, or the same."""
        self._handshake: asyncio.Task[None] | None = None
        self._early = b""
        self._ended = False
        self._ignored = 0
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0

    # How a connection begins and ends.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        self._socket = transport
        if not self._shared.make_room(len(self.connections), self.loop.time()):
            self._refuse(transport)
            return
        self.connections.add(self)
        self._watch()
        if self._shared.tls is None:
            self._begin(transport)
        else:
            transport.pause_reading()  # until TLS is there to read
            self._handshake = self.loop.create_task(self._start_tls(transport, self._shared.tls))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
        self._forget()
        if self.flow is not None:
            super().connection_lost(exc)

    def evict(self) -> None:
        """End the connection, which waits for a request, and stop counting it at once."""
        self._forget()
        (self._socket if self.flow is None else self.transport).abort()

    def shutdown(self) -> None:
        if self.flow is None or self._ended:
            self._close()
        else:
            super().shutdown()

    def _refuse(self, transport: asyncio.Transport) -> None:
        if self._shared.tls is None:
            self.transport = transport
            self._end(503, "too_many_connections", {"Retry-After": str(RETRY_AFTER_S)})
        else:
            transport.abort()  # to tell why would take a handshake
            self._shared.note_refusal("too_many_connections", self.loop.time())

    async def _start_tls(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        secure: asyncio.Transport | None = None
        with suppress(OSError):  # the caller left, or does not speak TLS
            secure = await self.loop.start_tls(transport, self, tls, server_side=True, ssl_shutdown_timeout=LINGER_S)
        if secure is None or secure.is_closing():
            self._forget()
        else:
            self._begin(secure)

    def _begin(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        for each in {transport, self._socket}:
            each.set_write_buffer_limits(high=1, low=0)  # every byte that waits is known to `pause_writing`
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def _forget(self) -> None:
        self.connections.discard(self)
        self._shared.waiting.pop(self, None)
        self._shared.lingering.discard(self)
        self._stop_timer()
        self._stop_write_timer()

    def _close(self) -> None:
        if self.flow is not None:
            self.transport.close()
        else:
            self._socket.abort()

    # What the caller sends.

    def data_received(self, data: bytes) -> None:
        if self._ended:
            self._ignored += len(data)
            if self._ignored > DRAIN_BYTES:
                self._close()
            return
        if self.flow is None:  # TLS has begun, and `_begin` is about to be called
            self._early += data
            return
        while data and not self._ended:
            # h11 measures a head only while it is incomplete, so it must not get it in one large piece.
            size = HEAD_BYTES if self.conn.their_state is h11.IDLE else len(data)
            super().data_received(data[:size])
            data = data[size:]
        if not self._ended:
            self._watch()

    def on_response_complete(self) -> None:
        early = self.conn.trailing_data[0]
        if len(early) > 2 * HEAD_BYTES and b"\r\n\r\n" not in early[: 2 * HEAD_BYTES]:
            self._close()  # a head that came before its turn, and was not measured yet
        super().on_response_complete()
        self._bound_writing()  # TLS may have taken it all and not be rid of it
        if self._ended or self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._shared.waiting.setdefault(self, self.loop.time())  # uvicorn bounds this time
        else:
            self._watch()

    def _watch(self) -> None:
        """Bound the time for what the caller has to send: a head, or the rest of a message that was answered."""
        unread = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if not unread and self.conn.their_state is not h11.IDLE:
            self._shared.waiting.pop(self, None)
            self._stop_timer()
            return
        self._shared.waiting.setdefault(self, self.loop.time())
        if self._timer is None:
            self._timer = self.loop.call_later(DRAIN_S if unread else HEAD_TIMEOUT_S, self._give_up)

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._end(408, "head_timeout")
        else:
            self._close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _should_upgrade(self) -> bool:
        return False  # uvicorn would log advice to install something

    # Answers that no application gives.

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - it is always the same
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._end(400, "http_invalid")
        elif self.conn.our_state is h11.SEND_BODY:  # the answer was given, or is that of somebody who breaks off
            self._linger()
        else:
            self._close()

    def _end(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        """Answer, and close the connection."""
        is_serving = self.cycle is not None and not self.cycle.response_complete
        request_id = request_id_of(self.cycle.scope) if is_serving else uuid.uuid4().hex  # type: ignore[arg-type] # a dict
        self._shared.note_refusal(reason, self.loop.time(), request_id=request_id, status=status)
        answer = JSONResponse(
            FAIL,
            status,
            details(reason) | {REQUEST_ID_HEADER: request_id, "connection": "close"} | (headers or {}),
        )
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        lines += [name + b": " + value for name, value in [*self.server_state.default_headers, *answer.raw_headers]]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(answer.body))
        self._linger()

    def _linger(self) -> None:
        """Close the connection, and let nothing more that comes reach h11 or the application.

        Not at once: with bytes unread it would be reset, and a reset can destroy the answer on its way.
        """
        self._stop_timer()
        self._shared.waiting.pop(self, None)
        self._ended = True
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.waiting_for_100_continue = False  # nothing can be written after the end
            self.cycle.message_event.set()
        if len(self._shared.lingering) >= MAX_LINGERING:
            self.transport.close()
            return
        self._shared.lingering.add(self)
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            with suppress(OSError):  # the caller has left
                self.transport.write_eof()

    # What the caller does not read.

    def pause_writing(self) -> None:
        super().pause_writing()
        self._bound_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_write_timer()

    def _bound_writing(self) -> None:
        """Bound the time that what is unsent may wait for its reader."""
        self._stop_write_timer()
        self._unsent = sum(each.get_write_buffer_size() for each in {self.transport, self._socket})
        if self._unsent:
            self._write_timer = self.loop.call_later(WRITE_TIMEOUT_S, self._check_progress)

    def _check_progress(self) -> None:
        before = self._unsent
        self._bound_writing()
        if self._unsent > max(0, before - WRITE_BYTES):
            self.transport.abort()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
