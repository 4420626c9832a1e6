"""What the parts of the page share: which report is looked at, and how rates and names of the set are written."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import streamlit as st

from face_dashboard import elements
from face_dashboard.accuracy.evaluation_reports import Damaged, Headline, list_reports
from face_dashboard.elements import plain
from face_dashboard.settings import settings
from face_dashboard.words import _, moment, number, percent

TAB = "accuracy_tab"
REPORT = "accuracy_report"
NEWEST = "accuracy_newest_report"

NEW_SET = "accuracy_new_set"
"""The set that was uploaded last, until it is chosen."""

Part = Literal["run", "report", "tolerance", "compare"]

SIGNIFICANT = ((0.1, 1), (0.01, 2), (0.001, 3))
"""From which rate on how many digits stand behind the point of its percentage."""

MOST_DIGITS = 4

LEVEL_DIGITS = 8


def tab_name(part: Part | str) -> str:
    names = {
        "run": _("Run"),
        "report": _("Report"),
        "tolerance": _("Pick a tolerance"),
        "compare": _("Compare"),
    }
    return names[part]


def go_to(part: Part, report: str | None = None) -> None:
    """Open another part of the page, for a button's on_click."""
    st.session_state[TAB] = tab_name(part)
    if report is not None:
        st.session_state[REPORT] = report


def pick_report(label: str) -> Headline | None:
    """Let the reader choose one of the finished reports; None where there is none, which is said."""
    finished, damaged = list_reports(settings().reports_dir)
    _show_damaged(damaged)
    if not finished:
        elements.empty_state(
            _("There is no report yet"),
            _("Run an evaluation first: its report is shown here when it is done."),
            ":material/analytics:",
        )
        st.button(
            _("Run an evaluation"), icon=":material/play_arrow:", on_click=go_to, args=("run",), key="accuracy_go_run"
        )
        return None
    by_name = {one.name: one for one in finished}
    newest = finished[0].name
    # One that was made since the last look: nobody should apply a tolerance by another one that they take for it.
    if st.session_state.get(NEWEST, newest) != newest or st.session_state.get(REPORT) not in by_name:
        st.session_state[REPORT] = newest
    st.session_state[NEWEST] = newest
    # A widget's state is gone when it was not shown for once; the chosen report stays.
    chosen = st.selectbox(
        label,
        list(by_name),
        index=list(by_name).index(st.session_state[REPORT]),
        format_func=lambda name: f"{name} · {moment(by_name[name].finished)}",
        key=f"{REPORT}_{st.session_state.get(TAB)}",
    )
    st.session_state[REPORT] = chosen
    return by_name[chosen]


def rate(value: float | None) -> str:
    """Return a rate in percent, with the digits that matter."""
    if value is None:
        return percent(None)
    digits = next((digits for least, digits in SIGNIFICANT if value >= least), MOST_DIGITS)
    return percent(value, 0 if value in {0.0, 1.0} else digits)


def level(fmr: float) -> str:
    """Return a wanted rate in percent, such as 0.01%: it is exact."""
    return f"{number(100 * fmr, LEVEL_DIGITS)}%"


def interval(estimate: Mapping[str, Any]) -> str:
    """Return the 95 % interval of a rate; empty where there is none."""
    if estimate["low"] is None:
        return ""
    return _("{low} to {high}", low=rate(estimate["low"]), high=rate(estimate["high"]))


def _show_damaged(damaged: Sequence[Damaged]) -> None:
    for one in damaged:
        st.warning(
            _("The report {name} cannot be read: {problem}", name=plain(one.name), problem=plain(one.problem)),
            icon=":material/broken_image:",
        )
