"""Latency by stage over time, percentiles, shares of outcomes, and the companies beside one another."""

from collections.abc import Sequence

import streamlit as st

from face_dashboard import access, charts, elements
from face_dashboard.models import Bucket, CompanyStats, Operation, Stats
from face_dashboard.periods import Period, period
from face_dashboard.reasons import in_short
from face_dashboard.summaries import summary
from face_dashboard.words import _, milliseconds, number, percent, zone

KEPT_S = 60
"""For so long a page that is looked at again shows the figures that it had."""


def show_figures() -> None:
    chosen, operation, company = _choices()
    address = access.api().base_url
    # What is known first is shown first: sums over a million events take a second each.
    with elements.failures_shown(), st.spinner(_("Adding up …")):
        whole = _stats(address, chosen, None, operation, company).buckets
        if not whole:
            elements.empty_state(
                _("Nothing was asked in this time"),
                _("Choose a longer period, or try a photo on the page *Try an analysis*."),
            )
            return
        _show_whole(whole, operation)
        _show_over_time(_stats(address, chosen, chosen.bucket_s, operation, company).buckets, whole, chosen, operation)
        if not company:
            by_company = _company_stats(address, chosen, operation).items
            elements.chart(charts.companies(by_company, operation, _), "activity_companies")


def _show_whole(whole: Sequence[Bucket], operation: Operation) -> None:
    done = summary(whole, operation)
    cards = st.columns(4)
    cards[0].metric(_("Requests"), number(done.requests), border=True)
    cards[1].metric(_("Failed"), percent(done.fail_share), border=True)
    cards[2].metric(_("Match"), percent(done.match_share), border=True, help=_("Share of the faces compared."))
    target = charts.TARGETS_MS[operation]
    cards[3].metric(
        _("95 % took at most"),
        milliseconds(None if done.latency is None else done.latency.p95),
        border=True,
        help=_("The specification wants {target} ms on average.", target=target),
    )
    _show_percentiles(whole, operation)


def _show_over_time(buckets: Sequence[Bucket], whole: Sequence[Bucket], chosen: Period, operation: Operation) -> None:
    left, right = st.columns(2)
    with left:
        elements.chart(charts.latency_over_time(buckets, operation, chosen, zone(), _), "activity_latency")
    with right:
        elements.chart(charts.stages_over_time(buckets, operation, chosen, zone(), _), "activity_stages")
    left, right = st.columns(2)
    reasons = {reason: in_short(reason, _) for tally in whole for reason in tally.outcomes}
    with left:
        elements.chart(charts.outcomes(whole, reasons, _), "activity_outcomes")
    with right:
        if operation == "analyse":
            elements.chart(charts.verdicts(buckets, chosen, zone(), _), "activity_verdicts")


def _choices() -> tuple[Period, Operation, str | None]:
    names = {
        "today": _("Today"),
        "7": _("7 days"),
        "30": _("30 days"),
        "90": _("90 days"),
    }
    operations: dict[Operation, str] = {"analyse": _("Analyses"), "enroll": _("Enrollments")}
    left, middle, right = st.columns([3, 2, 3], vertical_alignment="bottom")
    name = left.segmented_control(
        _("Period"),
        list(names),
        format_func=lambda one: names[one],
        default="today",
        required=True,
        key="activity_period",
    )
    operation = middle.segmented_control(
        _("What"),
        list(operations),
        format_func=lambda one: operations[one],
        default="analyse",
        required=True,
        key="activity_operation",
    )
    company = right.text_input(_("Company"), key="activity_company", placeholder=_("all companies")).strip()
    return period(str(name), zone()), operation, company or None


# The address is among the arguments so that nothing of another API is shown.
@st.cache_data(ttl=KEPT_S, show_spinner=False, max_entries=64)
def _stats(
    base_url: str,  # noqa: ARG001
    chosen: Period,
    bucket_s: int | None,
    operation: Operation,
    company: str | None,
) -> Stats:
    return access.api().stats(chosen.since, chosen.until, bucket_s, company, operation)


@st.cache_data(ttl=KEPT_S, show_spinner=False, max_entries=64)
def _company_stats(base_url: str, chosen: Period, operation: Operation) -> CompanyStats:  # noqa: ARG001
    return access.api().company_stats(chosen.since, chosen.until, operation)


def _show_percentiles(whole: Sequence[Bucket], operation: Operation) -> None:
    """Show the table of the stages' percentiles."""
    latency = next((tally.latency for tally in whole if tally.operation == operation), {})
    rows = [
        {
            "stage": charts.stage_name(stage, _),
            "p50": latency[stage].p50,
            "p95": latency[stage].p95,
            "p99": latency[stage].p99,
            "count": latency[stage].count,
        }
        for stage in (*charts.STAGES, "total")
        if stage in latency
    ]
    form = "%.1f ms"
    with st.expander(_("Percentiles by stage")):
        elements.read_only_table(
            rows,
            {
                "stage": st.column_config.TextColumn(_("Stage")),
                "p50": st.column_config.NumberColumn(_("median"), format=form),
                "p95": st.column_config.NumberColumn(_("95 %"), format=form),
                "p99": st.column_config.NumberColumn(_("99 %"), format=form),
                "count": st.column_config.NumberColumn(
                    _("Ranked"), format="localized", help=_("Of many requests, about 50,000 are ranked.")
                ),
            },
            "activity_percentiles",
        )
