"""The log: a line for each record, on standard error.

As JSON, for machines: {"time": "2026-03-01T12:00:00.000Z", "level": "INFO", "logger": "face_api.middleware",
"message": "answered", "request_id": "...", ...}, where what a call gave as `extra` follows, and `exception` holds a
traceback. As text, for people: the same in that order, the extras as name=value; a traceback's lines follow, each
indented. What a caller sent can end no line in either of them, and so forge none.
"""

import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from pythonjsonlogger.core import RESERVED_ATTRS, merge_record_extra
from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request that is being served; every line of the log names it. Threads that anyio starts know it, too."""

# uvicorn's second spelling of its messages, for terminals.
_NO_EXTRAS = [*RESERVED_ATTRS, "color_message"]

CONNECTIONS = "uvicorn.error.connections"
"""What uvicorn logs of connections, apart from what it logs of itself."""

# They warn of every form, and of every request, that is malformed: any caller could fill the log.
_OF_CALLERS = ("python_multipart", CONNECTIONS)

_PLAIN = re.compile(r"[A-Za-z0-9._/:+-]+")
_INDENT = "    "


def configure(form: Literal["json", "text"]) -> None:
    """Let everything that this process logs, libraries and Python's warnings included, go to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_name_request)
    handler.setFormatter(_JsonLine() if form == "json" else _TextLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for name in _OF_CALLERS:
        logging.getLogger(name).setLevel(logging.ERROR)


def _name_request(record: logging.LogRecord) -> bool:
    if (current := request_id.get()) and not hasattr(record, "request_id"):
        record.request_id = current
    return True


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _JsonLine(JsonFormatter):
    def __init__(self) -> None:
        names = {"asctime": "time", "levelname": "level", "name": "logger", "exc_info": "exception"}
        super().__init__(["asctime", "levelname", "name", "message"], rename_fields=names, reserved_attrs=_NO_EXTRAS)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        return _time_of(record)


class _TextLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extras: dict[Any, Any] = merge_record_extra(record, {}, _NO_EXTRAS)
        words = [_time_of(record), record.levelname, record.name, _escaped(record.getMessage().strip())]
        words += [f"{name}={_quoted(value)}" for name, value in extras.items()]
        lines = [" ".join(words)]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        if record.stack_info:
            lines += self.formatStack(record.stack_info).splitlines()
        return f"\n{_INDENT}".join([lines[0], *map(_escaped, lines[1:])])


def _escaped(text: str) -> str:
    """Return the text with \\n and the like for whatever would move a terminal's cursor, or hide."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _quoted(value: object) -> str:
    """Return a word without blanks, or what stands in quotes."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else repr(text)
