"""What the log's lines look like, that nothing a caller sends can forge one, and that they name nobody."""

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from anyio.to_thread import run_sync
from starlette.testclient import TestClient
from uvicorn.config import Config

from face_api import logs
from support.api import EMPTY, TAMY, V1, Key, ask, new_key, post, served

logger = logging.getLogger("face_api.somewhere")

HOSTILE = 'x\n2026-01-01T00:00:00.000Z INFO forged\r\x1b[2J\x00\u2028\u202e "} {"level": "INFO"}'


class Log:
    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def lines(self) -> list[str]:
        text = self._stream.getvalue()
        assert text.endswith("\n") or not text
        return text.split("\n")[:-1]

    @property
    def record(self) -> dict[str, Any]:
        """The one record, as JSON."""
        (line,) = self.lines
        record: dict[str, Any] = json.loads(line)
        return record


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def as_json(stderr: io.StringIO) -> Log:
    logs.configure("json")
    return Log(stderr)


@pytest.fixture
def as_text(stderr: io.StringIO) -> Log:
    logs.configure("text")
    return Log(stderr)


@pytest.fixture(params=["json", "text"])
def log(request: pytest.FixtureRequest, stderr: io.StringIO) -> Log:
    form: Literal["json", "text"] = request.param
    logs.configure(form)
    return Log(stderr)


def fail() -> None:
    raise ValueError(HOSTILE)


def test_a_json_line_holds_everything(as_json: Log) -> None:
    logger.info("%d of %s", 1, "two", extra={"status": 200, "ms": 1.5, "path": "/x", "nothing": None})
    record = as_json.record
    assert list(record) == ["time", "level", "logger", "message", "status", "ms", "path", "nothing"]
    at = datetime.fromisoformat(record.pop("time"))
    assert at.tzinfo == UTC and timedelta(0) <= datetime.now(UTC) - at < timedelta(minutes=1)
    assert at.microsecond % 1000 == 0
    assert record == {
        "level": "INFO",
        "logger": "face_api.somewhere",
        "message": "1 of two",
        "status": 200,
        "ms": 1.5,
        "path": "/x",
        "nothing": None,
    }


def test_a_text_line_holds_everything(as_text: Log) -> None:
    logger.warning("%d of %s", 1, "two", extra={"status": 200, "ms": 1.5, "path": "/x y", "empty": "", "mark": "a=b"})
    (line,) = as_text.lines
    time, rest = line.split(" ", 1)
    assert datetime.fromisoformat(time).tzinfo == UTC and len(time) == len("2026-01-01T00:00:00.000Z")
    assert rest == "WARNING face_api.somewhere 1 of two status=200 ms=1.5 path='/x y' empty='' mark='a=b'"


def test_what_a_caller_sent_forges_no_line(log: Log) -> None:
    logger.info("it was %s", HOSTILE, extra={"path": HOSTILE})
    (line,) = log.lines
    assert line.isprintable() and "forged" in line


def test_what_a_caller_sent_comes_back_from_json(as_json: Log) -> None:
    logger.info("it was %s", HOSTILE, extra={"path": HOSTILE})
    record = as_json.record
    assert (record["message"], record["path"], record["level"]) == (f"it was {HOSTILE}", HOSTILE, "INFO")


def test_a_traceback_is_a_field_of_the_json_line(as_json: Log) -> None:
    try:
        fail()
    except ValueError:
        logger.exception("a bug", extra={"status": 500})
    record = as_json.record
    assert list(record) == ["time", "level", "logger", "message", "exception", "status"]
    assert record["exception"].startswith("Traceback (most recent call last):\n")
    assert record["exception"].endswith(f"ValueError: {HOSTILE}")


def test_no_line_of_a_traceback_looks_like_a_record(as_text: Log) -> None:
    try:
        fail()
    except ValueError:
        logger.exception("a bug", extra={"status": 500})
    first, *others = as_text.lines
    assert first.endswith("ERROR face_api.somewhere a bug status=500")
    assert others[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    assert any("ValueError: x" in line for line in others)


def test_a_stack_is_written_as_a_traceback_is(log: Log) -> None:
    logger.info("here", stack_info=True)
    assert "test_a_stack_is_written" in "\n".join(log.lines)


def test_every_line_of_a_request_names_it(as_json: Log) -> None:
    async def serve(number: int) -> None:
        logs.request_id.set(f"r{number}")
        await anyio.sleep(0.01)
        await run_sync(logger.info, "in a thread of %d", number)
        logger.info("of %d", number)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(serve, number)
        logger.info("of none")

    anyio.run(main)
    records = [json.loads(line) for line in as_json.lines]
    assert len(records) == 7
    for record in records[:-1]:
        assert record["request_id"] == "r" + record["message"][-1]
        assert list(record)[4] == "request_id"
    assert "request_id" not in records[-1]


def test_a_request_that_a_line_names_itself_wins(as_text: Log) -> None:
    token = logs.request_id.set("current")
    logger.info("one")
    logger.info("two", extra={"request_id": "given"})
    logs.request_id.reset(token)
    assert [line.rpartition(" ")[2] for line in as_text.lines] == ["request_id=current", "request_id=given"]


def test_debug_lines_are_left_out(log: Log) -> None:
    logger.debug("nobody needs this")
    assert log.lines == []


def test_uvicorn_and_warnings_flow_through_it(as_json: Log) -> None:
    Config("app", log_config=None, access_log=False)
    logging.getLogger("uvicorn.error").info("Started\n", extra={"color_message": "\x1b[36mStarted"})
    logging.getLogger("uvicorn.access").info("who asked for what")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("something is old", stacklevel=1)
    started, warned = (json.loads(line) for line in as_json.lines)
    assert (started["logger"], started["message"].strip()) == ("uvicorn.error", "Started")
    assert "color_message" not in started
    assert (warned["level"], warned["logger"]) == ("WARNING", "py.warnings")
    assert "something is old" in warned["message"]


@pytest.mark.parametrize("name", ["python_multipart.multipart", logs.CONNECTIONS])
def test_callers_cannot_fill_the_log_with_warnings(log: Log, name: str) -> None:
    logging.getLogger(name).warning("Expected boundary character 45, got 0 at index 2")
    assert log.lines == []
    logging.getLogger(name).error("a bug")
    assert len(log.lines) == 1


def test_the_last_configuration_counts(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", stderr)  # pytest has put its own there meanwhile
    logs.configure("json")
    logs.configure("text")
    logger.info("once")
    assert stderr.getvalue().count("once") == 1 and stderr.getvalue().endswith("INFO face_api.somewhere once\n")


# That nobody is named: the log outlives an erasure.

PERSON = "hongildong19800101"
USER = f"/v1/companies/{PERSON}/users/{PERSON}"
SPEC_PATHS = ["/enrollment_img", "/enrollment_img/", "/analy_img", "/analy_img/"]
OUTCOMES = ["enrolled", "compared", "no_face", "user_unregistered", "company_invalid", "form_invalid", "json_invalid"]
OUTCOMES += ["path_unknown", "method_not_allowed", "key_invalid", "company_forbidden", "admin_required"]


def ask_everything(client: TestClient, key: Key | None) -> None:
    """Ask for every operation, and for what there is not, naming the person wherever something may be named."""
    headers = {} if key is None else key.headers
    for endpoint in sorted(V1, key=lambda endpoint: endpoint.method == "DELETE"):
        ask(client, endpoint, headers, company=PERSON, user=PERSON)
        ask(client, endpoint, headers, company=PERSON, user=PERSON, enrollment=PERSON, key=PERSON)
        ask(client, endpoint, headers, company=f"{PERSON} ", user=f"{PERSON}<")
        client.request("BREW", endpoint.path.format(company=PERSON, user=PERSON, enrollment=1, key=PERSON))
    for path in SPEC_PATHS:
        for image in (TAMY, TAMY, EMPTY, PERSON.encode()):
            post(client, path, image, headers, company=PERSON, id=PERSON)
        post(client, path, TAMY, headers, company=PERSON, id=f"{PERSON}<", gender=PERSON)
        client.post(path, data={"company": PERSON, "id": PERSON}, headers=headers)
        client.post(
            path, content=PERSON, headers={"Content-Type": "multipart/form-data; boundary=" + PERSON, **headers}
        )
    for path in (f"/{PERSON}", f"/v1/{PERSON}", f"{USER}/{PERSON}", f"/v1/companies/{PERSON}/", f"/docs/{PERSON}"):
        client.get(path, headers=headers)
    for path in ("/v1/events", "/v1/stats", "/v1/companies", f"/v1/companies/{PERSON}/users"):
        client.get(path, params={"company": PERSON, "user": PERSON, "cursor": PERSON}, headers=headers)
    client.post("/v1/keys", json={"company": PERSON, "label": PERSON}, headers=headers)
    client.post("/v1/keys", content=PERSON, headers=headers)
    client.request(PERSON, "/v1/keys", headers=headers)


def test_no_line_names_who_a_request_is_about(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("httpx2"), "disabled", True)  # the client's own
    with served(tmp_path / "open") as client:
        for _ in range(2):
            ask_everything(client, None)
    with served(tmp_path / "keyed", auth="keys") as client:
        admin, theirs, others = (new_key(tmp_path / "keyed", company) for company in (None, PERSON, "other"))
        unknown = Key("", f"fk_{PERSON}")
        for key in (None, unknown, others, theirs, admin):
            ask_everything(client, key)
    for path in [*SPEC_PATHS, *(endpoint.path for endpoint in V1)]:
        status = "4" if "{key}" in path else "2"
        assert any(path in line and re.search(rf"\bstatus\W+{status}", line) for line in log.lines), path
    text = "\n".join(log.lines)
    for reason in OUTCOMES:
        assert reason in text, reason
    assert PERSON not in text
