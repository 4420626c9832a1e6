"""`make run`: the API and the dashboard on this machine until Ctrl-C, with a sample photo to try.

FACE_API_PORT and FACE_DASHBOARD_PORT choose other ports, FACE_API_DATA_DIR another data folder; the addresses are
always on 127.0.0.1. All other FACE_API_* settings are the API's own.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from types import FrameType

from sample_photos import SamplePhotosError, sample_photo

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
SAMPLE = "biden.jpg"  # 353,723 bytes: inside the size band as it is

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 40.0
POLL_S = 0.2


stop_requested = threading.Event()
stop_at_once = threading.Event()


class StopRequested(Exception):  # noqa: N818 - no error: somebody asked to stop
    """Ctrl-C, or SIGTERM."""


class ServiceEndedError(Exception):
    """A service ended by itself, or did not come up."""


def main() -> int:
    # SIGHUP: somebody closed the terminal.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _request_stop)
    try:
        api_port, dashboard_port = _port("FACE_API_PORT", 8000), _port("FACE_DASHBOARD_PORT", 8501)
    except ValueError:
        print("FACE_API_PORT and FACE_DASHBOARD_PORT are two numbers from 1 to 65535.", file=sys.stderr)
        return 1
    if api_port == dashboard_port:
        print("FACE_API_PORT and FACE_DASHBOARD_PORT must differ.", file=sys.stderr)
        return 1
    api_url, dashboard_url = f"http://{HOST}:{api_port}", f"http://{HOST}:{dashboard_port}"
    data_dir = Path(os.environ.get("FACE_API_DATA_DIR") or ROOT / ".data").resolve()
    for port, variable in ((api_port, "FACE_API_PORT"), (dashboard_port, "FACE_DASHBOARD_PORT")):
        if _is_taken(port):
            print(f"Port {port} is taken. Choose another one: {variable}=... make run", file=sys.stderr)
            return 1
    services: dict[str, subprocess.Popen[bytes]] = {}
    try:
        print("Fetching the sample photo, where it is not here yet ...", flush=True)
        photo = _sample_photo()
        _pause()
        print("Starting; loading the networks takes a few seconds ...", flush=True)
        services["API"] = _start(
            ["face-api", "serve", "--host", HOST, "--port", str(api_port), "--data-dir", str(data_dir)]
        )
        dashboard_dir = Path(os.environ.get("FACE_DASHBOARD_DATA_DIR") or data_dir / "dashboard").resolve()
        services["dashboard"] = _start(
            [
                *("face-dashboard", "--host", HOST, "--port", str(dashboard_port)),
                *("--api-url", api_url, "--data-dir", str(dashboard_dir)),
            ]
        )
        _wait_until_ready({f"{api_url}/healthz": "API", f"{dashboard_url}/_stcore/health": "dashboard"}, services)
        print(_greeting(api_url, dashboard_url, data_dir, dashboard_dir, photo), flush=True)
        while True:
            _check_alive(services)
            _pause()
    except StopRequested:
        patience = f"for at most {STOP_TIMEOUT_S:.0f} s; Ctrl-C again stops at once"
        print(f"\nStopping. Accepted photos are finished first, {patience} ...", flush=True)
        status = 0
    except ServiceEndedError as error:
        print(error, file=sys.stderr)
        status = 1
    finally:
        _stop(services)
    print("Stopped.", flush=True)
    return status


def _request_stop(_number: int, _frame: FrameType | None) -> None:
    if stop_requested.is_set():
        stop_at_once.set()
    stop_requested.set()


def _port(variable: str, default: int) -> int:
    """Return the port that a variable names; ValueError where it names none."""
    port = int(os.environ.get(variable) or default)
    if port not in range(1, 65536):
        raise ValueError(variable)
    return port


def _pause() -> None:
    """Sleep a moment, unless somebody asked to stop."""
    if stop_requested.wait(POLL_S):
        raise StopRequested


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _sample_photo() -> Path | None:
    try:
        return sample_photo(SAMPLE)
    except SamplePhotosError as error:
        print(f"No sample photo: {error}", file=sys.stderr)
        return None


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this process alone, which then stops the services in order.
    program = Path(sys.executable).with_name(command[0])
    environment = {"FACE_API_LOG_FORMAT": "text"} | os.environ  # for people
    return subprocess.Popen(
        [str(program), *command[1:]], stdin=subprocess.DEVNULL, start_new_session=True, env=environment
    )


def _wait_until_ready(addresses: Mapping[str, str], services: Mapping[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    for address, name in addresses.items():
        while not _answers(address):
            _check_alive(services)
            if time.monotonic() > deadline:
                raise ServiceEndedError(f"The {name} did not answer within {START_TIMEOUT_S:.0f} seconds.")
            _pause()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:  # noqa: S310 - http on this machine
            return bool(response.status == 200)  # noqa: PLR2004 - OK
    except (OSError, HTTPException):
        return False


def _check_alive(services: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for name, process in services.items():
        if process.poll() is not None:
            raise ServiceEndedError(f"The {name} ended with status {process.returncode}; see its messages above.")


def _stop(services: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for process in services.values():
        process.terminate()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while any(process.poll() is None for process in services.values()):
        if stop_at_once.wait(POLL_S) or time.monotonic() > deadline:
            print("Not all that was accepted could be finished.", file=sys.stderr)
            break
    for process in services.values():
        process.kill()
        process.wait()


def _greeting(api_url: str, dashboard_url: str, data_dir: Path, dashboard_dir: Path, photo: Path | None) -> str:
    lines = ["", f"API        {api_url}", f"Dashboard  {dashboard_url}", f"Data       {data_dir}", ""]
    program = Path(sys.executable).with_name("face-dashboard")
    renew = shlex.join([str(program), "--data-dir", str(dashboard_dir), "password"])
    lines += [f"The dashboard's password was shown when it first started; this makes a new one:\n{renew}", ""]
    if photo is not None:
        form = f"-F company=withmind -F id=tamy -F image=@{shlex.quote(str(photo))}"
        lines += [
            "Try it in another terminal:",
            f"curl {form} {api_url}/enrollment_img/",
            f"curl {form} {api_url}/analy_img/",
            "",
        ]
    return "\n".join([*lines, "Ctrl-C stops both."])


if __name__ == "__main__":
    sys.exit(main())
