"""Why a request is not answered with what was asked for.

RequestError
  RefusalError       the request or its photo: an outcome of the contract, and so HTTP 200 there
  AccessError        who asks may not
  TooManyError       who asks did so too often
  BusyError          the service cannot do it now
  RoutingError       the path or its method is not known

Every error has a `reason`, a token for machines; docs/api.md lists them.
"""

from collections.abc import Mapping
from typing import Any


class RequestError(Exception):
    """Base of all answers that are not what was asked for."""

    status = 500
    """HTTP status, where the contract has no body of its own for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RefusalError(RequestError):
    """What was sent cannot be used, or nobody is registered under that name.

    Args:
        more: what v1 tells of it besides.
    """

    status = 400

    def __init__(self, reason: str, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.more = more or {}


class AccessError(RequestError):
    """Who asks is not known (`key_missing`, `key_invalid`), or may not do this."""

    @property
    def status(self) -> int:  # type: ignore[override]
        return 401 if self.reason in {"key_missing", "key_invalid"} else 403


class TooManyError(RequestError):
    """One key, or the attempts on one user, are over their limit.

    Args:
        retry_after_s: seconds after which the next one is let through.
    """

    status = 429

    def __init__(self, reason: str, retry_after_s: int) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class BusyError(RequestError):
    """The service cannot do it now. Nothing is said of the photo, and it may be sent again."""

    status = 503


class RoutingError(RequestError):
    """There is no such path (404), or it takes another method (405)."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status
