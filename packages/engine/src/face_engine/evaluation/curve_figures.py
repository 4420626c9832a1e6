"""The figures that are made of FMR and FNMR at every tolerance: see `figures`, through which they are used."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from face_engine.calibration import RULE_OF_THREE
from face_engine.evaluation.figure_style import (
    GREEN,
    MATED_COLOUR,
    NON_MATED_COLOUR,
    PURPLE,
    SHADE_COLOUR,
    TEXT_COLOUR,
    deviate,
    deviate_axis,
    empty,
    error_bars,
    footnote,
    log_axis,
    log_floor,
    styled,
    told,
    vertical_line,
)
from face_engine.evaluation.summary import percent

Results = Mapping[str, Any]
"""What results.json holds."""

LOWEST_MATCHES = 98.0
"""Percent where the ROC's axis begins at the latest."""

FEW_POINTS = 30
"""So many points of a curve are marked one by one."""


def det(results: Results) -> go.Figure:
    """Return the detection error trade-off: FNMR over FMR, both as normal deviates."""
    title = "Detection error trade-off (DET)"
    if (reason := _no_curve(results)) is not None:
        return empty(title, reason)
    curve = results["curve"]
    points = [
        (fmr, fnmr, tolerance)
        for fmr, fnmr, tolerance in zip(curve["fmr"], curve["fnmr"], curve["tolerance"], strict=True)
        if 0 < fmr < 1 and 0 < fnmr < 1
    ]
    if not points:
        return empty(title, "No tolerance makes errors of both kinds: mated and non-mated distances do not overlap.")
    figure = styled(title, "FMR (normal-deviate scale)", "FNMR (normal-deviate scale)")
    low_fmr, high_fmr = points[0][0], max(point[0] for point in points)
    low_fnmr, high_fnmr = points[-1][1], max(point[1] for point in points)
    first, last = max(low_fmr, low_fnmr), min(high_fmr, high_fnmr)
    if first < last:
        figure.add_scatter(
            x=[deviate(first), deviate(last)],
            y=[deviate(first), deviate(last)],
            mode="lines",
            name="FMR = FNMR",
            line={"color": TEXT_COLOUR, "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=[deviate(fmr) for fmr, _, _ in points],
        y=[deviate(fnmr) for _, fnmr, _ in points],
        mode="lines+markers" if len(points) <= FEW_POINTS else "lines",
        name="DET",
        line={"color": MATED_COLOUR, "width": 2.5},
        text=[_point(fmr, fnmr, tolerance) for fmr, fnmr, tolerance in points],
        hovertemplate="%{text}<extra></extra>",
    )

    def place(fmr: float, fnmr: float) -> tuple[float, float]:
        # A rate of 0 or 1 has no deviate: its mark lies at the curve's end.
        return deviate(min(max(fmr, low_fmr), high_fmr)), deviate(min(max(fnmr, low_fnmr), high_fnmr))

    for x, y, mark in _marks(results, place):
        figure.add_scatter(x=[x], y=[y], **mark)
    x_axis, y_axis = deviate_axis(low_fmr, high_fmr), deviate_axis(low_fnmr, high_fnmr)
    figure.update_xaxes(**x_axis)
    figure.update_yaxes(**y_axis)
    least_fmr, least_fnmr = _least_rates(results)
    _shade(figure, "x", x_axis["range"], deviate(least_fmr) if least_fmr < 1 else None)
    _shade(figure, "y", y_axis["range"], deviate(least_fnmr) if least_fnmr < 1 else None)
    return figure


def roc(results: Results) -> go.Figure:
    """Return the receiver operating characteristic: 1 - FNMR in percent over FMR, whose axis is logarithmic."""
    title = "Receiver operating characteristic (ROC)"
    if (reason := _no_curve(results)) is not None:
        return empty(title, reason)
    curve = results["curve"]
    points = [
        (fmr, fnmr, tolerance)
        for fmr, fnmr, tolerance in zip(curve["fmr"], curve["fnmr"], curve["tolerance"], strict=True)
        if fmr > 0
    ]
    figure = styled(title, "FMR (logarithmic)", "1 - FNMR (%)")
    figure.add_scatter(
        x=[fmr for fmr, _, _ in points],
        y=[100 * (1 - fnmr) for _, fnmr, _ in points],
        mode="lines+markers" if len(points) <= FEW_POINTS else "lines",
        name="ROC",
        line={"color": MATED_COLOUR, "width": 2.5},
        text=[_point(fmr, fnmr, tolerance) for fmr, fnmr, tolerance in points],
        hovertemplate="%{text}<extra></extra>",
    )
    floor = log_floor(curve["fmr"])
    for x, y, mark in _marks(results, lambda fmr, fnmr: (max(fmr, points[0][0]), 100 * (1 - fnmr))):
        figure.add_scatter(x=[x], y=[y], **mark)
    axis = log_axis(floor)
    figure.update_xaxes(**axis)
    lowest = min(100 * (1 - max(fnmr for _, fnmr, _ in points)), LOWEST_MATCHES)
    margin = 0.05 * (100 - lowest)
    figure.update_yaxes(ticksuffix="%", range=[lowest - margin, 100 + margin])
    least_fmr, _ = _least_rates(results)
    _shade(figure, "x", [10 ** axis["range"][0], 1.0], least_fmr)
    return figure


def rates_by_tolerance(results: Results) -> go.Figure:
    """Return FMR and FNMR over the tolerance; markers with 95 % intervals at the tolerances of the table."""
    title = "FMR and FNMR by tolerance"
    table, curve = results["by_tolerance"], results["curve"]
    kinds = (("FMR", "fmr", NON_MATED_COLOUR, "solid", "circle"), ("FNMR", "fnmr", MATED_COLOUR, "dash", "square"))
    known = [kind for kind in kinds if any(one[kind[1]]["value"] is not None for one in table)]
    if not known:
        return empty(title, "No pair was compared: there is neither an FMR nor an FNMR.")
    figure = styled(title, "tolerance (distance)", "rate (logarithmic)")
    drawn = [one[key][part] for one in table for _, key, *_ in known for part in ("value", "high")]
    floor = log_floor(drawn + [rate for _, key, *_ in known for rate in (curve or {}).get(key, [])])
    for name, key, colour, dash, symbol in known:
        if curve is not None:
            figure.add_scatter(
                x=curve["tolerance"],
                y=[rate or None for rate in curve[key]],  # a logarithm has no 0: the line ends there
                mode="lines",
                name=name,
                legendgroup=name,
                line={"color": colour, "width": 2, "dash": dash, "shape": "hv"},
                hovertemplate=f"{name} %{{y:.3%}} at tolerance %{{x:.4f}}<extra></extra>",
            )
        rates = [one[key] for one in table]
        values, bars = error_bars(rates, floor)
        figure.add_scatter(
            x=[one["tolerance"] for one in table],
            y=values,
            error_y=bars | {"color": colour},
            mode="markers",
            cliponaxis=False,
            name=f"{name}, 95 % interval",
            legendgroup=name,
            marker={
                "color": colour,
                "size": 7,
                # Open where no error was seen: the rate is 0, and drawn at the axis.
                "symbol": [symbol if rate["value"] else f"{symbol}-open" for rate in rates],
            },
            text=[told(f"{name} at tolerance {one['tolerance']:g}:", one[key]) for one in table],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_yaxes(**log_axis(floor))
    shown = [one["tolerance"] for one in table]
    figure.update_xaxes(range=[min(shown) - 0.03, max(shown) + 0.03])
    _tolerances(figure, results)
    if (reason := missing_pairs(results)) is not None:
        footnote(figure, reason)
    return figure


def missing_pairs(results: Results) -> str | None:
    """Return which kind of pairs the set lacks, and so which figures; None where it has both."""
    if not results["at_tolerance"]["fnmr"]["of"]:
        return "The set has no mated pair: there is no FNMR."
    if not results["at_tolerance"]["fmr"]["of"]:
        return "No non-mated pair was compared: there is no FMR."
    return None


def tolerance_text(results: Results) -> str:
    """Return what is written beside the line of the tolerance."""
    return f"tolerance {results['at_tolerance']['tolerance']:g}"


def _no_curve(results: Results) -> str | None:
    """Return why there is no curve, or None where there is one."""
    if results["curve"] is not None:
        return None
    return missing_pairs(results) or "There are no pairs of both kinds: there is no curve."


def _least_rates(results: Results) -> tuple[float, float]:
    """Return the FMR and the FNMR of three errors: what is less rests on one pair or two."""
    fmr, fnmr = results["at_tolerance"]["fmr"], results["at_tolerance"]["fnmr"]
    return RULE_OF_THREE / fmr["of"], RULE_OF_THREE / fnmr["of"]


def _point(fmr: float, fnmr: float, tolerance: float) -> str:
    return f"tolerance {tolerance:.4f}<br>FMR {percent(fmr)}<br>FNMR {percent(fnmr)}"


def _marks(
    results: Results, place: Callable[[float, float], tuple[float, float]]
) -> Iterator[tuple[float, float, dict[str, Any]]]:
    """Yield where the tolerance and the EER lie on a curve, and how they are marked."""
    at_tolerance, eer = results["at_tolerance"], results["eer"]
    fmr, fnmr = at_tolerance["fmr"]["value"], at_tolerance["fnmr"]["value"]
    found = [(fmr, fnmr, at_tolerance["tolerance"], tolerance_text(results), PURPLE, "diamond")]
    if eer is not None:
        found.append((eer["value"], eer["value"], eer["tolerance"], f"EER {percent(eer['value'])}", GREEN, "x"))
    for its_fmr, its_fnmr, tolerance, name, colour, symbol in found:
        x, y = place(its_fmr, its_fnmr)
        yield (
            x,
            y,
            {
                "mode": "markers",
                "cliponaxis": False,
                "name": name,
                "marker": {"color": colour, "size": 12, "symbol": symbol},
                "text": [_point(its_fmr, its_fnmr, tolerance)],
                "hovertemplate": "%{text}<extra></extra>",
            },
        )


def _shade(figure: go.Figure, axis: str, span: Sequence[float], limit: float | None) -> None:
    """Shade an axis from its beginning to a limit, below which a rate rests on fewer than three errors.

    Args:
        axis: x or y.
        span: where it begins and ends, in its own numbers; `limit` likewise.
    """
    if limit is None or limit <= span[0]:
        return
    limit = min(limit, span[1])
    add = figure.add_vrect if axis == "x" else figure.add_hrect
    add(**{f"{axis}0": span[0], f"{axis}1": limit}, fillcolor=SHADE_COLOUR, line_width=0, layer="below")


def _tolerances(figure: go.Figure, results: Results) -> None:
    """Mark the tolerance, and the recommended one."""
    tolerance, recommended = results["at_tolerance"]["tolerance"], results["recommended"]
    smaller = recommended["supported"] and recommended["tolerance"]["value"] < tolerance
    vertical_line(figure, tolerance, tolerance_text(results), left=not smaller and recommended["supported"])
    if recommended["supported"] and recommended["tolerance"]["value"] != tolerance:
        value = recommended["tolerance"]["value"]
        text = f"recommended {value:g}"
        vertical_line(figure, value, text, left=smaller, dash="dot")
