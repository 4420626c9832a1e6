"""API keys: make one (shown once), see all, revoke."""

from collections.abc import Sequence

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.client import ApiError
from face_dashboard.elements import plain
from face_dashboard.models import Key, NewKey
from face_dashboard.names import is_name
from face_dashboard.pager import pager, show_pager
from face_dashboard.words import _, moment

PAGE = 50

MADE = "service_key_made"


def show_keys() -> None:
    made: NewKey | None = st.session_state.get(MADE)
    if made is not None:
        _show_made(made)
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    company = left.text_input(_("Company"), key="service_keys_company", placeholder=_("all keys")).strip()
    if right.button(_("New key"), icon=":material/add:", type="primary", key="service_key_new", width="stretch"):
        st.dialog(_("A new key"), icon=":material/key:")(_make)()
    at = pager("service_keys", company)
    with elements.failures_shown():
        page = access.api().keys(at.cursor, PAGE, company or None)
        if not page.items:
            elements.empty_state(
                _("There is no key"),
                _("Make one for each program that asks the service, so that each can be revoked by itself."),
                ":material/key_off:",
            )
            return
        _show(page.items)
        show_pager("service_keys", at, page.next_cursor)


def _show(keys: Sequence[Key]) -> None:
    rows = [
        {
            "state": _("active") if key.revoked_at is None else _("revoked {time}", time=moment(key.revoked_at)),
            "key_id": key.key_id,
            "company": key.company or _("administrator"),
            "label": key.label,
            "created": moment(key.created_at),
        }
        for key in keys
    ]
    chosen = elements.read_only_table(
        rows,
        {
            "key_id": st.column_config.TextColumn(_("Key")),
            "state": st.column_config.TextColumn(_("State")),
            "company": st.column_config.TextColumn(_("Whose")),
            "label": st.column_config.TextColumn(_("What for"), width="medium"),
            "created": st.column_config.TextColumn(_("Made")),
        },
        "service_keys_table",
        on_select="rerun",
        selection_mode="single-row",
    )
    selected = chosen.selection.rows
    if not selected or selected[0] >= len(keys):
        st.caption(_("Choose a key to revoke it."))
        return
    key = keys[selected[0]]
    if key.revoked_at is not None:
        st.caption(_("This key was revoked."))
    elif st.button(_("Revoke {key}", key=key.key_id), icon=":material/block:", key="service_key_revoke"):
        st.dialog(_("Revoke a key"), icon=":material/block:")(_revoke)(key)


def _show_made(made: NewKey) -> None:
    with st.container(border=True):
        st.success(_("**The new key, shown this once.** Copy it now: nobody can show it again."), icon=":material/key:")
        st.code(made.secret or "", language=None)
        if st.button(_("I have kept it"), key="service_key_kept"):
            del st.session_state[MADE]
            st.rerun()


def _make() -> None:
    whose = st.segmented_control(
        _("Whose"),
        ["company", "admin"],
        format_func=lambda one: _("a company's") if one == "company" else _("an administrator's"),
        default="company",
        required=True,
        key="service_key_whose",
    )
    company = ""
    if whose == "company":
        company = st.text_input(_("Company"), key="service_key_company", max_chars=128).strip()
        st.caption(_("It reaches this company's users alone. A new company is made with its first key."))
    else:
        st.warning(_("It reaches every company, and may erase and make keys."), icon=":material/warning:")
    label = st.text_input(_("What for"), key="service_key_label", max_chars=128, placeholder=_("web shop"))
    if whose == "company" and company and not is_name(company):
        st.error(_("A company is 1 to 128 lower-case letters and digits."), icon=":material/error:")
    ready = whose == "admin" or is_name(company)
    if st.button(_("Make the key"), type="primary", disabled=not ready, key="service_key_make"):
        try:
            st.session_state[MADE] = access.api().create_key(company if whose == "company" else None, label)
        except ApiError as error:
            elements.failure(error)
            if error.reason == "unreachable":
                st.warning(
                    _("It may have been made all the same. Look at the list, and revoke a key that nobody has."),
                    icon=":material/help:",
                )
        else:
            st.rerun()


def _revoke(key: Key) -> None:
    st.markdown(
        _(
            "Who uses the key **{key}** ({label}) is refused from the next request on. This cannot be undone.",
            key=key.key_id,
            label=plain(key.label or key.company or "") or _("administrator"),
        )
    )
    if access.is_own_key(key.key_id):
        st.error(_("This is the dashboard's own key: without it no page works any more."), icon=":material/error:")
    typed = st.text_input(_("Type {name} to confirm", name=f"`{key.key_id}`"), key="service_key_confirm")
    if st.button(_("Revoke"), type="primary", disabled=typed.strip() != key.key_id, key="service_key_revoke_now"):
        try:
            access.api().revoke_key(key.key_id)
            made: NewKey | None = st.session_state.get(MADE)
            if made is not None and made.key_id == key.key_id:
                del st.session_state[MADE]
        except ApiError as error:
            elements.failure(error)
        else:
            st.toast(_("The key {key} is revoked.", key=key.key_id), icon=":material/check_circle:")
            st.rerun()
