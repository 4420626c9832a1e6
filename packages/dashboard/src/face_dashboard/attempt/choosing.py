"""With whom a photo is compared, and which photo."""

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.attempt.asking import Wanted
from face_dashboard.client import RefusedError
from face_dashboard.names import is_name
from face_dashboard.photo_input import ask_photo
from face_dashboard.words import _

LISTED = 200
"""Companies, and users, that are offered; others are found by what is typed."""

PEOPLE = "views/people.py"


def choose() -> Wanted | None:
    """Return what the reader wants analysed; None until all is chosen. Raises ApiError."""
    companies = access.api().companies(limit=LISTED)
    if not companies.items:
        elements.empty_state(
            _("Nobody is enrolled yet"),
            _("A photo is compared with somebody who is enrolled. Enroll the first person, then come back."),
        )
        st.page_link(PEOPLE, label=_("Enroll somebody"), icon=":material/person_add:")
        return None
    whom, what = st.columns([2, 3], gap="large")
    with whom:
        st.subheader(_("Whom should it show?"), anchor=False)
        company = _choose_company([one.name for one in companies.items], has_more=companies.next_cursor is not None)
        user = _choose_user(company) if company else None
    with what:
        st.subheader(_("Photo"), anchor=False)
        photo = ask_photo("attempt")
    wrong = [name for name in (company, user) if name and not is_name(name)]
    if wrong:
        st.warning(_("Companies and users have lower-case letters and digits only."), icon=":material/warning:")
        return None
    if not company or not user or photo is None:
        st.info(_("Choose a user and a photo, and it can be analysed."), icon=":material/touch_app:")
        return None
    return Wanted(company, user, photo)


def _choose_company(names: list[str], *, has_more: bool) -> str | None:
    return st.selectbox(
        _("Company"),
        names,
        index=0 if len(names) == 1 else None,
        placeholder=_("Choose a company, or type its name"),
        help=_("Not all are listed: type the whole name of one that is not.") if has_more else None,
        accept_new_options=True,
        filter_mode="contains",
        key="attempt_company",
        on_change=_forget_user,
        persist_state="session",
    )


def _forget_user() -> None:
    st.session_state["attempt_user"] = None
    st.session_state["attempt_search"] = ""


def _choose_user(company: str) -> str | None:
    contains = str(st.session_state.get("attempt_search", "")).strip().lower()
    ids, has_more = _ids(company, contains)
    if has_more or contains:
        st.text_input(
            _("Search"),
            placeholder=_("a part of the id"),
            icon=":material/search:",
            key="attempt_search",
            help=_("Of all users, the first {count} whose id contains this are offered below.", count=LISTED),
        )
    return st.selectbox(
        _("User"),
        ids,
        index=None,
        placeholder=_("Choose a user, or type an id"),
        accept_new_options=True,
        filter_mode="contains",
        key="attempt_user",
        persist_state="session",
    )


def _ids(company: str, contains: str) -> tuple[list[str], bool]:
    if not is_name(company) or (contains and not is_name(contains)):
        return [], False
    try:
        users = access.api().users(company, limit=LISTED, contains=contains)
    except RefusedError as error:
        if error.reason != "company_unregistered":
            raise
        return [], False
    return [user.id for user in users.items], users.next_cursor is not None
