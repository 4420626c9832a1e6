"""Who asks, and what they may: everybody on this machine, or who has an API key."""

import re
from dataclasses import dataclass, field

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.requests import Request

from face_api.errors import AccessError
from face_api.settings import PREFIX, Settings, SettingsError
from face_api.store import Identity, Store

ANONYMOUS = Identity("anonymous", None)
"""Everybody, where no key is asked for: as an administrator."""

KEY_HEADER = "X-API-Key"

THREADS = 4
"""Who waits for something else in the database must not keep others from being let in."""

_BEARER = "bearer "
_FORWARDED = frozenset({"forwarded", "x-real-ip", "via"})
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_OWN_SITE = frozenset({"same-origin", "none"})


_REMEDY = "make an administrator's key with `face-api keys create --admin`"


def check_reach(settings: Settings) -> None:
    """Refuse a start that would let everybody in. Raises SettingsError, which says what to do instead."""
    if settings.auth == "open" and not settings.is_local:
        raise SettingsError(
            f"{PREFIX}HOST={settings.host} can be reached from elsewhere, and {PREFIX}AUTH=open lets everybody in: "
            f"{_REMEDY} and set {PREFIX}AUTH=keys, or listen on 127.0.0.1"
        )


def check_keys(settings: Settings, store: Store) -> None:
    """Refuse a start that would let nobody in. Raises SettingsError, which says what to do instead."""
    if settings.auth == "keys" and not store.api_keys.any_active():
        raise SettingsError(f"{PREFIX}AUTH=keys, and there is no key that could be let in: {_REMEDY}")


@dataclass(frozen=True, slots=True)
class Access:
    """Tells who asks."""

    settings: Settings
    store: Store
    _threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(THREADS), init=False)

    async def identify(self, request: Request) -> Identity:
        """Return whose key came with the request.

        Raises:
            AccessError: none came, or one that is not valid; or, without keys, it is not from this machine.
        """
        if self.settings.auth == "open":
            _check_local(request.headers)
            return ANONYMOUS
        secret = _secret(request.headers)
        if secret is None:
            raise AccessError("key_missing")
        identity = await run_sync(self.store.api_keys.authenticate, secret, limiter=self._threads)
        if identity is None:
            raise AccessError("key_invalid")
        return identity


def share_of(identity: Identity) -> str | None:
    """Return the name under which all requests count together that one company, or one administrator's key, sends.

    None without keys: all come from this machine.
    """
    return None if identity == ANONYMOUS else identity.company or f"key {identity.key_id}"


def require_company(identity: Identity, company: str) -> None:
    """Let a company's key reach that company alone. Raises AccessError."""
    if identity.company is not None and identity.company != company:
        raise AccessError("company_forbidden")


def require_admin(identity: Identity) -> None:
    """Raises AccessError for a company's key."""
    if identity.company is not None:
        raise AccessError("admin_required")


def _secret(headers: Headers) -> str | None:
    authorization = headers.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return headers.get(KEY_HEADER)


def _check_local(headers: Headers) -> None:
    """Refuse what a proxy brings from elsewhere, and what a web page makes a browser on this machine send.

    A page may send forms to any address, and, by a name of its own that it lets point to 127.0.0.1, read the answers.
    """
    if any(name in _FORWARDED or name.startswith("x-forwarded") for name in headers):
        raise AccessError("proxy_forbidden")
    host = headers.get("host", "")
    if not _LOOPBACK.fullmatch(host):
        raise AccessError("host_forbidden")
    origin = headers.get("origin")
    # An image or a link of another site's page brings no Origin, but every browser tells this.
    site = headers.get("sec-fetch-site", "none")
    if (origin is not None and origin.partition("://")[2] != host) or site not in _OWN_SITE:
        raise AccessError("origin_forbidden")
