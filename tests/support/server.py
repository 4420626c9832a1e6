"""A real server on a free port of this machine: `face-api serve`, or what stands in for it without networks."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 240.0
LOG_TIMEOUT_S = 30.0

REAL = (str(Path(sys.executable).with_name("face-api")), "serve")
LIGHT = (sys.executable, "-m", "support.light_server")
"""For what is not about photos: takes `light_photo`s, has no workers, starts in a second."""

_TESTS = str(Path(__file__).parents[1])

FORM = {"company": "withmind", "id": "tamy"}


def environment_of(**settings: object) -> dict[str, str]:
    """Return the environment of a program with these settings alone, and with the modules of the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACE_API_")}
    environment |= {f"FACE_API_{name.upper()}": str(value) for name, value in settings.items()}
    return environment | {"PYTHONPATH": os.pathsep.join(filter(None, [_TESTS, environment.get("PYTHONPATH")]))}


def launch(data_dir: Path, program: Sequence[str], **settings: object) -> subprocess.Popen[str]:
    """Start a server and wait for nothing; its log is in `stderr`."""
    return subprocess.Popen(
        [*program, "--port", "0", "--data-dir", str(data_dir)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment_of(**settings),
        start_new_session=True,
    )


class Server:
    """A running server, its log, and a client for it."""

    def __init__(self, data_dir: Path, program: Sequence[str] = REAL, **settings: object) -> None:
        self.log: list[str] = []
        self.process = launch(data_dir, program, **settings)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.port = self._wait_for_port()
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=REQUEST_TIMEOUT_S)

    def _read_log(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            log = "".join(self.log)
            found = re.search(r"running on http://127\.0\.0\.1:(\d+)", log)
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.kill()
        raise AssertionError("the server did not start:\n" + "".join(self.log))

    def wait_for_log(self, text: str) -> str:
        """Return the first line of the log that holds the text."""
        deadline = time.monotonic() + LOG_TIMEOUT_S
        while time.monotonic() < deadline:
            if found := [line for line in self.log if text in line]:
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no line with {text!r} in:\n" + "".join(self.log))

    def enroll(self, image: bytes | None, **fields: str) -> httpx2.Response:
        return self.post("/enrollment_img/", image, **fields)

    def analyse(self, image: bytes | None, **fields: str) -> httpx2.Response:
        return self.post("/analy_img/", image, **fields)

    def post(self, path: str, image: bytes | None, **fields: str) -> httpx2.Response:
        files = None if image is None else {"image": ("test_img.jpg", image)}
        return self.client.post(path, data=FORM | fields, files=files)

    def kill(self) -> None:
        """End the server as a crash does, and its workers with it. The client is left, for calls that are under way."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        if self.process.stderr:
            self.process.stderr.close()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the server by a signal, SIGTERM as an operator does, and check that it went as it should."""
        self.client.close()
        try:
            if self.process.poll() is None:
                self.process.send_signal(number)
                # uvicorn shuts down in order and then hands the signal on.
                assert self.process.wait(STOP_TIMEOUT_S) == -number, "".join(self.log)
        finally:
            self.kill()


@contextmanager
def running_server(data_dir: Path, program: Sequence[str] = REAL, **settings: object) -> Iterator[Server]:
    """Run a server for the block; it must stop cleanly, unless it was killed, and must not have logged a traceback."""
    server = Server(data_dir, program, **settings)
    try:
        yield server
    finally:
        server.stop()
    assert not any("Traceback" in line for line in server.log), "".join(server.log)
