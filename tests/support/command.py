"""`face-api` as operators run it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.server import environment_of

PROGRAM = str(Path(sys.executable).with_name("face-api"))
TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    out: str
    err: str

    def expect(self, status: int = 0) -> str:
        """Return what it printed, after a check of how it ended."""
        assert self.status == status, self
        assert "Traceback" not in self.err, self.err
        return self.out

    def expect_refusal(self, text: str, status: int = 3) -> None:
        """It ended with one line that says why, and holds the text."""
        self.expect(status)
        assert self.err.startswith("face-api: ") and self.err.count("\n") == 1, self.err
        assert text in self.err, self.err


def face_api(*arguments: str | Path, typed: str | None = None, **settings: object) -> Outcome:
    """Run a command to its end. Its standard input is what is `typed`, or ends at once; never a terminal."""
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)],
        input=typed or "",
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        env=environment_of(**settings),
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
