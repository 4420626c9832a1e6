"""Docker or Podman, whichever is there, and Docker's compose on top of it; of `prove_images.py`."""

import os
import resource
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

COMPOSE_PLUGINS = (
    "/usr/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
)

NAMESPACE = "docker.io/library/"
"""What Docker leaves out of a name, and Podman does not."""

DOCKER = "docker"
ENOUGH = 8192
"""Files and processes of a container. Podman's default, and what this process may have itself, can be too much to give
in a machine that is a container's guest."""

START_S = 10.0
HEALTH_S = 2.0


class ProofError(Exception):
    """Something is not as it should be; the message says what."""


class Engine:
    """One of the two engines.

    Podman gets storage of its own in the work folder, and no more processes and files than this process may have:
    where it runs in a container itself it cannot give more.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.environment = dict(os.environ)
        self._service: subprocess.Popen[bytes] | None = None
        if _docker_answers():
            self.program = DOCKER
        elif shutil.which("podman"):
            self.program = "podman"
            self._configure_podman()
        else:
            raise ProofError("there is neither a Docker that answers nor Podman. Debian: apt-get install podman runc")

    @property
    def is_podman(self) -> bool:
        return self.program == "podman"

    def __call__(self, *arguments: str, given: bytes = b"", check: bool = True) -> str:
        """Run a command of the engine; return what it wrote to standard output. Raises ProofError."""
        return run([self.program, *arguments], self.environment, given=given, check=check)

    def build(self, dockerfile: Path, tag: str, context: Path) -> float:
        """Build an image; return the seconds that it took. Its log is kept in the work folder. Raises ProofError."""
        start = time.monotonic()
        # Networks in which a proxy opens TLS: what this machine trusts, during the build alone.
        certificates = Path("/etc/ssl/certs/ca-certificates.crt")
        trusted = ["--secret", f"id=certificates,src={certificates}"] if certificates.exists() else []
        # HEALTHCHECK is of Docker's format; Podman has layers of earlier builds only when told so.
        podman = ["--format", "docker", "--layers"] if self.is_podman else []
        command = [self.program, "build", "--network", "host", *podman, *trusted, "--file", str(dockerfile)]
        with (self.work / f"build-{tag.partition(':')[0].rpartition('/')[2]}.log").open("wb") as log:
            done = subprocess.run(
                [*command, "--tag", tag, str(context)],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise ProofError(f"{dockerfile} cannot be built: {log.name} says why")
        return time.monotonic() - start

    def listen(self) -> None:
        """Let Docker's compose talk to Podman."""
        if not self.is_podman or self._service is not None:
            return
        socket = self.work / "podman.sock"
        with (self.work / "service.log").open("wb") as log:
            self._service = subprocess.Popen(
                [self.program, "system", "service", "--time=0", f"unix://{socket}"], env=self.environment, stderr=log
            )
        deadline = time.monotonic() + START_S
        while not socket.exists():
            if time.monotonic() > deadline:
                raise ProofError("Podman does not listen")
            time.sleep(0.1)
        self.environment["DOCKER_HOST"] = f"unix://{socket}"
        if not Path("/run/systemd/system").exists():
            # There Podman leaves health checks to systemd's timers.
            threading.Thread(target=self._check_health, daemon=True).start()

    def close(self) -> None:
        if self._service is not None:
            self._service.terminate()
            self._service.wait()
            self._service = None

    def forget(self) -> None:
        """Let go of Podman's storage in the work folder, so that it can be removed; Docker's is everybody's."""
        if self.is_podman:
            self("rmi", "--all", "--force", check=False)
            run(["umount", str(self.work / "storage" / "overlay")], self.environment, check=False)

    def _check_health(self) -> None:
        while self._service is not None:
            for container in self("ps", "--quiet", check=False).split():
                self("healthcheck", "run", container, check=False)
            time.sleep(HEALTH_S)

    def _configure_podman(self) -> None:
        files, processes = (
            min(resource.getrlimit(limit)[1], ENOUGH) for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
        )
        runtime = 'runtime = "runc"' if shutil.which("runc") else ""
        settings = self.work / "containers.conf"
        settings.write_text(
            f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n'
            f'[engine]\ncgroup_manager = "cgroupfs"\n{runtime}\n'
        )
        storage = self.work / "storage.conf"
        storage.write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self.work}/storage"\nrunroot = "{self.work}/run"\n'
        )
        self.environment |= {"CONTAINERS_CONF": str(settings), "CONTAINERS_STORAGE_CONF": str(storage)}


def find_compose(engine: Engine, fallback: Path) -> list[str]:
    """Return the command of Docker's compose, version 2. Raises ProofError where there is none."""
    if not engine.is_podman:
        return ["docker", "compose"]
    found = [Path(folder) / "docker-compose" for folder in COMPOSE_PLUGINS]
    if (program := shutil.which("docker-compose")) is not None:
        found.insert(0, Path(program))
    for path in (*found, fallback):
        if path.exists():
            return [str(path)]
    raise ProofError("there is no docker-compose of version 2")


def run(command: list[str], environment: dict[str, Any], *, given: bytes = b"", check: bool = True) -> str:
    """Run a program; return its standard output. Raises ProofError with its standard error where it fails."""
    done = subprocess.run(command, env=environment, input=given, capture_output=True, check=False)
    if check and done.returncode:
        raise ProofError(f"{' '.join(command)}: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace")


def _docker_answers() -> bool:
    with suppress(OSError):
        return subprocess.run([DOCKER, "info"], capture_output=True, check=False).returncode == 0
    return False
