"""Erasing a user or a company, when their name is typed; and the receipts, which stay until they are dismissed."""

from collections.abc import Callable

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.client import ApiClient, ApiError
from face_dashboard.models import Company, Receipt
from face_dashboard.people.exporting import forget_export
from face_dashboard.people.imports import desk
from face_dashboard.people.place import EVERYBODY, Place, go, of_company
from face_dashboard.people.receipts import dismiss, keep, kept_for
from face_dashboard.words import _, moment, number

Erase = Callable[[ApiClient], Receipt]


def offer_company_erasure(company: Company) -> None:
    """Show the button that asks whether a company is to be erased."""
    if st.button(_("Erase this company"), icon=":material/delete_forever:", key="people_erase_company"):
        warning = (
            _(
                "The company **{company}**, its {count} users, all their enrollments and events, and the company's API "
                "keys are removed for good. This cannot be undone.",
                company=company.name,
                count=number(company.users),
            )
            + " "
            + _("With many users it takes minutes: leave this page open.")
        )
        _ask(_("Erase a company"), warning, company.name, company.name, _erase_company(company.name), EVERYBODY)


def offer_user_erasure(company: str, user: str) -> None:
    """Show the button that asks whether a user is to be erased."""
    if st.button(_("Erase this user"), icon=":material/delete_forever:", key="people_erase_user"):
        warning = _(
            "The user **{user}** of {company}, all enrollments, kept faces and events of theirs are removed for good. "
            "This cannot be undone.",
            user=user,
            company=company,
        )
        _ask(_("Erase a user"), warning, company, user, _erase_user(company, user), of_company(company))


def _erase_company(company: str) -> Erase:
    return lambda api: api.erase_company(company)


def _erase_user(company: str, user: str) -> Erase:
    return lambda api: api.erase_user(company, user)


def _ask(title: str, warning: str, company: str, name: str, erase: Erase, after: Place) -> None:
    st.dialog(title, icon=":material/delete_forever:")(_confirm)(warning, company, name, erase, after)


def _confirm(warning: str, company: str, name: str, erase: Erase, after: Place) -> None:
    st.warning(warning, icon=":material/warning:")
    typed = st.text_input(_("Type {name} to confirm", name=f"`{name}`"), key="people_erase_confirm", live=True)
    is_confirmed = str(typed or "").strip() == name
    if not st.button(_("Erase"), type="primary", disabled=not is_confirmed, key="people_erase_now", width="stretch"):
        return
    if desk().is_importing(company):
        st.error(
            _("An import of this company is under way, and would enroll again whom you erase. Stop it first."),
            icon=":material/upload_file:",
        )
        return
    who = access.who()
    try:
        with st.spinner(_("Erasing …"), show_time=True):
            keep(who, erase(access.api()))  # before anything of Streamlit's, at which a page that is left ends
            forget_export()  # it may list whom nobody may know any more
            go(after)
    except ApiError as error:
        elements.failure(error)
        if error.reason == "unreachable":
            st.warning(
                _("It may have been done all the same. The audit trail shows it, on the page *Activity and latency*."),
                icon=":material/help:",
            )
    else:
        st.toast(_("{name} is erased.", name=name), icon=":material/check_circle:")
        st.rerun()


def show_receipts() -> None:
    """Show what was erased, until that is dismissed."""
    who = access.who()
    for place, receipt in enumerate(kept_for(who)):
        with st.container(border=True):
            st.markdown(f"#### :material/receipt_long: {_title(receipt)}")
            st.markdown(_removed(receipt))
            st.caption(
                _(
                    "Entry `{entry}` of the audit trail, {time}.",
                    time=moment(receipt.at, seconds=True),
                    entry=receipt.audit_entry,
                )
                + " "
                + (
                    _("The bytes are overwritten in the database's files.")
                    if receipt.overwritten
                    else _(
                        "Traces may be left in the database's files until the service clears them, or until "
                        "`face-api compact` is run."
                    )
                )
            )
            with st.container(horizontal=True):
                st.download_button(
                    _("Download the receipt"),
                    receipt.document,
                    "receipt.json",
                    "application/json",
                    key=f"people_receipt_{place}",
                    on_click="ignore",
                    icon=":material/download:",
                    type="primary",
                )
                st.button(
                    _("Dismiss"),
                    type="tertiary",
                    key=f"people_receipt_dismiss_{place}",
                    on_click=dismiss,
                    args=(who, receipt),
                )


def _title(receipt: Receipt) -> str:
    if receipt.user is None:
        return _("The company {company} is erased", company=receipt.company)
    return _("The user {user} of {company} is erased", user=receipt.user, company=receipt.company)


def _removed(receipt: Receipt) -> str:
    removed = receipt.removed
    counts = [
        (_("users"), removed.users),
        (_("enrollments"), removed.references),
        (_("kept faces"), removed.chips),
        (_("events"), removed.events),
        (_("API keys"), removed.api_keys),
        (_("remembered answers"), removed.answers),
    ]
    return _("Removed: {list}", list=", ".join(f"{name} **{number(count)}**" for name, count in counts if count))
