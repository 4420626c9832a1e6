"""A real dashboard on a free port of this machine."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from streamlit.testing.v1 import AppTest

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0

PREFIX = "FACE_DASHBOARD_"

OpenPage = Callable[..., AppTest]
"""Opens a page without a browser: the fixture `dashboard` of tests/dashboard."""

SAID_OF_THE_PASSWORD = re.compile("shown this once: (.+)")


class Dashboard:
    """A running dashboard, what it wrote, and its password."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._wait()

    @property
    def password(self) -> str:
        (found,) = filter(None, map(SAID_OF_THE_PASSWORD.search, self.log))
        return found[1]

    @contextmanager
    def sign_in(self) -> Iterator[httpx2.Client]:
        """Yield a client that is signed in."""
        with httpx2.Client(base_url=self.url) as client:
            assert client.post("/sign-in", data={"password": self.password}).headers["location"] == "/"
            yield client

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            if self.process.stdout:
                self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.log.append(line.rstrip())

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx2.get(f"{self.url}/_stcore/health").is_success:
                    return
            except httpx2.HTTPError:
                time.sleep(0.1)
        self.process.kill()
        raise AssertionError("the dashboard did not start:\n" + "\n".join(self.log))


def launch(*arguments: str, **settings: object) -> subprocess.Popen[str]:
    """Start `face-dashboard` with these settings alone, and wait for nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {PREFIX + name.upper(): str(value) for name, value in settings.items()}
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("face-dashboard")), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_dashboard(data_dir: Path, api_url: str, port: int | None = None, **settings: object) -> Iterator[Dashboard]:
    """Run a dashboard for the block; it must not have written a traceback or a warning."""
    port = port or free_port()
    dashboard = Dashboard(launch(port=port, data_dir=data_dir, api_url=api_url, **settings), port)
    try:
        yield dashboard
    finally:
        dashboard.stop()
    assert not [line for line in dashboard.log if re.search("Traceback|Warning|WARNING|Error", line)], dashboard.log
