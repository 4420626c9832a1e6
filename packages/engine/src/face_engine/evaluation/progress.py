"""How far long work has come, for whoever waits for it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], object]
"""To be called with the number of things that were done since the last call."""


class Progress(Protocol):
    """Shows how far a piece of work is: `with progress(...) as advance: ... advance(1)`."""

    def __call__(self, *, title: str, total: int, unit: str) -> AbstractContextManager[Advance]: ...


@contextmanager
def silent(*, title: str, total: int, unit: str) -> Iterator[Advance]:  # noqa: ARG001 - of the protocol
    """Show nothing."""
    yield lambda _count: None
