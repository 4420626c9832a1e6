"""Who is signed in: sessions of this process, which end after a time without use, and after a time in any case."""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from face_dashboard.translations import Language

COOKIE = "face_dashboard_session"
"""That holds the token."""

TOKEN_BYTES = 32

MAX_SESSIONS = 1000
"""With one more, the one ends that was longest not used."""


@dataclass(frozen=True, slots=True)
class Session:
    """Args:
    who: `admin`, or the e-mail address that an identity provider told.
    began, used: seconds of the clock.
    language: that they chose.
    """

    who: str
    began: float
    used: float
    ended: bool = False
    language: Language | None = None


class Sessions:
    """Safe from several threads.

    Args:
        idle_s: after which an unused session ends.
        lifetime_s: after which any does.
        clock: returns seconds since the epoch, as identity providers count.
    """

    def __init__(self, idle_s: float, lifetime_s: float, clock: Callable[[], float] = time.time) -> None:
        self._idle_s = idle_s
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._lock = threading.Lock()
        self._by_hash: dict[bytes, Session] = {}

    def begin(self, who: str) -> str:
        """Begin a session and return its token, which is nowhere kept."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = self._clock()
        with self._lock:
            self._make_room(now)
            self._by_hash[_hash(token)] = Session(who, now, now)
        return token

    def resume(self, token: str, who: str, began: float, *, use: bool = True) -> Session | None:
        """Return the session that somebody else's token stands for, begun here when it first comes; None: it ended.

        Args:
            token: the same for as long as the identity provider's sign-in lasts.
            began: when that was.
        """
        with self._lock:
            if _hash(token) not in self._by_hash:
                now = self._clock()
                self._make_room(now)
                self._by_hash[_hash(token)] = Session(who, min(began, now), now)
        return self.find(token, use=use)

    def find(self, token: str | None, *, use: bool = True) -> Session | None:
        """Return the session of a token; None where there is none, or it ended.

        Args:
            use: whether it counts as used now.
        """
        if not token:
            return None
        now, key = self._clock(), _hash(token)
        with self._lock:
            session = self._by_hash.get(key)
            if session is None or self._is_over(session, now):
                return None
            if use:
                self._by_hash[key] = session = replace(session, used=now)
            return session

    def end(self, token: str | None) -> None:
        """End a session. It is remembered as ended, so that an identity provider's token does not begin it anew."""
        self._change(token, ended=True)

    def prefer_language(self, token: str | None, language: Language) -> None:
        """Remember the language that somebody chose."""
        self._change(token, language=language)

    def _change(self, token: str | None, **changes: Any) -> None:
        with self._lock:
            session = self._by_hash.get(_hash(token or ""))
            if session is not None:
                self._by_hash[_hash(token or "")] = replace(session, **changes)

    def _is_over(self, session: Session, now: float) -> bool:
        return session.ended or now - session.used > self._idle_s or now - session.began > self._lifetime_s

    def _make_room(self, now: float) -> None:
        # Those that ended by not being used stay until nobody could come back with them.
        self._by_hash = {
            key: session for key, session in self._by_hash.items() if now - session.began <= self._lifetime_s
        }
        while len(self._by_hash) >= MAX_SESSIONS:
            del self._by_hash[min(self._by_hash, key=lambda key: self._by_hash[key].used)]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
