"""The stacks of docker/compose.yaml, started and asked as an operator would; of `prove_images.py`."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPSConnection
from pathlib import Path
from typing import Self

import httpx2

from image_checks import ANSWERS, Tell, expect, wait_until
from image_engine import Engine, run
from proxy_checks import greet_wrongly, wait_for_what_lasts

COMPOSE_FILE = Path(__file__).resolve().parents[1] / "docker" / "compose.yaml"
SECRETS = ["sealing-keys", "database-password", "database-passfile", "limits-url", "limits-acl"]
READY_S, STOP_S = 240.0, 60.0
OWNER_READS = 0o400
TOO_MUCH = 2_000_000
EVERYWHERE = "00000000"  # the default route, in /proc/net/route


class Stack:
    """`with Stack(...) as stack`: one profile, with secrets and volumes of its own, gone afterwards."""

    def __init__(self, engine: Engine, compose: Sequence[str], profile: str, api: str) -> None:
        self.engine = engine
        self.api = api
        self.secrets = engine.work / f"secrets-{profile}"
        self._command = [*compose, "--project-name", f"face-{profile}", "--file", str(COMPOSE_FILE)]
        self._command += ["--profile", profile]
        self.ports = dict(zip(("API", "DASHBOARD", "HTTP", "HTTPS", "PAGES"), _free_ports(5), strict=True))
        self._environment = engine.environment | {
            "FACE_SECRETS_DIR": str(self.secrets),
            "FACE_API_PORT": str(self.ports["API"]),
            "FACE_DASHBOARD_PORT": str(self.ports["DASHBOARD"]),
            "FACE_HTTP_PORT": f"127.0.0.1:{self.ports['HTTP']}",
            "FACE_HTTPS_PORT": f"127.0.0.1:{self.ports['HTTPS']}",
            "FACE_DASHBOARD_HTTPS": f"127.0.0.1:{self.ports['PAGES']}",
        }

    def __enter__(self) -> Self:
        self("down", "--volumes", check=False)
        shutil.rmtree(self.secrets, ignore_errors=True)
        self.secrets.mkdir(mode=0o700)
        return self

    def __exit__(self, *_error: object) -> None:
        self("down", "--volumes", "--timeout", "10", check=False)

    def __call__(self, *arguments: str, given: bytes = b"", check: bool = True) -> str:
        return run([*self._command, *arguments], self._environment, given=given, check=check)

    def attempt(self, *arguments: str) -> tuple[str, str]:
        """Return standard output, and the last line of standard error: Podman may lose the exit status."""
        done = subprocess.run(
            [*self._command, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        return done.stdout, (done.stderr.strip().splitlines() or [""])[-1]

    def make_secrets(self) -> None:
        self("run", "--rm", "-T", "secrets")

    def make_key(self) -> str:
        """Make an administrator's key, and keep it for the dashboard, as docs/containers.md says."""
        key = self("run", "--rm", "-T", self.api, "keys", "create", "--admin", "--label", "dashboard")
        self("run", "--rm", "-T", "secrets", "keep", "dashboard-key", given=key.encode())
        return key.strip()

    def inside(self, service: str, *command: str) -> str:
        return self("exec", "-T", service, *command)


def prove_one(stack: Stack, photo: Path, tell: Tell) -> None:
    """One machine: SQLite, the dashboard, both on loopback addresses. Raises ProofError."""
    _refuses_without(stack, "sealing-keys", tell, stack.api, "keys", "create", "--admin")
    stack.make_secrets()
    _refuses_without(stack, "dashboard-key", tell, "dashboard", "password")
    files = [path for path in stack.secrets.iterdir() if path.is_file()]  # Podman makes a folder of a missing one
    rights = {path.name: (path.stat().st_mode & 0o777, path.stat().st_size) for path in files}
    expect(sorted(rights) == sorted(SECRETS), f"the secrets are {rights}")
    expect(all(mode == OWNER_READS and size for mode, size in rights.values()), f"the secrets' rights are {rights}")
    before = {name: (stack.secrets / name).read_bytes() for name in SECRETS}
    key = stack.make_key()
    stack.make_secrets()
    expect({name: (stack.secrets / name).read_bytes() for name in SECRETS} == before, "secrets were overwritten")
    tell("one: secrets are made with owner-only rights, and not made again", ", ".join(SECRETS))
    stack("up", "--detach", "--no-build")
    api = httpx2.Client(base_url=f"http://127.0.0.1:{stack.ports['API']}", timeout=60)
    pages = httpx2.Client(base_url=f"http://127.0.0.1:{stack.ports['DASHBOARD']}", timeout=60)
    _ask(api, pages, key, photo, "one", tell)
    start = time.monotonic()
    stack("restart", "--timeout", "90")
    expect(time.monotonic() - start < STOP_S, "the stack did not restart in time")
    _wait(api, "/readyz")
    answer = _send(api, "analy_img", key, photo)
    expect(answer.text == ANSWERS[1], f"after a restart it answers {answer.text}")
    tell("one: a restart keeps the enrollments", answer.text)


def prove_production(stack: Stack, photo: Path, tell: Tell) -> None:
    """PostgreSQL, Redis, several processes, and a proxy with TLS. Raises ProofError."""
    stack.make_secrets()
    stack("run", "--rm", "-T", "secrets", "certificate", "localhost")
    key = stack.make_key()
    password = stack("run", "--rm", "-T", "--no-deps", "dashboard-production", "password").split()[-1]
    start = time.monotonic()
    stack("up", "--detach", "--no-build")
    tell("production: all is up and healthy", f"{time.monotonic() - start:.0f} s")
    trusted = ssl.create_default_context(cafile=str(stack.secrets / "tls-certificate"))
    api = httpx2.Client(base_url=f"https://localhost:{stack.ports['HTTPS']}", verify=trusted, timeout=60)
    pages = httpx2.Client(base_url=f"https://localhost:{stack.ports['PAGES']}", verify=trusted, timeout=60)
    _ask(api, pages, key, photo, "production", tell)
    _sign_in(pages, stack.ports["PAGES"], trusted, password)
    tell("production: through the proxy an administrator signs in, and gets the page's web socket", "101")
    with httpx2.Client() as plain:
        answer = plain.get(f"http://localhost:{stack.ports['HTTP']}/healthz", headers={"Host": "localhost"})
    expect(answer.status_code == HTTPStatus.FORBIDDEN, f"without TLS it answers {answer.status_code}")
    forged = api.get("/v1/companies", headers={"Authorization": f"Bearer {key}", "X-Forwarded-For": "1.2.3.4"})
    expect(forged.is_success, f"a forged header makes it answer {forged.status_code}")
    large = api.post("/analy_img/", content=bytes(TOO_MUCH), headers={"Authorization": f"Bearer {key}"})
    expect(large.text == '{"result":{"message":"Fail","reason":"img_size_err"}}', f"2 MB: {large.text}")
    expect("strict-transport-security" in large.headers, f"the proxy's own answer has only {large.headers}")
    expect(api.get("/metrics").status_code == HTTPStatus.NOT_FOUND, "/metrics is reached through the proxy")
    tell("production: no service without TLS, the contract's answer to 2 MB, /metrics is closed", large.text)
    wait_for_what_lasts(stack.inside, api, key, tell)
    greet_wrongly(stack.ports["HTTPS"])
    log = stack("logs", "--no-color", "proxy", "api-production")
    expect(" 8443 POST 200 " in log and '"POST"' in log, f"the logs do not tell of the photos: {log[-500:]}")
    expect("withmind" not in log and "tamy" not in log, f"the logs hold names: {log[-500:]}")
    expect("client:" not in log, f"the proxy's log holds addresses: {log[-500:]}")
    tell("production: no names in the logs, no addresses in the proxy's", f"{len(log.splitlines())} lines")
    kept = stack.inside("redis", "sh", "-c", "redis-cli dbsize || true")
    expect("NOAUTH" in kept, f"Redis lets in who has no password: {kept}")
    routes = stack.inside("api-production", "cat", "/proc/net/route").splitlines()[1:]
    expect(bool(routes) and EVERYWHERE not in {route.split()[1] for route in routes}, f"the API has routes: {routes}")
    tell("production: Redis asks for its password; the API has no way out of its networks", "NOAUTH")
    stack("stop", "--timeout", "90", "redis")
    answer = _send(api, "analy_img", key, photo)
    expect(answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, f"without Redis it answers {answer.status_code}")
    tell("production: without Redis nobody is compared", f"{answer.status_code} {answer.headers.get('x-face-reason')}")
    start = time.monotonic()
    stack("stop", "--timeout", "90")
    took = time.monotonic() - start
    expect(took < STOP_S, f"SIGTERM took {took:.0f} s")
    tell("production: SIGTERM ends all of it", f"{took:.0f} s")


def _refuses_without(stack: Stack, secret: str, tell: Tell, *command: str) -> None:
    """Neither the engine nor the program may make do without a secret's file."""
    answer, reason = stack.attempt("run", "--rm", "-T", "--no-deps", *command)
    expect(not answer and secret in reason, f"without {secret} it says {answer} {reason}")
    tell(f"one: without {secret} it does not start", reason)


def _ask(api: httpx2.Client, pages: httpx2.Client, key: str, photo: Path, name: str, tell: Tell) -> None:
    _wait(api, "/readyz")
    answers = [_send(api, path, key, photo) for path in ("enrollment_img", "analy_img")]
    expect([answer.text for answer in answers] == ANSWERS, f"it answers {[answer.text for answer in answers]}")
    tell(f"{name}: enrolls and analyses a photo", " ".join(answer.text for answer in answers))
    refused = _send(api, "analy_img", "fk_wrong", photo)
    expect(refused.status_code == HTTPStatus.UNAUTHORIZED, f"a wrong key is answered {refused.status_code}")
    _wait(pages, "/_stcore/health")
    shown = pages.get("/", headers={"Accept": "text/html"})
    expect(
        shown.status_code == HTTPStatus.SEE_OTHER and shown.headers["location"] == "/sign-in",
        f"a stranger gets {shown}",
    )
    tell(f"{name}: a wrong key is refused; the dashboard asks who is there", f"{refused.status_code}, sign-in")


def _sign_in(pages: httpx2.Client, port: int, trusted: ssl.SSLContext, password: str) -> None:
    answer = pages.post("/sign-in", data={"password": password})
    cookie = answer.headers.get("set-cookie", "")
    expect("Secure" in cookie, f"the password is answered {answer.status_code}, {cookie}")
    connection = HTTPSConnection("localhost", port, context=trusted, timeout=60)
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Cookie": cookie.partition(";")[0],
    }
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": f"https://localhost:{port}"}
    connection.request("GET", "/_stcore/stream", headers=headers)
    status = connection.getresponse().status
    expect(status == HTTPStatus.SWITCHING_PROTOCOLS, f"the web socket is answered {status}")
    connection.close()


def _send(api: httpx2.Client, path: str, key: str, photo: Path) -> httpx2.Response:
    return api.post(
        f"/{path}/",
        data={"company": "withmind", "id": "tamy"},
        files={"image": ("biden.jpg", photo.read_bytes())},
        headers={"Authorization": f"Bearer {key}"},
    )


def _wait(client: httpx2.Client, path: str) -> None:
    def answers() -> bool:
        try:
            return client.get(path).is_success
        except httpx2.HTTPError:
            return False

    wait_until(answers, READY_S, f"{client.base_url}{path} does not answer")


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
