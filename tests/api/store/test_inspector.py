"""The audit trail by pages, the newest entry first."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest

from face_api.store import AuditEntry, AuditTrailBrokenError, Caller, EntryFilter, Inspection, Store
from face_api.store.audit import Subject
from support.store import CALLER, enroll, rows

WATCHER = Caller("watcher", "look")
SEOUL = timezone(timedelta(hours=9))
START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def trail(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with entries of two companies, two callers and several actions, a minute apart."""
    minutes = iter(range(10_000))
    monkeypatch.setattr("face_api.store.audit.utc_now", lambda: START + timedelta(minutes=next(minutes)))
    for number in range(4):
        enroll(store, number, user=("tamy", "joe")[number % 2])
    enroll(store, 10, company="other")
    for number in range(6):
        caller = Caller(("test", "cli:root")[number % 2])
        store.directory.user(caller, "withmind", "tamy")
        store.directory.companies(caller)
    with store.database.writing() as session:
        store.audit.append(session, CALLER, "purge", Subject(), {"events": 3})
    return store


def entries(store: Store, *, limit: int = 1000, **wanted: Any) -> list[AuditEntry]:
    return list(store.inspector.page(WATCHER, EntryFilter(**wanted), limit=limit).items)


def others(all_entries: Iterable[AuditEntry]) -> list[AuditEntry]:
    """Return the entries, the newest first, without those of who looked."""
    return [entry for entry in reversed(list(all_entries)) if entry.actor != WATCHER.actor]


def test_the_newest_comes_first_with_all_that_it_says(trail: Store) -> None:
    expected = others(trail.audit.entries())
    assert [entry.action for entry in expected[:3]] == ["purge", "list", "view"]
    assert entries(trail) == expected
    assert expected[-1].company == "withmind"
    assert expected[-1].user == "tamy"


def test_a_filter_finds_all_of_which_it_is_true_and_nothing_else(trail: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_api.store.inspector.MANY", 5)  # so that some are counted, and of some there are too many
    everything = others(trail.audit.entries())
    border, end = START + timedelta(minutes=3, seconds=30), everything[2].at
    times = (None, None), (border, None), (None, end), (border, end)
    found = 0
    whose: tuple[tuple[str | None, str | None], ...]
    whose = (None, None), ("withmind", None), ("withmind", "tamy"), ("withmind", "joe"), ("other", "tamy")
    for (company, user), action, actor, (since, until) in product(
        whose, (None, "enroll", "view"), (None, "test", "cli:root"), times
    ):
        expected = [
            entry
            for entry in everything
            if company in {None, entry.company}
            and user in {None, entry.user}
            and action in {None, entry.action}
            and actor in {None, entry.actor}
            and (since is None or entry.at >= since)
            and (until is None or entry.at < until)
        ]
        wanted: Any = {
            "company": company,
            "user": user,
            "action": action,
            "actor": actor,
            "since": since,
            "until": until,
        }
        given = [entry for entry in entries(trail, **wanted) if entry.actor != WATCHER.actor]
        assert given == expected, wanted
        found += len(given)
    assert found > 200
    assert entries(trail, action="rotate") == []


def test_where_the_clock_was_set_back_a_stretch_of_time_has_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = [5, 6, 7, 8, 1, 2, 6, 7, 7, 0, 9]
    clock = iter([*minutes, *[100] * 1000])
    monkeypatch.setattr("face_api.store.audit.utc_now", lambda: START + timedelta(minutes=next(clock)))
    for _ in minutes:
        store.directory.companies(CALLER)
    for first, end in product(range(-1, 11), repeat=2):
        since, until = START + timedelta(minutes=first), START + timedelta(minutes=end)
        found = [entry.sequence for entry in entries(store, since=since, until=until)]
        assert found == [place for place in range(11, 0, -1) if first <= minutes[place - 1] < end], (first, end)
    assert others(entries(store, until=START + timedelta(minutes=3)))[-1].sequence == 10
    assert {entry.sequence for entry in entries(store, since=START + timedelta(minutes=8), actor="test")} == {4, 11}


def test_a_moment_may_be_of_any_time_zone_and_at_the_ends_of_time(trail: Store) -> None:
    third = others(trail.audit.entries())[3]
    assert entries(trail, since=third.at.astimezone(SEOUL))[-1] == third
    assert len(others(entries(trail, since=datetime.min.replace(tzinfo=UTC)))) == 18
    assert entries(trail, until=datetime.min.replace(tzinfo=UTC)) == []
    assert entries(trail, since=datetime.max.replace(tzinfo=UTC)) == []


def test_paging_gives_every_entry_once_though_each_page_is_an_entry_itself(trail: Store) -> None:
    expected = others(trail.audit.entries())
    for limit in (1, 4, 17, 18):
        found: list[AuditEntry] = []
        before: int | None = expected[0].sequence + 1
        while before is not None:
            page = trail.inspector.page(WATCHER, EntryFilter(), before, limit)
            assert len(page.items) <= limit
            found += page.items
            before = None if page.next_after is None else int(page.next_after)
        assert found == expected


def test_who_looks_is_told_by_the_trail(trail: Store) -> None:
    count = len(entries(trail, company="withmind", user="tamy"))
    look = entries(trail, limit=1)[0]
    assert (look.actor, look.request_id, look.action) == ("watcher", "look", "list")
    assert (look.company, look.user, look.details) == ("withmind", "tamy", {"audit_entries": count})


@pytest.mark.parametrize("nobody", [{"company": "nobodys"}, {"company": "withmind", "user": "nobody"}])
def test_who_looks_for_somebody_who_is_not_registered_is_told_as_well(trail: Store, nobody: Any) -> None:
    assert entries(trail, **nobody) == []
    look = entries(trail, limit=1)[0]
    assert (look.actor, look.action, look.company, look.user) == ("watcher", "list", None, None)
    assert look.details == {"audit_entries": 0}


def test_of_whom_is_not_registered_there_is_nothing_and_of_whom_was_erased_the_token(trail: Store) -> None:
    assert entries(trail, company="nobodys") == []
    assert entries(trail, company="withmind", user="nobody") == []
    before = len(entries(trail, company="withmind"))
    ((token,),) = rows(trail, "SELECT token FROM users WHERE key = 'joe'")
    trail.eraser.erase_user(CALLER, "withmind", "joe")
    assert entries(trail, company="withmind", user="joe") == []
    theirs = entries(trail, company="withmind")
    assert len(theirs) >= before
    assert sum(entry.user == token for entry in theirs) == 2
    enroll(trail, 20, user="joe")
    (again,) = entries(trail, company="withmind", user="joe", action="enroll")
    assert again.action == "enroll"


def test_a_user_without_a_company_and_a_moment_without_a_time_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="company"):
        EntryFilter(user="tamy")
    with pytest.raises(ValueError, match="time zone"):
        EntryFilter(since=datetime(2026, 3, 1))  # noqa: DTZ001 - that is what is refused


def test_a_whole_trail_is_told_with_its_end(trail: Store) -> None:
    assert trail.inspector.verify() == Inspection(18, trail.audit.end(), None)


def test_a_broken_trail_is_told_with_where_it_breaks(trail: Store) -> None:
    rows(trail, "UPDATE audit_events SET actor = 'admin' WHERE sequence = 7")
    found = trail.inspector.verify()
    assert (found.entries, found.end) == (18, None)
    assert found.broken is not None
    assert found.broken.sequence == 7


@pytest.mark.parametrize("details", ["", "[1]", "null", "{"])
def test_an_entry_that_cannot_be_read_is_not_listed(trail: Store, details: str) -> None:
    rows(trail, "UPDATE audit_events SET details = :details WHERE sequence = 7", details=details)
    with pytest.raises(AuditTrailBrokenError) as failure:
        entries(trail)
    assert failure.value.sequence == 7
    assert len(entries(trail, since=START + timedelta(minutes=7))) > 0
