"""What Prometheus is told. Labels hold names of this program's own, never what a caller sent.

Where several processes serve, prometheus_client keeps the figures in files that they share (see server.py), and
whoever is asked tells those of all. A gauge is then a number that each process wrote there last.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MutexValue, ValueClass

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histograms' buckets."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "other"
NO_ANSWER = "none"
"""The status of a request whose caller went away."""

SAMPLING_S = 1.0

_SHARED: Final = ValueClass is not MutexValue
"""prometheus_client decided at its import whether several processes share the figures."""

# When a counter began is of no use to anybody here, and files have no place for it.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The figures of one application; there may be several, each with figures of its own, in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        if _SHARED:
            _FilesOfAll(self._registry)  # type: ignore[no-untyped-call]
        else:
            ProcessCollector(registry=self._registry)
        registry = None if _SHARED else self._registry
        self._outcomes = Counter(
            "face_api_outcomes",
            "Enrollments and analyses by how they ended: most are HTTP 200.",
            ("operation", "result", "reason"),
            registry=registry,
        )
        self._verdicts = Counter(
            "face_api_verdicts",
            "Faces that were compared, by verdict.",
            ("operation", "verdict"),
            registry=registry,
        )
        self._stages = Histogram(
            "face_api_stage_seconds",
            "Time that the stages of enrollments and analyses took.",
            ("operation", "stage"),
            buckets=SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            "face_api_http_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "face_api_http_request_seconds",
            "Time from a request's head to that of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._refused = Counter(
            "face_api_refused_connections",
            "Connections that were ended for what came over them, or for being too many, by reason.",
            ("reason",),
            registry=registry,
        )
        self._waiting = _gauge("face_api_queue_waiting", "Photos that wait for an inference worker.", registry)
        self._in_flight = _gauge("face_api_in_flight", "Messages that are being received or served.", registry)
        self._ready = _gauge("face_api_inference_workers_ready", "Inference workers with loaded networks.", registry)
        self._info = Gauge(
            "face_api_info",
            "What is running; the value is 1.",
            ("version", "runtime", "device", "encoder_id"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._sources: list[tuple[Gauge, Callable[[], int]]] = []

    def outcome(self, operation: str, result: str, reason: str) -> None:
        """Count how an enrollment or analysis ended; `reason` is the token of X-Face-Reason."""
        self._outcomes.labels(operation, result, reason).inc()

    def verdicts(self, operation: str, matches: int, dismatches: int) -> None:
        """Count the verdicts on the faces of a photo."""
        self._verdicts.labels(operation, "match").inc(matches)
        self._verdicts.labels(operation, "dismatch").inc(dismatches)

    def stages(self, operation: str, timings_ms: Mapping[str, float]) -> None:
        """Note how long each stage took, in milliseconds."""
        for stage, ms in timings_ms.items():
            self._stages.labels(operation, stage).observe(ms / 1000)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that has ended.

        Args:
            route: the template of a path that is served, never a path that was asked for.
            method: any; what is none of METHODS counts as OTHER_METHOD.
            status: 0 where no answer was sent.
        """
        self._requests.labels(route, known_method(method), str(status) if status else NO_ANSWER).inc()
        self._seconds.labels(route).observe(seconds)
        self.sample()

    def refused(self, reason: str) -> None:
        """Count a connection that was ended; `reason` is the token of X-Face-Reason."""
        self._refused.labels(reason).inc()

    def queue(self, waiting: Callable[[], int]) -> None:
        """Tell how many photos wait for a worker; asked again whenever that is to be known, as are the next two."""
        self._sources.append((self._waiting, waiting))

    def workers(self, ready: Callable[[], int]) -> None:
        self._sources.append((self._ready, ready))

    def in_flight(self, count: Callable[[], int]) -> None:
        self._sources.append((self._in_flight, count))

    def info(self, version: str, runtime: str, device: str, encoder_id: str) -> None:
        """Tell what is running, once that is known."""
        self._info.labels(version, runtime, device, encoder_id).set(1)

    def sample(self) -> None:
        """Set the gauges to what they measure. Done for this process whenever a request ends or figures are asked."""
        for gauge, source in self._sources:
            gauge.set(source())

    async def sample_regularly(self) -> None:
        """Go on sampling until cancelled, for the other processes; returns at once where there are none."""
        while _SHARED:
            self.sample()
            await anyio.sleep(SAMPLING_S)

    def render(self) -> tuple[bytes, str]:
        """Return the figures, of all processes, as Prometheus' text and its content type. It takes milliseconds."""
        self.sample()
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class _FilesOfAll(MultiProcessCollector):
    """Leaves out what a process has opened and not yet filled, or never will: one such file would fail all figures.

    See prometheus/client_python#1199.
    """

    def collect(self) -> Iterable[Metric]:
        filled = [str(path) for path in Path(self._path).glob("*.db") if _size(path)]
        metrics: Iterable[Metric] = self.merge(filled)  # type: ignore[no-untyped-call]
        return metrics


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):  # its process ended just now
        return path.stat().st_size
    return 0


def known_method(method: str) -> str:
    """Return the method; OTHER_METHOD where it is none of METHODS, since a caller may send any word."""
    return method if method in METHODS else OTHER_METHOD


def _gauge(name: str, documentation: str, registry: CollectorRegistry | None) -> Gauge:
    return Gauge(name, documentation, registry=registry, multiprocess_mode="livesum")
