"""Pick a tolerance by a report, and let the service decide by it."""

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.accuracy.evaluation_reports import Headline, Results, read_calibration, read_report
from face_dashboard.accuracy.shared import interval, level, pick_report, rate
from face_dashboard.accuracy.tolerance_choice import Choice, choices, rates_at, withheld
from face_dashboard.client import ApiError
from face_dashboard.elements import plain
from face_dashboard.models import Decision
from face_dashboard.settings import settings
from face_dashboard.words import _, moment, number
from face_engine.errors import CalibrationError, ReportError
from face_engine.evaluation import figures
from face_engine.evaluation.figure_style import PURPLE
from face_engine.matching import MAX_TOLERANCE

FIXED, OTHER_ENCODER = "decision_fixed", "encoder_mismatch"
"""Reasons of the API."""

FIXED_VARIABLE = "FACE_API_TOLERANCE"
STEP = 0.0001

FARTHEST = 1.0
"""Where the slider ends: few faces are farther apart."""

MAX_NOTE = 200

FEW_PERSONS = 50
"""With fewer the intervals are too narrow (see face_engine.evaluation.caveats)."""


def show_tolerance() -> None:
    decision = None
    with elements.failures_shown():
        decision = access.api().decision()
        _show_decision(decision)
    headline = pick_report(_("By the report"))
    if headline is None:
        return
    try:
        results = read_report(settings().reports_dir, headline.name).results
    except ReportError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    found = choices(results)
    if not found:
        elements.empty_state(
            _("This report recommends no tolerance"),
            _(
                "Its set has {pairs} pairs of strangers. For an FMR of 10 % it takes 30, for 0.1 % it takes 3,000: "
                "evaluate a larger set. A tolerance that does not come from a report is the operator's to set, by "
                "`{variable}`.",
                pairs=number(results["at_tolerance"]["fmr"]["of"]),
                variable=FIXED_VARIABLE,
            ),
            ":material/straighten:",
        )
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        tolerance = _pick(headline, results, found)
        _show_apply(headline, tolerance, decision)
    with right.container(border=True, height="stretch"):
        figure = figures.rates_by_tolerance(results)
        figure.add_vline(x=tolerance, line={"color": PURPLE, "width": 2.5})
        elements.chart(figure, "accuracy_tolerance_figure")
        st.caption(_("The solid line is the tolerance that is picked."))


def _show_decision(decision: Decision) -> None:
    sources = {
        "setting": _("set by the operator, in `{variable}`", variable=FIXED_VARIABLE),
        "applied": _("applied here {time}", time=moment(decision.applied_at)),
        "calibration_file": _("from the service's calibration file"),
        "default": _("the default"),
    }
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        text = _(
            "The service decides at the tolerance **{tolerance}**: {source}.",
            tolerance=number(decision.tolerance, 4),
            source=sources[decision.source],
        )
        if decision.note:
            text += " " + _("Note: {note}", note=plain(decision.note))
        st.markdown(text, width="stretch")
        if (decision.source == "applied" and decision.changeable) and st.button(
            _("Go back to {tolerance}", tolerance=number(decision.default_tolerance, 4)),
            icon=":material/undo:",
            key="accuracy_withdraw",
        ):
            _withdraw(decision)


def _pick(headline: Headline, results: Results, found: list[Choice]) -> float:
    by_fmr = {one.fmr: one for one in found}
    wanted = headline.target_fmr if headline.target_fmr in by_fmr else found[-1].fmr
    fmr = st.selectbox(
        _("Wanted false match rate (FMR)"),
        list(by_fmr),
        index=list(by_fmr).index(wanted),
        format_func=lambda one: _("{rate}: one stranger in {number}", rate=level(one), number=number(1 / one)),
        key=f"accuracy_wanted_{headline.name}",
    )
    choice = by_fmr[fmr]
    st.metric(
        _("Recommended tolerance"),
        number(choice.tolerance, 4),
        None
        if choice.low is None or choice.high is None
        else _("{low} to {high}", low=number(choice.low, 4), high=number(choice.high, 4)),
        delta_color="off",
        delta_arrow="off",
        border=True,
        help=_("The largest tolerance that keeps to the wanted FMR on this set. Below it: its 95 % interval."),
    )
    st.caption(
        _(
            "On this set {fmr} of the pairs of strangers match there ({fmr_interval}), and {fnmr} of the pairs of one "
            "person do not ({fnmr_interval}).",
            fmr=rate(choice.fmr_there["value"]),
            fmr_interval=interval(choice.fmr_there) or rate(None),
            fnmr=rate(choice.fnmr["value"]),
            fnmr_interval=interval(choice.fnmr) or rate(None),
        )
    )
    if missing := withheld(results):
        st.caption(_("Withheld, since the set is too small: {rates}.", rates=", ".join(map(level, missing))))
    tolerance: float = st.slider(
        _("Tolerance"),
        0.0,
        FARTHEST if choice.tolerance <= FARTHEST else MAX_TOLERANCE,
        choice.tolerance,
        step=STEP,
        format="%.4f",
        key=f"accuracy_slider_{headline.name}_{fmr}",
        help=_("Move it to see what another tolerance would cost."),
    )
    rates = rates_at(results, tolerance)
    if rates is not None:
        columns = st.columns(2)
        columns[0].metric("FMR", rate(rates[0]), border=True, help=_("Share of pairs of strangers that match."))
        columns[1].metric(
            "FNMR", rate(rates[1]), border=True, help=_("Share of pairs of one person that do not match.")
        )
    return tolerance


def _show_apply(headline: Headline, tolerance: float, decision: Decision | None) -> None:
    st.caption(
        _(
            "The FMR is of one comparison. The service takes the nearest of a user's references: with five of them a "
            "stranger has up to five chances, so choose a smaller FMR where users have several."
        )
    )
    if decision is None:
        return
    problem = _why_not(decision, headline)
    if problem is not None:
        st.warning(problem, icon=":material/lock:")
    if headline.persons < FEW_PERSONS:
        st.warning(
            _(
                "Only {count} persons were measured. Others may be told apart less well: measure at least {few} of "
                "those who will use the service.",
                count=number(headline.persons),
                few=FEW_PERSONS,
            ),
            icon=":material/groups:",
        )
    if st.button(
        _("Apply {tolerance}", tolerance=number(tolerance, 4)),
        type="primary",
        icon=":material/check:",
        disabled=problem is not None,
        key="accuracy_apply",
    ):
        _apply(headline, tolerance, decision)


def _why_not(decision: Decision, headline: Headline) -> str | None:
    """Return why a tolerance cannot be applied; None where it can."""
    if not decision.changeable:
        return _reason(FIXED)
    if decision.encoder_id != headline.encoder_id:
        return _reason(OTHER_ENCODER)
    return None


def _reason(reason: str) -> str | None:
    """Return a refusal of the API in plain words; None: its own words will do."""
    reasons = {
        FIXED: _(
            "The operator has fixed the tolerance of the service, in `{variable}`. It can be applied here once that "
            "setting is gone and the service was started again.",
            variable=FIXED_VARIABLE,
        ),
        OTHER_ENCODER: _(
            "This report was made with another encoder than the one that the service runs: its distances say nothing "
            "about that one. Evaluate the set again."
        ),
    }
    return reasons.get(reason)


@st.dialog(" ", icon=":material/straighten:")
def _apply(headline: Headline, tolerance: float, decision: Decision) -> None:
    st.subheader(_("Apply a tolerance"), anchor=False)
    st.markdown(
        _(
            "From the next analysis on a face is a match up to a distance of **{new}**, in place of {old}, for every "
            "company. Estimated false match rates are told by this report.",
            new=number(tolerance, 4),
            old=number(decision.tolerance, 4),
        )
    )
    if tolerance > decision.tolerance:
        st.warning(_("That is looser than now: more strangers will match."), icon=":material/warning:")
    note = st.text_input(
        _("Note"),
        value=_("by the report {name}", name=headline.name),
        max_chars=MAX_NOTE,
        help=_("It stands beside the tolerance for as long as that holds."),
        key=f"accuracy_note_{headline.name}",
    )
    if st.button(_("Apply"), type="primary", key="accuracy_apply_now"):
        try:
            calibration = read_calibration(settings().reports_dir, headline.name)
            access.api().apply_decision(tolerance, note.strip(), calibration)
        except ApiError as error:
            _show_refusal(error)
        except (ReportError, CalibrationError) as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            st.toast(
                _("The service now decides at {tolerance}.", tolerance=number(tolerance, 4)),
                icon=":material/check_circle:",
            )
            st.rerun()


@st.dialog(" ", icon=":material/undo:")
def _withdraw(decision: Decision) -> None:
    st.subheader(_("Go back"), anchor=False)
    st.markdown(
        _(
            "From the next analysis on a face is a match up to a distance of **{new}** again, in place of {old}.",
            new=number(decision.default_tolerance, 4),
            old=number(decision.tolerance, 4),
        )
    )
    if st.button(_("Go back"), type="primary", key="accuracy_withdraw_now"):
        try:
            access.api().withdraw_decision()
        except ApiError as error:
            _show_refusal(error)
        else:
            st.rerun()


def _show_refusal(error: ApiError) -> None:
    words = _reason(error.reason)
    if words is None:
        elements.failure(error)
    else:
        st.error(words, icon=":material/lock:")
