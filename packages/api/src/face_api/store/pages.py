"""Parts of lists: a page, and how long it may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

DEFAULT_PAGE = 100
MAX_PAGE = 10_000

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """A part of a list in its order. `next_after` asks for what follows it; None: nothing does."""

    items: Sequence[_Item]
    next_after: str | None
