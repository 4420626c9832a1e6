"""Events: one for each request, and its audit entry; the events go when they are old, the entries stay."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy.event import listen, remove

from face_api.services.retention import purge
from face_api.store import Caller, Event, EventFilter, Outcome, Store, utc_now
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


def everything(store: Store, wanted: EventFilter | None = None, limit: int = 10_000) -> list[Event]:
    """Return the events of all pages."""
    found: list[Event] = []
    before: int | None = None
    while True:
        page = store.events.page(CALLER, wanted or EventFilter(), before, limit)
        found += page.items
        if page.next_after is None:
            assert len(page.items) <= limit
            return found
        assert len(page.items) == limit
        before = int(page.next_after)
        assert before == page.items[-1].id


def ids(events: Sequence[Event]) -> list[int]:
    return [event.id for event in events]


def fill(store: Store, count: int) -> None:
    """Record events of three users in two companies, of companies alone and of nobody, not in the order of time."""
    choose = random.Random(count)  # noqa: S311 - repeatable
    endings = Outcome("analyse", "compared"), Outcome("analyse", "no_face"), Outcome("enroll", "no_face")
    for company, user in (("withmind", "tamy"), ("withmind", "joe"), ("other", "tamy")):
        enroll(store, 1, user=user, company=company)
    for _ in range(count - 3):
        company, user = choose.choice(["withmind", "other", "nobody"]), choose.choice(["tamy", "joe", "nobody"])
        store.events.record(CALLER, company, user, choose.choice(endings))
    # Several of one moment, as they are where many are recorded at once.
    age(store, [float(choose.randrange(count // 2)) for _ in range(count)])


def test_a_page_tells_all_of_an_event(store: Store) -> None:
    enroll(store, 1)
    store.events.record(Caller("key1", "request-5"), "withmind", "tamy", COMPARED)
    store.events.record(Caller("key1"), "withmind", "stranger", Outcome("analyse", "user_unregistered"))
    store.events.record(CALLER, "stranger", "stranger", Outcome("enroll", "no_face", {"total": 2.5}))
    nobody, stranger, compared, enrolled = store.events.page(CALLER, EventFilter()).items
    assert compared == Event(
        id=enrolled.id + 1,
        at=compared.at,
        operation="analyse",
        company="withmind",
        user="tamy",
        request_id="request-5",
        reason="compared",
        matches=2,
        dismatches=1,
        distance=0.123456789,
        timings_ms=COMPARED.timings_ms,
    )
    assert (stranger.company, stranger.user, stranger.reason) == ("withmind", None, "user_unregistered")
    assert (stranger.request_id, stranger.distance, stranger.timings_ms) == (None, None, {})
    assert (nobody.company, nobody.user, nobody.operation, nobody.timings_ms) == (None, None, "enroll", {"total": 2.5})
    assert enrolled.at <= compared.at <= stranger.at <= nobody.at <= utc_now()
    assert nobody.at.utcoffset() == timedelta(0)


def test_paging_gives_every_event_once_and_the_newest_first(store: Store) -> None:
    fill(store, 60)
    found = everything(store)
    assert sorted(ids(found)) == [event_id for (event_id,) in rows(store, "SELECT id FROM analysis_events ORDER BY id")]
    assert ids(found) == ids(sorted(found, key=lambda event: (event.at, event.id), reverse=True))
    assert len({event.at for event in found}) < 60
    for limit in (1, 7, 20, 59, 60):
        assert everything(store, limit=limit) == found


def test_an_event_that_was_recorded_meanwhile_shifts_no_page(store: Store) -> None:
    fill(store, 30)
    expected = everything(store)
    page = store.events.page(CALLER, EventFilter(), None, 10)
    store.events.record(CALLER, "withmind", "tamy", COMPARED)
    assert page.next_after is not None
    assert store.events.page(CALLER, EventFilter(), int(page.next_after), 20).items == expected[10:]


def test_a_filter_finds_all_of_which_it_is_true_and_nothing_else(store: Store) -> None:
    fill(store, 80)
    found = everything(store)
    moments = sorted(event.at for event in found)
    since, until = moments[20], moments[60]
    for wanted, is_meant in (
        (EventFilter("withmind"), lambda event: event.company == "withmind"),
        (EventFilter("other"), lambda event: event.company == "other"),
        (EventFilter("withmind", "tamy"), lambda event: (event.company, event.user) == ("withmind", "tamy")),
        (EventFilter("other", "tamy"), lambda event: (event.company, event.user) == ("other", "tamy")),
        (EventFilter(operation="enroll"), lambda event: event.operation == "enroll"),
        (EventFilter(reason="no_face"), lambda event: event.reason == "no_face"),
        (EventFilter(since=since), lambda event: event.at >= since),
        (EventFilter(until=until), lambda event: event.at < until),
        (EventFilter(since=until, until=since), lambda _: False),
        (
            EventFilter("withmind", None, "analyse", "no_face", since, until),
            lambda event: (
                (event.company, event.operation, event.reason) == ("withmind", "analyse", "no_face")
                and since <= event.at < until
            ),
        ),
    ):
        expected = [event for event in found if is_meant(event)]
        assert 0 < len(expected) < len(found) or wanted.since == until
        assert everything(store, wanted) == expected, wanted
        assert everything(store, wanted, limit=3) == expected, wanted


def test_a_moment_may_be_of_any_time_zone_but_needs_one(store: Store) -> None:
    enroll(store, 1)
    age(store, [1 / 24])  # less than Seoul is ahead
    seoul = timezone(timedelta(hours=9))
    (event,) = everything(store)
    assert everything(store, EventFilter(since=event.at.astimezone(seoul))) == [event]
    assert everything(store, EventFilter(until=event.at.astimezone(seoul))) == []
    naive = datetime.now(UTC).replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        EventFilter(since=naive)
    with pytest.raises(ValueError, match="time zone"):
        EventFilter(until=naive)


def test_a_user_is_one_of_a_company() -> None:
    with pytest.raises(ValueError, match="company"):
        EventFilter(user="tamy")


def test_a_look_at_events_is_an_entry_that_names_whom_it_was_about(store: Store) -> None:
    fill(store, 20)
    before = store.audit.verify().sequence
    caller = Caller("cli:root", "request-7")
    looks = EventFilter(), EventFilter("withmind"), EventFilter("withmind", "joe"), EventFilter(reason="never")
    sizes = [len(store.events.page(caller, wanted, limit=4).items) for wanted in looks]
    entries = list(store.audit.entries(before))
    assert [(entry.company, entry.user) for entry in entries] == [
        (None, None),
        ("withmind", None),
        ("withmind", "joe"),
        (None, None),
    ]
    assert [entry.details for entry in entries] == [{"events": size} for size in sizes]
    assert (sizes[0], sizes[-1]) == (4, 0)
    assert {(entry.actor, entry.action, entry.request_id) for entry in entries} == {("cli:root", "list", "request-7")}
    rows(store, "DELETE FROM audit_head")
    with pytest.raises(Exception, match="head is missing"):
        store.events.page(caller, EventFilter())


def test_who_is_not_registered_has_no_events_and_leaves_no_entry(store: Store) -> None:
    fill(store, 20)
    before = store.audit.verify()
    for wanted in (EventFilter("nobody"), EventFilter("withmind", "nobody"), EventFilter("other", "joe")):
        page = store.events.page(CALLER, wanted)
        assert (list(page.items), page.next_after) == ([], None)
    assert store.audit.verify() == before


def test_paging_goes_on_when_the_event_where_it_stopped_is_gone(store: Store) -> None:
    for number in range(4):
        enroll(store, number, user="stays")
        enroll(store, number, user="goes")
    everybody = everything(store)
    first = store.events.page(CALLER, EventFilter(), None, 3)
    assert [event.user for event in first.items] == ["goes", "stays", "goes"]
    assert first.next_after is not None
    store.eraser.erase_user(CALLER, "withmind", "goes")
    rest = store.events.page(CALLER, EventFilter(), int(first.next_after))
    assert ids(rest.items) == [event.id for event in everybody[3:] if event.user == "stays"]
    # Nothing is older than what was purged.
    store.events.purge(CALLER, utc_now())
    assert list(store.events.page(CALLER, EventFilter(), int(first.next_after)).items) == []


def test_paging_may_begin_anywhere(store: Store) -> None:
    enroll(store, 1)
    enroll(store, 2)
    newer, older = everything(store)
    for before, expected in ((10**9, [newer, older]), (newer.id, [older]), (older.id, []), (0, []), (-1, [])):
        assert store.events.page(CALLER, EventFilter(), before).items == expected


LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "wanted",
    [
        EventFilter(),
        EventFilter(operation="enroll"),
        EventFilter(reason="no_face"),
        EventFilter(since=LONG_AGO),
        EventFilter(until=LONG_AGO),
        EventFilter(since=LONG_AGO, until=utc_now()),
        EventFilter("withmind"),
        EventFilter("withmind", since=LONG_AGO),
        EventFilter("withmind", "tamy"),
        EventFilter("withmind", "tamy", since=LONG_AGO, until=utc_now()),
    ],
)
def test_a_page_is_read_in_the_order_of_an_index(store: Store, wanted: EventFilter) -> None:
    """Else the first page of a million events would take as long as all of them."""
    enroll(store, 1)
    statements: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if "LIMIT" in statement:
            statements.append((statement, parameters))

    hook = store.database._engine, "before_cursor_execute", note
    listen(*hook)
    for before in (None, 1):
        store.events.page(CALLER, wanted, before)
    remove(*hook)
    assert len(statements) == 3  # two pages, and where the second one begins
    with store.database.reading() as session:
        for statement, parameters in statements:
            plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            steps = [step for *_, step in plan]
            assert "analysis_events" in steps[0]
            assert "USING" in steps[0], steps
            assert not any("TEMP B-TREE" in step for step in steps), steps
