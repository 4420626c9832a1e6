"""Events: one for each request, and its audit entry; the events go when they are old, the entries stay."""

import json
from datetime import timedelta
from typing import Any

import pytest

from face_api.services.retention import purge
from face_api.store import Caller, Outcome, Store, utc_now
from face_engine.matching import Comparison
from support.store import CALLER, enroll, references_of, rows

COMPARED = Outcome(
    "analyse",
    "compared",
    {"store": 1.26, "decode": 2.0, "detect": 3.0, "align": 4.0, "encode": 5.0, "match": 0.5, "total": 16.0},
    (Comparison(0.75, 0.6, 0), Comparison(0.25, 0.6, 0), Comparison(0.123456789, 0.6, 0)),
)


def age(store: Store, days: list[float]) -> None:
    """Let the events be as old as that, the first one first."""
    now = utc_now()
    for (event_id,), age_days in zip(rows(store, "SELECT id FROM analysis_events ORDER BY id"), days, strict=True):
        moment: Any = now - timedelta(days=age_days)
        if store.database.is_sqlite:
            moment = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
        rows(store, "UPDATE analysis_events SET at = :at WHERE id = :id", at=moment, id=event_id)


def count(store: Store) -> int:
    ((found,),) = rows(store, "SELECT count(*) FROM analysis_events")
    return int(found)


def test_an_analysis_leaves_an_event_and_an_entry(store: Store) -> None:
    enroll(store, 1)
    store.events.record(Caller("key1", "request-5"), "withmind", "tamy", COMPARED)
    ((event),) = rows(
        store,
        "SELECT operation, reason, request_id, matches, dismatches, distance, company_id, user_id, store_ms, "
        "detect_ms, total_ms FROM analysis_events WHERE operation = 'analyse'",
    )
    ((company_id, user_id),) = rows(store, "SELECT company_id, id FROM users")
    assert event == ("analyse", "compared", "request-5", 2, 1, 0.123456789, company_id, user_id, 1.26, 3.0, 16.0)
    *_, entry = store.audit.entries()
    assert (entry.actor, entry.action, entry.company, entry.user) == ("key1", "analyse", "withmind", "tamy")
    assert entry.request_id == "request-5"
    assert entry.details["verdicts"] == ["dismatch", "match", "match"]
    assert entry.details["distances"] == [0.75, 0.25, 0.123457]
    assert entry.details["tolerance"] == 0.6
    assert entry.details["timings_ms"]["store"] == 1.3


def test_an_event_of_somebody_who_is_not_registered_names_nobody(store: Store) -> None:
    enroll(store, 1)
    ((company_id, token),) = rows(store, "SELECT id, token FROM companies")
    refused = Outcome("analyse", "user_unregistered")
    store.events.record(CALLER, "withmind", "secret-user", refused)
    store.events.record(CALLER, "secret-company", "secret-user", refused)
    store.events.record(CALLER, "secret-company", "tamy", refused)
    events = rows(store, "SELECT company_id, user_id FROM analysis_events ORDER BY id")
    assert events[1:] == [(company_id, None), (None, None), (None, None)]
    entries = rows(store, 'SELECT company, "user" FROM audit_events ORDER BY sequence')
    assert entries[1:] == [(token, None), (None, None), (None, None)]
    for table in ("analysis_events", "audit_events", "companies", "users"):
        assert "secret" not in str(rows(store, f"SELECT * FROM {table}"))  # noqa: S608 - our own


def test_no_entry_holds_a_template_or_an_image(store: Store) -> None:
    enroll(store, 1, chip=b"chip" * 50)
    store.events.record(CALLER, "withmind", "tamy", COMPARED)
    for (details,) in rows(store, "SELECT details FROM audit_events"):
        assert len(details) < 400
        allowed = {"reason", "timings_ms", "verdicts", "distances", "tolerance"}
        assert set(json.loads(details)) <= allowed


def test_an_event_without_an_entry_is_not_recorded(store: Store) -> None:
    enroll(store, 1)
    rows(store, "UPDATE audit_head SET sequence = sequence + 1")
    with pytest.raises(Exception, match="head was changed"):
        store.events.record(CALLER, "withmind", "tamy", COMPARED)
    assert count(store) == 1


def test_what_is_older_than_a_moment_goes(store: Store) -> None:
    enroll(store, 1)
    for _ in range(4):
        store.events.record(CALLER, "withmind", "tamy", COMPARED)
    age(store, [9, 91, 89.9, 90.1, 0])
    assert purge(store, Caller("service"), 90) == 2
    assert count(store) == 3
    *_, entry = store.audit.entries()
    assert (entry.actor, entry.action, entry.company, entry.user) == ("service", "purge", None, None)
    assert entry.details == {"events": 2}
    assert len(references_of(store, "withmind", "tamy")) == 1
    assert store.audit.verify().sequence == 6  # the entries of what was purged stay


def test_the_moment_itself_stays(store: Store) -> None:
    enroll(store, 1)
    with store.database.reading() as session:
        from face_api.store.tables import AnalysisEvent  # noqa: PLC0415

        moment = session.get_one(AnalysisEvent, 1).at
    assert store.events.purge(CALLER, moment) == 0
    assert store.events.purge(CALLER, moment + timedelta(microseconds=1)) == 1


def test_keeping_no_day_purges_all(store: Store) -> None:
    enroll(store, 1)
    assert purge(store, CALLER, 0) == 1
    assert count(store) == 0


def test_nothing_to_purge_is_no_entry(store: Store) -> None:
    enroll(store, 1)
    assert purge(store, CALLER, 1) == 0
    assert store.audit.verify().sequence == 1


@pytest.mark.parametrize(("events", "batches"), [(9, [4, 4, 1]), (8, [4, 4]), (3, [3])])
def test_many_go_in_batches(store: Store, monkeypatch: pytest.MonkeyPatch, events: int, batches: list[int]) -> None:
    monkeypatch.setattr("face_api.store.events._PURGE_BATCH", 4)
    for _ in range(events + 1):
        store.events.record(CALLER, "withmind", "tamy", COMPARED)
    age(store, [91.0] * events + [1.0])
    assert purge(store, CALLER, 90) == events
    assert count(store) == 1
    entries = [entry.details["events"] for entry in store.audit.entries() if entry.action == "purge"]
    assert entries == batches
    store.audit.verify()


def test_an_interrupted_purge_is_finished_by_the_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_api.store.events._PURGE_BATCH", 4)
    for _ in range(10):
        store.events.record(CALLER, "withmind", "tamy", COMPARED)
    age(store, [91.0] * 10)
    append = type(store.audit).append
    calls = []

    def interrupt(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return append(*arguments)

    with monkeypatch.context() as context:
        context.setattr(type(store.audit), "append", interrupt)
        with pytest.raises(KeyboardInterrupt):
            purge(store, CALLER, 90)
    assert count(store) == 6
    assert purge(store, CALLER, 90) == 6
    store.audit.verify()
