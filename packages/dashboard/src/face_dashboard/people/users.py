"""The users of a company: search, filter, sort, page through them, open one."""

from collections.abc import Sequence

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.models import Company, Sort, User
from face_dashboard.names import is_name
from face_dashboard.pager import pager, show_pager
from face_dashboard.people.erasing import offer_company_erasure
from face_dashboard.people.exporting import export, show_export
from face_dashboard.people.place import FILTERS, Place, go, of_user, places_table
from face_dashboard.people.profile import gender_name
from face_dashboard.words import _, moment, number, zone

PAGE = 50


def show_users(name: str) -> None:
    """Show a company and a page of its users. Raises ApiError."""
    company = access.api().company(name)
    st.subheader(f":material/domain: {company.name}", anchor=False)
    st.caption(
        _("{count} users, since {time}", count=number(company.users), time=moment(company.created_at))
        if company.users != 1
        else _("One user, since {time}", time=moment(company.created_at))
    )
    _show_actions(company)
    show_export(company)
    if not company.users:
        elements.empty_state(
            _("This company has no users"),
            _("Enroll the first photo, or import many at a time."),
            ":material/person_add:",
        )
        return
    _show_users(company)


def _show_actions(company: Company) -> None:
    with st.container(horizontal=True):
        st.button(
            _("Enroll somebody"),
            type="primary",
            icon=":material/person_add:",
            key="people_go_enroll",
            on_click=go,
            args=(Place("enroll", company.name),),
        )
        st.button(
            _("Import photos"),
            icon=":material/upload_file:",
            key="people_go_import",
            on_click=go,
            args=(Place("import", company.name),),
        )
        is_wanted = st.button(
            _("Export as CSV"), icon=":material/table_view:", key="people_export", disabled=not company.users
        )
        offer_company_erasure(company)
    if is_wanted:
        export(company)


def _show_users(company: Company) -> None:
    contains, enrolled, sort = _choices()
    if contains and not is_name(contains):
        st.warning(_("Ids have lower-case letters and digits only."), icon=":material/warning:")
        return
    at = pager("people_users", (company.name, contains, enrolled, sort))
    page = access.api().users(company.name, at.cursor, PAGE, contains, sort, enrolled)
    if not page.items and at.page == 1:
        elements.empty_state(
            _("No user is like that"), _("Search for something shorter, or show all users."), ":material/search_off:"
        )
        return
    is_all = not contains and enrolled is None
    _say_where(
        (at.page - 1) * PAGE, len(page.items), company.users if is_all else None, is_last=page.next_cursor is None
    )
    _show_table(company.name, page.items)
    show_pager("people_users", at, page.next_cursor)
    st.caption(_("Click a row to open it."))


def _choices() -> tuple[str, bool | None, Sort]:
    filters = {"all": _("All"), "yes": _("Enrolled"), "no": _("Without enrollment")}
    sorts: dict[Sort, str] = {"id": _("By id"), "newest": _("The newest first"), "oldest": _("The oldest first")}
    for key, value in FILTERS.items():
        st.session_state.setdefault(key, value)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        contains = st.text_input(
            _("Search"),
            placeholder=_("a part of the id"),
            type="search",
            icon=":material/search:",
            live="300ms",
            key="people_search",
            persist_state="session",
            width=320,
        )
        enrolled = st.segmented_control(
            _("Show"),
            list(filters),
            format_func=lambda one: filters[one],
            required=True,
            key="people_enrolled",
            persist_state="session",
        )
        sort = st.selectbox(
            _("Sort"),
            list(sorts),
            format_func=lambda one: sorts[one],
            key="people_sort",
            persist_state="session",
            width=220,
        )
    return str(contains or "").strip().lower(), {"yes": True, "no": False}.get(str(enrolled)), sort


def _say_where(before: int, count: int, total: int | None, *, is_last: bool) -> None:
    first, last = number(before + 1), number(before + count)
    if total is None and is_last:
        total = before + count
    if total is None:
        st.caption(_("{first} to {last} of the users found", first=first, last=last))
    else:
        st.caption(_("{first} to {last} of {total}", first=first, last=last, total=number(total)))


def _show_table(company: str, users: Sequence[User]) -> None:
    rows = [
        {
            "id": user.id,
            "references": user.references,
            "gender": None if user.gender is None else gender_name(user.gender),
            "age": user.age,
            "since": user.created_at.astimezone(zone()),
        }
        for user in users
    ]
    places_table(
        rows,
        {
            "id": st.column_config.TextColumn(_("User"), width="large"),
            "references": st.column_config.NumberColumn(
                _("Enrollments"), help=_("Photos that are kept as references.")
            ),
            "gender": st.column_config.TextColumn(_("Gender")),
            "age": st.column_config.NumberColumn(_("Age")),
            "since": st.column_config.DatetimeColumn(_("Since"), format="localized"),
        },
        "people_users_table",
        [of_user(company, user.id) for user in users],
    )
