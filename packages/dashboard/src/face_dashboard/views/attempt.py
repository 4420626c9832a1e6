"""Try an analysis: a photo against somebody who is enrolled, and all that the service sees in it."""

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.attempt.answers import show_attempt
from face_dashboard.attempt.asking import Attempt, Wanted, ask
from face_dashboard.attempt.band import sent
from face_dashboard.attempt.choosing import choose
from face_dashboard.attempt.what_if import KEY as WHAT_IF_KEY
from face_dashboard.client import ApiError
from face_dashboard.words import _

KEPT = "attempt_result"
OF_ONE_RESULT = KEPT, WHAT_IF_KEY, "attempt_selected"


def show() -> None:
    """Choose, ask, and show what was answered for as long as nothing else is chosen."""
    wanted = choose()
    if wanted is None:
        _forget()
        return
    st.divider()
    wanted = sent(wanted)
    kept: Attempt | None = st.session_state.get(KEPT)
    if kept is not None and kept.mark != wanted.mark:
        _forget()
    button, explanation = st.columns([1, 5], vertical_alignment="center")
    is_asked = button.button(
        _("Analyse"), type="primary", icon=":material/frame_person:", key="attempt_analyse", width="stretch"
    )
    explanation.caption(
        _(
            "The photo is sent twice: to v1, for all that is known, and to the specification's endpoint. Both count "
            "towards the limits of this user, and both are in the log of analyses where a face was looked for."
        )
    )
    if is_asked:
        _forget()
        _analyse(wanted)
    if KEPT in st.session_state:
        st.divider()
        show_attempt(st.session_state[KEPT])


def _analyse(wanted: Wanted) -> None:
    try:
        with st.spinner(_("Analysing …"), show_time=True):
            st.session_state[KEPT] = ask(access.api(), wanted)
    except ApiError as error:
        elements.failure(error)
    else:
        st.toast(_("The photo was analysed."), icon=":material/check:")


def _forget() -> None:
    for key in OF_ONE_RESULT:
        st.session_state.pop(key, None)


elements.heading(
    _("Try an analysis"), _("Compare a photo with somebody who is enrolled, and see what the service sees in it.")
)
with elements.failures_shown():
    show()
