"""An import: photos that are enrolled one after the other, in a thread of its own, until it is stopped or through."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from face_dashboard.client import AccessDeniedError, ApiClient, ApiError, RefusedError
from face_dashboard.people.photo_list import Entry

Ending = Literal["enrolled", "already_enrolled", "refused"]
State = Literal["running", "done", "stopped", "broken"]

PATIENT_WITH = frozenset({"too_many_requests", "overloaded", "too_many_connections", "limits_unavailable"})
"""Reasons of which nothing is the photo's fault: it is sent again."""

WAITS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
"""Before each further try."""

OF_THE_PHOTO = frozenset(
    {
        "inference_timeout",
        "inference_worker_lost",
        "inference_failed",
        "inference_out_of_memory",
        "deadline_exceeded",
    }
)
"""Reasons of a service that goes on, for which one photo may be the cause."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a photo. `reason`: as in X-Face-Reason."""

    file: str
    user: str
    outcome: Ending
    reason: str


class Import:
    """Photos of one company on their way to the service. Safe to ask from any thread.

    Args:
        read: returns the bytes of an entry's photo; forgotten when the import is over, and the photos with it.
        waits_s: before each further try of a photo for which the service was too busy.
    """

    def __init__(
        self,
        api: ApiClient,
        company: str,
        entries: Sequence[Entry],
        read: Callable[[Entry], bytes],
        waits_s: Sequence[float] = WAITS_S,
    ) -> None:
        self.company = company
        self.entries = tuple(entries)
        self.state: State = "running"
        self.error: ApiError | None = None
        """What ended it, where it is broken."""
        self._outcomes: list[Outcome] = []
        self._api = api
        self._waits_s = waits_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(read,), name="import", daemon=True)

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """What became of the photos so far, in their order."""
        return tuple(self._outcomes)

    @property
    def next_entry(self) -> Entry | None:
        """The photo that is being sent, or was when the import ended early; None when all were."""
        done = len(self._outcomes)
        return self.entries[done] if done < len(self.entries) else None

    @property
    def is_stopping(self) -> bool:
        return self._stopped.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the photo that is being sent be the last."""
        self._stopped.set()

    def wait(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self, read: Callable[[Entry], bytes]) -> None:
        try:
            self.state = self._enroll_all(read)
        except ApiError as error:
            self.error, self.state = error, "broken"
        except BaseException:
            self.state = "broken"
            raise

    def _enroll_all(self, read: Callable[[Entry], bytes]) -> State:
        for entry in self.entries:
            if self._stopped.is_set():
                return "stopped"
            try:
                photo = read(entry)
            except OSError:  # somebody removed what was unpacked
                self._outcomes.append(Outcome(entry.file, entry.user, "refused", "image_missing"))
                continue
            outcome = self._enroll(entry, photo)
            if outcome is None:
                return "stopped"
            self._outcomes.append(outcome)
        return "done"

    def _enroll(self, entry: Entry, photo: bytes) -> Outcome | None:
        """Return what became of a photo; None where it was stopped before. Raises ApiError."""
        waits_s = iter(self._waits_s)
        while True:
            try:
                made = self._api.enroll(self.company, entry.user, photo, entry.gender, entry.age)
            except AccessDeniedError:
                raise
            except ApiError as error:
                if error.reason in PATIENT_WITH:
                    wait_s = next(waits_s, None)
                    if wait_s is None:
                        raise
                    if self._stopped.wait(wait_s):
                        return None
                elif isinstance(error, RefusedError) or error.reason in OF_THE_PHOTO:
                    return Outcome(entry.file, entry.user, "refused", error.reason)
                else:
                    raise
            else:
                return Outcome(entry.file, entry.user, made.outcome, made.outcome)


class Desk:
    """The one import of this process: it goes on when its page is left, or loaded again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.current: Import | None = None

    def begin(self, new: Import) -> bool:
        """Start an import and return True; False: another one runs, or nobody has seen what became of it."""
        with self._lock:
            if self.current is not None:
                return False
            self.current = new
            new.start()
            return True

    def is_importing(self, company: str) -> bool:
        """Return whether photos of a company are on their way."""
        with self._lock:
            return self.current is not None and (self.current.company, self.current.state) == (company, "running")

    def clear(self) -> None:
        """Forget an import that is over."""
        with self._lock:
            if self.current is not None and self.current.state != "running":
                self.current = None


@cache
def desk() -> Desk:
    """Return the desk of this process."""
    return Desk()
