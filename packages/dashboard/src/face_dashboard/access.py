"""Who is signed in, asked at the top of every page; and the API, for those alone."""

from functools import cache

import streamlit as st
from streamlit.auth_util import get_secrets_auth_section

from face_dashboard.client import ApiClient
from face_dashboard.settings import settings
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
    named = [name for name, value in auth.items() if hasattr(value, "keys")]
    return named or [""]


def session_cookie() -> str | None:
    """Return the token that the browser brought."""
    return st.context.cookies.get(COOKIE)


def session(*, use: bool = True) -> Session | None:
    """Return the session of who looks at the page; None: nobody is signed in, or it ended.

    Args:
        use: whether it counts as used now: what a page does by itself, again and again, does not.
    """
    found = sessions().find(session_cookie(), use=use)
    if found is not None or not is_oidc() or not is_oidc_user():
        return found
    token, began = _oidc_sign_in()
    return sessions().resume(token, str(st.user.get("email")), began, use=use)


def is_oidc_user() -> bool:
    """Return whether an identity provider signed in somebody who may use the dashboard."""
    if not st.user.get("is_logged_in"):
        return False
    email = str(st.user.get("email") or "").lower()
    if not email or st.user.get("email_verified") is False:
        return False
    return any(email == user or (user.startswith("@") and email.endswith(user)) for user in settings().oidc_users)


def prefer_language(language: Language) -> None:
    """Remember a language for as long as the session lasts: a page that is loaded again has it, too."""
    for token in _tokens():
        sessions().prefer_language(token, language)


def end_session() -> None:
    """End the session of who looks at the page."""
    for token in _tokens():
        sessions().end(token)
    if is_oidc() and st.user.get("is_logged_in"):
        st.logout()


def api() -> ApiClient:
    """Return the API for who is signed in. For others the script ends here, and the page asks to sign in again."""
    if session(use=False) is None:
        st.rerun(scope="app")
    return _client()


@cache
def _client() -> ApiClient:
    return ApiClient(settings().api_url, settings().read_api_key)


def _tokens() -> list[str | None]:
    is_theirs = is_oidc() and st.user.get("is_logged_in")
    return [session_cookie(), *([_oidc_sign_in()[0]] if is_theirs else [])]


def _oidc_sign_in() -> tuple[str, float]:
    """Return what is the same for one sign-in with the provider, and when that was."""
    issued_at = st.user.get("iat")
    began = float(issued_at) if isinstance(issued_at, (int, float)) else 0.0
    return f"{st.user.get('iss')} {st.user.get('sub')} {began}", began


def _auth_section() -> dict[str, object]:
    return dict(get_secrets_auth_section())
