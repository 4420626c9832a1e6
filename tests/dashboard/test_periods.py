from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from face_dashboard.periods import LENGTHS, period

SEOUL = ZoneInfo("Asia/Seoul")
NOW = datetime(2026, 11, 28, 16, 30, 20, tzinfo=UTC)  # half past one at night in Seoul, the 29th


def test_today_begins_at_the_readers_midnight() -> None:
    today = period("today", SEOUL, NOW)
    assert today.since == datetime(2026, 11, 29, tzinfo=SEOUL)
    assert period("today", UTC, NOW).since == datetime(2026, 11, 28, tzinfo=UTC)


def test_a_period_holds_the_days_before_and_this_minute() -> None:
    week = period("7", SEOUL, NOW)
    assert week.since == datetime(2026, 11, 22, tzinfo=SEOUL)
    assert week.until == datetime(2026, 11, 28, 16, 31, tzinfo=UTC)
    assert week == period("7", SEOUL, NOW.replace(second=59))


def test_a_day_that_was_an_hour_longer_is_whole() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    today = period("today", berlin, datetime(2026, 10, 25, 22, tzinfo=UTC))
    assert today.since == datetime(2026, 10, 24, 22, tzinfo=UTC)


@pytest.mark.parametrize("name", LENGTHS)
def test_no_period_has_more_buckets_than_the_api_takes(name: str) -> None:
    chosen = period(name, UTC, NOW)
    assert (chosen.until - chosen.since).total_seconds() / chosen.bucket_s <= 2000
