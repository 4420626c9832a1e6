"""One user: who it is, their enrollments, what was asked of them last, and one more photo."""

from collections.abc import Sequence

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.event_table import WHOM, show_events
from face_dashboard.models import Event
from face_dashboard.people.enrolling import show_enrolled, show_enrolling_more
from face_dashboard.people.erasing import offer_user_erasure
from face_dashboard.people.profile import profile_line
from face_dashboard.people.references import show_references
from face_dashboard.words import _, moment

EVENTS = 10
ATTEMPT = "views/attempt.py"


def show_user(company: str, user_id: str) -> None:
    """Show a user. Raises ApiError."""
    api = access.api()
    user, encoder_id = api.user(company, user_id), api.health().encoder_id
    st.subheader(f":material/person: {user.id}", anchor=False)
    st.caption(
        _(
            "{profile} · of {company} · since {time}",
            profile=profile_line(user.gender, user.age),
            company=company,
            time=moment(user.created_at),
        )
    )
    with st.container(horizontal=True):
        is_attempt = st.button(
            _("Try an analysis"),
            icon=":material/frame_person:",
            key="people_try",
            disabled=not user.enrollments,
            on_click=_choose_for_attempt,
            args=(company, user.id),
        )
        offer_user_erasure(company, user.id)
    if is_attempt:
        st.switch_page(ATTEMPT)
    show_enrolled(company, user.id)
    st.markdown("##### " + _("Enrollments"))
    if user.enrollments:
        show_references(user, encoder_id)
    else:
        elements.empty_state(
            _("No photo of this user is enrolled"),
            _("Nobody can be compared with them until there is one. Enroll one below."),
            ":material/no_photography:",
        )
    with st.expander(_("Enroll a photo"), expanded=not user.enrollments, icon=":material/add_a_photo:"):
        show_enrolling_more(company, user.id)
    st.markdown("##### " + _("What was asked last"))
    _show_events(api.events(limit=EVENTS, company=company, user=user.id).items)


def _choose_for_attempt(company: str, user: str) -> None:
    st.session_state["attempt_company"] = company
    st.session_state["attempt_user"] = user


def _show_events(events: Sequence[Event]) -> None:
    if not events:
        st.caption(_("Nothing was asked of this user yet, or it is so long ago that it is not kept any more."))
        return
    show_events(events, "people_events", leave_out=(*WHOM, "request"))
