"""The charts of one analysis: where each face lies on the scale of distances, and where the time went.

Pure: every function takes the translator of its texts as `_`.
"""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from face_dashboard.attempt.rates import distances_of
from face_dashboard.charts import STAGE_COLOURS, STAGES, TARGETS_MS, stage_name
from face_dashboard.models import Person
from face_dashboard.translations import Say
from face_engine.calibration import Calibration
from face_engine.evaluation.figure_style import BLUE, LINE_COLOUR, TEXT_COLOUR, VERMILLION, empty, note, styled
from face_engine.evaluation.summary import percent

FAR = 1.2
"""Two strangers are at about 0.9 to 1.1; the scale goes on where a face is farther."""

RATE_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5)
"""Shares that may be ticks: those that have room are."""

TICK_GAP = 1 / 9
"""Between two of them at least, in shares of the scale."""

TEXT_GAP = 0.12
"""What the text beside a marker takes of the scale."""

ROW = 34
"""Pixels for a face, or a stage."""

MATCH_ZONE, DISMATCH_ZONE = "rgba(0, 114, 178, 0.10)", "rgba(213, 94, 0, 0.10)"


def distance_scale(
    persons: Sequence[Person],
    matches: Sequence[bool],
    tolerance: float,
    calibration: Calibration | None,
    _: Say,
    *,
    actual: float | None = None,
) -> go.Figure:
    """Return each face's distance against the tolerance; above, the share of strangers that come as near.

    Args:
        persons: of a verification, at least one.
        matches: whether each is one, at `tolerance`.
        actual: the tolerance that the service decided by, where `tolerance` is another one.
    """
    title = _("Distance to the nearest reference") if actual is None else _("Distance, at a what-if tolerance")
    far = max(FAR, *(person.distance + 0.08 for person in persons), tolerance + 0.15)
    figure = styled(title, _("distance (lower is more alike)"), _("face"), height=206 + ROW * len(persons))
    for first, last, zone, name in (
        (0.0, tolerance, MATCH_ZONE, _("match")),
        (tolerance, far, DISMATCH_ZONE, _("dismatch")),
    ):
        figure.add_vrect(x0=first, x1=last, fillcolor=zone, line={"width": 0}, layer="below")
        note(figure, name, x=(first + last) / 2, xref="x", y=0, xanchor="center", yanchor="bottom", font_size=11)
    if actual is not None:
        figure.add_vline(x=actual, line={"color": TEXT_COLOUR, "width": 1.5, "dash": "dot"})
    figure.add_vline(x=tolerance, line={"color": TEXT_COLOUR, "width": 2, "dash": "dash"})
    for is_match, name, colour, symbol in (
        (True, _("match"), BLUE, "circle"),
        (False, _("dismatch"), VERMILLION, "x"),
    ):
        theirs = [person for person, verdict in zip(persons, matches, strict=True) if verdict == is_match]
        figure.add_scatter(
            x=[person.distance for person in theirs],
            y=[person.number for person in theirs],
            mode="markers+text",
            name=name,
            showlegend=False,
            text=[f"{person.distance:.3f}" for person in theirs],
            textposition=[
                "middle left" if 0 <= tolerance - person.distance < TEXT_GAP else "middle right" for person in theirs
            ],
            textfont={"size": 13},
            marker={"size": 13, "color": colour, "symbol": symbol, "line": {"color": "#ffffff", "width": 1}},
            hovertext=[_told(person, calibration, _) for person in theirs],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    figure.update_xaxes(range=[0, far], dtick=0.2)
    figure.update_yaxes(
        range=[len(persons) + 0.9, 0.1], tickvals=[person.number for person in persons], gridcolor=LINE_COLOUR
    )
    figure.update_layout(margin={"t": 104, "b": 56, "l": 56}, showlegend=False)
    _mark_tolerances(figure, tolerance, actual, _)
    if calibration is not None:
        _add_rates(figure, calibration, far, _)
    return figure


def _mark_tolerances(figure: go.Figure, tolerance: float, actual: float | None, _: Say) -> None:
    """Write what the lines are, beside them, on the sides on which they do not meet."""
    text = _("tolerance {value}", value=f"{tolerance:g}")
    is_left = False
    if actual is not None:
        text = _("what if: {value}", value=f"{tolerance:g}")
        is_left = tolerance < actual
        decided = _("decided by: {value}", value=f"{actual:g}")
        note(figure, decided, x=actual, xref="x", y=1, xanchor="left" if is_left else "right", yanchor="top")
    note(figure, f"<b>{text}</b>", x=tolerance, xref="x", y=1, xanchor="right" if is_left else "left", yanchor="top")


def _add_rates(figure: go.Figure, calibration: Calibration, far: float, _: Say) -> None:
    """Add a second axis above: at which distance how many strangers come as near."""
    places: list[tuple[float, float]] = []
    for distance, rate in distances_of(calibration, RATE_TICKS):
        if not places or distance - places[-1][0] >= TICK_GAP * far:
            places.append((distance, rate))
    figure.add_scatter(x=[None], y=[None], xaxis="x2", showlegend=False, hoverinfo="skip")
    figure.update_layout(
        xaxis2={
            "overlaying": "x",
            "side": "top",
            "range": [0, far],
            "tickvals": [distance for distance, _rate in places],
            "ticktext": [percent(rate) for _distance, rate in places],
            "tickangle": 0,
            "showgrid": False,
            "zeroline": False,
            "ticks": "outside",
            "tickcolor": TEXT_COLOUR,
            "title": {"text": _("share of strangers who come as near (estimated)"), "standoff": 8},
        }
    )


def _told(person: Person, calibration: Calibration | None, _: Say) -> str:
    told = _("face {number}: distance {distance}", number=person.number, distance=f"{person.distance:.3f}")
    if calibration is None:
        return told
    rate = percent(calibration.false_match_rate(person.distance))
    return told + "<br>" + _("strangers who come as near: {rate}", rate=rate)


def stage_times(timings_ms: Mapping[str, float], _: Say) -> go.Figure:
    """Return how long each stage took, and all of them, against what the specification wants of an analysis."""
    title = _("Where the time went")
    stages = [stage for stage in ("decode", "detect", "align", "encode", "match", "store") if stage in timings_ms]
    stages += [stage for stage in timings_ms if stage not in {*STAGES, "total"}]
    stages += ["total"] if "total" in timings_ms else []
    if not stages:
        return empty(title, _("Nothing was timed."))
    stages.reverse()
    figure = styled(title, _("milliseconds"), "", height=130 + ROW * len(stages))
    places = list(range(len(stages)))
    times = [timings_ms[stage] for stage in stages]
    target = TARGETS_MS["analyse"]
    figure.add_bar(
        x=times,
        y=places,
        orientation="h",
        marker={"color": [STAGE_COLOURS.get(stage, TEXT_COLOUR) for stage in stages]},
        text=[f"{time:,.1f}" if time < 100 else f"{time:,.0f}" for time in times],  # noqa: PLR2004 - two digits
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x:,.1f} ms<extra></extra>",
        showlegend=False,
    )
    figure.add_vline(x=target, line={"color": TEXT_COLOUR, "width": 1.5, "dash": "longdash"})
    note(
        figure,
        _("specification: {target} ms", target=f"{target:,}"),
        x=target,
        xref="x",
        y=1,
        xanchor="center",
        yanchor="bottom",
        font_size=11,
    )
    figure.update_yaxes(
        tickvals=places, ticktext=[stage_name(stage, _) for stage in stages], automargin=True, showgrid=False
    )
    figure.update_xaxes(range=[0, 1.15 * max(*times, target)])
    figure.update_layout(margin={"b": 60, "r": 48})
    return figure
