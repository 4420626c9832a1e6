"""A report: its figures and tables, what must not be overlooked, and its files to keep."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from face_dashboard import access, elements
from face_dashboard.accuracy.evaluation_reports import Headline, Results, delete_report, find_report, read_report
from face_dashboard.accuracy.gallery import show_gallery
from face_dashboard.accuracy.levels import show_fnmr_at_fmr, show_subgroups
from face_dashboard.accuracy.shared import interval, pick_report, rate
from face_dashboard.elements import plain
from face_dashboard.settings import settings
from face_dashboard.words import _, moment, number
from face_engine.errors import ReportError
from face_engine.evaluation import figures
from face_engine.evaluation.caveats import caveats_of
from face_engine.evaluation.reports import Report

REPORTS_KEPT = 20
"""Whose figures are."""

CAVEATS_SHOWN = 3
"""The others are folded."""


def show_report() -> None:
    headline = pick_report(_("Report"))
    if headline is None:
        return
    try:
        report = find_report(settings().reports_dir, headline.name)
        documents = read_report(settings().reports_dir, headline.name)
    except ReportError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    results = documents.results
    data = results["data_set"]
    st.caption(
        _(
            "{set_name}: {photos} photos of {persons} persons, {mated} pairs of one person and {non_mated} of two. "
            "Encoder `{encoder}`. Done {time}.",
            set_name=plain(data["name"] or data["form"]),
            photos=number(data["photos"]),
            persons=number(data["persons"]),
            mated=number(data["mated_pairs"]),
            non_mated=number(data["non_mated_pairs"]),
            encoder=headline.encoder_id,
            time=moment(headline.finished),
        )
    )
    _show_headline(results)
    _show_caveats(results)
    drawn = _drawn(headline, results)
    _show_figures(drawn)
    show_fnmr_at_fmr(results, drawn)
    show_subgroups(results, drawn)
    show_gallery(documents)
    _show_files(report)


def _show_headline(results: Results) -> None:
    at_tolerance, accuracy, eer = results["at_tolerance"], results["accuracy"], results["eer"]
    tolerance = number(at_tolerance["tolerance"], 4)
    shown = (
        (
            _("FMR at {tolerance}", tolerance=tolerance),
            at_tolerance["fmr"],
            _("Share of pairs of strangers that match at this tolerance: false match rate."),
        ),
        (
            _("FNMR at {tolerance}", tolerance=tolerance),
            at_tolerance["fnmr"],
            _("Share of pairs of one person that do not match, or could not be compared: false non-match rate."),
        ),
        (_("EER"), eer, _("The rate at the tolerance where both errors are equal.")),
        (
            _("FTE"),
            results["acquisition"]["fte"],
            _("Share of the photos that the service would refuse as a reference: failure to enroll."),
        ),
    )
    columns = st.columns(len(shown) + 1)
    for column, (label, estimate, meaning) in zip(columns, shown, strict=False):
        _metric(column, label, estimate, meaning)
    columns[-1].metric(
        _("Accuracy"),
        rate(accuracy["mean"] if accuracy else None),
        accuracy and _("± {error}", error=rate(accuracy["standard_error"])),
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
        help=_(
            "Mean of the folds, each tested at the tolerance that is best on the others. Below it: its standard error."
        ),
    )


def _metric(column: Any, label: str, estimate: Mapping[str, Any] | None, meaning: str) -> None:
    column.metric(
        label,
        rate(estimate["value"] if estimate else None),
        (interval(estimate) or None) if estimate else None,
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
        help=meaning + " " + _("Below it: its 95 % interval."),
    )


def _show_caveats(results: Results) -> None:
    caveats = caveats_of(results)
    if not caveats:
        return
    with st.container(border=True):
        st.markdown(_("**:material/info: What must not be overlooked**"))
        st.markdown("\n".join(f"- {plain(one)}" for one in caveats[:CAVEATS_SHOWN]))
        if more := caveats[CAVEATS_SHOWN:]:
            with st.expander(_("{number} more", number=number(len(more)))):
                st.markdown("\n".join(f"- {plain(one)}" for one in more))


@st.cache_resource(max_entries=REPORTS_KEPT, show_spinner=False)
def _drawn(headline: Headline, _results: Results) -> dict[str, go.Figure]:  # noqa: ARG001 - what they are kept by
    """Return the figures of a report, which take a good part of a second to make, by name."""
    made = {
        "det": figures.det(_results),
        "roc": figures.roc(_results),
        "rates": figures.rates_by_tolerance(_results),
        "distances": figures.distances(_results),
        "fnmr_at_fmr": figures.fnmr_at_fmr(_results),
    }
    columns = [one["column"] for one in _results["subgroups"]]
    return made | {f"subgroups {column}": figures.subgroups(_results, column) for column in columns}


def _show_figures(drawn: Mapping[str, go.Figure]) -> None:
    shown = (
        (
            "det",
            _("How the two errors trade: each point is a tolerance. Nearer to the lower left is better."),
        ),
        ("roc", _("The share of right pairs that match, at each share of strangers that do.")),
        (
            "rates",
            _("A larger tolerance lets more strangers match, a smaller one refuses more users."),
        ),
        (
            "distances",
            _("Pairs of one person should lie left of the tolerance, pairs of strangers right of it."),
        ),
    )
    for place, (name, caption) in enumerate(shown):
        if place % 2 == 0:
            columns = st.columns(2, gap="medium")
        with columns[place % 2].container(border=True, height="stretch"):
            elements.chart(drawn[name], f"accuracy_{name}")
            st.caption(caption)


def _show_files(report: Report) -> None:
    st.subheader(_("Files"), anchor=False)
    with st.container(horizontal=True):
        for path, mime in (
            (report.results_path, "application/json"),
            (report.html_path, "text/html"),
            (report.calibration_path, "application/json"),
        ):
            if path.exists():
                st.download_button(
                    path.name,
                    path.read_bytes,
                    f"{report.folder.name}-{path.name}",
                    mime,
                    icon=":material/download:",
                    on_click="ignore",
                    key=f"accuracy_file_{path.name}",
                )
        if st.button(_("Delete the report"), icon=":material/delete:", key="accuracy_report_delete"):
            _delete(report.folder.name)
    if report.html_path.exists():
        st.caption(_("`report.html` shows photos of the worst pairs: keep it as you keep them."))


@st.dialog(" ", icon=":material/delete:")
def _delete(name: str) -> None:
    st.subheader(_("Delete a report"), anchor=False)
    st.markdown(_("The report **{name}** is removed with all its files. The set stays.", name=plain(name)))
    if st.button(_("Delete"), type="primary", key="accuracy_report_delete_now"):
        access.api()
        try:
            delete_report(settings().reports_dir, name)
        except ReportError as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            st.rerun()
