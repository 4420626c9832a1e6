"""How a figure stands in results.json: with its interval, and a rate with its counts."""

from typing import Any

from face_engine.evaluation.intervals import Interval, wider, wilson


def proportion(errors: int, of: int, *others: Interval | None) -> dict[str, Any]:
    """Return a rate with its counts and its interval, of which Wilson's is a part; null of no pairs."""
    interval = wider(wilson(errors, of), *others) if of else None
    return {"value": errors / of if of else None} | bounds(interval) | {"count": errors, "of": of}


def estimate(value: float, *intervals: Interval | None) -> dict[str, Any]:
    """Return a figure and the interval that covers all of these."""
    return {"value": value} | bounds(wider(*intervals))


def bounds(interval: Interval | None) -> dict[str, float | None]:
    """Return the ends of an interval; null of none."""
    low, high = interval or (None, None)
    return {"low": low, "high": high}
