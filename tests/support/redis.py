"""A real Redis server of its own, on a socket in a temporary folder."""

import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

PROGRAM = shutil.which("redis-server")
MISSING = "there is no redis-server on this machine (Debian: apt-get install redis-server)"

START_TIMEOUT_S = 30.0
_SETTINGS = ["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no"]


class RedisServer:
    """`with RedisServer() as redis` starts and ends it; what it holds goes whenever it ends."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="face-redis-"))  # a socket's path must be short
        self._socket = self._folder / "socket"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    @property
    def url(self) -> str:
        """For FACE_API_LIMITS_URL; the same after a restart."""
        return f"redis+unix://{self._socket}"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        assert PROGRAM is not None, MISSING
        command = [PROGRAM, *_SETTINGS, "--unixsocket", str(self._socket), "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """End the server as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def content(self) -> dict[str, str]:
        """Return every key with what it holds, as text."""
        with Redis(unix_socket_path=str(self._socket), decode_responses=True) as client:
            return {name: str(client.get(name)) for name in client.scan_iter()}

    def _answers(self) -> bool:
        with suppress(RedisError), Redis(unix_socket_path=str(self._socket)) as client:
            return bool(client.ping())
        return False

    def _close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)
