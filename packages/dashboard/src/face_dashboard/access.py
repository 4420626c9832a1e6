"""Who is signed in, asked at the top of every page; and the API, for those alone."""

import json
from collections.abc import Mapping
from functools import cache

import streamlit as st
from starlette.requests import HTTPConnection, Request
from streamlit.auth_util import get_secrets_auth_section

from face_dashboard.client import ApiClient
from face_dashboard.settings import settings
from face_dashboard.signing_in.identity import Identity, identity_of
from face_dashboard.signing_in.sessions import COOKIE, Session, Sessions
from face_dashboard.translations import Language


@cache
def sessions() -> Sessions:
    """Return the sessions of this process."""
    return Sessions(settings().session_idle_minutes * 60, settings().session_hours * 3600)


def is_oidc() -> bool:
    """Return whether an identity provider is configured: [auth] in the secrets file, and who may come from there."""
    return bool(settings().oidc_users) and bool(_auth_section())


def providers() -> list[str]:
    """Return the names of the identity providers, for st.login; one without a name is the empty text."""
    auth = _auth_section()
    named = [name for name, value in auth.items() if isinstance(value, Mapping) and "client_id" in value]
    return [*([""] if "client_id" in auth else []), *named]


def session_cookie() -> str | None:
    """Return the token that the browser brought."""
    return st.context.cookies.get(COOKIE)


def session(*, use: bool = True) -> Session | None:
    """Return the session of who looks at the page; None: nobody is signed in, or it ended.

    Args:
        use: whether it counts as used now: what a page does by itself, again and again, does not.
    """
    found = sessions().find(session_cookie(), use=use)
    identity = identity_at_provider()
    if found is not None or identity is None or not is_welcome(identity):
        return found
    return sessions().resume(identity.token, identity.email, identity.began, use=use)


def who() -> str:
    """Return who looks at the page. For who is not signed in the script ends here, and asks to sign in again."""
    found = session()
    if found is None:
        st.rerun(scope="app")
    return found.who


def api(*, use: bool = True) -> ApiClient:
    """Return the API for who is signed in. For others the script ends here, and the page asks to sign in again.

    Args:
        use: as of `session`.
    """
    if session(use=use) is None:
        st.rerun(scope="app")
    return _client()


def is_own_key(key_id: str) -> bool:
    """Return whether a key is the one that the dashboard itself brings."""
    return f"_{key_id}_" in (settings().read_api_key() or "")


def identity_at_provider() -> Identity | None:
    """Return whom an identity provider signed in, whoever that is; None: nobody."""
    if not is_oidc():
        return None
    return identity_of(st.user.to_dict(), trust_unverified=settings().oidc_trust_unverified)


def session_of_request(connection: HTTPConnection) -> Session | None:
    """Return the session of who sends a request, before any page; it does not count as used."""
    # Streamlit has no public way to read its own cookie outside of a page. Where there is no server, importing this
    # would change how uvicorn's loggers work.
    from streamlit.web.server.starlette.starlette_auth_routes import _get_cookie_value_from_request  # noqa: PLC0415
    from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME  # noqa: PLC0415

    found = sessions().find(connection.cookies.get(COOKIE), use=False)
    if found is not None or not is_oidc():
        return found
    cookie = _get_cookie_value_from_request(Request({**connection.scope, "type": "http"}), USER_COOKIE_NAME)
    claims = json.loads(cookie) if cookie else {}
    identity = identity_of(claims, trust_unverified=settings().oidc_trust_unverified)
    if identity is None or not is_welcome(identity):
        return None
    return sessions().resume(identity.token, identity.email, identity.began, use=False)


def is_welcome(identity: Identity) -> bool:
    """Return whether the settings let this person use the dashboard."""
    return identity.is_among(settings().oidc_users)


def prefer_language(language: Language) -> None:
    """Remember a language for as long as the session lasts: a page that is loaded again has it, too."""
    for token in _tokens():
        sessions().prefer_language(token, language)


def end_session() -> None:
    """End the session of who looks at the page."""
    for token in _tokens():
        sessions().end(token)
    if identity_at_provider() is not None:
        st.logout()


@cache
def _client() -> ApiClient:
    return ApiClient(settings().api_url, settings().read_api_key)


def _tokens() -> list[str | None]:
    identity = identity_at_provider()
    return [session_cookie(), *([identity.token] if identity is not None else [])]


def _auth_section() -> dict[str, object]:
    return dict(get_secrets_auth_section())
