"""More than the service can do: who is let in waits no longer than before, and everybody else is told at once.

The line, the worker process and all around them are the service's own; the engine only takes its time.
"""

import http.client
import itertools
import re
import signal
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest

from face_api.store import MAX_PAGE, Caller
from support.crash import open_directly
from support.light_server import light_photo
from support.server import LIGHT, Server, running_server

COMPANY = "storm"
CALLERS = 8
PATIENCE_S = 60.0
PAUSE_S = 0.05

DELAY_S = 0.1
CALM = 3
"""Photos of each caller."""

FACTOR = 4
STORM_S = 2.0
GROWTH_BYTES = 40e6
"""There is room for nine photos: eight in line, one with the worker. Each is in memory a few times for a moment."""

SUCCESS, FAIL = b'{"result":"Success"}', b'{"result":"Fail"}'


@dataclass(frozen=True, slots=True)
class Answer:
    user: str
    took_s: float
    status: int
    reason: str
    retry_after: str
    body: bytes

    @property
    def is_success(self) -> bool:
        return (self.status, self.reason, self.body) == (200, "enrolled", SUCCESS)

    @property
    def is_refusal(self) -> bool:
        return (self.status, self.reason, self.retry_after, self.body) == (503, "overloaded", "1", FAIL)


def slow(delay_s: float) -> Sequence[str]:
    return (*LIGHT, "--pool", "--delay", str(delay_s))


def enroll(port: int, number: int) -> Answer:
    """Enroll a new user, over a connection of its own. Raises OSError, HTTPException where no answer comes."""
    user = f"user{number}"
    form = httpx2.Request(
        "POST",
        f"http://127.0.0.1:{port}/enrollment_img/",
        data={"company": COMPANY, "id": user},
        files={"image": ("photo.jpg", light_photo(number, 0))},
    )
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        start = time.perf_counter()
        connection.request("POST", "/enrollment_img/", form.read(), dict(form.headers))
        answer = connection.getresponse()
        body = answer.read()
        took_s = time.perf_counter() - start
    reason, retry_after = answer.headers.get("x-face-reason", ""), answer.headers.get("retry-after", "")
    return Answer(user, took_s, answer.status, reason, retry_after, body)


def in_turn(port: int, numbers: Sequence[int]) -> list[Answer]:
    """Enroll by CALLERS who wait for each of their answers."""
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(lambda number: enroll(port, number), numbers))


def at_rate(port: int, numbers: Sequence[int], rate: float) -> list[Answer]:
    """Enroll `rate` a second, whatever the answers take."""
    answers: list[Future[Answer]] = []
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(numbers)) as pool:
        for place, number in enumerate(numbers):
            time.sleep(max(0.0, begun + place / rate - time.perf_counter()))
            answers.append(pool.submit(enroll, port, number))
    return [answer.result() for answer in answers]


def median_s(answers: Sequence[Answer]) -> float:
    return statistics.median(answer.took_s for answer in answers)


def test_in_a_storm_who_is_let_in_waits_as_before_and_the_rest_is_told_at_once(tmp_path: Path) -> None:
    numbers = itertools.count()

    def users(count: int) -> list[int]:
        return list(itertools.islice(numbers, count))

    with running_server(tmp_path, slow(DELAY_S)) as server:
        calm = in_turn(server.port, users(CALLERS * CALM))
        assert all(answer.is_success for answer in calm), calm
        rate = FACTOR / DELAY_S
        resident = psutil.Process(server.process.pid).memory_info
        before = resident().rss
        storm = at_rate(server.port, users(round(rate * STORM_S)), rate)
        grown = resident().rss - before
        accepted = [answer for answer in storm if answer.is_success]
        refused = [answer for answer in storm if answer.is_refusal]
        assert len(accepted) + len(refused) == len(storm), storm
        # The worker was kept busy, and the line was short.
        assert len(accepted) > 0.5 * STORM_S / DELAY_S
        assert len(refused) > 0.5 * len(storm)
        assert median_s(accepted) < 2 * median_s(calm)
        assert median_s(refused) < 0.25 * median_s(accepted)
        assert grown < GROWTH_BYTES
        assert all(answer.is_success for answer in in_turn(server.port, users(CALLERS)))
        # What was refused is not there, and can be sent again.
        photo = light_photo(0, 0)
        known, unknown = (server.analyse(photo, company=COMPANY, id=each[0].user) for each in (accepted, refused))
        assert known.headers["x-face-reason"] == "compared"
        assert unknown.headers["x-face-reason"] == "user_unregistered"
        assert enroll(server.port, int(refused[0].user.removeprefix("user"))).is_success


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_in_a_storm_finishes_what_was_accepted_and_refuses_the_rest(tmp_path: Path, workers: int) -> None:
    numbers = itertools.count()
    answers: list[tuple[float, Answer]] = []

    def go_on(port: int) -> None:
        with suppress(OSError):  # refused, or closed before it was accepted
            while True:
                answer = enroll(port, next(numbers))
                answers.append((time.perf_counter(), answer))
                if not answer.is_success:
                    time.sleep(PAUSE_S)

    with (
        ThreadPoolExecutor(CALLERS * FACTOR) as pool,
        running_server(tmp_path, slow(DELAY_S), workers=workers) as server,
    ):
        callers = [pool.submit(go_on, server.port) for _ in range(CALLERS * FACTOR)]
        while waiting(server) < CALLERS:
            time.sleep(PAUSE_S)
        told = time.perf_counter()
        server.stop(signal.SIGTERM)  # this checks how it ends
        for caller in callers:
            caller.result(PATIENCE_S)
    assert all(answer.is_success or answer.is_refusal for _, answer in answers), answers
    assert sum(answer.is_success for at, answer in answers if at > told) >= CALLERS / 2  # those who stood in line
    with closing(open_directly(tmp_path)) as store:
        page = store.directory.users(Caller("test"), COMPANY, limit=MAX_PAGE)
        assert page is not None and page.next_after is None
        stored = {user.key for user in page.items}
    assert stored == {answer.user for _, answer in answers if answer.is_success}


def waiting(server: Server) -> float:
    """Return how many photos wait for a worker, as the server's figures tell it."""
    told = server.client.get("/metrics").text
    found = re.search(r"^face_api_queue_waiting (\S+)$", told, re.MULTILINE)
    assert found, told
    return float(found[1])
