"""Callers that enroll and analyse at once, and a ledger that knows what a store must hold after all they did.

Each user belongs to one caller, who waits for every answer: so what the store must hold is known exactly, except for
the requests to which no answer came. Of those the audit trail tells whether they took effect; the rest must agree.
"""

import hashlib
import itertools
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import httpx2
from sqlalchemy import text

from face_api.store import AuditTrailBrokenError, Checkpoint, Store
from face_api.store.audit import AuditEntry
from face_api.store.enrollments import pack
from support.light_server import light_face, light_photo
from support.server import Server

LIMIT = 3
"""References per user: so few that they retire."""

LIGHT_SETTINGS: dict[str, object] = {"min_image_bytes": 0, "references_per_user": LIMIT, "limit_per_user": "none"}
PHOTO_BYTES = 2_000

SUCCESS = {"result": "Success"}
FAIL = {"result": "Fail"}
UNREGISTERED = {"result": {"result": "unregistered user"}}
MATCH = {"result": {"person_1": "match"}}
DISMATCH = {"result": {"person_1": "dismatch"}}

_PAUSE_AFTER_FAILURE_S = 0.02
_PNG = b"\x89PNG\r\n\x1a\n"

_NEVER = {
    "users without references": """
        SELECT count(*) FROM users WHERE NOT EXISTS (SELECT 1 FROM face_references WHERE user_id = users.id)""",
    "companies without users": """
        SELECT count(*) FROM companies WHERE NOT EXISTS (SELECT 1 FROM users WHERE company_id = companies.id)""",
    "references without users": """
        SELECT count(*) FROM face_references WHERE user_id NOT IN (SELECT id FROM users)""",
    "users without companies": "SELECT count(*) FROM users WHERE company_id NOT IN (SELECT id FROM companies)",
    "events of nobody": "SELECT count(*) FROM analysis_events WHERE user_id NOT IN (SELECT id FROM users)",
    "events without audit entries": """
        SELECT count(*) FROM analysis_events event WHERE NOT EXISTS
        (SELECT 1 FROM audit_events entry WHERE entry.request_id = event.request_id AND entry.action = event.operation)
        AND event.id > :last_event""",
    "audit entries without events": """
        SELECT count(*) FROM audit_events entry WHERE entry.sequence > :last_entry
        AND entry.action IN ('enroll', 'analyse') AND NOT EXISTS
        (SELECT 1 FROM analysis_events event WHERE entry.request_id = event.request_id AND event.id > :last_event)""",
}

Operation = Literal["enroll", "analyse"]


@dataclass(slots=True)
class Attempt:
    """A request: a photo of a person, for a user. Without an answer: the connection ended before one came."""

    request_id: str
    operation: Operation
    company: str
    user: str
    person: int
    number: int
    started: float
    ended: float = 0.0
    status: int | None = None
    body: Any = None
    reason: str = ""

    @property
    def acknowledged(self) -> bool:
        return self.status == 200

    @property
    def name(self) -> tuple[str, str]:
        return self.company, self.user


class Ledger:
    """Every attempt of all callers, and what follows from them. `wrong`: answers that must never be given."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.wrong: list[str] = []
        self.attempts: list[Attempt] = []
        self.owners: dict[tuple[str, str], int] = {}
        self.references: dict[tuple[str, str], tuple[int, ...]] = {}
        self.checked: Counter[str] = Counter()
        self._limit = limit
        self._numbers = itertools.count()
        self._acknowledged: list[tuple[str, str]] = []
        self._known: set[tuple[str, str]] = set()
        self._verified = 0
        self._end = Checkpoint(0, bytes(32))
        self._last_event = 0

    def new_user(self) -> tuple[str, str]:
        number = next(self._numbers)
        name = f"company{number % 7}", f"user{number}"
        self.owners[name] = number
        return name

    def begun_since(self, since: float) -> list[Attempt]:
        """Return the attempts that began at that time (`time.monotonic()`) or later."""
        return [attempt for attempt in self.attempts[:] if attempt.started >= since]

    def wait_until(self, is_enough: Callable[[Sequence[Attempt]], bool], since: float, within: float = 60.0) -> None:
        """Wait until what began since then is enough: how much a machine does in a time is not for a test to know.

        Args:
            within: seconds from now, after which it is a failure.
        """
        deadline = time.monotonic() + within
        while not is_enough(self.begun_since(since)):
            assert time.monotonic() < deadline, f"not within {within} s: {self.begun_since(since)[-10:]}"
            time.sleep(0.01)

    def somebody(self, choice: random.Random) -> tuple[str, str] | None:
        """Return a user, anybody's, whose enrollment was acknowledged."""
        return choice.choice(self._acknowledged) if self._acknowledged else None

    def as_of(self, moment: float) -> "Ledger":
        """Return what was known at that time (`time.monotonic()`): what was not answered then may be stored or not."""
        ledger = Ledger(self._limit)
        ledger.owners = self.owners
        ledger.attempts = [
            attempt if attempt.ended and attempt.ended < moment else replace(attempt, status=None)
            for attempt in self.attempts
        ]
        return ledger

    def send(
        self, client: httpx2.Client, operation: Operation, name: tuple[str, str], number: int, person: int | None = None
    ) -> Attempt:
        """Send a request, note how it ended, and judge the answer at once."""
        person = self.owners[name] if person is None else person
        registered = name in self._known
        attempt = Attempt(f"r{next(self._numbers)}", operation, *name, person, number, time.monotonic())
        self.attempts.append(attempt)
        path = "/enrollment_img/" if operation == "enroll" else "/analy_img/"
        try:
            answer = client.post(
                path,
                data={"company": attempt.company, "id": attempt.user, "gender": "1", "age": "30"},
                files={"image": ("photo.jpg", light_photo(person, number, PHOTO_BYTES))},
                headers={"X-Request-ID": attempt.request_id},
            )
        except httpx2.TransportError:
            attempt.ended = time.monotonic()
            return attempt
        attempt.ended = time.monotonic()
        attempt.body, attempt.reason = answer.json(), answer.headers.get("x-face-reason", "")
        attempt.status = answer.status_code
        if not self._is_right(attempt, answer, registered):
            self.wrong.append(f"{attempt} was answered {answer.status_code} {answer.text} {dict(answer.headers)}")
        if operation == "enroll" and attempt.acknowledged and name not in self._known:
            self._known.add(name)
            self._acknowledged.append(name)
        return attempt

    def _is_right(self, attempt: Attempt, answer: httpx2.Response, registered: bool) -> bool:
        if answer.headers.get("x-request-id") != attempt.request_id:
            return False
        if attempt.status == 503:
            is_plain = attempt.body == FAIL and answer.headers.get("retry-after") == "1"
            return is_plain and attempt.reason == "store_unavailable"
        if attempt.status != 200:
            return False
        if attempt.operation == "enroll":
            return attempt.body == SUCCESS and attempt.reason in {"enrolled", "already_enrolled"}
        if attempt.body == UNREGISTERED:
            return not registered and attempt.reason == "user_unregistered"
        is_own = self.owners.get(attempt.name) == attempt.person
        return attempt.name in self.owners and attempt.body == (MATCH if is_own else DISMATCH)

    def verify(self, store: Store, *, all_users: bool = False, failures_change_nothing: bool = False) -> None:
        """Check the store against all that was answered since the last time; nobody may be writing.

        Args:
            all_users: open every reference, not only those of users who were written since.
            failures_change_nothing: a 503 means that it was not stored. Otherwise it may have been: the database was
                lost while it was told to commit.
        """
        assert not self.wrong, "\n".join(self.wrong[:5])
        attempts, self._verified = self.attempts[self._verified :], len(self.attempts)
        entries = self._new_entries(store)
        touched = set()
        for attempt in attempts:
            entry = entries.pop(attempt.request_id, None)
            self._compare(attempt, entry, failures_change_nothing)
            if entry is not None and attempt.operation == "enroll":
                touched.add(attempt.name)
                before = self.references.get(attempt.name, ())
                assert (entry.details["reason"] == "already_enrolled") == (attempt.number in before), (attempt, before)
                if attempt.number not in before:
                    self.references[attempt.name] = (*before, attempt.number)[-self._limit :]
        assert not entries, f"the audit trail has what nobody asked for: {entries}"
        self._check_rows(store, None if all_users else touched)

    def _compare(self, attempt: Attempt, entry: AuditEntry | None, failures_change_nothing: bool) -> None:
        if attempt.acknowledged:
            assert entry is not None, f"{attempt} was acknowledged and is not on record"
            self.checked[f"acknowledged: {attempt.operation} {attempt.reason}"] += 1
        elif attempt.status is not None and failures_change_nothing:
            assert entry is None, f"{attempt} failed and is on record: {entry}"
        if entry is None:
            self.checked["not answered, not stored" if attempt.status is None else "failed, not stored"] += 1
            return
        if not attempt.acknowledged:
            self.checked["not answered, stored" if attempt.status is None else "failed, stored"] += 1
        assert entry.action == attempt.operation
        if attempt.acknowledged:
            assert entry.details["reason"] == attempt.reason
            if attempt.reason == "compared":
                assert [attempt.body["result"]["person_1"]] == entry.details["verdicts"]
        if attempt.operation == "enroll":
            assert (entry.company, entry.user) == attempt.name

    def _new_entries(self, store: Store) -> dict[str, AuditEntry]:
        try:
            end = store.audit.verify(self._end if self._end.sequence else None)
        except AuditTrailBrokenError as error:
            raise AssertionError(str(error)) from error
        entries: dict[str, AuditEntry] = {}
        for entry in store.audit.entries(self._end.sequence, end.sequence):
            if entry.request_id is not None:
                assert entry.request_id not in entries, f"twice on record: {entry}"
                entries[entry.request_id] = entry
        with store.database.reading() as session:
            places = {"last_event": self._last_event, "last_entry": self._end.sequence}
            for problem, query in _NEVER.items():
                parameters = {name: value for name, value in places.items() if f":{name}" in query}
                assert session.execute(text(query), parameters).scalar_one() == 0, problem
            self._last_event = session.execute(text("SELECT coalesce(max(id), 0) FROM analysis_events")).scalar_one()
            if store.database.is_sqlite:
                assert session.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
                assert session.execute(text("PRAGMA foreign_key_check")).all() == []
        self._end = end
        return entries

    def _check_rows(self, store: Store, touched: set[tuple[str, str]] | None) -> None:
        counts = """SELECT companies.name, users.key, count(face_references.id) FROM users
            JOIN companies ON companies.id = company_id LEFT JOIN face_references ON user_id = users.id
            GROUP BY companies.name, users.key"""
        rows = """SELECT companies.name, users.key, encoder_id, template, photo_digest, chip FROM users
            JOIN companies ON companies.id = company_id JOIN face_references ON user_id = users.id
            WHERE companies.name = :company AND users.key = :user ORDER BY face_references.id"""
        with store.database.reading() as session:
            found = {(company, user): count for company, user, count in session.execute(text(counts))}
            assert found == {name: len(numbers) for name, numbers in self.references.items()}
            for company, user in self.references if touched is None else touched:
                name = company, user
                opened = []
                for *_, encoder_id, template, digest, chip in session.execute(
                    text(rows), {"company": company, "user": user}
                ):
                    place = company, user, encoder_id
                    assert store.vault.open(bytes(chip), "chip", *place).startswith(_PNG)
                    opened.append(
                        (
                            store.vault.open(bytes(template), "template", *place),
                            store.vault.open(bytes(digest), "photo_digest", *place),
                        )
                    )
                assert opened == [_stored(self.owners[name], number) for number in self.references[name]], name
        self.checked["users opened"] += len(self.references if touched is None else touched)


@lru_cache(maxsize=100_000)
def _stored(person: int, number: int) -> tuple[bytes, bytes]:
    return (
        pack(light_face(person, number).template),
        hashlib.sha256(light_photo(person, number, PHOTO_BYTES)).digest(),
    )


@contextmanager
def callers(ledger: Ledger, servers: Sequence[Server], count: int, seed: int) -> Iterator[None]:
    """Enroll and analyse by `count` callers, spread over the servers, until the block ends; then all have returned."""
    stop = threading.Event()
    failures: list[BaseException] = []
    choices = [random.Random(f"{seed} {number}") for number in range(count)]  # noqa: S311 - repeatable
    runs: list[Callable[[], None]] = [
        _Caller(ledger, servers[number % len(servers)].client, choice, stop).run
        for number, choice in enumerate(choices)
    ]

    def guarded(run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread, below
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(run,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


class _Caller:
    """Enrolls new users, further photos and repeated ones of its own users; analyses own and others' photos."""

    def __init__(self, ledger: Ledger, client: httpx2.Client, choice: random.Random, stop: threading.Event) -> None:
        self._ledger, self._client, self._choice, self._stop = ledger, client, choice, stop
        self._numbers: defaultdict[tuple[str, str], int] = defaultdict(int)

    def run(self) -> None:
        while not self._stop.is_set():
            attempt = self._step()
            if not attempt.acknowledged:
                self._stop.wait(_PAUSE_AFTER_FAILURE_S)

    def _step(self) -> Attempt:
        own = self._choice.choice(list(self._numbers)) if self._numbers else None
        dice = self._choice.random()
        if own is None or dice < 0.25:
            name = self._ledger.new_user()
            self._numbers[name] = 0
            return self._ledger.send(self._client, "enroll", name, 0)
        if dice < 0.5:
            self._numbers[own] += 1
            return self._ledger.send(self._client, "enroll", own, self._numbers[own])
        if dice < 0.6:
            return self._ledger.send(self._client, "enroll", own, self._choice.randint(0, self._numbers[own]))
        probe = 1_000 + self._choice.randrange(1_000)
        if dice < 0.7:
            return self._ledger.send(self._client, "analyse", ("nobody", "nobody"), probe, person=0)
        anybody = self._ledger.somebody(self._choice) or own
        stranger = None if dice < 0.9 else 10**9 + self._choice.randrange(1_000)
        return self._ledger.send(self._client, "analyse", anybody, probe, stranger)
