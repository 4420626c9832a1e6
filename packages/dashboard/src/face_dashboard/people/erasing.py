"""Erasing a user or a company, when their name is typed; and the receipts, which stay until they are dismissed."""

from collections.abc import Callable

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.client import ApiError
from face_dashboard.models import Company, Receipt
from face_dashboard.people.place import EVERYBODY, Place, go, of_company
from face_dashboard.words import _, moment, number

RECEIPTS = "people_receipts"


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
        erase = access.api().erase_company
        _open_dialog(_("Erase a company"), warning, company.name, lambda: erase(company.name), EVERYBODY)


def offer_user_erasure(company: str, user: str) -> None:
    """Show the button that asks whether a user is to be erased."""
    if st.button(_("Erase this user"), icon=":material/delete_forever:", key="people_erase_user"):
        warning = _(
            "The user **{user}** of {company}, all enrollments, kept faces and events of theirs are removed for good. "
            "This cannot be undone.",
            user=user,
            company=company,
        )
        erase = access.api().erase_user
        _open_dialog(_("Erase a user"), warning, user, lambda: erase(company, user), of_company(company))


def _open_dialog(title: str, warning: str, name: str, erase: Callable[[], Receipt], after: Place) -> None:
    st.dialog(title, icon=":material/delete_forever:")(_confirm)(warning, name, erase, after)


def _confirm(warning: str, name: str, erase: Callable[[], Receipt], after: Place) -> None:
    st.warning(warning, icon=":material/warning:")
    typed = st.text_input(_("Type {name} to confirm", name=f"`{name}`"), key="people_erase_confirm", live=True)
    is_confirmed = str(typed or "").strip() == name
    if not st.button(_("Erase"), type="primary", disabled=not is_confirmed, key="people_erase_now", width="stretch"):
        return
    access.api()
    try:
        with st.spinner(_("Erasing …"), show_time=True):
            receipt = erase()
            # Within the spinner: when it ends, a click elsewhere may end this run, and the receipt would be lost.
            st.session_state[RECEIPTS] = [*st.session_state.get(RECEIPTS, []), receipt]
            go(after)
    except ApiError as error:
        elements.failure(error)
    else:
        st.toast(_("{name} is erased.", name=name), icon=":material/check_circle:")
        st.rerun()


def show_receipts() -> None:
    """Show what was erased, until that is dismissed."""
    receipts: list[Receipt] = st.session_state.get(RECEIPTS, [])
    for place, receipt in enumerate(receipts):
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
                    on_click=receipts.remove,
                    args=(receipt,),
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
