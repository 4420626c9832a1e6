"""A company's users as a CSV file, made page by page when somebody asks for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.client import ApiClient, ApiError
from face_dashboard.models import Company, User
from face_dashboard.people.sheets import csv_file
from face_dashboard.words import _, moment, number

PAGE = 1000
KEPT = "people_export_made"
COLUMNS = ("id", "gender", "age", "references", "since")


@dataclass(frozen=True, slots=True)
class Export:
    company: str
    users: int
    made_at: datetime
    document: bytes


def pages_of_users(api: ApiClient, company: str) -> Iterator[list[User]]:
    """Yield all users, some at a time. Raises ApiError."""
    cursor: str | None = None
    while True:
        page = api.users(company, cursor, PAGE)
        yield list(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return


def forget_export() -> None:
    """Drop the file that was made, if there is one."""
    st.session_state.pop(KEPT, None)


def export(company: Company) -> None:
    """Make the file, and keep it for who downloads it."""
    rows: list[tuple[object, ...]] = []
    progress = st.progress(0.0, _("Asking for the users …"))
    try:
        for users in pages_of_users(access.api(), company.name):
            rows += [
                (user.id, user.gender, user.age, user.references, user.created_at.astimezone(UTC).isoformat())
                for user in users
            ]
            progress.progress(
                min(len(rows) / max(company.users, 1), 1.0),
                _("{count} of {total} users", count=number(len(rows)), total=number(company.users)),
            )
    except ApiError as error:
        progress.empty()
        elements.failure(error)
        return
    progress.empty()
    st.session_state[KEPT] = Export(company.name, len(rows), datetime.now(UTC), csv_file(COLUMNS, rows))


def show_export(company: Company) -> None:
    """Offer the file that was made of this company."""
    made: Export | None = st.session_state.get(KEPT)
    if made is None or made.company != company.name:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            _(
                ":material/check_circle: {count} users, as of {time}",
                count=number(made.users),
                time=moment(made.made_at),
            ),
            width="content",
        )
        st.download_button(
            _("Download users.csv"),
            made.document,
            "users.csv",
            "text/csv",
            key="people_export_download",
            on_click="ignore",
            icon=":material/download:",
            type="primary",
        )
        st.button(
            _("Discard"), type="tertiary", key="people_export_discard", on_click=st.session_state.pop, args=(KEPT,)
        )
