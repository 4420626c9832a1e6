"""How an import goes on, and what came of it."""

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.people.imports import Ending, Import, Outcome, desk
from face_dashboard.people.place import go, of_company
from face_dashboard.people.sheets import csv_file
from face_dashboard.reasons import in_words
from face_dashboard.words import _, number

REFRESH_S = 1.0
COLUMNS = ("file", "id", "outcome", "reason")


def show_import(current: Import) -> None:
    """Show an import: how far it is, or its result."""
    if current.state == "running":
        _show_running(current)
    else:
        _show_end(current)
        _show_result(current)


@st.fragment(run_every=REFRESH_S)
def _show_running(current: Import) -> None:
    access.api(use=False)
    if current.state != "running":
        st.rerun(scope="app")
    done, total, entry = len(current.outcomes), len(current.entries), current.next_entry
    st.progress(
        done / max(total, 1),
        _("{done} of {total} photos for {company}", done=number(done), total=number(total), company=current.company),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(_("Stop"), icon=":material/stop:", key="people_import_stop", disabled=current.is_stopping):
            current.stop()
            st.toast(_("The import stops after this photo."), icon=":material/stop:")
        if entry is not None:
            st.caption(_("Now: {user}", user=entry.user), width="content")
    _show_counts(current.outcomes)
    st.caption(_("It goes on when you leave this page."))


def _show_end(current: Import) -> None:
    done, total, entry = len(current.outcomes), len(current.entries), current.next_entry
    refused = sum(one.outcome == "refused" for one in current.outcomes)
    if current.state == "done" and not refused:
        st.success(
            _("All {total} photos were sent for {company}.", total=number(total), company=current.company),
            icon=":material/check_circle:",
        )
    elif current.state == "done":
        st.warning(
            _(
                "All {total} photos were sent for {company}, and {refused} of them refused.",
                total=number(total),
                company=current.company,
                refused=number(refused),
            ),
            icon=":material/warning:",
        )
    elif current.state == "stopped":
        st.warning(
            _("The import was stopped after {done} of {total} photos.", done=number(done), total=number(total)),
            icon=":material/stop_circle:",
        )
    else:
        if current.error is not None:
            elements.failure(current.error)
        st.error(
            _(
                "The import ended at photo {place} of {total}, `{file}`.",
                place=number(done + 1),
                total=number(total),
                file=entry.file.replace("`", "'") if entry is not None else "",
            ),
            icon=":material/error:",
        )
    if current.state != "done":
        st.markdown(_("Import the same files again to go on: what is enrolled already changes nothing."))


def _show_result(current: Import) -> None:
    _show_counts(current.outcomes)
    labels = _labels()
    rows = [
        {"file": one.file, "id": one.user, "outcome": labels[one.outcome], "reason": _reason(one)}
        for one in current.outcomes
    ]
    if rows:
        elements.read_only_table(
            rows,
            {
                "file": st.column_config.TextColumn(_("File")),
                "id": st.column_config.TextColumn(_("User")),
                "outcome": st.column_config.TextColumn(_("Outcome")),
                "reason": st.column_config.TextColumn(_("Why"), width="large"),
            },
            "people_import_result",
        )
    with st.container(horizontal=True):
        st.download_button(
            _("Download the result"),
            csv_file(COLUMNS, [tuple(row.values()) for row in rows]),
            "import.csv",
            "text/csv",
            key="people_import_download",
            on_click="ignore",
            icon=":material/download:",
            disabled=not rows,
        )
        st.button(
            _("See the users"),
            icon=":material/group:",
            key="people_import_users",
            on_click=go,
            args=(of_company(current.company),),
        )
        if st.button(_("Import more"), icon=":material/upload_file:", key="people_import_more"):
            desk().clear()
            st.rerun()


def _show_counts(outcomes: Sequence[Outcome]) -> None:
    counts = Counter(one.outcome for one in outcomes)
    labels = _labels()
    for column, (outcome, label) in zip(st.columns(len(labels)), labels.items(), strict=True):
        column.metric(label, number(counts[outcome]), border=True)


def _labels() -> dict[Ending, str]:
    return {"enrolled": _("enrolled"), "already_enrolled": _("enrolled already"), "refused": _("refused")}


def _reason(one: Outcome) -> str:
    return in_words(one.reason, _) if one.outcome == "refused" else ""
