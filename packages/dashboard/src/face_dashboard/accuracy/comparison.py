"""Two reports of the same pairs: what changed, and whether that is beyond chance."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from face_dashboard import elements
from face_dashboard.accuracy.evaluation_reports import ALPHA, Headline, compare_reports, list_reports
from face_dashboard.accuracy.shared import go_to, level, pick_report, rate
from face_dashboard.elements import plain
from face_dashboard.settings import settings
from face_dashboard.words import _, moment, number
from face_engine.errors import ReportError

COMPARISONS_KEPT = 20
P_DIGITS = 4


def show_comparison() -> None:
    new = pick_report(_("New report"))
    if new is None:
        return
    others = [
        one
        for one in list_reports(settings().reports_dir)[0]
        if one.data_set_hash == new.data_set_hash and one.name != new.name
    ]
    if not others:
        elements.empty_state(
            _("There is no other report of the same pairs"),
            _("Evaluate the same set again, with another version or other settings, and compare the two."),
            ":material/compare_arrows:",
        )
        st.button(
            _("Run an evaluation"), icon=":material/play_arrow:", on_click=go_to, args=("run",), key="accuracy_go_again"
        )
        return
    by_name = {one.name: one for one in others}
    earlier = [one.name for one in others if one.finished < new.finished]
    old = by_name[
        st.selectbox(
            _("Old report"),
            list(by_name),
            index=list(by_name).index(earlier[0]) if earlier else 0,
            format_func=lambda name: f"{name} · {moment(by_name[name].finished)}",
            key=f"accuracy_old_{new.name}",
        )
    ]
    try:
        with st.spinner(_("Comparing every pair …")):
            comparison = _compared(old, new)
    except ReportError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    _show_verdict(comparison)
    _show_tests(comparison["tests"])
    _show_changes(comparison["changes"])


@st.cache_data(max_entries=COMPARISONS_KEPT, show_spinner=False)
def _compared(old: Headline, new: Headline) -> dict[str, Any]:
    return compare_reports(settings().reports_dir, old.name, new.name, ALPHA)


def metric_name(test: Mapping[str, Any]) -> str:
    """Return what a line of the comparison is about."""
    fmr = str(test["metric"]).removeprefix("fnmr_at_fmr_")
    names = {
        "fmr_at_tolerance": _("FMR at the tolerance"),
        "fnmr_at_tolerance": _("FNMR at the tolerance"),
        "errors_in_folds": _("errors in the folds, of all pairs"),
    }
    return names.get(test["metric"]) or _("FNMR at an FMR of {level}", level=level(float(fmr)))


def _show_verdict(comparison: Mapping[str, Any]) -> None:
    worse, better = (
        [metric_name(test) for test in comparison["tests"] if test["verdict"] == verdict]
        for verdict in ("worse", "better")
    )
    if worse:
        st.error(
            _("**The new one is worse** beyond chance: {what}.", what=", ".join(worse)), icon=":material/trending_down:"
        )
    if better:
        st.success(
            _("**The new one is better** beyond chance: {what}.", what=", ".join(better)), icon=":material/trending_up:"
        )
    if not worse and not better:
        st.info(
            _(
                "**No difference beyond chance**, on {pairs} pairs. Few pairs show large differences only.",
                pairs=number(comparison["pairs"]),
            ),
            icon=":material/balance:",
        )


def _show_tests(tests: Sequence[Mapping[str, Any]]) -> None:
    verdicts = {"worse": _("worse"), "better": _("better"), "none": _("no difference beyond chance")}
    elements.read_only_table(
        [
            {
                "what": metric_name(test),
                "old": rate(test["old"]),
                "new": rate(test["new"]),
                "worse": number(test["worse"]),
                "better": number(test["better"]),
                "mcnemar": _probability(test["p_mcnemar"]),
                "persons": _probability(test["p_persons"]),
                "corrected": _probability(test["p_corrected"]),
                "verdict": verdicts[test["verdict"]],
            }
            for test in tests
        ],
        {
            "what": st.column_config.TextColumn(_("Figure"), width="medium"),
            "old": st.column_config.TextColumn(_("Old"), width="small"),
            "new": st.column_config.TextColumn(_("New"), width="small"),
            "worse": st.column_config.TextColumn(
                _("Got worse"), width="small", help=_("Pairs that only the old one got right.")
            ),
            "better": st.column_config.TextColumn(
                _("Got better"), width="small", help=_("Pairs that only the new one got right.")
            ),
            "mcnemar": st.column_config.TextColumn(
                _("p, McNemar"), help=_("McNemar's exact test takes the pairs for independent.")
            ),
            "persons": st.column_config.TextColumn(_("p, persons"), help=_("In a thousand draws of the persons.")),
            "corrected": st.column_config.TextColumn(
                "p",
                width="small",
                help=_(
                    "The larger of the two, by Holm's correction over all lines; below {alpha} it counts.",
                    alpha=number(ALPHA, 2),
                ),
            ),
            "verdict": st.column_config.TextColumn(_("Verdict"), width="medium"),
        },
        "accuracy_tests",
    )


def _probability(p: float) -> str:
    least = 10**-P_DIGITS
    return number(p, P_DIGITS) if p >= least else f"< {number(least, P_DIGITS)}"


def _show_changes(changes: Sequence[Mapping[str, Any]]) -> None:
    st.subheader(_("What else changed"), anchor=False)
    if not changes:
        st.caption(_("Nothing: engine, settings and all figures are the same."))
        return
    elements.read_only_table(
        [
            {name: rate(None) if one[name] is None else str(one[name]) for name in ("what", "old", "new")}
            for one in changes
        ],
        {
            "what": st.column_config.TextColumn(_("What")),
            "old": st.column_config.TextColumn(_("Old"), width="large"),
            "new": st.column_config.TextColumn(_("New"), width="large"),
        },
        "accuracy_changes",
    )
