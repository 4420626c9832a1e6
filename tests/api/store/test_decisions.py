"""The tolerance that was applied: sealed, one at a time, each change an entry of the audit trail."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import URL

from face_api.errors import AccessError
from face_api.store import (
    Applied,
    AuditTrailBrokenError,
    Caller,
    KeyFile,
    KeysError,
    Store,
    StoreDamagedError,
    open_store,
)
from face_engine.calibration import Calibration
from support.store import CALLER, enroll, rows

CALIBRATION = Calibration(
    encoder_id="e1",
    distances=(0.25, 0.5, 1.0),
    false_match_rates=(0.01, 0.1, 1.0),
    comparisons=100_000,
    persons=500,
    source="a test of 한글",
    target_fmr=0.05,
    tolerance=None,
    tolerance_interval=(0.4, 0.5),
)
APPLIED = Applied(0.52, "e1", "자체 측정", CALIBRATION, datetime(2026, 3, 1, 12, 0, 0, 123_456, UTC), "test")


def entries(store: Store) -> list[dict[str, object]]:
    return [dict(entry.details) for entry in store.audit.entries() if entry.action == "decide"]


def found(store: Store) -> Applied | None:
    return (applied := store.decisions.find("e1")) and applied[1]


def saved(store: Store) -> list[dict[str, object]]:
    """Return what lies in the table, as somebody who can write to the database may put it back."""
    names = "encoder_id", "token", "key_id", "value"
    found = rows(store, "SELECT encoder_id, token, key_id, value FROM applied_decisions")
    return [dict(zip(names, row, strict=True)) for row in found]


def put_back(store: Store, before: list[dict[str, object]]) -> None:
    rows(store, "DELETE FROM applied_decisions")
    for row in before:
        rows(store, "INSERT INTO applied_decisions VALUES (:encoder_id, :token, :key_id, :value)", **row)


def test_what_is_applied_is_found_by_every_process(store: Store, database_url: URL, keys: KeyFile) -> None:
    assert store.decisions.find("e1") is None
    store.decisions.apply(CALLER, APPLIED, 0.6)
    with closing(open_store(database_url, keys)) as other:
        assert other.decisions.find("e1") == store.decisions.find("e1")
        assert found(other) == APPLIED


def test_each_has_a_token_of_its_own_which_is_read_with_the_references(store: Store) -> None:
    enroll(store, 1)
    tokens: list[str | None] = []
    changes: list[Callable[[], None]] = [
        lambda: None,
        lambda: store.decisions.apply(CALLER, APPLIED, 0.6),
        lambda: store.decisions.apply(CALLER, APPLIED, 0.6),
        lambda: store.decisions.withdraw(CALLER, "e1", 0.6),
    ]
    for change in changes:
        change()
        references = store.enrollments.references("withmind", "tamy")
        assert references is not None
        applied = store.decisions.find("e1")
        assert references.decision_tokens == references.made_by("e1").decision_tokens
        assert references.decision_tokens == {"e1": applied and applied[0]}
        tokens.append(references.decision_tokens["e1"])
    assert (tokens[0], tokens[3]) == (None, None)
    assert len(set(tokens)) == 3


def test_every_change_is_an_entry_with_the_former_tolerance(store: Store) -> None:
    caller = Caller("cli:root", "request-7")
    store.decisions.withdraw(caller, "e1", 0.6)  # nothing is
    store.decisions.apply(caller, APPLIED, 0.6)
    store.decisions.apply(caller, replace(APPLIED, tolerance=0.45), 0.6)
    store.decisions.apply(caller, replace(APPLIED, encoder_id="e2", calibration=None), 0.6)
    store.decisions.withdraw(caller, "e2", 0.6)
    store.decisions.withdraw(caller, "e2", 0.6)
    told = entries(store)
    tokens = [entry.pop("token") for entry in told]
    assert told == [
        {"encoder": "e1", "former": 0.6, "tolerance": 0.52},
        {"encoder": "e1", "former": 0.52, "tolerance": 0.45},
        {"encoder": "e2", "former": 0.6, "tolerance": 0.52},
        {"encoder": "e2", "former": 0.52, "tolerance": 0.6},
    ]
    applied = store.decisions.find("e1")
    assert applied is not None
    assert (tokens[1], tokens[3]) == (applied[0], None)
    assert len({*tokens}) == 4
    assert {(entry.actor, entry.request_id, entry.company) for entry in store.audit.entries()} == {
        ("cli:root", "request-7", None)
    }
    store.audit.verify()


def test_each_encoder_has_a_tolerance_of_its_own(store: Store) -> None:
    """Services of two encoders on one database, such as during an update, must not take each other's away."""
    enroll(store, 1)
    enroll(store, 2, encoder_id="e2")
    enroll(store, 3, encoder_id="e3")
    store.decisions.apply(CALLER, APPLIED, 0.6)
    other = replace(APPLIED, tolerance=0.3, encoder_id="e2", calibration=None)
    store.decisions.apply(CALLER, other, 0.6)
    ours, theirs = store.decisions.find("e1"), store.decisions.find("e2")
    assert ours is not None
    assert theirs is not None
    assert (ours[1], theirs[1], store.decisions.find("e3")) == (APPLIED, other, None)
    references = store.enrollments.references("withmind", "tamy")
    assert references is not None
    assert references.decision_tokens == {"e1": ours[0], "e2": theirs[0], "e3": None}
    store.audit.verify()
    store.decisions.withdraw(CALLER, "e1", 0.6)
    assert (store.decisions.find("e1"), store.decisions.find("e2")) == (None, theirs)
    assert store.decisions.encoders() == {"e2"}
    store.audit.verify()


def test_an_earlier_tolerance_that_was_put_back_is_not_used(
    store: Store, database_url: URL, keys: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    store.decisions.apply(CALLER, replace(APPLIED, tolerance=2.0), 0.6)
    before = saved(store)
    store.decisions.apply(CALLER, APPLIED, 0.6)
    check_damaged(store, database_url, keys, caplog, before, 2)
    store.decisions.apply(CALLER, APPLIED, 0.6)
    store.decisions.withdraw(CALLER, "e1", 0.6)
    check_damaged(store, database_url, keys, caplog, before, 4)
    store.decisions.withdraw(CALLER, "e1", 0.6)
    assert found(store) is None
    assert entries(store)[-1] == {"encoder": "e1", "former": None, "tolerance": 0.6, "token": None}
    store.audit.verify()


def test_a_tolerance_that_was_removed_is_missed(
    store: Store, database_url: URL, keys: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    """Without it the default would hold, which may be a looser one."""
    store.decisions.apply(CALLER, APPLIED, 0.6)
    check_damaged(store, database_url, keys, caplog, [], 1)
    store.decisions.withdraw(CALLER, "e1", 0.6)
    assert found(store) is None
    store.audit.verify()


def test_a_tolerance_of_another_encoder_is_not_taken_for_ours(
    store: Store, database_url: URL, keys: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    store.decisions.apply(CALLER, replace(APPLIED, encoder_id="e2"), 0.6)
    moved = [row | {"encoder_id": "e1"} for row in saved(store)]
    check_damaged(store, database_url, keys, caplog, moved, 1)


def check_damaged(
    store: Store,
    database_url: URL,
    keys: KeyFile,
    caplog: pytest.LogCaptureFixture,
    written: list[dict[str, object]],
    broken_at: int,
) -> None:
    """What somebody wrote into the table is seen when it is read, at a start and by the verification."""
    caplog.clear()
    put_back(store, written)
    with pytest.raises(StoreDamagedError, match="is not what the audit trail tells"):
        store.decisions.find("e1")
    with pytest.raises(AuditTrailBrokenError, match="the tolerance applied for") as failure:
        store.audit.verify()
    assert failure.value.sequence == broken_at
    open_store(database_url, keys).close()
    assert "photos are not analysed until another one is applied" in caplog.text


@pytest.mark.parametrize("details", ["", "[]", "{}", '{"encoder":"e1"}'])
def test_an_entry_that_was_changed_tells_no_tolerance(store: Store, details: str) -> None:
    store.decisions.apply(CALLER, APPLIED, 0.6)
    rows(store, "UPDATE audit_events SET details = :it", it=details)
    with pytest.raises(AuditTrailBrokenError):
        store.decisions.find("e1")
    store.decisions.apply(CALLER, APPLIED, 0.6)
    assert found(store) == APPLIED


def test_who_applies_at_the_same_time_does_so_one_after_the_other(store: Store) -> None:
    tolerances = [0.4 + number / 100 for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda it: store.decisions.apply(CALLER, replace(APPLIED, tolerance=it), 0.6), tolerances))
    told = entries(store)
    assert sorted(float(str(entry["tolerance"])) for entry in told) == tolerances
    assert [entry["former"] for entry in told] == [0.6, *(entry["tolerance"] for entry in told[:-1])]
    last = found(store)
    assert last is not None
    assert last.tolerance == told[-1]["tolerance"]
    store.audit.verify()


def test_with_a_key_that_was_revoked_meanwhile_nothing_is_changed(store: Store) -> None:
    key_id = store.api_keys.create(CALLER, None).summary.key_id
    store.decisions.apply(CALLER, APPLIED, 0.6)
    store.api_keys.revoke(CALLER, key_id)
    with pytest.raises(AccessError):
        store.decisions.apply(Caller(key_id), replace(APPLIED, tolerance=2.0), 0.6)
    with pytest.raises(AccessError):
        store.decisions.withdraw(Caller(key_id), "e1", 0.6)
    assert found(store) == APPLIED


@pytest.mark.parametrize("column", ["token", "value"])
def test_what_somebody_else_wrote_is_no_tolerance_and_can_be_replaced(
    store: Store, database_url: URL, keys: KeyFile, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    """Who can write to the table but has no key must not make strangers match."""
    change = f"UPDATE applied_decisions SET {column} = :it"  # noqa: S608 - our own
    sealed = store.vault.seal(b'{"tolerance": 2.0}', "decision", "e1", "another")
    written = {"token": "another", "value": sealed}[column]
    store.decisions.apply(CALLER, APPLIED, 0.6)
    rows(store, change, it=written)
    with closing(open_store(database_url, keys)) as other:
        assert "photos are not analysed until another one is applied" in caplog.text
        with pytest.raises(StoreDamagedError):
            other.decisions.find("e1")
        other.decisions.apply(CALLER, replace(APPLIED, tolerance=0.4), 0.6)
        assert [(entry["former"], entry["tolerance"]) for entry in entries(other)[1:]] == [(None, 0.4)]
        rows(other, change, it=written)
        other.decisions.withdraw(CALLER, "e1", 0.6)
        assert other.decisions.find("e1") is None


def test_without_the_key_it_was_sealed_with_the_store_is_not_opened(
    store: Store, database_url: URL, key_file: Path
) -> None:
    store.decisions.apply(CALLER, APPLIED, 0.6)
    rows(store, "UPDATE applied_decisions SET value = :value", value=_with_key_id(store, "k00000000"))
    with pytest.raises(KeysError, match="k00000000"):
        open_store(database_url, KeyFile(key_file))


def _with_key_id(store: Store, key_id: str) -> bytes:
    ((value,),) = rows(store, "SELECT value FROM applied_decisions")
    assert value[1] == len(key_id)
    return bytes(value[:2]) + key_id.encode() + bytes(value[2 + len(key_id) :])


def test_of_a_tolerance_nothing_lies_open(store: Store) -> None:
    # No part is short: two bytes stand somewhere in one of some two hundred ciphertexts by chance.
    store.decisions.apply(CALLER, replace(APPLIED, encoder_id="encoder-of-a-test"), 0.6)
    ((value,),) = rows(store, "SELECT value FROM applied_decisions")
    assert not any(part in bytes(value) for part in (b"0.52", b"a test of", "자체".encode(), b"encoder-of-a-test"))
