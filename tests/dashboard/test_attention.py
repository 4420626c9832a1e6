from dataclasses import replace

import pytest

from face_dashboard.attention import needs_attention
from face_dashboard.models import Counts, Percentiles, Readiness
from face_dashboard.summaries import Summary

READY = Readiness(status="ready", model=True, database=True)
COUNTS = Counts(companies=1, users=2, enrollments=3, users_without_enrollment=0, outdated_enrollments=0, active_keys=0)
QUIET = Summary(requests=0, failed=0, matches=0, dismatches=0, latency=None)


def say(text: str, /, **values: object) -> str:
    return text.format(**values)


def told(
    readiness: Readiness = READY, counts: Counts = COUNTS, analyses: Summary = QUIET, enrollments: Summary = QUIET
) -> list[str]:
    return [one.what for one in needs_attention(readiness, counts, analyses, enrollments, say)]


def latency(p95: float) -> Percentiles:
    return Percentiles(count=100, p50=p95 / 2, p95=p95, p99=p95)


def test_nothing_is_said_of_a_service_that_is_well() -> None:
    well = Summary(requests=100, failed=20, matches=50, dismatches=30, latency=latency(1000))
    assert told(analyses=well, enrollments=replace(well, latency=latency(500))) == []


def test_the_gravest_comes_first() -> None:
    found = needs_attention(
        Readiness(status="not ready", model=False, database=False),
        COUNTS.model_copy(update={"outdated_enrollments": 1}),
        QUIET,
        QUIET,
        say,
    )
    assert [one.is_grave for one in found] == [True, True, False]
    assert all(one.advice for one in found)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"outdated_enrollments": 1234}, "1,234 enrollments were made by another encoder"),
        ({"users_without_enrollment": 7}, "7 users have no enrollment"),
    ],
)
def test_who_cannot_be_recognised_is_told(changes: dict[str, int], what: str) -> None:
    (found,) = told(counts=COUNTS.model_copy(update=changes))
    assert what in found


def test_many_failures_are_told_but_not_of_a_few_requests() -> None:
    many = Summary(requests=100, failed=21, matches=0, dismatches=0, latency=None)
    assert told(analyses=many) == ["21% of today's analyses failed."]
    assert told(enrollments=many) == ["21% of today's enrollments failed."]
    assert told(analyses=replace(many, requests=19, failed=19)) == []


def test_what_is_slower_than_the_specification_wants_is_told() -> None:
    slow = Summary(requests=100, failed=0, matches=100, dismatches=0, latency=latency(600))
    assert told(analyses=slow) == []
    assert told(enrollments=slow) == ["Of today's enrollments 5 % took more than 600 ms."]
