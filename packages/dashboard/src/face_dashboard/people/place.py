"""Where on the page a reader is: in the session, never in an address, since addresses are logged and names personal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from face_dashboard import elements
from face_dashboard.words import NOTHING, _

KEY = "people_place"

FILTERS: Mapping[str, object] = {"people_search": "", "people_enrolled": "all", "people_sort": "id"}
"""Keys of what narrows the list of users down, and what they are at first."""


ROWS, ROW_HEIGHT = 16, 35
"""Of a table: more rows scroll. Pixels, Streamlit's."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is looked at: of everybody, of a company, or of one of its users."""

    view: Literal["companies", "users", "user", "enroll", "import"] = "companies"
    company: str | None = None
    user: str | None = None


EVERYBODY = Place()


def of_company(company: str) -> Place:
    return Place("users", company)


def of_user(company: str, user: str) -> Place:
    return Place("user", company, user)


def here() -> Place:
    place: Place = st.session_state.get(KEY, EVERYBODY)
    return place


def go(place: Place) -> None:
    """Look at something else; for a button's on_click, or before a rerun."""
    if place.company != here().company:
        st.session_state.update(FILTERS)
    st.session_state[KEY] = place


def show_path(place: Place) -> None:
    """Show where the reader is, and the ways back."""
    if place == EVERYBODY:
        return
    names = {"enroll": _("Enroll somebody"), "import": _("Import photos")}
    steps = [(_("All companies"), EVERYBODY)]
    if place.company is not None:
        steps.append((place.company, of_company(place.company)))
    if place.user is not None:
        steps.append((place.user, of_user(place.company or "", place.user)))
    if place.view in names:
        steps.append((names[place.view], place))
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        for number, (name, target) in enumerate(steps[:-1]):
            st.button(name, type="tertiary", key=f"people_path_{number}", on_click=go, args=(target,))
            st.markdown(":material/chevron_right:", width="content")
        st.markdown(f"**{steps[-1][0]}**", width="content")


def places_table(rows: list[dict[str, Any]], columns: dict[str, Any], key: str, places: Sequence[Place]) -> None:
    """Show rows of which each leads to a place when it is clicked."""
    chosen = elements.read_only_table(
        rows,
        columns,
        key,
        height=min(len(rows) + 1, ROWS) * ROW_HEIGHT + 2,
        placeholder=NOTHING,
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
    ).selection
    clicked = [*chosen.rows, *(row for row, _column in chosen.cells)]
    if clicked and clicked[0] < len(places):
        go(places[clicked[0]])
        st.rerun()
