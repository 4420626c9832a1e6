"""All companies: find one and open it."""

from collections.abc import Sequence

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.client import RefusedError
from face_dashboard.models import Company
from face_dashboard.names import is_name
from face_dashboard.pager import pager, show_pager
from face_dashboard.people.place import Place, go, of_company, places_table
from face_dashboard.words import _, number, zone

PAGE = 1000

SEARCHED_FROM = 10
"""Companies, from which on there is a search."""


def show_companies() -> None:
    """Show the companies, or what to do where there is none. Raises ApiError."""
    at = pager("people_companies", PAGE)
    page = access.api().companies(at.cursor, PAGE)
    if not page.items and at.page == 1:
        elements.empty_state(
            _("Nobody is enrolled yet"),
            _("The first photo that you enroll makes its user, and the company. Or import many photos at a time."),
            ":material/group_add:",
        )
        with st.container(horizontal=True):
            _show_actions()
        return
    is_many = len(page.items) >= SEARCHED_FROM or at.page > 1 or page.next_cursor is not None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = ""
        if is_many:
            wanted = str(
                st.text_input(
                    _("Search"),
                    placeholder=_("a part of the name"),
                    type="search",
                    icon=":material/search:",
                    live="300ms",
                    key="people_companies_search",
                    width=320,
                )
            ).strip()
        else:
            count = len(page.items)
            st.caption(_("{count} companies", count=number(count)) if count != 1 else _("One company"))
        _show_actions()
    _show(_found(page.items, wanted, is_all=page.next_cursor is None and at.page == 1))
    show_pager("people_companies", at, page.next_cursor)


def _show_actions() -> None:
    st.button(
        _("Enroll somebody"),
        type="primary",
        icon=":material/person_add:",
        key="people_go_enroll",
        on_click=go,
        args=(Place("enroll"),),
    )
    st.button(
        _("Import photos"),
        icon=":material/upload_file:",
        key="people_go_import",
        on_click=go,
        args=(Place("import"),),
    )


def _found(companies: Sequence[Company], wanted: str, *, is_all: bool) -> list[Company]:
    """Return those whose name contains what is wanted, and, where not all are here, the one of that very name."""
    found = [company for company in companies if wanted.lower() in company.name]
    if is_all or not is_name(wanted) or wanted in {company.name for company in found}:
        return found
    try:
        return [access.api().company(wanted), *found]
    except RefusedError:
        return found


def _show(companies: Sequence[Company]) -> None:
    if not companies:
        elements.empty_state(
            _("No company is like that"),
            _("Search for something shorter. Of a very long list, only this page and whole names are searched."),
            ":material/search_off:",
        )
        return
    rows = [
        {"name": company.name, "users": company.users, "since": company.created_at.astimezone(zone())}
        for company in companies
    ]
    places_table(
        rows,
        {
            "name": st.column_config.TextColumn(_("Company"), width="large"),
            "users": st.column_config.NumberColumn(_("Users"), format="localized"),
            "since": st.column_config.DatetimeColumn(_("Since"), format="localized"),
        },
        "people_companies_table",
        [of_company(company.name) for company in companies],
    )
    st.caption(_("Click a row to open it."))
