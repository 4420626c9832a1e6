"""Stretches of time that a page is about, by the reader's clock, and the buckets that show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

HOUR_S, DAY_S = 3600, 86400


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` until `until`, in buckets of `bucket_s` seconds."""

    since: datetime
    until: datetime
    bucket_s: int


LENGTHS: Mapping[str, tuple[int, int]] = {
    "today": (0, HOUR_S),
    "7": (7, 6 * HOUR_S),
    "30": (30, DAY_S),
    "90": (90, DAY_S),
}
"""By name: days before today, and the buckets' seconds."""


def period(name: str, zone: tzinfo, now: datetime | None = None) -> Period:
    """Return a period that begins at a midnight of the reader's, so many days ago, and ends with this minute.

    Not at this instant: whoever asks again within the minute asks for the same.
    """
    days, bucket_s = LENGTHS[name]
    now = now or datetime.now(UTC)
    since = datetime.combine(now.astimezone(zone).date() - timedelta(days=days), time(), zone)
    return Period(since.astimezone(UTC), now.replace(second=0, microsecond=0) + timedelta(minutes=1), bucket_s)
