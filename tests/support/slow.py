"""Callers who keep their connections busy with as little as they can, many at a time, in one thread."""

import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from support.raw_http import is_complete

TICK_S = 0.2
"""Between two bytes of a caller."""

PATIENCE_S = 90.0


class SlowCallers:
    """One connection for each of `messages`: what is sent at once, and what is sent byte by byte, until an answer."""

    def __init__(self, port: int, messages: Sequence[tuple[bytes, bytes]]) -> None:
        self.answers = [b""] * len(messages)
        self.lasted_s = [0.0] * len(messages)
        self._address = "127.0.0.1", port
        self._messages = messages
        self._connected = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        self._connected.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()

    def join(self) -> None:
        """Wait until every connection is closed, or the patience at its end: `lasted_s` tells."""
        self._thread.join()

    def _run(self) -> None:
        start = time.monotonic()
        callers = {}
        for number, (first, _) in enumerate(self._messages):
            caller = socket.create_connection(self._address)
            caller.sendall(first)
            caller.setblocking(False)
            callers[number] = caller
        self._connected.set()
        tick = 0
        while callers and time.monotonic() - start < PATIENCE_S:
            for number, caller in list(callers.items()):
                if not self._go_on(number, caller, tick):
                    callers.pop(number).close()
                self.lasted_s[number] = time.monotonic() - start
            tick += 1
            time.sleep(TICK_S)
        for caller in callers.values():
            caller.close()

    def _go_on(self, number: int, caller: socket.socket, tick: int) -> bool:
        """Send a byte and read what came; tell whether the connection is to be kept."""
        try:
            with suppress(BlockingIOError):
                received = caller.recv(65_536)
                self.answers[number] += received
                return bool(received) and not is_complete(self.answers[number])  # an answer may come in pieces
            with suppress(BlockingIOError):
                caller.send(self._messages[number][1][tick : tick + 1])
        except ConnectionError:
            return False
        return True
