"""`make load`: the service under the load that it is made for, and under four times of what it can do.

First callers who wait for their answers, then arrivals at a fixed rate that do not. Both are made by locust on this
machine, and so at the expense of the same cores: the table tells their share.
"""

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from face_engine.runtimes import usable_cores
from service import Service, running_service

CALLERS = Path(__file__).with_name("callers.py")
TIMEOUT_S = 300.0
"""For what a run of the callers takes beyond its time."""

WANTED_MEAN_MS = 500.0
"""Of the specification, for an enrollment: where each caller has a core."""

WANTED_RATIO = 1.5
"""Of the mean of those who were let in, to that of the callers before: they wait behind as many."""

WANTED_REFUSAL_MS = 50.0

LIMITS = {"limit_per_user": "none", "limit_per_key": "none"}


@dataclass(frozen=True, slots=True)
class Run:
    """What became of the requests of one run."""

    accepted_ms: Sequence[float]
    refused_ms: Sequence[float]
    """How long those took that were told that there is too much to do, and when to come back."""
    failures: Mapping[str, int]
    seconds: float
    late_ms: float
    callers_share: float
    """Of all cores' time, what the callers took."""
    service_share: float
    others_share: float
    """What was none of both; the machine should have had nothing else to do."""

    @property
    def count(self) -> int:
        return len(self.accepted_ms) + len(self.refused_ms) + sum(self.failures.values())

    @property
    def accepted_rate(self) -> float:
        """Requests a second."""
        return len(self.accepted_ms) / self.seconds


@click.command()
@click.option("--callers", type=click.IntRange(1), default=8, show_default=True, help="Who wait for their answers.")
@click.option("--seconds", type=click.IntRange(1), default=60, show_default=True, help="How long they go on.")
@click.option("--factor", type=click.FloatRange(1), default=4.0, show_default=True, help="Of the overload.")
@click.option("--overload-seconds", type=click.IntRange(1), default=30, show_default=True, help="How long it goes on.")
@click.option("--setting", "settings", multiple=True, metavar="NAME=VALUE", help="Of the service: workers=2, say.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON as well.")
def main(
    callers: int, seconds: int, factor: float, overload_seconds: int, settings: tuple[str, ...], as_json: bool
) -> None:
    """Measure latency and refusals. The exit status is 1 where they are not as wanted."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # what was started is stopped all the same
    given = dict(setting.split("=", 1) for setting in settings)
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder) / "data", LIMITS | given) as service:
        calm = _run(service, first=0, seconds=seconds, callers=callers)
        if not calm.accepted_ms:
            raise click.ClickException(f"nothing was enrolled: {calm.failures}")
        storm = _run(service, first=calm.count, seconds=overload_seconds, rate=factor * calm.accepted_rate)
    findings = _judge(calm, storm, callers)
    print(_table({f"{callers} callers": calm, f"{factor:g} times that": storm}))
    for what, is_met in findings.items():
        print(f"{'met' if is_met else 'NOT MET':8} {what}")
    if as_json:
        met = all(findings.values())
        print(json.dumps({"callers": _figures(calm), "overload": _figures(storm), "met": met}))
    sys.exit(not all(findings.values()))


def _run(service: Service, **plan: float) -> Run:
    print(f"sending: {plan}", file=sys.stderr)
    cpu_s, begun, others_s = service.cpu_s(), time.perf_counter(), service.others_cpu_s()
    done = subprocess.run(
        [sys.executable, str(CALLERS)],
        input=json.dumps(plan | {"port": service.port}),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=plan["seconds"] + TIMEOUT_S,
    )
    if done.returncode:
        raise click.ClickException("the callers failed; see above")
    report = json.loads(done.stdout)
    accepted: list[float] = []
    refused: list[float] = []
    failures: Counter[str] = Counter()
    for _sent, took_s, status, reason, retry_after in report["answers"]:
        if (status, reason) == (200, "enrolled"):
            accepted.append(took_s * 1000)
        elif (status, reason) == (503, "overloaded") and retry_after.isdecimal():
            refused.append(took_s * 1000)
        else:
            failures[f"{status} {reason}"] += 1
    all_cores_s = report["elapsed_s"] * usable_cores()
    return Run(
        accepted,
        refused,
        failures,
        max((sent_s + took_s for sent_s, took_s, *_ in report["answers"]), default=report["elapsed_s"]),
        report["late_s"] * 1000,
        report["processor_s"] / all_cores_s,
        (service.cpu_s() - cpu_s) / all_cores_s,
        (service.others_cpu_s() - others_s) / ((time.perf_counter() - begun) * usable_cores()),
    )


def _judge(calm: Run, storm: Run, callers: int) -> dict[str, bool]:
    mean_ms = statistics.fmean(calm.accepted_ms)
    wanted_ms = WANTED_MEAN_MS * max(1.0, callers / usable_cores())
    ratio = statistics.fmean(storm.accepted_ms) / mean_ms if storm.accepted_ms else float("inf")
    refusal_ms = _p95(storm.refused_ms)
    failed = len(calm.refused_ms) + sum(calm.failures.values())
    return {
        f"{callers} callers: an enrollment takes {mean_ms:.0f} ms on average; wanted: {wanted_ms:.0f}": (
            mean_ms <= wanted_ms
        ),
        f"{callers} callers: {failed} failures {dict(calm.failures) or ''}; wanted: none": failed == 0,
        f"overload: who is let in waits {ratio:.2f} times as long; wanted: {WANTED_RATIO:g}": ratio <= WANTED_RATIO,
        f"overload: a 503 comes within {refusal_ms:.0f} ms (p95); wanted: {WANTED_REFUSAL_MS:g}": (
            refusal_ms <= WANTED_REFUSAL_MS
        ),
        f"overload: {sum(storm.failures.values())} other failures {dict(storm.failures) or ''}; wanted: none": (
            not storm.failures
        ),
    }


def _figures(run: Run) -> dict[str, float]:
    return {
        "requests": run.count,
        "requests a second": run.count / run.seconds,
        "accepted": len(run.accepted_ms),
        "accepted a second": run.accepted_rate,
        "accepted, mean ms": statistics.fmean(run.accepted_ms or [0.0]),
        "accepted, p50 ms": statistics.median(run.accepted_ms or [0.0]),
        "accepted, p95 ms": _p95(run.accepted_ms),
        "503": len(run.refused_ms),
        "503, p50 ms": statistics.median(run.refused_ms or [0.0]),
        "503, p95 ms": _p95(run.refused_ms),
        "503, slowest ms": max(run.refused_ms, default=0.0),
        "other failures": sum(run.failures.values()),
        "sent late by at most, ms": run.late_ms,
        "share of the cores: service": run.service_share,
        "share of the cores: callers": run.callers_share,
        "share of the cores: others": run.others_share,
    }


def _table(runs: Mapping[str, Run]) -> str:
    columns = [_figures(run) for run in runs.values()]
    lines = [f"{usable_cores()} cores{'':23}" + "".join(f"{name:>16}" for name in runs)]
    for what in columns[0]:
        form: Callable[[float], str] = "{:.1%}".format if what.startswith("share") else _number
        lines.append(f"{what:30}" + "".join(f"{form(column[what]):>16}" for column in columns))
    return "\n".join([*lines, ""])


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.1f}"


def _p95(times_ms: Sequence[float]) -> float:
    return statistics.quantiles(times_ms, n=20, method="inclusive")[-1] if len(times_ms) > 1 else sum(times_ms)


if __name__ == "__main__":
    main()
