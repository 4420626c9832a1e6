"""A server to be fuzzed, by hand and by Schemathesis, and what must be true of it afterwards."""

import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from face_api.settings import Auth
from support.command import face_api
from support.light_server import light_photo
from support.server import LIGHT, Server, environment_of, running_server

MESSAGE_TIMEOUT_S = 5.0
TIMEOUT_S = 3600.0
CALM_S = 60.0

USER = "tamy"
"""Has been enrolled when the fuzzing begins."""

_PROGRAM = str(Path(sys.executable).with_name("schemathesis"))
_CONFIG = str(Path(__file__).with_name("schemathesis.toml"))
_IN_FLIGHT = re.compile(r"^face_api_in_flight\S* (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and the header that its administrator sends, where it asks for a key."""

    server: Server
    header: str | None

    @property
    def headers(self) -> list[bytes]:
        return [] if self.header is None else [self.header.encode()]


@contextmanager
def target(data_dir: Path, auth: Auth) -> Iterator[Target]:
    """Run a server without networks; after the block it must be well, and its log must hold no error."""
    header = None
    if auth == "keys":
        secret = face_api("keys", "create", "--admin", "--data-dir", data_dir).expect().strip()
        header = f"Authorization: Bearer {secret}"
    settings = {"auth": auth, "limit_per_key": "none", "limit_per_user": "none", "message_timeout_s": MESSAGE_TIMEOUT_S}
    with running_server(data_dir, LIGHT, **settings) as server:
        if header is not None:
            server.client.headers["Authorization"] = header.partition(": ")[2]
        for number in range(3):
            assert server.enroll(light_photo(1, number), id=USER).json() == {"result": "Success"}
        in_flight = _in_flight(server)
        yield Target(server, header)
        _check(server, in_flight)


def run_schemathesis(target: Target, folder: Path, seed: int, examples: int) -> int:
    """Let Schemathesis ask for what the document tells, and check each answer; return the number of requests.

    Args:
        folder: for what it writes.
        seed: 0 asks for the same in every run.
        examples: of each operation, besides those that the document alone leads to.
    """
    before = _count_requests(target.server)
    url = f"http://127.0.0.1:{target.server.port}/openapi.json"
    options = ["--max-examples", str(examples), *(["--seed", str(seed)] if seed else ["--generation-deterministic"])]
    options += [] if target.header is None else ["--header", target.header]
    done = subprocess.run(
        [_PROGRAM, "--config-file", _CONFIG, "--no-color", "run", url, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=TIMEOUT_S,
        env=environment_of() | {"SCHEMATHESIS_HOOKS": "support.schemathesis_hooks"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return _count_requests(target.server) - before


def _count_requests(server: Server) -> int:
    """Return how many requests the log knows of, this one not included."""
    marker = uuid.uuid4().hex
    server.client.get("/unknown", headers={"X-Request-ID": marker})
    server.wait_for_log(marker)
    return sum(1 for record in _records(server) if record["message"] == "request") - 1


def _check(server: Server, in_flight: int) -> None:
    deadline = time.monotonic() + CALM_S
    while _in_flight(server) > in_flight and time.monotonic() < deadline:  # callers who broke off are being found out
        time.sleep(0.1)
    assert _in_flight(server) == in_flight, "requests that never end"
    assert server.client.get("/readyz").is_success
    assert server.enroll(light_photo(1, 0), id=USER).json() == {"result": "Success"}
    assert server.analyse(light_photo(1, 1), id=USER).json() == {"result": {"person_1": "match"}}
    errors = [record for record in _records(server) if record["level"] not in {"INFO", "WARNING"}]
    assert not errors, errors


def _in_flight(server: Server) -> int:
    found = _IN_FLIGHT.search(server.client.get("/metrics").text)
    assert found
    return int(found[1])


def _records(server: Server) -> list[dict[str, str]]:
    """Return the log; each line is one record, whatever callers sent."""
    return [json.loads(line) for line in list(server.log)]
