"""Pages of a list whose API gives a cursor for the next one: forth, and back by the cursors that came before."""

from dataclasses import dataclass, field

import streamlit as st

from face_dashboard.words import _, number


@dataclass(slots=True)
class Pager:
    """Where a reader is in a list: the cursors of the pages up to this one, None for the first."""

    cursors: list[str | None] = field(default_factory=lambda: [None])

    def back(self) -> None:
        self.cursors.pop()

    def forth(self, cursor: str | None) -> None:
        self.cursors.append(cursor)

    @property
    def cursor(self) -> str | None:
        return self.cursors[-1]

    @property
    def page(self) -> int:
        """The number of this page, from 1 on."""
        return len(self.cursors)


def pager(key: str, wanted: object) -> Pager:
    """Return where the reader is in the list; at its first page where what they want of it has changed."""
    state = st.session_state.setdefault(f"{key}_pager", {})
    if "pager" not in state or state["wanted"] != wanted:
        state.update(wanted=wanted, pager=Pager())
    found: Pager = state["pager"]
    return found


def show_pager(key: str, at: Pager, next_cursor: str | None) -> None:
    """Offer the pages before and behind, where there are any."""
    if at.page == 1 and next_cursor is None:
        return
    back, where, forth = st.columns([1, 2, 1], vertical_alignment="center")
    back.button(_("Back"), icon=":material/chevron_left:", disabled=at.page == 1, key=f"{key}_back", on_click=at.back)
    where.markdown(_("Page {page}", page=number(at.page)), text_alignment="center")
    forth.button(
        _("Next"),
        icon=":material/chevron_right:",
        icon_position="right",
        disabled=next_cursor is None,
        key=f"{key}_next",
        on_click=at.forth,
        args=(next_cursor,),
        width="stretch",
    )
