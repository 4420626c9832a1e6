"""Receipts of erasures: kept by this process until who erased dismisses them, whatever becomes of the page."""

import threading
from collections.abc import Sequence

from face_dashboard.models import Receipt

MAX_KEPT = 100
"""Of one person; with one more the oldest goes."""

_lock = threading.Lock()
_by_person: dict[str, list[Receipt]] = {}


def keep(who: str, receipt: Receipt) -> None:
    """Keep a receipt for who erased."""
    with _lock:
        _by_person[who] = [*_by_person.get(who, []), receipt][-MAX_KEPT:]


def kept_for(who: str) -> Sequence[Receipt]:
    """Return the receipts of a person, the oldest first."""
    with _lock:
        return tuple(_by_person.get(who, ()))


def dismiss(who: str, receipt: Receipt) -> None:
    """Forget a receipt."""
    with _lock:
        _by_person[who] = [one for one in _by_person.get(who, ()) if one != receipt]
