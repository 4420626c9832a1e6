"""The audit trail: who did what, and whether the chain of its entries is whole."""

import json
from collections.abc import Sequence

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.client import ApiError
from face_dashboard.models import AuditEntry, AuditVerification
from face_dashboard.pager import pager, show_pager
from face_dashboard.words import NOTHING, _, ago, moment, number, zone

PAGE = 50

VERIFIED = "activity_audit_verified"

ACTIONS = (
    "enroll",
    "analyse",
    "list",
    "view",
    "remove",
    "erase",
    "create_key",
    "revoke_key",
    "decide",
    "purge",
    "rotate",
    "reencode",
    "backup",
    "restore",
)


def show_audit() -> None:
    _show_state()
    columns = st.columns(3)
    company = columns[0].text_input(_("Company"), key="activity_audit_company", placeholder=_("all companies")).strip()
    action = columns[1].selectbox(
        _("Action"), ACTIONS, index=None, placeholder=_("any action"), key="activity_audit_action"
    )
    actor = (
        columns[2]
        .text_input(
            _("Who"),
            key="activity_audit_actor",
            placeholder=_("anybody"),
            help=_("The id of an API key, or of a command."),
        )
        .strip()
    )
    at = pager("activity_audit", (company, action, actor))
    with elements.failures_shown():
        page = access.api().audit(at.cursor, PAGE, company or None, None, action, actor or None)
        _show(page.items)
        show_pager("activity_audit", at, page.next_cursor)


def _show_state() -> None:
    """Show how the last check ended, and offer one."""
    verified: AuditVerification | None = st.session_state.get(VERIFIED)
    with st.container(border=True):
        state, button = st.columns([4, 1], vertical_alignment="center")
        if verified is None:
            state.markdown(_("**Not checked yet.** Each entry seals the one before it; a check walks the whole chain."))
        elif verified.state == "intact":
            state.success(
                _(
                    "**Intact:** {entries} entries, each as it was appended. Checked {ago}, in {seconds} s.",
                    entries=number(verified.entries),
                    ago=ago(verified.checked_at),
                    seconds=number(verified.took_ms / 1000, 1),
                ),
                icon=":material/verified_user:",
            )
            if verified.checkpoint:
                state.caption(_("Keep this elsewhere; it tells later whether entries were removed:"))
                state.code(verified.checkpoint, language=None)
        else:
            state.error(
                _(
                    "**Broken at entry {entry}:** {problem}. Tell an operator, and keep a copy of the database.",
                    entry=verified.broken_at,
                    problem=verified.problem,
                ),
                icon=":material/gpp_bad:",
            )
        if button.button(_("Check now"), icon=":material/rule:", key="activity_audit_check", width="stretch"):
            try:
                with st.spinner(_("Walking the chain …")):
                    st.session_state[VERIFIED] = access.api().verify_audit()
            except ApiError as error:
                elements.failure(error)
            else:
                st.rerun()


def _show(entries: Sequence[AuditEntry]) -> None:
    if not entries:
        elements.empty_state(_("No entry is like that"), _("Loosen the filters."))
        return
    rows = [
        {
            "sequence": entry.sequence,
            "at": entry.at.astimezone(zone()),
            "actor": entry.actor,
            "action": entry.action,
            "company": entry.company,
            "user": entry.user,
            "details": json.dumps(entry.details, ensure_ascii=False),
            "request": entry.request_id,
        }
        for entry in entries
    ]
    elements.read_only_table(
        rows,
        {
            "sequence": st.column_config.NumberColumn(_("Entry"), format="%d"),
            "at": st.column_config.DatetimeColumn(_("When"), format="localized"),
            "actor": st.column_config.TextColumn(_("Who")),
            "action": st.column_config.TextColumn(_("Action")),
            "company": st.column_config.TextColumn(
                _("Company"), help=_("A token of random letters stands for who was erased.")
            ),
            "user": st.column_config.TextColumn(_("User")),
            "details": st.column_config.TextColumn(_("Details"), width="large"),
            "request": st.column_config.TextColumn(_("Request")),
        },
        "activity_audit_table",
        placeholder=NOTHING,
    )
    st.caption(_("The newest first, at {time}", time=moment(entries[0].at, seconds=True)))
