"""What the figures of a report share: colours, scales, and the figure that says why there is nothing to draw.

Paper and plot are transparent, and every colour reads on white and on near-black alike (a contrast of 3 and more for
lines, of 4 for text), so that a page may be light or dark, or change, under the same figure. The colours are Okabe and
Ito's, which the colour-blind can tell apart; dashes and markers tell the same.
"""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from statistics import NormalDist
from typing import Any

import plotly.graph_objects as go

from face_engine.evaluation.summary import interval, percent

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"

MATED_COLOUR, NON_MATED_COLOUR = BLUE, VERMILLION
"""FNMR, which is of mated pairs, and FMR, which is of non-mated ones, have the same."""

TEXT_COLOUR = "#7a7f87"
LINE_COLOUR = "rgba(122, 127, 135, 0.3)"
SHADE_COLOUR = "rgba(122, 127, 135, 0.16)"

HEIGHT = 440
"""Pixels; the width is the page's."""

TOP, BOTTOM = 64, 112
"""Pixels above and below the plot: for the title, and for the ticks, the axis's title and two rows of the legend."""

LEGEND_GAP = 62
"""Pixels from the plot to the legend."""

REASON_WIDTH = 52
"""Characters in a line of what stands in a figure's place."""

TEXT_LIMIT = 28
"""Characters of a name that comes from the set."""

DEVIATES = (
    *(1e-7, 1e-6, 1e-5, 1e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999),
)
"""Rates that may be ticks of a normal-deviate axis; `deviate_axis` picks those that have room."""


def styled(title: str, x: str, y: str, height: int = HEIGHT, figure: go.Figure | None = None) -> go.Figure:
    """Return a figure without data. `x` and `y` are the axes' titles; `figure` one that has panels already."""
    figure = go.Figure() if figure is None else figure
    figure.update_layout(
        template=None,
        title={"text": title, "font": {"size": 16}, "x": 0, "xref": "container", "xanchor": "left"},
        height=height,
        margin={"l": 70, "r": 24, "t": TOP, "b": BOTTOM},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12, "color": TEXT_COLOUR},
        showlegend=True,
        legend={
            "orientation": "h",
            "x": 0,
            "y": -LEGEND_GAP / (height - TOP - BOTTOM),
            "yanchor": "top",
            "bgcolor": "rgba(0, 0, 0, 0)",
        },
        hoverlabel={"bgcolor": "#22262b", "bordercolor": "#22262b", "font": {"color": "#ffffff"}},
        modebar={"bgcolor": "rgba(0, 0, 0, 0)", "color": TEXT_COLOUR, "activecolor": BLUE},
        hovermode="closest",
    )
    axis = {
        "gridcolor": LINE_COLOUR,
        "linecolor": TEXT_COLOUR,
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": TEXT_COLOUR,
        "title": {"standoff": 10},
    }
    figure.update_xaxes(**axis, title_text=x)
    figure.update_yaxes(**axis, title_text=y)
    return figure


def empty(title: str, reason: str) -> go.Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = styled(title, "", "", height=160)
    figure.update_layout(margin={"l": 24, "r": 24, "t": 56, "b": 24})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    wrapped = "<br>".join(textwrap.wrap(reason, REASON_WIDTH))
    note(figure, wrapped, x=0.5, y=0.5, xanchor="center", yanchor="middle", font_size=14)
    return figure


def note(figure: go.Figure, text: str, **place: Any) -> None:
    """Write into a figure; `place` as of Plotly's annotations, in shares of the plot unless it says otherwise."""
    figure.add_annotation(**{"xref": "paper", "yref": "paper", "showarrow": False, "text": text} | place)


def footnote(figure: go.Figure, text: str) -> None:
    """Write below a figure, under a legend of one row."""
    note(figure, text, x=0, y=figure.layout.legend.y, xanchor="left", yanchor="top", yshift=-26)


def vertical_line(figure: go.Figure, x: float, text: str, *, left: bool, dash: str = "dash") -> None:
    """Draw a line over the whole height, with its text at the top, on its left or right."""
    figure.add_vline(x=x, line={"color": TEXT_COLOUR, "width": 1.5, "dash": dash})
    note(
        figure,
        text,
        x=x,
        y=1,
        xref="x",
        xanchor="right" if left else "left",
        yanchor="bottom",
        font_size=11,
    )


def safe(text: str) -> str:
    """Return a name of the set's as Plotly shows it as it is: it takes some tags for mark-up. Long ones are cut."""
    shown = text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"
    return escape(shown, quote=False)


def told(name: str, rate: Mapping[str, Any]) -> str:
    """Return a rate with its interval and counts, for a hover."""
    counts = f"<br>{rate['count']:,} of {rate['of']:,}" if "of" in rate else ""
    between = f"<br>95 % interval {interval(rate)}" if rate["low"] is not None else ""
    return f"{name} {percent(rate['value'])}{between}{counts}"


def error_bars(rates: Sequence[Mapping[str, Any]], floor: float = 0.0) -> tuple[list[float], dict[str, Any]]:
    """Return the values and error bars of rates (none is None), each at least `floor`: a logarithm has no 0."""
    values = [max(rate["value"], floor) for rate in rates]
    bounds = [
        (value, value) if rate["low"] is None else (max(rate["low"], floor), max(rate["high"], floor))
        for rate, value in zip(rates, values, strict=True)
    ]
    return values, {
        "type": "data",
        "symmetric": False,
        "array": [max(high - value, 0.0) for value, (_, high) in zip(values, bounds, strict=True)],
        "arrayminus": [max(value - low, 0.0) for value, (low, _) in zip(values, bounds, strict=True)],
        "thickness": 1.3,
        "width": 3,
    }


def log_floor(rates: Iterable[float | None]) -> float:
    """Return the power of ten below the smallest rate that is not 0; where a logarithmic axis begins."""
    positive = [rate for rate in rates if rate]
    return 10.0 ** math.floor(math.log10(min(positive)) - 1e-9) if positive else 1e-3


def log_axis(floor: float, ceiling: float = 1.0) -> dict[str, Any]:
    """Return a logarithmic axis of rates from `floor` (a power of ten) to `ceiling`, with ticks in percent."""
    powers = range(round(math.log10(floor)), 1)
    return {
        "type": "log",
        "range": [math.log10(floor) - 0.04, math.log10(ceiling) + 0.04],
        "tickvals": [10.0**power for power in powers],
        "ticktext": [percent(10.0**power) for power in powers],
    }


def deviate(rate: float) -> float:
    """Return the normal deviate of a rate between 0 and 1, both excluded: probit."""
    return NormalDist().inv_cdf(rate)


def deviate_axis(low: float, high: float) -> dict[str, Any]:
    """Return a normal-deviate axis from one rate to another, with ticks in percent that do not touch."""
    first, last = deviate(low), deviate(high)
    margin = max(0.04 * (last - first), 0.05)
    first, last = first - margin, last + margin
    ticks: list[float] = []
    for rate in DEVIATES:
        place = deviate(rate)
        if first <= place <= last and (not ticks or place - deviate(ticks[-1]) >= (last - first) / 11):
            ticks.append(rate)
    return {
        "range": [first, last],
        "tickvals": [deviate(rate) for rate in ticks],
        "ticktext": [percent(rate) for rate in ticks],
        "tickangle": 0,
    }
