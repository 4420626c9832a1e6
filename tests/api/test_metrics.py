"""What Prometheus is told, by one process and by several."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.parser import text_string_to_metric_families

from face_api.metrics import Metrics

Labels = Mapping[str, str]


def samples(text: str, name: str) -> dict[frozenset[tuple[str, str]], float]:
    return {
        frozenset(sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def value(text: str, name: str, **labels: str) -> float:
    return samples(text, name)[frozenset(labels.items())]


def render(metrics: Metrics) -> str:
    content, content_type = metrics.render()
    assert content_type.startswith("text/plain; version=") and "charset=utf-8" in content_type
    return content.decode()


def test_outcomes_and_verdicts_are_counted() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.outcome("enroll", "Fail", "no_face")
    metrics.outcome("enroll", "Success", "enrolled")
    metrics.verdicts("analyse", 1, 3)
    metrics.verdicts("analyse", 0, 2)
    text = render(metrics)
    counted = {"operation": "enroll", "result": "Fail", "reason": "no_face"}
    assert value(text, "face_api_outcomes_total", **counted) == 2
    assert value(text, "face_api_outcomes_total", **counted | {"result": "Success", "reason": "enrolled"}) == 1
    assert value(text, "face_api_verdicts_total", operation="analyse", verdict="match") == 1
    assert value(text, "face_api_verdicts_total", operation="analyse", verdict="dismatch") == 5


def test_stages_are_given_in_milliseconds_and_told_in_seconds() -> None:
    metrics = Metrics()
    for ms in (0.5, 3.0, 200.0, 60_000.0):
        metrics.stages("analyse", {"detect": ms, "encode": 1.0})
    text = render(metrics)
    labels = {"operation": "analyse", "stage": "detect"}
    buckets = {
        bound: value(text, "face_api_stage_seconds_bucket", le=bound, **labels)
        for bound in ("0.001", "0.0025", "0.005", "0.25", "10.0", "+Inf")
    }
    assert buckets == {"0.001": 1, "0.0025": 1, "0.005": 2, "0.25": 3, "10.0": 3, "+Inf": 4}
    assert value(text, "face_api_stage_seconds_sum", **labels) == pytest.approx(60.2035)
    assert value(text, "face_api_stage_seconds_count", operation="analyse", stage="encode") == 4


def test_requests_are_counted_by_what_is_bounded() -> None:
    metrics = Metrics()
    for method in ("GET", "POST", "BREW", "x" * 1000, "get"):
        metrics.request("/v1/companies/{company}", method, 200, 0.02)
    metrics.request("/healthz", "GET", 0, 0.02)
    text = render(metrics)
    found = samples(text, "face_api_http_requests_total")
    counted = {(dict(labels)["method"], dict(labels)["status"]): count for labels, count in found.items()}
    assert counted == {("GET", "200"): 1, ("POST", "200"): 1, ("other", "200"): 3, ("GET", "none"): 1}
    assert value(text, "face_api_http_request_seconds_count", route="/v1/companies/{company}") == 5


def test_refused_connections_are_counted_by_reason() -> None:
    metrics = Metrics()
    for reason in ("http_invalid", "head_timeout", "http_invalid"):
        metrics.refused(reason)
    text = render(metrics)
    assert value(text, "face_api_refused_connections_total", reason="http_invalid") == 2
    assert value(text, "face_api_refused_connections_total", reason="head_timeout") == 1


def test_gauges_are_what_they_measure_just_then() -> None:
    metrics = Metrics()
    line = ["photo"] * 3
    metrics.queue(lambda: len(line))
    metrics.workers(lambda: 2)
    metrics.in_flight(lambda: 7)
    metrics.info("0.1.0", "onnx", "cpu", "dlib/1")
    text = render(metrics)
    names = ("face_api_queue_waiting", "face_api_inference_workers_ready", "face_api_in_flight")
    assert [value(text, name) for name in names] == [3, 2, 7]
    assert value(text, "face_api_info", version="0.1.0", runtime="onnx", device="cpu", encoder_id="dlib/1") == 1
    line.clear()
    assert value(render(metrics), "face_api_queue_waiting") == 0


def test_a_process_tells_of_itself() -> None:
    text = render(Metrics())
    assert value(text, "process_resident_memory_bytes") > 1_000_000
    assert "python_gc" not in text and "_created" not in text


def test_two_applications_in_a_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.outcome("enroll", "Success", "enrolled")
    assert samples(render(other), "face_api_outcomes_total") == {}


def test_one_process_needs_no_sampling() -> None:
    metrics = Metrics()

    async def main() -> None:
        with anyio.fail_after(30):
            await metrics.sample_regularly()

    anyio.run(main)


# Several processes.

_PROCESS = """
    import sys, threading
    import anyio
    from face_api.metrics import Metrics

    number = int(sys.argv[1])
    waiting = 0
    metrics = Metrics()
    metrics.queue(lambda: waiting)
    metrics.info("0.1.0", "onnx", "cpu", "dlib/1")
    for _ in range(number):
        metrics.outcome("enroll", "Success", "enrolled")
        metrics.stages("enroll", {"total": 100.0})
        metrics.request("/enrollment_img", "POST", 200, 0.1)
        metrics.refused("http_invalid")
    waiting = number
    threading.Thread(target=anyio.run, args=(metrics.sample_regularly,), daemon=True).start()
    print("counted", flush=True)
    for line in sys.stdin:
        sys.stdout.write(metrics.render()[0].decode() + "# end\\n")
        sys.stdout.flush()
"""


class Process:
    def __init__(self, folder: Path, number: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_PROCESS), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        )
        assert self.process.stdin and self.process.stdout
        self._asks, self._answers = self.process.stdin, self.process.stdout
        assert self._answers.readline() == "counted\n"

    def render(self) -> str:
        self._asks.write("\n")
        self._asks.flush()
        lines = []
        while (line := self._answers.readline()) != "# end\n":
            assert line, "the process ended"
            lines.append(line)
        return "".join(lines)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def waiting(process: Process, expected: float) -> bool:
    """Tell whether what is sampled comes to that, within some of its intervals."""
    for _ in range(60):
        if value(process.render(), "face_api_queue_waiting") == expected:
            return True
        anyio.run(anyio.sleep, 0.1)
    return False


def test_whoever_is_asked_tells_of_all(tmp_path: Path) -> None:
    processes = [Process(tmp_path, number) for number in (2, 3)]
    try:
        for process in processes:
            # What the other one measures now, though nothing has happened there since.
            assert waiting(process, 5)
            text = process.render()
            labels = {"operation": "enroll", "result": "Success", "reason": "enrolled"}
            assert value(text, "face_api_outcomes_total", **labels) == 5
            assert value(text, "face_api_stage_seconds_count", operation="enroll", stage="total") == 5
            assert value(text, "face_api_stage_seconds_bucket", operation="enroll", stage="total", le="0.05") == 0
            assert (
                value(text, "face_api_http_requests_total", route="/enrollment_img", method="POST", status="200") == 5
            )
            assert value(text, "face_api_refused_connections_total", reason="http_invalid") == 5
            assert list(samples(text, "face_api_info").values()) == [1], "it is the same in all, and told once"
            assert "pid=" not in text
        (tmp_path / "counter_1.db").touch()  # as a process does for a moment, and one that is killed in it, for ever
        assert value(processes[0].render(), "face_api_outcomes_total", **labels) == 5
        processes[0].close()
        mark_process_dead(processes[0].process.pid, str(tmp_path))  # type: ignore[no-untyped-call]
        text = processes[1].render()
        assert value(text, "face_api_outcomes_total", **labels) == 5, "what was counted stays"
        assert value(text, "face_api_queue_waiting") == 3, "what waited there is gone"
    finally:
        for process in processes:
            process.close()
