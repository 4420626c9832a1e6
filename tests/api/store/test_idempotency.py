"""A request that is sent again is answered as the first was, and never done twice because of it."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL

from face_api.services.retention import purge
from face_api.store import (
    Claim,
    IdempotencyError,
    KeyFile,
    StatementRefusedError,
    Store,
    StoreDamagedError,
    StoredAnswer,
    StoreError,
    open_store,
    utc_now,
)
from face_api.store.idempotency import ABANDONED_S, KEEP_S
from support.raw_files import left_of, raw_bytes
from support.store import CALLER, enroll, rows

ROUNDS = 20
ASKED = b"POST /v1 and a photo"
BODY = b'{"outcome": "enrolled", "quality": {"sharpness": 0.731}}'
IN_USE, REUSED = "idempotency_key_in_use", "idempotency_key_reused"


def claim(store: Store, key: str = "key", actor: str = "actor", fingerprint: bytes = ASKED) -> Claim:
    claimed = store.idempotency.claim(actor, key, fingerprint)
    assert isinstance(claimed, Claim)
    return claimed


def answer(store: Store, key: str = "key", actor: str = "actor", fingerprint: bytes = ASKED) -> StoredAnswer:
    answered = store.idempotency.claim(actor, key, fingerprint)
    assert isinstance(answered, StoredAnswer)
    return answered


def refusal(store: Store, key: str = "key", actor: str = "actor", fingerprint: bytes = ASKED) -> str:
    with pytest.raises(IdempotencyError) as refused:
        store.idempotency.claim(actor, key, fingerprint)
    assert not isinstance(refused.value, StoreError), "it is no fault of the store's"
    return refused.value.reason


def complete(store: Store, claimed: Claim, company: str | None = None, user: str | None = None) -> None:
    store.idempotency.complete(claimed, 201, BODY, company, user)


def answered(store: Store, key: str, company: str | None = None, user: str | None = None) -> None:
    complete(store, claim(store, key), company, user)


def count(store: Store) -> int:
    ((number,),) = rows(store, "SELECT count(*) FROM idempotent_requests")
    return int(number)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds pass."""
    passed = 0.0

    def pass_by(seconds: float) -> None:
        nonlocal passed
        passed += seconds
        monkeypatch.setattr("face_api.store.idempotency.utc_now", lambda: utc_now() + timedelta(seconds=passed))

    return pass_by


@pytest.mark.parametrize("body", [b"", BODY, bytes(range(256)) * 4000], ids=["empty", "short", "long"])
def test_a_retry_is_answered_as_the_first_was(store: Store, body: bytes) -> None:
    store.idempotency.complete(claim(store), 422, body, None, None)
    for _ in range(3):
        assert answer(store) == StoredAnswer(422, body)
    assert count(store) == 1


def test_a_retry_finds_its_answer_after_a_restart(store: Store, database_url: URL, keys: KeyFile) -> None:
    complete(store, claim(store))
    with closing(open_store(database_url, keys)) as other:
        assert answer(other) == StoredAnswer(201, BODY)


def test_a_retry_while_the_first_is_under_way_is_told_so(store: Store) -> None:
    claimed = claim(store)
    assert refusal(store) == IN_USE
    assert refusal(store) == IN_USE
    complete(store, claimed)
    assert answer(store) == StoredAnswer(201, BODY)


def test_another_request_of_the_same_key_is_refused(store: Store) -> None:
    claimed = claim(store)
    assert refusal(store, fingerprint=b"something else") == REUSED
    assert refusal(store, fingerprint=b"") == REUSED
    complete(store, claimed)
    assert refusal(store, fingerprint=b"something else") == REUSED
    assert answer(store) == StoredAnswer(201, BODY)


def test_each_caller_has_keys_of_their_own(store: Store) -> None:
    store.idempotency.complete(claim(store, "key", "one"), 201, b"one's", None, None)
    store.idempotency.complete(claim(store, "key", "two", b"other"), 200, b"two's", None, None)
    # No way of writing them down makes one of the other.
    store.idempotency.complete(claim(store, "eykey", "on"), 200, b"on's", None, None)
    assert answer(store, "key", "one").body == b"one's"
    assert answer(store, "key", "two", b"other").body == b"two's"
    assert answer(store, "eykey", "on").body == b"on's"
    assert count(store) == 3


@pytest.mark.parametrize("key", ["", "k" * 100_000, "\0", "é€😀", "\ud800", '","', "'; DROP TABLE users; --"])
def test_any_text_can_be_a_key(store: Store, key: str) -> None:
    complete(store, claim(store, key, key))
    assert answer(store, key, key) == StoredAnswer(201, BODY)
    assert isinstance(claim(store, key + "x", key), Claim)


def test_a_claim_that_is_released_is_free_again(store: Store) -> None:
    first = claim(store)
    store.idempotency.release(first)
    assert count(store) == 0
    second = claim(store, fingerprint=b"even for something else")
    # The first one has nothing to say any more.
    store.idempotency.release(first)
    complete(store, first)
    assert refusal(store, fingerprint=b"even for something else") == IN_USE
    complete(store, second)
    assert answer(store, fingerprint=b"even for something else") == StoredAnswer(201, BODY)


def test_an_answer_is_not_released_nor_replaced(store: Store) -> None:
    claimed = claim(store)
    complete(store, claimed)
    store.idempotency.release(claimed)
    store.idempotency.complete(claimed, 500, b"another", None, None)
    assert answer(store) == StoredAnswer(201, BODY)


def test_an_abandoned_claim_is_taken_over(store: Store, later: Callable[[float], None]) -> None:
    dead = claim(store)
    later(ABANDONED_S - 5)
    assert refusal(store) == IN_USE
    later(10)
    assert refusal(store, fingerprint=b"something else") == REUSED
    heir = claim(store)
    assert heir != dead
    assert refusal(store) == IN_USE
    # The one that was thought dead comes back.
    store.idempotency.complete(dead, 500, b"late", None, None)
    assert refusal(store) == IN_USE
    store.idempotency.release(dead)
    assert refusal(store) == IN_USE
    complete(store, heir)
    assert answer(store) == StoredAnswer(201, BODY)
    store.idempotency.complete(dead, 500, b"late", None, None)
    assert answer(store) == StoredAnswer(201, BODY)
    assert count(store) == 1


def test_who_takes_over_has_the_whole_time(store: Store, later: Callable[[float], None]) -> None:
    claim(store)
    later(ABANDONED_S + 5)
    claim(store)
    later(ABANDONED_S - 5)
    assert refusal(store) == IN_USE
    later(10)
    claim(store)


def test_a_slow_request_that_nobody_took_over_is_kept(store: Store, later: Callable[[float], None]) -> None:
    claimed = claim(store)
    later(10 * ABANDONED_S)
    complete(store, claimed)
    assert answer(store) == StoredAnswer(201, BODY)


def test_after_a_day_a_key_is_free_for_anything(store: Store, later: Callable[[float], None]) -> None:
    enroll(store, 1)
    complete(store, claim(store), "withmind", "tamy")
    later(KEEP_S - 5)
    assert answer(store) == StoredAnswer(201, BODY)
    later(10)
    claimed = claim(store, fingerprint=b"something else")
    assert rows(store, "SELECT status, body, key_id, company_id, user_id FROM idempotent_requests") == [(None,) * 5]
    store.idempotency.complete(claimed, 200, b"new", None, None)
    assert answer(store, fingerprint=b"something else") == StoredAnswer(200, b"new")


def test_what_is_older_than_a_day_is_purged(
    store: Store, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face_api.store.idempotency._PURGE_BATCH", 3)
    end = store.audit.verify()
    for number in range(7):
        answered(store, f"old{number}")
    claim(store, "never completed")
    assert store.idempotency.purge() == 0
    later(KEEP_S - 100)
    answered(store, "new")
    assert store.idempotency.purge() == 0
    later(200)
    assert store.idempotency.purge() == 8
    assert answer(store, "new") == StoredAnswer(201, BODY)
    assert count(store) == 1
    assert store.audit.verify() == end, "there is nobody to be told of"


def test_the_hourly_purge_removes_answers_too(store: Store, later: Callable[[float], None]) -> None:
    answered(store, "old")
    later(KEEP_S + 1)
    enroll(store, 1)
    assert purge(store, CALLER, 90) == 0, "it counts events alone"
    assert count(store) == 0


def race(works: list[Callable[[], object]]) -> list[object]:
    """Do all at the same time; return what they returned, or the IdempotencyError that they raised."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        start.wait()
        try:
            return work()
        except IdempotencyError as error:
            return error.reason

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def kinds(outcomes: list[object]) -> dict[object, int]:
    return Counter(type(outcome) if isinstance(outcome, Claim | StoredAnswer) else outcome for outcome in outcomes)


def test_of_several_at_the_same_time_one_claims(store: Store, database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys)) as other:
        for number in range(ROUNDS):
            outcomes = race(
                [
                    lambda one=one, number=number: one.idempotency.claim("actor", f"key{number}", ASKED)  # type: ignore[misc]
                    for one in (store, other, store, other)
                ]
            )
            assert kinds(outcomes) == {Claim: 1, IN_USE: 3}
    assert count(store) == ROUNDS


def test_of_several_who_take_over_one_does(
    store: Store, database_url: URL, keys: KeyFile, later: Callable[[float], None]
) -> None:
    with closing(open_store(database_url, keys)) as other:
        for number in range(ROUNDS):
            claim(store, f"key{number}")
        later(ABANDONED_S + 5)
        for number in range(ROUNDS):
            outcomes = race(
                [
                    lambda one=one, number=number: one.idempotency.claim("actor", f"key{number}", ASKED)  # type: ignore[misc]
                    for one in (store, other, store)
                ]
            )
            assert kinds(outcomes) == {Claim: 1, IN_USE: 2}


def test_one_that_completes_while_it_is_taken_over(
    store: Store, database_url: URL, keys: KeyFile, later: Callable[[float], None]
) -> None:
    """Either its answer stands, or the other one's claim does."""
    with closing(open_store(database_url, keys)) as other:
        slow = [claim(store, f"key{number}") for number in range(ROUNDS)]
        later(ABANDONED_S + 5)
        for number, claimed in enumerate(slow):
            key = f"key{number}"
            _, outcome = race(
                [
                    lambda claimed=claimed: complete(store, claimed),  # type: ignore[misc]
                    lambda key=key: other.idempotency.claim("actor", key, ASKED),  # type: ignore[misc]
                ]
            )
            if isinstance(outcome, Claim):
                assert refusal(store, key) == IN_USE
                other.idempotency.complete(outcome, 200, b"the heir's", None, None)
                assert answer(store, key) == StoredAnswer(200, b"the heir's")
            else:
                assert outcome == answer(store, key) == StoredAnswer(201, BODY)


def test_many_of_few_keys_at_the_same_time(store: Store, database_url: URL, keys: KeyFile) -> None:
    """Whoever claims does the request and answers, or gives up; nobody does it while another does."""
    doing: Counter[str] = Counter()
    done: Counter[str] = Counter()
    lock = threading.Lock()

    def work(one: Store, seed: int) -> None:
        for number in range(40):
            key = f"key{(seed * 7 + number) % 5}"
            try:
                outcome = one.idempotency.claim("actor", key, ASKED)
            except IdempotencyError as error:
                assert error.reason == IN_USE
                continue
            if isinstance(outcome, StoredAnswer):
                assert outcome == StoredAnswer(200, key.encode())
                continue
            with lock:
                doing[key] += 1
                assert doing[key] == 1
            gives_up = number % 3 == 0
            time.sleep(0.001)  # others try meanwhile
            with lock:
                doing[key] -= 1
                done[key] += not gives_up
            if gives_up:
                one.idempotency.release(outcome)
            else:
                one.idempotency.complete(outcome, 200, key.encode(), None, None)

    with closing(open_store(database_url, keys)) as other, ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(work, (store, other)[seed % 2], seed) for seed in range(4)]
        for future in futures:
            future.result()
    assert done == dict.fromkeys(done, 1)
    assert len(done) == 5
    assert count(store) == 5


def test_an_answer_goes_with_the_user_whom_it_is_about(store: Store) -> None:
    for user in ("tamy", "joe"):
        enroll(store, 1, user=user)
        answered(store, user, "withmind", user)
    enroll(store, 1, company="other")
    answered(store, "namesake", "other", "tamy")
    answered(store, "company", "withmind")
    answered(store, "nobody")
    receipt = store.eraser.erase_user(CALLER, "withmind", "tamy")
    assert receipt is not None
    assert receipt.removed.answers == 1
    for key in ("joe", "namesake", "company", "nobody"):
        assert answer(store, key) == StoredAnswer(201, BODY)
    claim(store, "tamy", fingerprint=b"the key is free")


def test_answers_go_with_the_company(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_api.store.erasure._ANSWERS", 4)
    for company in ("withmind", "other"):
        for user in ("tamy", "joe"):
            enroll(store, 1, user=user, company=company)
            answered(store, company + user, company, user)
        for number in range(10):
            answered(store, f"{company}{number}", company)
    answered(store, "nobody")
    receipt = store.eraser.erase_company(CALLER, "withmind")
    assert receipt is not None
    assert (receipt.removed.answers, receipt.removed.users) == (12, 2)
    assert count(store) == 13
    assert answer(store, "othertamy") == answer(store, "other3") == answer(store, "nobody")
    store.audit.verify()


def test_nobodys_answers_keep_no_company_from_being_erased(store: Store) -> None:
    store.api_keys.create(CALLER, "withmind")
    answered(store, "key", "withmind")
    receipt = store.eraser.erase_company(CALLER, "withmind")
    assert receipt is not None
    assert (receipt.removed.answers, receipt.removed.companies) == (1, 1)
    assert count(store) == 0


@pytest.mark.parametrize(("company", "user"), [("withmind", "tamy"), ("withmind", None)])
def test_nothing_is_kept_of_who_was_erased_meanwhile(store: Store, company: str, user: str | None) -> None:
    enroll(store, 1)
    claimed = claim(store)
    store.eraser.erase_company(CALLER, "withmind")
    complete(store, claimed, company, user)
    assert count(store) == 0
    complete(store, claimed)
    assert count(store) == 0
    claim(store)


def test_an_answer_about_nobody_who_is_registered_is_not_kept(store: Store) -> None:
    enroll(store, 1)
    answered(store, "key", "withmind", "joe")
    answered(store, "key", "nobody", "tamy")
    answered(store, "key", "nobody")
    assert count(store) == 0


def test_completing_for_the_unregistered_does_not_free_another_ones_claim(
    store: Store, later: Callable[[float], None]
) -> None:
    dead = claim(store)
    later(ABANDONED_S + 5)
    claim(store)
    complete(store, dead, "nobody", "nobody")
    assert refusal(store) == IN_USE


def test_completing_and_erasing_at_the_same_time(store: Store, database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys)) as other:
        for number in range(ROUNDS):
            enroll(store, number)
            claimed = claim(store, f"key{number}")
            erase = (
                (lambda: store.eraser.erase_user(CALLER, "withmind", "tamy"))
                if number % 2
                else (lambda: store.eraser.erase_company(CALLER, "withmind"))
            )
            _, receipt = race(
                [
                    lambda claimed=claimed: complete(other, claimed, "withmind", "tamy"),  # type: ignore[misc]
                    erase,
                ]
            )
            assert receipt
            assert count(store) == 0
    store.audit.verify()


def test_neither_key_nor_request_nor_answer_lies_open(store: Store) -> None:
    enroll(store, 1)
    key, fingerprint = "a key of quite some length", bytes(range(100, 200))
    complete(store, claim(store, key, fingerprint=fingerprint), "withmind", "tamy")
    raw = raw_bytes(store)
    assert left_of([key.encode(), fingerprint, fingerprint.hex().encode(), BODY], raw) == 0
    ((digest, asked, sealed),) = rows(store, "SELECT digest, fingerprint, body FROM idempotent_requests")
    assert left_of([bytes(digest), bytes(asked), bytes(sealed)], raw) > 0, "the search finds nothing at all"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_after_an_erasure_no_byte_of_an_answer_is_left(store: Store) -> None:
    enroll(store, 1)
    complete(store, claim(store), "withmind", "tamy")
    ((digest, asked, sealed),) = rows(store, "SELECT digest, fingerprint, body FROM idempotent_requests")
    receipt = store.eraser.erase_user(CALLER, "withmind", "tamy")
    assert receipt is not None
    assert receipt.overwritten
    assert left_of([bytes(digest), bytes(asked), bytes(sealed)[12:]], raw_bytes(store)) == 0


def test_the_same_request_of_two_keys_does_not_look_the_same(store: Store) -> None:
    claim(store, "one")
    claim(store, "two")
    assert len(rows(store, "SELECT DISTINCT fingerprint FROM idempotent_requests")) == 2


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE idempotent_requests SET status = 200",
        "UPDATE idempotent_requests SET body = (SELECT max(body) FROM idempotent_requests WHERE status = 202)",
        "UPDATE idempotent_requests SET body = NULL",
        "UPDATE idempotent_requests SET body = digest",
    ],
    ids=["status", "another's", "none", "not sealed"],
)
def test_an_answer_that_was_changed_is_not_given(store: Store, change: str) -> None:
    complete(store, claim(store))
    store.idempotency.complete(claim(store, "other"), 202, b"another", None, None)
    rows(store, change + " WHERE status = 201")
    with pytest.raises(StoreDamagedError):
        store.idempotency.claim("actor", "key", ASKED)


def rotate(store: Store) -> list[int]:
    return list(store.resealer.run(store.resealer.begin(CALLER)))


def test_a_retry_after_a_rotation_is_answered_without_the_former_key(
    store: Store, database_url: URL, keys: KeyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face_api.store.resealing._BATCH", 3)
    enroll(store, 1)
    for number in range(8):
        store.idempotency.complete(claim(store, f"key{number}"), 200 + number, f"body {number}".encode(), None, None)
    under_way = claim(store, "under way")
    former = keys.current()
    assert store.resealer.former_keys("another") == [former]
    assert rotate(store) == [1], "it tells of references"
    assert store.resealer.former_keys(keys.current()) == []
    assert rows(store, "SELECT DISTINCT key_id FROM idempotent_requests WHERE status IS NOT NULL") == [
        (keys.current(),)
    ]
    complete(store, under_way)
    path = tmp_path / "keys" / "face.keys"
    path.write_text(next(line for line in path.read_text().splitlines() if not line.startswith("#")) + "\n")
    with closing(open_store(database_url, KeyFile(path))) as later:
        for number in range(8):
            assert answer(later, f"key{number}") == StoredAnswer(200 + number, f"body {number}".encode())
        assert answer(later, "under way") == StoredAnswer(201, BODY)


def test_answers_alone_make_a_rotation_unfinished(store: Store, keys: KeyFile) -> None:
    """Begun, but interrupted before it came to them: the next one goes on with the same key."""
    answered(store, "key")
    former = keys.current()
    first = store.resealer.begin(CALLER)
    assert store.resealer.former_keys(first.key_id) == [former]
    again = store.resealer.begin(CALLER)
    assert again.key_id == first.key_id
    assert list(store.resealer.run(again)) == []
    assert store.resealer.former_keys(first.key_id) == []
    assert store.resealer.begin(CALLER).key_id != first.key_id


def test_a_rotation_leaves_an_answer_that_does_not_open(
    store: Store, keys: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    answered(store, "key")
    answered(store, "other")
    rows(store, "UPDATE idempotent_requests SET status = 299 WHERE id = (SELECT max(id) FROM idempotent_requests)")
    former = keys.current()
    with caplog.at_level(logging.ERROR):
        assert rotate(store) == []
    assert "is left as it is, for a day at most" in caplog.text
    assert answer(store, "key") == StoredAnswer(201, BODY)
    assert store.resealer.former_keys(keys.current()) == [former]
    with pytest.raises(StoreDamagedError):
        store.idempotency.claim("actor", "other", ASKED)


def test_answers_are_kept_while_keys_are_rotated(store: Store, database_url: URL, keys: KeyFile) -> None:
    stop = threading.Event()
    with closing(open_store(database_url, keys)) as service:

        def serve() -> int:
            number = 0
            while not stop.is_set():
                answered(service, f"key{number}")
                assert answer(service, f"key{number // 2}") == StoredAnswer(201, BODY)
                number += 1
            return number

        with ThreadPoolExecutor(1) as pool:
            serving = pool.submit(serve)
            try:
                for _ in range(4):
                    rotate(store)
            finally:
                stop.set()
            served = serving.result()
    rotate(store)
    assert served > 0
    assert store.resealer.former_keys(keys.current()) == []
    for number in range(served):
        assert answer(store, f"key{number}") == StoredAnswer(201, BODY)


def test_a_table_that_is_gone_is_said_so(store: Store) -> None:
    claimed = claim(store)
    rows(store, "ALTER TABLE idempotent_requests RENAME TO gone")
    for act in (
        lambda: claim(store),
        lambda: complete(store, claimed),
        lambda: store.idempotency.release(claimed),
        store.idempotency.purge,
    ):
        with pytest.raises(StatementRefusedError):
            act()
    rows(store, "ALTER TABLE gone RENAME TO idempotent_requests")
    complete(store, claimed)
    assert answer(store) == StoredAnswer(201, BODY)
