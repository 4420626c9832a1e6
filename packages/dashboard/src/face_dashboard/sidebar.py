"""Beside every page: the language, and who is signed in."""

import streamlit as st

from face_dashboard import access
from face_dashboard.signing_in.gate import ADMIN
from face_dashboard.signing_in.sessions import Session
from face_dashboard.translations import LANGUAGES
from face_dashboard.words import _, language

LANGUAGE_KEY = "language"

NOTICED_S = 30.0
"""For at most so long a page stays after its session has ended."""


def show_sidebar(session: Session) -> None:
    with st.sidebar:
        st.segmented_control(
            _("Language"),
            list(LANGUAGES),
            format_func=lambda one: LANGUAGES[one],
            default=language(),
            key=LANGUAGE_KEY,
            on_change=_keep_language,
            label_visibility="collapsed",
            required=True,
        )
        who = _("administrator") if session.who == ADMIN else session.who
        st.caption(_("Signed in: {who}", who=who))
        if st.button(_("Sign out"), icon=":material/logout:", key="sign_out"):
            access.end_session()
            st.rerun()
    _notice_the_end()


@st.fragment(run_every=NOTICED_S)
def _notice_the_end() -> None:
    """Let a page that nobody touches go when its session has ended."""
    if access.session(use=False) is None:
        st.rerun(scope="app")


def _keep_language() -> None:
    access.prefer_language(st.session_state[LANGUAGE_KEY])
