"""The charts of what was asked: data in, a Plotly figure out. Colours read on light and dark ground alike.

Every function takes the translator of its texts as `_`, so that a figure depends on nothing but its arguments.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

import plotly.graph_objects as go

from face_dashboard.models import Bucket, CompanyTally, Operation, Tally
from face_dashboard.periods import Period
from face_dashboard.translations import Say
from face_engine.evaluation.figure_style import (
    BLUE,
    GREEN,
    PURPLE,
    TEXT_COLOUR,
    VERMILLION,
    empty,
    note,
    safe,
    styled,
)
from face_engine.evaluation.figures import OVERLAY

TARGETS_MS: Mapping[Operation, int] = {"enroll": 500, "analyse": 1000}
"""The specification's mean response times."""

DONE = frozenset({"compared", "enrolled", "already_enrolled"})
"""Reasons of requests that came to an end as they should."""

STAGES = ("store", "decode", "detect", "align", "encode", "match")
"""In the order in which a photo goes through them, but for the store, which comes first and last."""

STAGE_COLOURS = {
    "store": TEXT_COLOUR,
    "decode": "#E69F00",
    "detect": BLUE,
    "align": PURPLE,
    "encode": GREEN,
    "match": VERMILLION,
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MAX_COMPANIES = 15
"""Drawn of the companies, those with most requests."""

MAX_REASONS = 8
"""Told apart in a chart of outcomes; the others are one."""


def verdicts(buckets: Sequence[Bucket], period: Period, zone: tzinfo, _: Say) -> go.Figure:
    """Return faces that matched and did not, and analyses that failed, over time."""
    title = _("Verdicts over time")
    analyses = [bucket for bucket in buckets if bucket.operation == "analyse"]
    if not analyses:
        return empty(title, _("Nothing was analysed in this time."))
    figure = styled(title, _("time"), _("faces, failed photos"), height=340)
    times = [bucket.start.astimezone(zone) for bucket in analyses]
    for name, counts, colour, pattern in (
        (_("match"), [bucket.matches for bucket in analyses], BLUE, ""),
        (_("dismatch"), [bucket.dismatches for bucket in analyses], VERMILLION, "/"),
        (_("fail"), [failed(bucket) for bucket in analyses], TEXT_COLOUR, "x"),
    ):
        figure.add_bar(
            x=times,
            y=counts,
            width=_bar_width(period),
            offset=0,
            name=name,
            marker={"color": colour, "line": {"width": 0}, "pattern": OVERLAY | {"shape": pattern}},
            hovertemplate=f"%{{x}}<br>{name}: %{{y:,}}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0)
    figure.update_yaxes(rangemode="tozero")
    _show_all_of(period, zone, figure)
    return figure


def latency_over_time(
    buckets: Sequence[Bucket], operation: Operation, period: Period, zone: tzinfo, _: Say
) -> go.Figure:
    """Return the total time's median, 95th and 99th percentile over time, against the specification's target."""
    title = _("Latency of enrollments over time") if operation == "enroll" else _("Latency of analyses over time")
    timed = [bucket for bucket in buckets if bucket.operation == operation and "total" in bucket.latency]
    if not timed:
        return empty(title, _("Nothing was timed in this period."))
    figure = styled(title, _("time"), _("milliseconds"), height=340)
    times = [bucket.start.astimezone(zone) for bucket in timed]
    for key, name, colour, dash in (
        ("p50", _("median"), BLUE, "solid"),
        ("p95", _("95 %"), VERMILLION, "dash"),
        ("p99", _("99 %"), PURPLE, "dot"),
    ):
        figure.add_scatter(
            x=times,
            y=[getattr(bucket.latency["total"], key) for bucket in timed],
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            marker={"size": 5},
            hovertemplate=f"%{{x}}<br>{name}: %{{y:,.0f}} ms<extra></extra>",
        )
    target = TARGETS_MS[operation]
    figure.add_hline(y=target, line={"color": TEXT_COLOUR, "width": 1.5, "dash": "longdash"})
    note(
        figure,
        _("specification: {target} ms", target=target),
        x=1,
        y=target,
        yref="y",
        xanchor="right",
        yanchor="bottom",
        font_size=11,
    )
    figure.update_yaxes(rangemode="tozero")
    _show_all_of(period, zone, figure)
    return figure


def stages_over_time(
    buckets: Sequence[Bucket], operation: Operation, period: Period, zone: tzinfo, _: Say
) -> go.Figure:
    """Return the median of each stage over time, one upon the other."""
    title = _("Median time by stage")
    timed = [bucket for bucket in buckets if bucket.operation == operation and bucket.latency]
    if not timed:
        return empty(title, _("Nothing was timed in this period."))
    figure = styled(title, _("time"), _("milliseconds"), height=340)
    times = [bucket.start.astimezone(zone) for bucket in timed]
    for stage in STAGES:
        if not any(stage in bucket.latency for bucket in timed):
            continue
        figure.add_bar(
            x=times,
            y=[bucket.latency[stage].p50 if stage in bucket.latency else 0 for bucket in timed],
            width=_bar_width(period),
            offset=0,
            name=stage_name(stage, _),
            marker={"color": STAGE_COLOURS[stage], "line": {"width": 0}},
            hovertemplate=f"%{{x}}<br>{stage_name(stage, _)}: %{{y:,.1f}} ms<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0)
    figure.update_yaxes(rangemode="tozero")
    _show_all_of(period, zone, figure)
    return figure


def outcomes(tallies: Iterable[Tally], names: Mapping[str, str], _: Say) -> go.Figure:
    """Return how many requests ended for each reason, the most frequent at the top.

    Args:
        names: of the reasons, for people.
    """
    title = _("How requests ended")
    counts: Counter[str] = Counter()
    for tally in tallies:
        counts.update(tally.outcomes)
    if not counts:
        return empty(title, _("Nothing was asked in this time."))
    shown = counts.most_common(MAX_REASONS)
    if others := counts.total() - sum(count for _reason, count in shown):
        shown.append(("", others))
    shown.reverse()
    figure = styled(title, _("requests"), "", height=120 + 30 * len(shown) + 60)
    labels = [safe(names.get(reason, reason)) if reason else _("others") for reason, _count in shown]
    figure.add_bar(
        x=[count for _reason, count in shown],
        y=list(range(len(shown))),
        orientation="h",
        marker={"color": [BLUE if reason in DONE else VERMILLION for reason, _count in shown]},
        text=[f"{count:,} ({count / counts.total():.1%})" for _reason, count in shown],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x:,}<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(tickvals=list(range(len(shown))), ticktext=labels, automargin=True, showgrid=False)
    figure.update_xaxes(rangemode="tozero", range=[0, 1.45 * max(counts.values())])
    figure.update_layout(margin={"b": 60, "r": 40})
    return figure


def companies(tallies: Sequence[CompanyTally], operation: Operation, _: Say) -> go.Figure:
    """Return requests of each company, those that came to an end and those that failed; most requests at the top."""
    title = _("Requests by company")
    theirs = [tally for tally in tallies if tally.operation == operation]
    if not theirs:
        return empty(title, _("Nothing was asked in this time."))
    shown = sorted(theirs, key=lambda tally: -tally.requests)[:MAX_COMPANIES][::-1]
    figure = styled(title, _("requests"), "", height=180 + 30 * len(shown))
    places = list(range(len(shown)))
    for name, counts, colour, pattern in (
        (_("answered"), [tally.requests - failed(tally) for tally in shown], BLUE, ""),
        (_("fail"), [failed(tally) for tally in shown], VERMILLION, "/"),
    ):
        figure.add_bar(
            x=counts,
            y=places,
            orientation="h",
            name=name,
            marker={"color": colour, "pattern": OVERLAY | {"shape": pattern}},
            hovertemplate=f"{name}: %{{x:,}}<extra></extra>",
        )
    labels = [safe(tally.company) if tally.company else _("not registered") for tally in shown]
    figure.update_layout(barmode="stack")
    figure.update_yaxes(tickvals=places, ticktext=labels, automargin=True, showgrid=False)
    return figure


def failed(tally: Tally) -> int:
    """Return how many requests did not come to an end as they should."""
    return sum(count for reason, count in tally.outcomes.items() if reason not in DONE)


def stage_name(stage: str, _: Say) -> str:
    """Return what a stage is called."""
    names = {
        "store": _("database"),
        "decode": _("decoding"),
        "detect": _("detection"),
        "align": _("alignment"),
        "encode": _("encoding"),
        "match": _("comparison"),
        "total": _("in all"),
    }
    return names.get(stage, stage)


def _bar_width(period: Period) -> int:
    return period.bucket_s * 1000  # milliseconds, as Plotly counts on an axis of time


def _show_all_of(period: Period, zone: tzinfo, figure: go.Figure) -> None:
    bucket = timedelta(seconds=period.bucket_s)
    # The last bucket begins before the period ends, and may end behind it.
    end = _EPOCH + -((_EPOCH - period.until) // bucket) * bucket
    figure.update_xaxes(range=[period.since.astimezone(zone), end.astimezone(zone)], type="date")
