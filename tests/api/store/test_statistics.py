"""Statistics: what the database adds up is what a slow loop over the same events does."""

import math
import random
from bisect import bisect_right
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest
from sqlalchemy import URL, insert

from face_api.store import (
    Bucket,
    CompanyTallies,
    CompanyTally,
    EventFilter,
    KeyFile,
    Operation,
    Percentiles,
    Store,
    open_store,
)
from face_api.store.events import STAGES
from face_api.store.tables import AnalysisEvent, table_of
from support.store import enroll, rows

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
SEOUL = timezone(timedelta(hours=9))
HOUR_S, DAY_S = 3600, 86400

NAMES = ("withmind", "tamy"), ("withmind", "joe"), ("other", "tamy")


def event(at: datetime = MIDNIGHT, operation: str = "analyse", reason: str = "compared", **values: Any) -> Any:
    """Return the row of an event, of nobody unless it says of whom."""
    row: dict[str, Any] = dict.fromkeys(f"{stage}_ms" for stage in STAGES)
    row |= {"company_id": None, "user_id": None, "matches": 0, "dismatches": 0}
    return row | {"at": at, "operation": operation, "reason": reason} | values


def add(store: Store, events: list[Any]) -> None:
    rows(store, "DELETE FROM analysis_events")
    with store.database.writing() as session:
        session.connection().execute(insert(table_of(AnalysisEvent)), events)


def totals(store: Store, values: list[float]) -> Percentiles:
    add(store, [event(total_ms=value) for value in values])
    (bucket,) = store.statistics.summary(EventFilter(), DAY_S)
    assert set(bucket.latency) == {"total"}
    return bucket.latency["total"]


def nearest_rank(values: list[float]) -> Percentiles:
    """Return the percentiles by the definition: the smallest value that so many of all do not exceed."""
    ordered = sorted(values)
    found = [
        next(value for value in ordered if bisect_right(ordered, value) * 100 >= percent * len(ordered))
        for percent in (50, 95, 99)
    ]
    return Percentiles(len(values), *found)


def added_up(events: list[Any], bucket_s: int) -> list[Bucket]:
    parts = defaultdict(list)
    for row in events:
        parts[(row["at"] - EPOCH) // timedelta(seconds=bucket_s), row["operation"]].append(row)
    buckets = []
    for (number, operation), those in sorted(parts.items()):
        timings = {stage: [row[f"{stage}_ms"] for row in those if row[f"{stage}_ms"] is not None] for stage in STAGES}
        buckets.append(
            Bucket(
                EPOCH + number * timedelta(seconds=bucket_s),
                operation,
                Counter(row["reason"] for row in those),
                sum(row["matches"] for row in those),
                sum(row["dismatches"] for row in those),
                {stage: nearest_rank(values) for stage, values in timings.items() if values},
            )
        )
    return buckets


def random_events(store: Store, count: int) -> list[Any]:
    """Return events within some days, in no order, of registered users, of companies alone and of nobody."""
    choose = random.Random(count)  # noqa: S311 - repeatable
    for company, user in NAMES:
        enroll(store, 1, user=user, company=company)
    people: list[tuple[int | None, int | None]] = list(rows(store, "SELECT company_id, id FROM users ORDER BY id"))
    people += [(people[0][0], None), (None, None)]
    events = []
    for _ in range(count):
        company_id, user_id = choose.choice(people)
        is_whole = choose.random() < 0.5  # on the second, which is a border as often as not
        events.append(
            event(
                MIDNIGHT
                + timedelta(seconds=choose.randrange(7 * DAY_S) // HOUR_S * HOUR_S + choose.choice([0, 1, 1799, 3599]))
                + timedelta(microseconds=0 if is_whole else choose.choice([1, 499_999, 500_000, 999_999])),
                choose.choice(["enroll", "analyse", "analyse"]),
                choose.choice(["compared", "enrolled", "no_face"]),
                company_id=company_id,
                user_id=user_id,
                matches=choose.randrange(3),
                dismatches=choose.randrange(3),
                **{
                    # Few different values, so that many are equal; some are missing.
                    f"{stage}_ms": choose.choice([None, 0.0, 0.25, float(choose.randrange(30)), choose.random() * 1e4])
                    for stage in STAGES
                },
            )
        )
    return events


def test_what_the_database_adds_up_is_what_a_loop_does(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_api.store.statistics.FEW", 100)  # some filters mean more events of a company, some fewer
    events = random_events(store, 600)
    add(store, events)
    ids = {(company, user): found for company, user, *found in _people(store)}
    since, until = MIDNIGHT + timedelta(days=2), MIDNIGHT + timedelta(days=4, hours=3)
    compared = 0
    names: tuple[tuple[str, str | None] | None, ...] = None, ("withmind", None), ("withmind", "tamy"), ("other", "tamy")
    operations: tuple[Operation | None, ...] = None, "analyse"
    for name, operation, reason, start, end in product(
        names,
        operations,
        (None, "no_face"),
        (None, since),
        (None, until),
    ):
        company, user = name or (None, None)
        wanted = [
            row
            for row in events
            if (company is None or row["company_id"] == ids[company, user or "tamy"][0])
            and (user is None or row["user_id"] == ids[company, user][1])
            and (operation is None or row["operation"] == operation)
            and (reason is None or row["reason"] == reason)
            and (start is None or row["at"] >= start)
            and (end is None or row["at"] < end)
        ]
        assert wanted
        for bucket_s in (HOUR_S, 7 * HOUR_S, DAY_S, 1000 * DAY_S):
            found = store.statistics.summary(EventFilter(company, user, operation, reason, start, end), bucket_s)
            assert found == added_up(wanted, bucket_s), (name, operation, reason, start, end, bucket_s)
            compared += len(found)
        whole = store.statistics.summary(EventFilter(company, user, operation, reason, start, end), None)
        assert whole == [replace(bucket, start=start or EPOCH) for bucket in added_up(wanted, 100_000 * DAY_S)]
    assert compared > 5_000


def test_events_are_added_up_by_company_those_with_the_most_first(store: Store) -> None:
    events = random_events(store, 600)
    add(store, events)
    names: dict[int | None, str | None] = {None: None, **dict(rows(store, "SELECT id, name FROM companies"))}
    half_past = MIDNIGHT + timedelta(days=2, minutes=30)
    filters = (
        EventFilter(),
        EventFilter(since=half_past),
        EventFilter(operation="analyse", until=half_past),
        EventFilter("other", since=half_past, until=half_past + timedelta(minutes=20)),
        EventFilter(since=half_past, until=half_past),
    )
    for wanted in filters:
        of_company: dict[str | None, list[Any]] = {name: [] for name in names.values()}
        for row in events:
            name = names[row["company_id"]]
            is_meant = (
                wanted.company in {None, name}
                and wanted.operation in {None, row["operation"]}
                and (wanted.since is None or row["at"] >= wanted.since)
                and (wanted.until is None or row["at"] < wanted.until)
            )
            if is_meant:
                of_company[name].append(row)
        found = store.statistics.companies(wanted)
        order = sorted((name for name in of_company if of_company[name]), key=lambda name: -len(of_company[name]))
        assert list(dict.fromkeys(tally.company for tally in found.items)) == order
        assert not found.more
        for name in order:
            expected = added_up(of_company[name], 100_000 * DAY_S)
            assert [tally for tally in found.items if tally.company == name] == [
                CompanyTally(name, one.operation, one.outcomes, one.matches, one.dismatches, one.latency)
                for one in expected
            ]
    whole = store.statistics.companies(EventFilter())
    assert len({tally.company for tally in whole.items}) == 3
    for limit in (1, 2):
        part = store.statistics.companies(EventFilter(), limit)
        assert part.more
        assert part.items == whole.items[: len(part.items)]
        assert len({tally.company for tally in part.items}) == limit
    assert store.statistics.companies(EventFilter("nobodys")) == CompanyTallies([], more=False)


def _people(store: Store) -> list[Any]:
    return rows(store, "SELECT c.name, u.key, c.id, u.id FROM users u JOIN companies c ON c.id = u.company_id")


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 99, 100, 101, 200])
def test_percentiles_are_of_the_nearest_rank(store: Store, count: int) -> None:
    values = [float(number) for number in range(1, count + 1)]
    random.Random(count).shuffle(values)  # noqa: S311 - no secret
    ranks = [math.ceil(count * share / 100) for share in (50, 95, 99)]
    assert totals(store, values) == Percentiles(count, *map(float, ranks))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.5], (7.5, 7.5, 7.5)),
        ([0.0, 0.0, 0.0], (0.0, 0.0, 0.0)),
        ([1.0] * 94 + [2.0] * 6, (1.0, 2.0, 2.0)),
        ([1.0] * 95 + [2.0] * 5, (1.0, 1.0, 2.0)),
        ([1.0] * 99 + [2.0], (1.0, 1.0, 1.0)),
        ([2.0, 1.0], (1.0, 2.0, 2.0)),
        ([1e-9, 1e9, 100.0, 20.0, 3.0], (20.0, 1e9, 1e9)),
    ],
)
def test_percentiles_of_equal_and_of_distant_values(
    store: Store, values: list[float], expected: tuple[float, ...]
) -> None:
    assert totals(store, values) == Percentiles(len(values), *expected)


def test_a_stage_that_was_not_measured_is_not_counted(store: Store) -> None:
    add(store, [event(total_ms=5.0, match_ms=1.0), event(total_ms=7.0), event(reason="no_face"), event()])
    (bucket,) = store.statistics.summary(EventFilter(), DAY_S)
    assert bucket.outcomes == {"compared": 3, "no_face": 1}
    assert bucket.latency == {"total": Percentiles(2, 5.0, 7.0, 7.0), "match": Percentiles(1, 1.0, 1.0, 1.0)}
    add(store, [event(), event()])
    (bucket,) = store.statistics.summary(EventFilter(), DAY_S)
    assert (bucket.outcomes, bucket.latency) == ({"compared": 2}, {})


def test_operations_are_told_apart(store: Store) -> None:
    add(store, [event(operation="enroll", reason="enrolled", total_ms=1.0), event(matches=2, dismatches=1)])
    analysed, enrolled = store.statistics.summary(EventFilter(), HOUR_S)
    assert analysed == Bucket(MIDNIGHT, "analyse", {"compared": 1}, 2, 1, {})
    assert enrolled == Bucket(MIDNIGHT, "enroll", {"enrolled": 1}, 0, 0, {"total": Percentiles(1, 1.0, 1.0, 1.0)})


@pytest.mark.parametrize("bucket_s", [1, 60, HOUR_S, DAY_S])
def test_a_bucket_begins_on_its_border_and_ends_before_the_next(store: Store, bucket_s: int) -> None:
    length, tick = timedelta(seconds=bucket_s), timedelta(microseconds=1)
    add(store, [event(MIDNIGHT + moment) for moment in (-tick, tick * 0, tick, length - tick, length, length * 5)])
    found = [(bucket.start, bucket.outcomes) for bucket in store.statistics.summary(EventFilter(), bucket_s)]
    assert found == [
        (MIDNIGHT - length, {"compared": 1}),
        (MIDNIGHT, {"compared": 3}),
        (MIDNIGHT + length, {"compared": 1}),
        (MIDNIGHT + 5 * length, {"compared": 1}),
    ]


def test_buckets_are_counted_from_the_epoch_in_utc(store: Store) -> None:
    moment = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
    add(store, [event(moment)])
    for bucket_s in (7, 11 * 60, 7 * DAY_S):
        (bucket,) = store.statistics.summary(EventFilter(), bucket_s)
        assert bucket.start.utcoffset() == timedelta(0)
        assert (bucket.start - EPOCH) % timedelta(seconds=bucket_s) == timedelta(0)
        assert timedelta(0) <= moment - bucket.start < timedelta(seconds=bucket_s)


def test_a_filters_moments_may_be_of_any_time_zone(store: Store) -> None:
    """Which would be nine hours off, were they taken for UTC."""
    add(store, [event(MIDNIGHT + timedelta(hours=hours)) for hours in range(24)])
    for hours in (3, 12):
        moment = (MIDNIGHT + timedelta(hours=hours)).astimezone(SEOUL)
        (later,) = store.statistics.summary(EventFilter(since=moment), DAY_S)
        (earlier,) = store.statistics.summary(EventFilter(until=moment), DAY_S)
        assert (earlier.outcomes["compared"], later.outcomes["compared"]) == (hours, 24 - hours)
        assert later.start == MIDNIGHT


def test_what_an_older_version_recorded_meanwhile_is_given_its_hour_at_the_next_start(
    store: Store, database_url: URL, keys: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    """Which does not know of hours; on SQLite they are 0 then."""
    add(store, [event(MIDNIGHT + timedelta(hours=hours, minutes=30)) for hours in range(3)])
    rows(store, "UPDATE analysis_events SET hour = 0 WHERE id > (SELECT min(id) FROM analysis_events)")
    with closing(open_store(database_url, keys)) as again:
        found = again.statistics.summary(EventFilter(), HOUR_S)
    assert [bucket.start for bucket in found] == [MIDNIGHT + timedelta(hours=hours) for hours in range(3)]
    assert "2 events were written by an older version" in caplog.text
    caplog.clear()
    with closing(open_store(database_url, keys)):
        assert "older version" not in caplog.text


def test_who_is_not_registered_has_no_statistics(store: Store) -> None:
    enroll(store, 1)
    before = store.audit.verify()
    assert store.statistics.summary(EventFilter("other"), DAY_S) == []
    assert store.statistics.summary(EventFilter("withmind", "other"), DAY_S) == []
    assert store.statistics.summary(EventFilter("withmind", reason="never"), DAY_S) == []
    (bucket,) = store.statistics.summary(EventFilter("withmind", "tamy"), DAY_S)
    assert bucket.outcomes == {"enrolled": 1}
    assert store.audit.verify() == before, "there is no person in it: a look is no entry"


def test_of_too_many_events_a_company_with_few_has_its_share_ranked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked = 400
    monkeypatch.setattr("face_api.store.latency.RANKED", ranked)
    counts = {"large": 9_000, "middling": 500, "small": 90, "tiny": 1}
    events = []
    for company, count in counts.items():
        enroll(store, 1, company=company)
        ((company_id,),) = rows(store, "SELECT id FROM companies WHERE name = :name", name=company)
        events += [
            event(MIDNIGHT + timedelta(seconds=number), company_id=company_id, total_ms=float(number + 1))
            for number in range(count)
        ]
    random.Random(2).shuffle(events)  # noqa: S311 - repeatable
    add(store, events)
    found = {tally.company: tally.latency["total"] for tally in store.statistics.companies(EventFilter()).items}
    for company in ("small", "tiny"):
        assert found[company] == nearest_rank([float(number + 1) for number in range(counts[company])])
    assert 110 < found["middling"].count < 200, "its share: of 400, a third of what the smaller ones leave"
    assert 330 < found["large"].count < ranked
    assert sum(latency.count for latency in found.values()) < 2 * ranked


def test_of_too_many_events_an_even_part_is_ranked_and_all_are_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked, count = 500, 5_760  # whole hours
    choose = random.Random(1)  # noqa: S311 - repeatable
    # A caller that enrolls and analyses by turns: every second event alone would be of one operation.
    events = [
        event(
            MIDNIGHT + number * timedelta(seconds=5),
            "analyse" if number % 2 else "enroll",
            matches=1,
            total_ms=choose.lognormvariate(3, 1),
        )
        for number in range(count)
    ]
    add(store, events)
    assert store.statistics.summary(EventFilter(), HOUR_S) == added_up(events, HOUR_S)
    monkeypatch.setattr("face_api.store.latency.RANKED", count)
    assert store.statistics.summary(EventFilter(), HOUR_S) == added_up(events, HOUR_S)
    monkeypatch.setattr("face_api.store.latency.RANKED", ranked)
    found, exact = store.statistics.summary(EventFilter(), HOUR_S), added_up(events, HOUR_S)
    assert [(bucket.start, bucket.operation, bucket.outcomes, bucket.matches) for bucket in found] == [
        (bucket.start, bucket.operation, bucket.outcomes, bucket.matches) for bucket in exact
    ]
    shares = [bucket.latency["total"].count / (ranked * bucket.matches / count) for bucket in found]
    assert min(shares) > 0.8
    assert max(shares) < 1.2
    for bucket in store.statistics.summary(EventFilter(), DAY_S):
        values = [row["total_ms"] for row in events if row["operation"] == bucket.operation]
        latency = bucket.latency["total"]
        for share, value in ((0.5, latency.p50), (0.95, latency.p95), (0.99, latency.p99)):
            off = sum(other <= value for other in values) / len(values) - share
            assert abs(off) < 2 * math.sqrt(share * (1 - share) / latency.count), (bucket.operation, share)
