"""The callers of `make load`, by locust: so many who wait for their answers, or arrivals at a rate, who wait for none.

Reads a plan as JSON from its standard input and prints as JSON what became of every request. It is a process of its
own: gevent changes what sockets and threads are.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, constant
from locust.env import Environment

from messages import CONTENT_TYPE, Messages, sample_messages

PATH = "/enrollment_img/"
GRACE_S = 60
"""For the answers to what was sent last."""

MAX_UNANSWERED = 2_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send for `seconds`, beginning with message `first`: by so many `callers`, or at `rate` a second."""

    port: int
    first: int
    seconds: float
    callers: int = 0
    rate: float = 0.0


@dataclass(slots=True)
class Report:
    """What became of it. Times in seconds, since the beginning where they are moments."""

    answers: list[tuple[float, float, int, str, str]] = field(default_factory=list)
    """Sent at, took, status, X-Face-Reason, Retry-After. Status 0: there was no answer, and the reason says why."""
    processor_s: float = 0.0
    elapsed_s: float = 0.0
    late_s: float = 0.0
    """By how much that arrival was late that was the latest."""


@dataclass(slots=True)
class Work:
    """What all callers share."""

    plan: Plan
    messages: Messages
    begun: float
    sent: int = 0
    report: Report = field(default_factory=Report)


class Caller(FastHttpUser):  # type: ignore[misc] # locust is not there where types are checked
    """Sends photos, each of a user of its own."""

    abstract = True
    network_timeout = connection_timeout = GRACE_S
    work: ClassVar[Work]

    def enroll(self) -> None:
        number = self.work.plan.first + self.work.sent
        self.work.sent += 1
        body = self.work.messages.body(number, f"user{number}")
        sent = time.perf_counter()
        with self.client.post(PATH, data=body, headers={"Content-Type": CONTENT_TYPE}, catch_response=True) as answer:
            took = time.perf_counter() - sent
            headers = answer.headers or {}
            reason = headers.get("x-face-reason") or repr(getattr(answer, "error", None))
            retry_after = headers.get("retry-after", "")
            self.work.report.answers.append((sent - self.work.begun, took, answer.status_code, reason, retry_after))
            answer.success()  # who reads the report judges


class PatientCaller(Caller):
    """Sends one photo after the other."""

    tasks = (Caller.enroll,)


class Arrivals(Caller):
    """Sends at a fixed rate, from as many greenlets as that takes."""

    concurrency = MAX_UNANSWERED
    wait_time = constant(GRACE_S)  # the task is done once

    def arrive(self) -> None:
        plan = self.work.plan
        pool = Pool(MAX_UNANSWERED)
        for number in range(round(plan.rate * plan.seconds)):
            due = self.work.begun + number / plan.rate
            gevent.sleep(max(0.0, due - time.perf_counter()))
            self.work.report.late_s = max(self.work.report.late_s, time.perf_counter() - due)
            pool.spawn(self.enroll)
        pool.join()

    tasks = (arrive,)


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    environment = Environment(
        user_classes=[PatientCaller if plan.callers else Arrivals],
        host=f"http://127.0.0.1:{plan.port}",
        stop_timeout=GRACE_S,
    )
    runner = environment.create_local_runner()
    messages = sample_messages()
    processor_s = time.process_time()
    Caller.work = work = Work(plan, messages, time.perf_counter())
    runner.start(user_count=plan.callers or 1, spawn_rate=plan.callers or 1)
    gevent.sleep(plan.seconds)
    runner.quit()
    work.report.processor_s = time.process_time() - processor_s
    work.report.elapsed_s = time.perf_counter() - work.begun
    json.dump(asdict(work.report), sys.stdout)


if __name__ == "__main__":
    main()
