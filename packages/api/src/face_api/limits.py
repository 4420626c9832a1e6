"""How often one key may ask, and how many faces may be tried on one user: counted by the `limits` library.

In memory each server process counts for itself; several count together in Redis. Nobody's name gets there.
"""

import hmac
import math
import threading
import time
from typing import cast

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from limits import RateLimitItem, parse_many
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from face_api.errors import BusyError, TooManyError
from face_api.settings import NO_LIMIT, PREFIX, Settings, SettingsError

TIMEOUT_S = 2.0
"""For each answer of Redis."""

RETRY_S = 1.0

SWEEP_S = 60.0
"""After so long, counts that are over are removed from memory: to look through those of 100,000 users takes 30 ms."""

THREADS = 8

_SCHEMES = ("redis://", "rediss://", "redis+unix://")


class AttemptLimits:
    """Counts requests of keys, and faces that are compared with a user.

    Args:
        per_key, per_user: such as 60/minute;600/hour, or NO_LIMIT.
        pseudonym_key: of the hashes by which users are known in Redis (see Store).
        url: of a Redis server; None counts in memory.

    Raises:
        SettingsError: the URL is of nothing that can be used.
    """

    def __init__(self, per_key: str, per_user: str, pseudonym_key: bytes, url: str | None = None) -> None:
        if url is not None and not url.startswith(_SCHEMES):
            raise SettingsError(f"{PREFIX}LIMITS_URL is no URL such as redis://host:6379/0")
        try:
            timeouts = {} if url is None else {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
            storage = _Memory() if url is None else storage_from_string(url, wrap_exceptions=True, **timeouts)
        except (ConfigurationError, ValueError):  # the message would repeat the URL, which may hold a password
            raise SettingsError(f"{PREFIX}LIMITS_URL is no URL such as redis://host:6379/0") from None
        self._limiter = SlidingWindowCounterRateLimiter(cast(Storage, storage))
        self._threads = None if url is None else CapacityLimiter(THREADS)  # others' must not wait for Redis
        self._unavailable_until = 0.0
        self._pseudonym_key = pseudonym_key
        self._per_key, self._per_user = _parse(per_key), _parse(per_user)

    @classmethod
    def from_settings(cls, settings: Settings, pseudonym_key: bytes) -> "AttemptLimits":
        return cls(settings.limit_per_key, settings.limit_per_user, pseudonym_key, settings.read_limits_url())

    async def count_request(self, key_id: str) -> None:
        """Count a request of a key.

        Raises:
            TooManyError: it is over the limit, and not counted.
            BusyError: Redis does not answer. Not let through: who can stop it could try faces without end.
        """
        await self._count("too_many_requests", self._per_key, f"key/{key_id}")

    async def count_attempt(self, company: str, user: str) -> None:
        """Count a face that is about to be compared with a user. Raises as `count_request` does."""
        await self._count("too_many_attempts", self._per_user, self._name(company, user))

    async def count_more_attempts(self, company: str, user: str, more: int) -> None:
        """Count the other faces of its photo; one photo alone is never too much. Raises as `count_request` does."""
        if more:
            await self._count("too_many_attempts", self._per_user, self._name(company, user), more)

    def _name(self, company: str, user: str) -> str:
        return "user/" + hmac.digest(self._pseudonym_key, f"{company}/{user}".encode(), "sha256").hex()

    async def _count(self, reason: str, limits: list[RateLimitItem], name: str, more: int | None = None) -> None:
        if not limits:
            return
        if self._threads is None:
            wait_s = self._hit(limits, name, more)
        else:
            try:
                wait_s = await run_sync(self._hit_remotely, limits, name, more, limiter=self._threads)
            except StorageError as error:
                raise BusyError("limits_unavailable") from error
        if wait_s is not None:
            raise TooManyError(reason, wait_s)

    def _hit_remotely(self, limits: list[RateLimitItem], name: str, more: int | None) -> int | None:
        """Count in Redis; where it did not answer just now, it is not asked: those who wait for it would be many."""
        if time.monotonic() < self._unavailable_until:
            raise StorageError(TimeoutError("it did not answer just now"))
        try:
            return self._hit(limits, name, more)
        except StorageError:
            self._unavailable_until = time.monotonic() + RETRY_S
            raise

    def _hit(self, limits: list[RateLimitItem], name: str, more: int | None) -> int | None:
        """Count, and return None; or, over a limit, the whole seconds until the next one is let through."""
        for limit in limits:
            cost = 1 if more is None else min(more, limit.amount - 1)
            if not self._limiter.hit(limit, name, cost=cost):
                reset = self._limiter.get_window_stats(limit, name).reset_time
                return max(1, math.ceil(reset - time.time()))
        return None


class _Memory(MemoryStorage):
    """Looks for counts that are over once in a while: the library would after every hit, through those of all users."""

    _next_sweep = 0.0

    def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802 - how Python spells the library's private name
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + SWEEP_S
            threading.Thread(target=self._MemoryStorage__expire_events, daemon=True).start()  # type: ignore[attr-defined]


def _parse(value: str) -> list[RateLimitItem]:
    # The shortest first: what it lets through is little, so little is counted of those behind it in vain.
    return [] if value == NO_LIMIT else sorted(parse_many(value), key=RateLimitItem.get_expiry)
