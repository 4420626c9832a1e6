"""Overview: is the service well, what does it hold, what happened today, and what needs attention?"""

from datetime import UTC, datetime

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from face_dashboard import access, charts, elements
from face_dashboard.attention import Attention, needs_attention
from face_dashboard.client import ApiError
from face_dashboard.models import Operation
from face_dashboard.periods import period
from face_dashboard.summaries import Summary, summary
from face_dashboard.words import _, clock, milliseconds, number, percent, zone

REFRESH = 30.0
"""Seconds."""


@st.fragment(run_every=REFRESH)
def show() -> None:
    """Ask the API, again every half minute."""
    api = access.api(use=False)
    try:
        health, readiness, counts, decision = api.health(), api.readiness(), api.counts(), api.decision()
        today = period("today", zone())
        by_hour = api.stats(today.since, today.until, today.bucket_s)
        whole = api.stats(today.since, today.until)
    except ApiError as error:
        elements.failure(error)
        return
    analyses, enrollments = summary(whole.buckets, "analyse"), summary(whole.buckets, "enroll")

    held = st.columns(4)
    held[0].metric(_("Companies"), number(counts.companies), border=True)
    held[1].metric(_("Users"), number(counts.users), border=True)
    held[2].metric(
        _("Enrollments"), number(counts.enrollments), border=True, help=_("Photos that users are compared with.")
    )
    held[3].metric(_("Analyses today"), number(analyses.requests), border=True)

    happened = st.columns(4)
    happened[0].metric(
        _("Match"), percent(analyses.match_share), border=True, help=_("Share of the faces compared today.")
    )
    dismatch = None if analyses.match_share is None else 1 - analyses.match_share
    happened[1].metric(_("Dismatch"), percent(dismatch), border=True, help=_("Share of the faces compared today."))
    happened[2].metric(
        _("Fail"),
        percent(analyses.fail_share),
        border=True,
        help=_("Share of today's analyses without a verdict: no face, user not registered, and the like."),
    )
    happened[3].metric(_("Enrollments today"), number(enrollments.requests), border=True)

    attention, service = st.columns([3, 2])
    with attention.container(border=True, height="stretch"):
        st.subheader(_("What needs attention"), anchor=False)
        _show_attention(needs_attention(readiness, counts, analyses, enrollments, _))
    with service.container(border=True, height="stretch"):
        st.subheader(_("Service"), anchor=False)
        ready = readiness.status == "ready"
        st.badge(
            _("ready") if ready else _("not ready"),
            icon=":material/check_circle:" if ready else ":material/error:",
            color="green" if ready else "red",
        )
        st.markdown(
            _(
                "Runtime **{runtime}** on **{device}**, inference workers: {workers}, version {version}",
                runtime=health.runtime,
                device=health.device.upper(),
                workers=health.inference_workers,
                version=health.version,
            )
        )
        st.markdown(_("A face matches at a distance of **{tolerance}** and less.", tolerance=f"{decision.tolerance:g}"))
        st.caption(_("Encoder `{encoder}`", encoder=health.encoder_id))

    st.subheader(_("Response time today"), anchor=False)
    times = st.columns(4)
    _show_latency(times[0], times[1], analyses, "analyse", _("Analysis"))
    _show_latency(times[2], times[3], enrollments, "enroll", _("Enrollment"))
    left, right = st.columns(2)
    with left:
        elements.chart(charts.verdicts(by_hour.buckets, today, zone(), _), "overview_verdicts")
    with right:
        elements.chart(charts.latency_over_time(by_hour.buckets, "analyse", today, zone(), _), "overview_latency")
    if not counts.companies:
        elements.empty_state(
            _("Nobody is enrolled yet"),
            _("Enroll the first photo on the page *Companies and users*, or send it to `POST /enrollment_img/`."),
        )
    st.caption(_("As of {time}, again every {seconds} seconds", time=clock(datetime.now(UTC)), seconds=f"{REFRESH:g}"))


def _show_attention(found: list[Attention]) -> None:
    if not found:
        st.success(_("Nothing: all is well."), icon=":material/check_circle:")
    for one in found:
        show = st.error if one.is_grave else st.warning
        show(f"**{one.what}** {one.advice}", icon=":material/error:" if one.is_grave else ":material/warning:")


def _show_latency(half: DeltaGenerator, most: DeltaGenerator, done: Summary, operation: Operation, name: str) -> None:
    target = charts.TARGETS_MS[operation]
    p50, p95 = (None, None) if done.latency is None else (done.latency.p50, done.latency.p95)
    for column, label, value in (
        (half, _("{operation}, median", operation=name), p50),
        (most, _("{operation}, 95 %", operation=name), p95),
    ):
        column.metric(
            label,
            milliseconds(value),
            None
            if value is None
            else _("within {target} ms", target=number(target))
            if value <= target
            else _("over {target} ms", target=number(target)),
            delta_color="off" if value is None else "normal" if value <= target else "inverse",
            delta_arrow="off",
            border=True,
            help=_("The specification wants {target} ms on average.", target=number(target)),
        )


elements.heading(_("Overview"), _("Who is enrolled, what happened today, and how the service is."))
show()
