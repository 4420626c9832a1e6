"""HTTP by hand, over a socket of its own: for what no client library would send."""

import re
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

PATIENCE_S = 60.0
"""No connection may be left waiting for longer, whatever its caller does."""

QUIET_S = 0.3
"""After an answer: the time in which another one would have begun to come."""

BETWEEN_PIECES_S = 0.001

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [ -~]*")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t]*)")
_RESET = struct.pack("ii", 1, 0)

End = Literal["wait", "half_close", "reset"]
"""What a caller does who has sent everything: waits for the answer, says that this was all, or breaks off."""


class HangError(Exception):
    """A connection was neither answered nor closed."""


class BrokenAnswerError(Exception):
    """What came is no HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """All that came over a connection, in order."""

    answers: tuple[Answer, ...]
    rest: bytes
    """The beginning of an answer that did not come whole."""
    was_reset: bool


def exchange(port: int, pieces: Iterable[bytes], end: End = "wait", quiet_s: float = QUIET_S) -> Exchange:
    """Send the pieces, one after another, and read what comes, meanwhile and afterwards, until the server closes.

    A connection that would be kept open is ended once an answer has come, and nothing more for `quiet_s`.

    Raises:
        HangError: that took longer than PATIENCE_S.
        BrokenAnswerError: what came is no HTTP.
    """
    deadline = time.monotonic() + PATIENCE_S
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        received = bytearray()
        try:
            is_open = _send(connection, pieces, received, deadline)
            if end == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return Exchange((), b"", was_reset=True)
            if end == "half_close":
                _shut(connection)
            while is_open:
                is_quiet = not _wait(connection, selectors.EVENT_READ, min(deadline, time.monotonic() + quiet_s))
                if not is_quiet:
                    is_open = _receive(connection, received)
                elif time.monotonic() >= deadline:
                    raise HangError(f"no end after {bytes(received)!r}")
                elif is_complete(bytes(received)):
                    _shut(connection)
            was_reset = False
        except ConnectionError:
            was_reset = True
    answers, rest = parse_answers(bytes(received))
    return Exchange(answers, rest, was_reset)


def parse_answers(data: bytes) -> tuple[tuple[Answer, ...], bytes]:
    """Return the answers that came whole, without interim ones, and what is left. Raises BrokenAnswerError."""
    answers: list[Answer] = []
    while (end := data.find(b"\r\n\r\n")) >= 0:
        first, *lines = data[:end].split(b"\r\n")
        status_line, headers = _STATUS_LINE.fullmatch(first), _headers(lines)
        if status_line is None:
            raise BrokenAnswerError(f"{first!r} is no status line")
        status = int(status_line[1])
        size = 0 if status < 200 or status in {204, 304} else int(headers.get("content-length", "-1"))
        if size < 0:
            raise BrokenAnswerError(f"an answer of unknown length: {data[:end]!r}")
        body_at = end + 4
        if len(data) < body_at + size:
            break
        if status >= 200:
            answers.append(Answer(status, headers, data[body_at : body_at + size]))
        data = data[body_at + size :]
    return tuple(answers), data


def is_complete(data: bytes) -> bool:
    """Tell whether the data is one answer or more, the last one whole."""
    answers, rest = parse_answers(data)
    return bool(answers) and not rest


def split(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Return the data cut at these places."""
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


def _headers(lines: Iterable[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise BrokenAnswerError(f"{line!r} is no header")
        name = header[1].decode().lower()
        if name in headers:
            raise BrokenAnswerError(f"{name} comes twice")
        headers[name] = header[2].decode()
    return headers


def _send(connection: socket.socket, pieces: Iterable[bytes], received: bytearray, deadline: float) -> bool:
    """Send, and read what comes meanwhile; tell whether the connection is still open."""
    for piece in pieces:
        unsent = memoryview(piece)
        while unsent:
            ready = _wait(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, deadline)
            if not ready:
                raise HangError(f"{len(unsent)} bytes of a piece were not read")
            if ready & selectors.EVENT_READ and not _receive(connection, received):
                return False
            if ready & selectors.EVENT_WRITE:
                try:
                    unsent = unsent[connection.send(unsent) :]
                except ConnectionError:
                    _drain(connection, received)
                    raise
        time.sleep(BETWEEN_PIECES_S)
    return True


def _drain(connection: socket.socket, received: bytearray) -> None:
    """Read what came before the connection broke: the system may have it."""
    with suppress(OSError):
        while _receive(connection, received):
            pass


def _receive(connection: socket.socket, received: bytearray) -> bool:
    data = connection.recv(65_536)
    received += data
    return bool(data)


def _wait(connection: socket.socket, events: int, until: float) -> int:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, events)
        ready = selector.select(max(0.0, until - time.monotonic()))
    return ready[0][1] if ready else 0


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_WR)
