"""Parts of lists: a page, and how long it may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

DEFAULT_PAGE = 100
MAX_PAGE = 10_000

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """A part of a list in its order. `next_after` asks for what follows it; None: nothing does."""

    items: Sequence[_Item]
    next_after: str | None


def check_filter(company: str | None, user: str | None, *moments: datetime | None) -> None:
    """Raise ValueError for a user without a company, or a moment without a time zone."""
    if user is not None and company is None:
        raise ValueError("a user is one of a company, which is missing")
    if any(moment is not None and moment.tzinfo is None for moment in moments):
        raise ValueError("a moment needs a time zone")
