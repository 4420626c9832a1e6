"""A disk that is full: what cannot be stored is not acknowledged, and service goes on once there is room.

The limit on file sizes stands in for the end of the disk everywhere; where the system lets us mount one, a disk that
really is full comes on top.
"""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from support.command import face_api
from support.crash import open_directly
from support.load import LIGHT_SETTINGS, Attempt, Ledger, callers
from support.postgres import Postgres
from support.server import LIGHT, running_server

CALLERS = 4
AT_FULL_S = 0.7
LOAD_S = 0.4
DISK_BYTES = 32_000_000
GARBAGE_BYTES = 1_000_000
POSTGRES_FILE_BYTES = 16 * 1024 * 1024
"""As much as a segment of its write-ahead log has: tables cannot outgrow it, and the log is still written."""

HOLDER = f'mkdir -p "$0" && mount -t tmpfs -o size={DISK_BYTES},mode=700 tmpfs "$0" && echo mounted && exec cat'


def limit_files(processes: Sequence[psutil.Process], size: int) -> None:
    for process in processes:
        if (owner := process.uids().real) == os.getuid():
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        else:  # root's word alone does not count where a capability is missing, as in many containers
            value = "unlimited" if size == resource.RLIM_INFINITY else str(size)
            command = ["prlimit", "--pid", str(process.pid), f"--fsize={value}:unlimited"]
            subprocess.run(command, check=True, user=owner, group=process.gids().real, extra_groups=[])


def fill(ledger: Ledger) -> None:
    """Wait until enrollments fail, and a little longer."""
    ledger.wait_until(
        lambda begun: any(attempt.status == 503 and attempt.operation == "enroll" for attempt in begun),
        time.monotonic(),
    )
    time.sleep(AT_FULL_S)


def load(ledger: Ledger) -> float:
    """Wait until both operations have been served, and a little longer; return when this began."""
    began = time.monotonic()
    time.sleep(LOAD_S)
    ledger.wait_until(_are_both_served, began)
    return began


def _are_both_served(begun: Sequence[Attempt]) -> bool:
    served = [attempt for attempt in begun if attempt.acknowledged]
    return any(a.operation == "enroll" for a in served) and any(a.reason == "compared" for a in served)


def check_service(ledger: Ledger, since: float) -> None:
    """What began since then was served."""
    begun = ledger.begun_since(since)
    assert _are_both_served(begun)
    assert all(attempt.acknowledged for attempt in begun), [attempt for attempt in begun if not attempt.acknowledged]


def check_refusals(attempts: Sequence[Attempt]) -> None:
    """At the full disk there were no verdicts either: none could be recorded."""
    refused = [attempt.operation for attempt in attempts if attempt.status == 503]
    assert refused.count("enroll") > 3
    assert refused.count("analyse") > 3


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    ledger = Ledger()
    with running_server(tmp_path, LIGHT, **LIGHT_SETTINGS) as server:
        process = psutil.Process(server.process.pid)
        for seed, room in enumerate((200_000, 3_000_000, 1)):
            with callers(ledger, [server], CALLERS, seed):
                load(ledger)
                limit_files([process], max(path.stat().st_size for path in tmp_path.iterdir()) + room)
                fill(ledger)
                limit_files([process], resource.RLIM_INFINITY)
                again = load(ledger)
            check_service(ledger, again)
            with closing(open_directly(tmp_path)) as store:
                ledger.verify(store, failures_change_nothing=True)
        check_refusals(ledger.attempts)
        limit_files([process], 1)
        owner = next(iter(ledger.references))
        for operation in ("enroll", "analyse"):
            attempt = ledger.send(server.client, operation, owner, 5_000)
            assert (attempt.status, attempt.reason) == (503, "store_unavailable")
        server.kill()
    with running_server(tmp_path, LIGHT, **LIGHT_SETTINGS) as server:
        with callers(ledger, [server], CALLERS, seed=9):
            again = load(ledger)
        check_service(ledger, again)
    with closing(open_directly(tmp_path)) as store:
        ledger.verify(store, all_users=True, failures_change_nothing=True)
    print(dict(ledger.checked))  # noqa: T201


def test_tables_of_postgresql_that_may_not_grow(tmp_path: Path) -> None:
    ledger = Ledger(limit=1_000)
    settings = LIGHT_SETTINGS | {"references_per_user": 1_000}
    with Postgres() as postgres:
        url = postgres.new_database()
        face_api("migrate", "--data-dir", tmp_path, database_url=url).expect()
        postmaster = psutil.Process(int((postgres.data_dir / "postmaster.pid").read_text().split()[0]))
        with running_server(tmp_path, LIGHT, database_url=url, **settings) as server:
            with callers(ledger, [server], CALLERS, seed=1):
                load(ledger)
                limit_files([postmaster, *postmaster.children(recursive=True)], POSTGRES_FILE_BYTES)
                grow_tables(url)
                fill(ledger)
                limit_files([postmaster, *postmaster.children(recursive=True)], resource.RLIM_INFINITY)
                again = load(ledger)
            check_service(ledger, again)
        with closing(open_directly(tmp_path, url)) as store:
            ledger.verify(store, all_users=True, failures_change_nothing=True)
    print(dict(ledger.checked))  # noqa: T201


def grow_tables(url: str) -> None:
    """Let the table of references grow up to its limit, by rows that are taken back: nobody reuses their place yet."""
    with psycopg.connect(url) as connection:
        user, *_ = connection.execute("SELECT id FROM users LIMIT 1").fetchone() or ()
        with suppress(psycopg.Error):
            for _ in range(2 * POSTGRES_FILE_BYTES // GARBAGE_BYTES):
                connection.execute(
                    """INSERT INTO face_references
                    (user_id, encoder_id, key_id, template, photo_digest, chip, created_at)
                    VALUES (%s, '', '', '', '', %s, now())""",
                    (user, os.urandom(GARBAGE_BYTES)),
                )
        connection.rollback()


@contextmanager
def disk(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Mount a small disk at the folder, in a mount namespace of a process's own: it is gone with the process."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("no util-linux here; the limit on file sizes has shown it already")
    with subprocess.Popen(
        [*unshare, "sh", "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout and holder.stdin
        try:
            if holder.stdout.readline() != "mounted\n":
                pytest.skip("nothing can be mounted here; the limit on file sizes has shown it already")
            yield holder
        finally:
            holder.stdin.close()


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    ledger = Ledger()
    folder = tmp_path / "disk"
    with disk(folder) as holder:
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        program = ["nsenter", "--target", str(holder.pid), "--mount", *user, *LIGHT]
        inside = Path(f"/proc/{holder.pid}/root{folder}")
        data_dir = folder / "data"
        with running_server(data_dir, program, **LIGHT_SETTINGS) as server:
            filler = inside / "filler"
            for seed, size in enumerate((DISK_BYTES // 2, DISK_BYTES // 2)):
                with callers(ledger, [server], CALLERS, seed):
                    _write_until_full(filler, size)
                    fill(ledger)
                    filler.unlink()
                    again = load(ledger)
                check_service(ledger, again)
            with callers(ledger, [server], CALLERS, seed=5):
                _write_until_full(filler, DISK_BYTES)
                fill(ledger)
                server.kill()
        check_refusals(ledger.attempts)
        filler.unlink()
        with running_server(data_dir, program, **LIGHT_SETTINGS) as server, callers(ledger, [server], CALLERS, seed=6):
            again = load(ledger)
        check_service(ledger, again)
        # SQLite finds its way out of /proc, and back to this side of the mount.
        shutil.copytree(inside / "data", tmp_path / "copy")
    with closing(open_directly(tmp_path / "copy")) as store:
        ledger.verify(store, all_users=True, failures_change_nothing=True)
    print(dict(ledger.checked))  # noqa: T201


def _write_until_full(path: Path, size: int) -> None:
    with path.open("wb", buffering=0) as stream:
        try:
            for _ in range(size // 4096):
                stream.write(bytes(4096))
        except OSError:
            return
