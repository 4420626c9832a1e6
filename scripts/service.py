"""`face-api serve` for a measurement: on a free port of this machine, stopped when that is done."""

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

HOST = "127.0.0.1"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.05

_LISTENS = re.compile(rf"running on http://{re.escape(HOST)}:(\d+)")
_LOG_TAIL = 2_000


@dataclass(frozen=True, slots=True)
class Service:
    port: int
    process: psutil.Process

    def cpu_s(self) -> float:
        """Return the processor time of the server and of its workers until now, in seconds."""
        times = [each.cpu_times() for each in (self.process, *self.process.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    def others_cpu_s(self) -> float:
        """Return the processor time of what is neither the service, nor this program and what it ran, likewise."""
        machine = psutil.cpu_times()
        ours = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return machine.user + machine.system - self.cpu_s() - sum(each.ru_utime + each.ru_stime for each in ours)


@contextmanager
def running_service(data_dir: Path, settings: Mapping[str, object]) -> Iterator[Service]:
    """Serve for the block; the log is a file beside `data_dir`.

    Args:
        settings: by their names in lower case. The environment's are not taken: their database is somebody's.

    Raises:
        click.ClickException: it could not start; the message is the end of its log.
    """
    log = data_dir.with_suffix(".log")
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command("serve", "--host", HOST, "--port", "0", "--data-dir", str(data_dir)),
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            env=environment(settings),
            start_new_session=True,
        )
    try:
        yield Service(_wait_for_port(process, log), psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            print(f"the service did not end within {STOP_TIMEOUT_S:g} s", file=sys.stderr)
        process.kill()
        process.wait()


def command(*arguments: str) -> list[str]:
    """Return what runs `face-api` of this environment."""
    return [str(Path(sys.executable).with_name("face-api")), *arguments]


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Return the environment with these settings and no others."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("FACE_API_")}
    return others | {f"FACE_API_{name.upper()}": str(value) for name, value in settings.items()}


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := _LISTENS.search(log.read_text()):
            return int(found[1])
        time.sleep(POLL_S)
    raise click.ClickException("the service did not start:\n" + log.read_text()[-_LOG_TAIL:])
