"""The log: every request for a photo, the newest first."""

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.event_table import show_events
from face_dashboard.models import Event, Operation, Page
from face_dashboard.names import is_name
from face_dashboard.pager import pager, show_pager
from face_dashboard.periods import LENGTHS, period
from face_dashboard.reasons import in_short
from face_dashboard.words import _, zone

PAGE = 50

REASONS = (
    "compared",
    "no_face",
    "user_unregistered",
    "references_outdated",
    "enrolled",
    "already_enrolled",
    "several_faces",
    "face_too_small",
    "face_blurred",
    "face_too_dark",
    "face_too_bright",
    "face_turned",
    "face_cut",
    "image_corrupt",
    "image_truncated",
)
"""Of those that events have, the ones to filter by."""


def show_log() -> None:
    operations: dict[Operation, str] = {"analyse": _("Analyses"), "enroll": _("Enrollments")}
    names = {"": _("All"), "today": _("Today"), "7": _("7 days"), "30": _("30 days")}
    first = st.columns([2, 2, 2, 2, 2], vertical_alignment="bottom")
    company = first[0].text_input(_("Company"), key="activity_log_company", placeholder=_("all companies")).strip()
    user = (
        first[1]
        .text_input(_("User"), key="activity_log_user", placeholder=_("all users"), disabled=not company)
        .strip()
    )
    operation = first[2].selectbox(
        _("What"),
        list(operations),
        format_func=lambda one: operations[one],
        index=None,
        placeholder=_("everything"),
        key="activity_log_operation",
    )
    reason = first[3].selectbox(
        _("Ended with"),
        REASONS,
        format_func=lambda one: in_short(one, _),
        index=None,
        placeholder=_("any outcome"),
        key="activity_log_reason",
    )
    chosen = first[4].selectbox(_("Period"), list(names), format_func=lambda one: names[one], key="activity_log_period")
    if any(name and not is_name(name) for name in (company, user)):
        st.warning(_("Companies and users have lower-case letters and digits only."), icon=":material/warning:")
        return
    wanted = company, user if company else "", operation, reason, chosen
    at = pager("activity_log", wanted)
    since = period(chosen, zone()).since if chosen in LENGTHS else None
    with elements.failures_shown():
        page = access.api().events(at.cursor, PAGE, company or None, wanted[1] or None, operation, reason, since)
        _show(page)
        show_pager("activity_log", at, page.next_cursor)


def _show(page: Page[Event]) -> None:
    if not page.items:
        elements.empty_state(
            _("No request is like that"), _("Loosen the filters, or try a photo on the page *Try an analysis*.")
        )
        return
    show_events(page.items, "activity_log_table")
