"""The figures of a report, made of what results.json holds: the report's page and the dashboard draw the same ones.

Every function returns a figure, whatever the results lack; one without data says why. Rates are in 0 to 1 in the
figures' data (normal deviates in `det`'s, percent where an axis is linear) and in percent on their axes.
"""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from face_engine.calibration import RULE_OF_THREE
from face_engine.evaluation.curve_figures import Results, det, missing_pairs, rates_by_tolerance, roc, tolerance_text
from face_engine.evaluation.figure_style import (
    GREEN,
    MATED_COLOUR,
    NON_MATED_COLOUR,
    empty,
    error_bars,
    footnote,
    log_axis,
    log_floor,
    note,
    safe,
    styled,
    told,
    vertical_line,
)
from face_engine.evaluation.intervals import is_supported
from face_engine.evaluation.summary import percent

__all__ = ["Results", "det", "distances", "fnmr_at_fmr", "latency", "rates_by_tolerance", "roc", "subgroups"]

MAX_SUBGROUPS = 40
"""Drawn of a column."""

ROW_HEIGHT = 34
"""Pixels, of a subgroup."""

BARS = (("p50", "median", MATED_COLOUR, ""), ("p95", "95 %", NON_MATED_COLOUR, "/"), ("p99", "99 %", GREEN, "x"))
"""Percentiles of latency: key, name, colour, pattern."""

OVERLAY = {"fillmode": "overlay", "fgcolor": "rgba(255, 255, 255, 0.55)", "fgopacity": 1, "size": 6, "solidity": 0.25}
"""Of a bar's pattern: white lines on its colour."""


def distances(results: Results) -> go.Figure:
    """Return the histogram of distances: percent of the mated and of the non-mated pairs in each bin."""
    title = "Distances of mated and non-mated pairs"
    histogram = results["histogram"]
    if not any(histogram["mated"]) and not any(histogram["non_mated"]):
        return empty(title, "No pair was compared: there are no distances.")
    width = histogram["width"]
    figure = styled(title, f"distance, in bins of {width:g}", "share of the pairs of its kind (%)")
    figure.update_layout(barmode="overlay", bargap=0)
    for name, key, colour, pattern in (
        ("mated", "mated", MATED_COLOUR, "/"),
        ("non-mated", "non_mated", NON_MATED_COLOUR, ""),
    ):
        counts = histogram[key]
        total = sum(counts)
        if not total:
            continue
        figure.add_bar(
            x=[width * (number + 0.5) for number in range(len(counts))],
            y=[100 * count / total for count in counts],
            width=width,
            name=f"{name} ({total:,} pairs)",
            opacity=0.72,
            marker={"color": colour, "line": {"width": 0}, "pattern": OVERLAY | {"shape": pattern}},
            customdata=counts,
            hovertemplate=f"{name}: %{{customdata:,}} pairs, %{{y:.3g}}%<br>distance around %{{x:.3f}}<extra></extra>",
        )
    used = [
        number
        for number in range(len(histogram["mated"]))
        if histogram["mated"][number] or histogram["non_mated"][number]
    ]
    figure.update_xaxes(range=[width * (used[0] - 1), width * (used[-1] + 2)])
    figure.update_yaxes(ticksuffix="%")
    vertical_line(figure, results["at_tolerance"]["tolerance"], tolerance_text(results), left=False)
    if (reason := missing_pairs(results)) is not None:
        footnote(figure, reason)
    return figure


def fnmr_at_fmr(results: Results) -> go.Figure:
    """Return FNMR in percent at each level of FMR, with 95 % intervals; of a level that is withheld, that it is."""
    title = "FNMR at fixed FMR"
    levels = results["fnmr_at_fmr"]
    told_levels = [one for one in levels if one["supported"]]
    if not told_levels:
        reason = missing_pairs(results) or "The set has too few non-mated pairs."
        return empty(title, f"Every level is withheld. {reason}")
    figure = styled(title, "FMR", "FNMR (%)")
    names = [one["level"] for one in levels]
    values, bars = error_bars([one["fnmr"] for one in told_levels])
    scaled = {key: [100 * value for value in bars[key]] for key in ("array", "arrayminus")}
    figure.add_scatter(
        x=[names.index(one["level"]) for one in told_levels],
        y=[100 * value for value in values],
        error_y=bars | scaled | {"color": MATED_COLOUR, "thickness": 2, "width": 7},
        mode="markers",
        cliponaxis=False,
        name="FNMR, 95 % interval",
        marker={"color": MATED_COLOUR, "size": 10, "symbol": "square"},
        text=[
            told(f"FMR {one['level']}, tolerance {one['tolerance']['value']:.4f}:<br>FNMR", one["fnmr"])
            for one in told_levels
        ],
        hovertemplate="%{text}<extra></extra>",
    )
    for one in told_levels:
        note(
            figure,
            percent(one["fnmr"]["value"]),
            x=names.index(one["level"]),
            y=100 * one["fnmr"]["value"],
            xref="x",
            yref="y",
            xanchor="left",
            xshift=9,
        )
    pairs = results["at_tolerance"]["fmr"]["of"]
    for one in levels:
        if not one["supported"]:
            note(
                figure,
                "withheld"
                if is_supported(one["fmr"], pairs)
                else f"withheld: takes {RULE_OF_THREE / one['fmr']:,.0f} pairs",
                x=names.index(one["level"]),
                y=0.5,
                xref="x",
                textangle=-90,
                yanchor="middle",
            )
    figure.update_xaxes(
        showgrid=False,
        range=[-0.5, len(names) - 0.5],
        tickvals=list(range(len(names))),
        ticktext=[f"{one['level']}<br>{percent(one['fmr'])}" for one in levels],
    )
    figure.update_yaxes(rangemode="tozero", ticksuffix="%")
    return figure


def subgroups(results: Results, column: str) -> go.Figure:
    """Return FMR and FNMR of a column's subgroups at the tolerance, beside those of the whole set."""
    tolerance = results["at_tolerance"]["tolerance"]
    title = f"FMR and FNMR by {safe(column)}, at tolerance {tolerance:g}"
    found = [one for one in results["subgroups"] if one["column"] == column]
    values = found[0]["values"] if found else []
    if not values:
        return empty(title, "The set names no subgroups of this kind.")
    shown = sorted(values, key=lambda one: -one["photos"])[:MAX_SUBGROUPS] if len(values) > MAX_SUBGROUPS else values
    shown = [one for one in values if one in shown][::-1]  # the first one at the top
    panels = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.05)
    figure = styled(title, "", "", height=200 + ROW_HEIGHT * len(shown), figure=panels)
    rates = [rate for one in shown for rate in (one["fmr"], one["fnmr"])]
    rates += [results["at_tolerance"][key] for key in ("fmr", "fnmr")]
    floor = log_floor([rate[part] for rate in rates for part in ("value", "high")])
    for panel, (name, key, colour, symbol) in enumerate(
        (("FMR", "fmr", NON_MATED_COLOUR, "circle"), ("FNMR", "fnmr", MATED_COLOUR, "square")), start=1
    ):
        known = [(row, one) for row, one in enumerate(shown) if one[key]["value"] is not None]
        places, bars = error_bars([one[key] for _, one in known], floor)
        figure.add_scatter(
            x=places,
            y=[row for row, _ in known],
            error_x=bars | {"color": colour, "thickness": 2, "width": 5},
            mode="markers",
            cliponaxis=False,
            name=f"{name}, 95 % interval",
            marker={
                "color": colour,
                "size": 9,
                "symbol": [symbol if one[key]["value"] else f"{symbol}-open" for _, one in known],
            },
            text=[told(f"{safe(one['value'])}: {name}", one[key]) for _, one in known],
            hovertemplate="%{text}<extra></extra>",
            row=1,
            col=panel,
        )
        if not known:
            axis = "x domain" if panel == 1 else f"x{panel} domain"
            note(figure, f"no subgroup has pairs for {name}", x=0.5, y=0.5, xref=axis, yanchor="middle")
        overall = results["at_tolerance"][key]["value"]
        if overall:
            figure.add_scatter(
                x=[overall, overall],
                y=[-0.6, len(shown) - 0.4],
                mode="lines",
                name=f"{name} of the whole set ({percent(overall)})",
                line={"color": colour, "width": 1.5, "dash": "dot" if panel == 1 else "dash"},
                hoverinfo="skip",
                row=1,
                col=panel,
            )
        figure.update_xaxes(**log_axis(floor), title_text=f"{name} (logarithmic)", row=1, col=panel)
    figure.update_yaxes(
        range=[-0.6, len(shown) - 0.4],
        tickvals=list(range(len(shown))),
        ticktext=[safe(one["value"]) for one in shown],
        showgrid=False,
        automargin=True,
    )
    if len(shown) < len(values):
        note(figure, f"the {len(shown)} of {len(values)} with most photos", x=1, y=1, xanchor="right", yanchor="bottom")
    return figure


def latency(results: Results) -> go.Figure:
    """Return the milliseconds that each stage takes for a photo: median, 95th and 99th percentile."""
    title = "Latency of a photo, by stage"
    stages = results["timing"]["stages_ms"]
    known = [name for name, stage in stages.items() if stage["p50"] is not None]
    if not known:
        return empty(title, "No photo was timed.")
    figure = styled(title, "stage", "milliseconds")
    figure.update_layout(barmode="group")
    figure.update_xaxes(showgrid=False)
    for key, name, colour, pattern in BARS:
        figure.add_bar(
            x=known,
            y=[stages[stage][key] for stage in known],
            name=name,
            marker={"color": colour, "pattern": OVERLAY | {"shape": pattern}},
            hovertemplate=f"%{{x}}, {name}: %{{y:.1f}} ms<extra></extra>",
        )
    return figure
