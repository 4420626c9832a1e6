"""`make overhead`: what HTTP, the store and its sealing add to the time of the networks.

One caller with an API key; limits, sealing and the audit trail are on. The time is the caller's, from the first byte
that it sends to the last that it gets; the networks' share is what Server-Timing says of decode, detect, align, encode.
"""

import http.client
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import click

from face_engine.runtimes import usable_cores
from messages import COMPANY, CONTENT_TYPE, Messages, sample_messages
from sample_photos import SamplePhotosError
from service import HOST, command, environment, running_service

ENGINE = ("decode", "detect", "align", "encode")
WANTED_MS = 8.0
WARM_UP = 10
USER = "analysed"

# Counted, but never reached.
SETTINGS = {"auth": "keys", "limit_per_user": "1000000/minute;1000000/hour", "limit_per_key": "1000000/minute"}

Shares = dict[str, float]
"""Milliseconds of one request by what they went into."""


@click.command()
@click.option("--count", type=click.IntRange(2), default=200, show_default=True, help="Requests of each kind.")
def main(count: int) -> None:
    """Measure the overhead of an enrollment and of an analysis over HTTP."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # what was started is stopped all the same
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        key = _new_key(data_dir)
        with running_service(data_dir, SETTINGS) as service:
            caller = _Caller(service.port, key, sample_messages())
            caller.enroll(USER)
            begun, others_s = time.perf_counter(), service.others_cpu_s()
            kinds = {
                "enrollment of a new user": [caller.enroll(f"user{number}") for number in range(WARM_UP + count)],
                "analysis": [caller.analyse(USER) for _ in range(WARM_UP + count)],
            }
            others = (service.others_cpu_s() - others_s) / (time.perf_counter() - begun) / usable_cores()
    print(f"milliseconds, p50 (p95) of {count}; other programs took {others:.0%} of {usable_cores()} cores\n")
    print(f"{'':28}" + "".join(f"{kind:>28}" for kind in kinds))
    measured = {kind: shares[WARM_UP:] for kind, shares in kinds.items()}
    for what in next(iter(measured.values()))[0]:
        print(f"{what:28}" + "".join(f"{_row([share[what] for share in shares]):>28}" for shares in measured.values()))
    overheads = {kind: statistics.median(share["overhead"] for share in shares) for kind, shares in measured.items()}
    for kind, overhead in overheads.items():
        print(f"\n{kind}: overhead {overhead:.1f} ms, wanted: at most {WANTED_MS:g}", end="")
    print()
    sys.exit(max(overheads.values()) > WANTED_MS)


class _Caller:
    """Sends one request after the other over one connection."""

    def __init__(self, port: int, key: str, messages: Messages) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=60)
        self._headers = {"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {key}"}
        self._messages = messages
        self._number = 0

    def enroll(self, user: str) -> Shares:
        return self._send("/enrollment_img/", user, "enrolled")

    def analyse(self, user: str) -> Shares:
        return self._send("/analy_img/", user, "compared")

    def _send(self, path: str, user: str, reason: str) -> Shares:
        body = self._messages.body(self._number, user)
        self._number += 1
        start = time.perf_counter()
        self._connection.request("POST", path, body, self._headers)
        answer = self._connection.getresponse()
        answer.read()
        total_ms = (time.perf_counter() - start) * 1000
        if answer.getheader("x-face-reason") != reason:
            raise click.ClickException(f"{path} was answered {answer.status} {answer.getheader('x-face-reason')}")
        return _shares(total_ms, answer.getheader("server-timing", ""))


def _shares(total_ms: float, server_timing: str) -> Shares:
    stages: defaultdict[str, float] = defaultdict(float)
    for stage, ms in re.findall(r"(\w+);dur=([0-9.]+)", server_timing):
        stages[stage] += float(ms)
    engine_ms = sum(stages[name] for name in ENGINE)
    store_ms, match_ms = stages["store"], stages["match"]
    return {
        "the caller's whole time": total_ms,
        "networks": engine_ms,
        "overhead": total_ms - engine_ms,
        "  store, sealing, audit": store_ms,
        "  comparison": match_ms,
        "  rest of the service": stages["total"] - engine_ms - store_ms - match_ms,
        "  caller, sockets": total_ms - stages["total"],
    }


def _new_key(data_dir: Path) -> str:
    create = command("keys", "create", "--company", COMPANY, "--data-dir", str(data_dir))
    made = subprocess.run(create, env=environment({}), capture_output=True, text=True, check=False)
    if made.returncode:
        raise click.ClickException(made.stderr)
    return made.stdout.strip()


def _row(times_ms: list[float]) -> str:
    p95 = statistics.quantiles(times_ms, n=20, method="inclusive")[-1]
    return f"{statistics.median(times_ms):.1f} ({p95:.1f})"


if __name__ == "__main__":
    try:
        main()
    except SamplePhotosError as error:
        sys.exit(f"No sample photos: {error}")
