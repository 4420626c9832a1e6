"""`make run` as the README promises it: two addresses, two curl lines that work as printed, a clean stop."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "run.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(text: str, output: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 180
    while text not in output.read_text():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
    return output.read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the lines are for curl, which is not installed")
def test_run_serves_prints_lines_that_work_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    api_port, dashboard_port = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACE_")}
    environment |= {
        "FACE_API_PORT": str(api_port),
        "FACE_DASHBOARD_PORT": str(dashboard_port),
        "FACE_API_DATA_DIR": str(tmp_path / "data"),
    }
    output = tmp_path / "output"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdout=stream, stderr=stream, env=environment, start_new_session=True
        )
    try:
        printed = wait_for("Ctrl-C stops both.", output, process)
        assert f"http://127.0.0.1:{api_port}\n" in printed
        assert f"http://127.0.0.1:{dashboard_port}\n" in printed
        (password,) = re.findall("shown this once: (.+)", printed)
        form = urllib.parse.urlencode({"password": password}).encode()
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(
            f"http://127.0.0.1:{dashboard_port}/sign-in", form, timeout=10
        ) as page:
            assert page.url == f"http://127.0.0.1:{dashboard_port}/"
            assert b"<title>" in page.read()

        enroll, analyse = re.findall(r"^curl .*$", printed, re.MULTILINE)
        # The sample photo as published, 970 x 2204 pixels, with the default settings.
        assert shell(enroll) == '{"result":"Success"}'
        assert shell(analyse) == '{"result":{"person_1":"match"}}'

        os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert output.read_text().endswith("Stopped.\n")
    assert "Traceback" not in output.read_text()
    for port in (api_port, dashboard_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def shell(command: str) -> str:
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, timeout=240).stdout


@pytest.mark.parametrize(
    ("api_port", "message"),
    [
        ("abc", "FACE_API_PORT and FACE_DASHBOARD_PORT are two numbers from 1 to 65535."),
        ("99999", "FACE_API_PORT and FACE_DASHBOARD_PORT are two numbers from 1 to 65535."),
        ("8501", "FACE_API_PORT and FACE_DASHBOARD_PORT must differ."),
    ],
)
def test_ports_that_cannot_be_are_said_so(api_port: str, message: str) -> None:
    environment = os.environ | {"FACE_API_PORT": api_port, "FACE_DASHBOARD_PORT": "8501"}
    result = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert (result.returncode, result.stderr) == (1, message + "\n")


def test_a_port_that_is_taken_is_said_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = os.environ | {"FACE_API_PORT": str(taken.getsockname()[1])}
        result = subprocess.run(
            [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False, env=environment, timeout=60
        )
    assert result.returncode == 1
    assert (
        result.stderr
        == f"Port {environment['FACE_API_PORT']} is taken. Choose another one: FACE_API_PORT=... make run\n"
    )
