"""What a reader reads: texts in their language, dates and numbers as they write them, times of their own clock."""

from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st
from babel.dates import format_date, format_time, format_timedelta
from babel.numbers import format_decimal, format_percent, format_scientific

from face_dashboard import access
from face_dashboard.translations import Language, preferred, translate

NOTHING = "\N{EN DASH}"
"""In the place of a number that there is not."""

SMALL = 1e-4
"""Below it a rate is written with a power of ten."""


def language() -> Language:
    """Return the reader's language: the one they chose, else their browser's."""
    session = access.session(use=False)
    return (session and session.language) or preferred(st.context.locale)


def _(text: str, /, **values: object) -> str:
    """Return a text in the reader's language, with values in the places that it names."""
    said = translate(language(), text)
    return said.format(**values) if values else said


def zone() -> tzinfo:
    """Return the time zone of the reader's browser; UTC where it tells none."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def number(value: float, digits: int = 0) -> str:
    """Return a number with at most so many digits behind the point."""
    return format_decimal(
        round(value, digits), format="#,##0." + "#" * digits if digits else "#,##0", locale=language()
    )


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share (0 to 1) in percent; a dash where there is none."""
    if share is None:
        return NOTHING
    if 0 < share < SMALL:
        return format_scientific(share, format="0.#E0", locale=language())
    pattern = "#,##0." + "0" * digits + "%" if digits else "#,##0%"
    return format_percent(share, format=pattern, locale=language())


def milliseconds(value: float | None) -> str:
    return NOTHING if value is None else _("{number} ms", number=number(value))


def moment(value: datetime | None, *, seconds: bool = False) -> str:
    """Return a moment by the reader's clock; a dash for none."""
    if value is None:
        return NOTHING
    time = format_time(value, "medium" if seconds else "short", tzinfo=zone(), locale=language())
    return f"{day(value.astimezone(zone()))} {time}"


def clock(value: datetime) -> str:
    return format_time(value, "medium", tzinfo=zone(), locale=language())


def day(value: date) -> str:
    return format_date(value, "medium", locale=language())


def ago(value: datetime) -> str:
    """Return how long ago a moment was, such as `3 hours ago`."""
    return format_timedelta(value - datetime.now(UTC), add_direction=True, locale=language())
