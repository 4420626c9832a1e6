"""What stands before Streamlit: nobody gets a page, a socket or a file without a session; the page that begins one."""

import html
import logging
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from string import Template
from urllib.parse import parse_qs, urlsplit

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from face_dashboard.front import ICON, PAGES
from face_dashboard.settings import Settings
from face_dashboard.signing_in.passwords import PasswordFileError, is_password
from face_dashboard.signing_in.sessions import COOKIE, Session, Sessions
from face_dashboard.translations import Language, preferred, translate

SIGN_IN, HEALTH, MEDIA = "/sign-in", "/_stcore/health", "/media/"

_STATIC = "/static/"
"""Streamlit's own scripts, which anybody can have: a page that says that its session ended needs some of them."""

_TO_THE_SCRIPT = frozenset(
    {
        *(f"/{page}" for page in PAGES),
        "/_stcore/host-config",
        "/_stcore/stream",
        "/auth/login",
        "/auth/logout",
        "/oauth2callback",
    }
)
"""What takes somebody to an identity provider and back."""

MAX_FORM_BYTES = 4096

MAX_WAITING = 16
"""Passwords that wait to be checked, one at a time; one more is refused at once."""

ADMIN = "admin"

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"content-security-policy", b"img-src 'self' data: blob:; frame-ancestors 'none'"),
)

KEPT_NOWHERE = ((b"cache-control", b"private, no-store"),)
"""Of faces and files that were made for somebody: not by a browser after they left, nor by a proxy."""

logger = logging.getLogger(__name__)


class Gate:
    """Middleware: lets in who has a session.

    Where an identity provider is configured everybody gets as far as Streamlit's script, which sends them there, and
    shows nothing else (see face_dashboard.access); but no file, and nothing may be uploaded.

    Args:
        session_of: returns the session of who sends a request.
        is_oidc: whether an identity provider is configured.
    """

    def __init__(
        self, app: ASGIApp, session_of: Callable[[HTTPConnection], Session | None], is_oidc: Callable[[], bool]
    ) -> None:
        self._app = app
        self._session_of = session_of
        self._is_oidc = is_oidc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            if self._lets_in(scope) and _is_same_origin(scope):
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008, "reason": "not signed in"})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *HEADERS]
                message["headers"] = [*headers, *KEPT_NOWHERE] if scope["path"].startswith(MEDIA) else headers
            await send(message)

        if self._lets_in(scope):
            await self._app(scope, receive, send_with_headers)
            return
        wants_page = "text/html" in Headers(scope=scope).get("accept", "") and scope["method"] in {"GET", "HEAD"}
        refusal: Response = PlainTextResponse("not signed in\n", 401)
        if wants_page:
            refusal = RedirectResponse(scope.get("root_path", "") + SIGN_IN, 303)
        await refusal(scope, receive, send_with_headers)

    def _lets_in(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in {SIGN_IN, HEALTH, ICON} or path.startswith(_STATIC):
            return True
        if self._is_oidc() and path in _TO_THE_SCRIPT:
            return True
        return self._session_of(HTTPConnection(scope)) is not None


def gate_routes(settings: Settings, sessions: Sessions) -> list[Route]:
    """Return the page that asks for the password, and what it sends."""
    one_at_a_time = CapacityLimiter(1)

    async def show(request: Request) -> Response:
        if sessions.find(request.cookies.get(COOKIE)) is not None:
            return RedirectResponse("/", 303)
        return _page(request)

    async def sign_in(request: Request) -> Response:
        if not _is_same_origin(request.scope):
            return PlainTextResponse("another site's page may not sign you in\n", 403)
        password = await _read_password(request)
        if password is None:
            return PlainTextResponse("a form with a password is needed\n", 400)
        say = _translator(request)
        if one_at_a_time.statistics().tasks_waiting >= MAX_WAITING:
            return _page(request, say("Too many are signing in. Try again in a moment."), 429)
        try:
            right = await run_sync(is_password, settings.password_file, password, limiter=one_at_a_time)
        except PasswordFileError as error:
            logger.error("%s", error)  # noqa: TRY400 - no bug
            return _page(request, say("The password cannot be checked. The log of the dashboard says why."), 503)
        if not right:
            logger.warning("a wrong password was given")
            return _page(request, say("This is not the password."), 403)
        sessions.end(request.cookies.get(COOKIE))
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            sessions.begin(ADMIN),
            max_age=int(settings.session_hours * 3600),
            httponly=True,
            samesite="strict",
            secure=_is_https(request),
        )
        return answer

    return [
        Route(SIGN_IN, show, methods=["GET"]),
        Route(SIGN_IN, sign_in, methods=["POST"]),
    ]


async def _read_password(request: Request) -> str | None:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM_BYTES:
            return None
    try:
        return parse_qs(body.decode("ascii"), max_num_fields=4, strict_parsing=True)["password"][0]
    except (ValueError, LookupError):
        return None


def _page(request: Request, problem: str = "", status: int = 200) -> HTMLResponse:
    say = _translator(request)
    page = _template().substitute(
        language=_language(request),
        title=say("Face verification"),
        heading=say("Sign in"),
        label=say("Administrator's password"),
        button=say("Sign in"),
        hint=say("It was shown when the dashboard first started. `face-dashboard password` makes a new one."),
        problem=f'<p role="alert">{problem}</p>' if problem else "",
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; img-src 'self'"
    return HTMLResponse(page, status, {"Cache-Control": "no-store", "Content-Security-Policy": policy})


def _language(request: Request) -> Language:
    return preferred(request.headers.get("accept-language"))


def _translator(request: Request) -> Callable[[str], str]:
    """Return what makes HTML of a text, in the language of the browser."""
    language = _language(request)
    return lambda text: html.escape(translate(language, text))


@cache
def _template() -> Template:
    return Template(files("face_dashboard.signing_in").joinpath("sign_in.html").read_text(encoding="utf-8"))


def _is_same_origin(scope: Scope) -> bool:
    """Return whether a page of the dashboard's own sent this, as far as the browser tells."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("x-forwarded-host", headers.get("host"))


def _is_https(request: Request) -> bool:
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}
