from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import pytest

from face_engine.evaluation import figures
from face_engine.evaluation.figure_style import MATED_COLOUR, NON_MATED_COLOUR, TEXT_COLOUR, deviate_axis, log_floor
from support.evaluation import results

ORIGINS = {"origin": ["north", "south"] * 6}

NO_MATED: dict[str, Any] = {"photos_each": 1}
NO_NON_MATED: dict[str, Any] = {"names": ("one",), "photos_each": 6}
NOTHING_COMPARED: dict[str, Any] = {"without_face": range(36)}
APART: dict[str, Any] = {"within": 0.05}

FIGURES: tuple[Callable[[figures.Results], Any], ...] = (
    figures.det,
    figures.roc,
    figures.rates_by_tolerance,
    figures.distances,
    figures.fnmr_at_fmr,
    lambda found: figures.subgroups(found, "origin"),
    figures.latency,
)


def trace(figure: Any, name: str) -> Any:
    """Return the one trace whose name begins so."""
    (found,) = [one for one in figure.data if one.name.startswith(name)]
    return found


def notes(figure: Any) -> list[str]:
    """Return what is written into a figure, without its line breaks."""
    return [one.text.replace("<br>", " ") for one in figure.layout.annotations]


def test_det_is_the_curve_in_normal_deviates() -> None:
    found = results()
    curve = found["curve"]
    drawn = trace(figures.det(found), "DET")
    inside = [(x, y) for x, y in zip(curve["fmr"], curve["fnmr"], strict=True) if 0 < x < 1 and 0 < y < 1]
    assert len(inside) > 20
    assert [NormalDist().cdf(x) for x in drawn.x] == pytest.approx([x for x, _ in inside])
    assert [NormalDist().cdf(y) for y in drawn.y] == pytest.approx([y for _, y in inside])


def test_det_marks_the_tolerance_and_the_eer() -> None:
    found = results()
    figure = figures.det(found)
    at_tolerance, rate = found["at_tolerance"], found["eer"]["value"]
    mark = trace(figure, "tolerance 0.6")
    assert NormalDist().cdf(mark.x[0]) == pytest.approx(at_tolerance["fmr"]["value"])
    assert NormalDist().cdf(mark.y[0]) == pytest.approx(at_tolerance["fnmr"]["value"])
    mark = trace(figure, "EER")
    assert [NormalDist().cdf(mark.x[0]), NormalDist().cdf(mark.y[0])] == pytest.approx([rate, rate])


def test_a_rate_of_nothing_is_marked_at_the_end_of_the_curve() -> None:
    found = results()
    found["at_tolerance"]["fmr"] |= {"value": 0.0}
    figure = figures.det(found)
    assert trace(figure, "tolerance").x[0] == min(trace(figure, "DET").x)


def test_normal_deviate_ticks_are_rates_that_lie_where_they_should() -> None:
    axis = deviate_axis(1e-5, 0.5)
    assert axis["range"][0] < NormalDist().inv_cdf(1e-5)
    assert axis["range"][1] > 0
    told = dict(zip(axis["ticktext"], axis["tickvals"], strict=True))
    assert told["0.1%"] == NormalDist().inv_cdf(0.001)
    assert told["40%"] == NormalDist().inv_cdf(0.4)
    assert 4 < len(told) < 13


def test_roc_is_the_curve() -> None:
    found = results()
    curve = found["curve"]
    figure = figures.roc(found)
    drawn = trace(figure, "ROC")
    assert list(drawn.x) == [x for x in curve["fmr"] if x > 0]
    assert list(drawn.y) == [100 * (1 - y) for x, y in zip(curve["fmr"], curve["fnmr"], strict=True) if x > 0]
    assert figure.layout.xaxis.type == "log"
    mark = trace(figure, "tolerance 0.6")
    assert mark.x[0] == found["at_tolerance"]["fmr"]["value"]
    assert mark.y[0] == 100 * (1 - found["at_tolerance"]["fnmr"]["value"])


def test_rates_by_tolerance_are_the_curve_and_the_table() -> None:
    found = results()
    figure = figures.rates_by_tolerance(found)
    for name, key in (("FMR", "fmr"), ("FNMR", "fnmr")):
        line, markers = [one for one in figure.data if one.legendgroup == name]
        assert list(line.x) == found["curve"]["tolerance"]
        assert [rate or 0.0 for rate in line.y] == found["curve"][key]
        rates = [one[key] for one in found["by_tolerance"]]
        floor = 10 ** (figure.layout.yaxis.range[0] + 0.04)
        assert list(markers.x) == [one["tolerance"] for one in found["by_tolerance"]]
        assert list(markers.y) == pytest.approx([max(rate["value"], floor) for rate in rates])
        ends = [value + more for value, more in zip(markers.y, markers.error_y.array, strict=True)]
        assert ends == pytest.approx([max(rate["high"], floor) for rate in rates])
        begins = [value - less for value, less in zip(markers.y, markers.error_y.arrayminus, strict=True)]
        assert begins == pytest.approx([max(rate["low"], floor) for rate in rates])


def test_a_rate_of_nothing_has_an_open_marker() -> None:
    found = results()
    markers = trace(figures.rates_by_tolerance(found), "FMR, 95")
    none = [not one["fmr"]["value"] for one in found["by_tolerance"]]
    assert any(none)
    assert not all(none)
    assert [symbol.endswith("-open") for symbol in markers.marker.symbol] == none


def test_the_tolerance_and_the_recommended_one_are_lines() -> None:
    found = results(target_fmr=0.1)
    recommended = found["recommended"]["tolerance"]["value"]
    figure = figures.rates_by_tolerance(found)
    assert {line.x0 for line in figure.layout.shapes} == {0.6, recommended}
    assert set(notes(figure)) == {"tolerance 0.6", f"recommended {recommended:g}"}
    assert notes(figures.rates_by_tolerance(results(target_fmr=1e-6))) == ["tolerance 0.6"]


def test_histogram_is_of_shares_of_each_kind() -> None:
    found = results()
    histogram = found["histogram"]
    figure = figures.distances(found)
    for name, key, pairs in (("mated", "mated", 36), ("non-mated", "non_mated", 594)):
        bars = trace(figure, f"{name} (")
        assert sum(histogram[key]) == pairs
        assert list(bars.y) == pytest.approx([100 * count / pairs for count in histogram[key]])
        assert sum(bars.y) == pytest.approx(100)
        assert list(bars.customdata) == histogram[key]
        assert bars.x[0] == pytest.approx(0.01)
        assert bars.x[-1] == pytest.approx(0.02 * len(histogram[key]) - 0.01)


def test_fnmr_at_fmr_draws_what_is_told_and_says_what_is_withheld() -> None:
    found = results()
    levels = found["fnmr_at_fmr"]
    told = [number for number, one in enumerate(levels) if one["supported"]]
    assert told == [0, 1]
    figure = figures.fnmr_at_fmr(found)
    (drawn,) = figure.data
    assert list(drawn.x) == told
    assert list(drawn.y) == [100 * levels[number]["fnmr"]["value"] for number in told]
    ends = [value + more for value, more in zip(drawn.y, drawn.error_y.array, strict=True)]
    assert ends == pytest.approx([100 * levels[number]["fnmr"]["high"] for number in told])
    withheld = {one.x: one.text for one in figure.layout.annotations if "withheld" in one.text}
    assert withheld == {
        2: "withheld: takes 3,000 pairs",
        3: "withheld: takes 30,000 pairs",
        4: "withheld: takes 300,000 pairs",
        5: "withheld: takes 3,000,000 pairs",
    }


def test_subgroups_are_drawn_beside_the_whole_set() -> None:
    found = results(subgroups=ORIGINS)
    figure = figures.subgroups(found, "origin")
    values = found["subgroups"][0]["values"]
    assert [one["value"] for one in values] == ["north", "south"]
    assert dict(zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True)) == {
        1: "north",
        0: "south",
    }
    for name, key in (("FMR", "fmr"), ("FNMR", "fnmr")):
        drawn = trace(figure, f"{name}, 95")
        rates = [values[1][key], values[0][key]]
        assert list(drawn.y) == [0, 1]
        floor = 10 ** (figure.layout.xaxis.range[0] + 0.04)
        assert list(drawn.x) == pytest.approx([max(rate["value"], floor) for rate in rates])
        assert [symbol.endswith("-open") for symbol in drawn.marker.symbol] == [not rate["value"] for rate in rates]
        assert set(trace(figure, f"{name} of the whole set").x) == {found["at_tolerance"][key]["value"]}


def test_subgroups_without_pairs_are_said_to_have_none() -> None:
    found = results(subgroups={"camera": [str(number) for number in range(12)]})
    assert {one["fmr"]["of"] for one in found["subgroups"][0]["values"]} == {0}
    figure = figures.subgroups(found, "camera")
    assert list(trace(figure, "FMR, 95").x) == []
    assert notes(figure) == ["no subgroup has pairs for FMR"]


def test_of_many_subgroups_those_with_most_photos_are_drawn() -> None:
    found = results(subgroups=ORIGINS)
    column = found["subgroups"][0]
    column["values"] = [{**column["values"][0], "value": f"{number:03}", "photos": number} for number in range(100)]
    figure = figures.subgroups(found, "origin")
    assert list(figure.layout.yaxis.ticktext) == [f"{number:03}" for number in range(99, 59, -1)]
    assert notes(figure) == ["the 40 of 100 with most photos"]


def test_latency_is_of_every_stage() -> None:
    found = results()
    figure = figures.latency(found)
    for name, key in (("median", "p50"), ("95 %", "p95"), ("99 %", "p99")):
        bars = trace(figure, name)
        stages = found["timing"]["stages_ms"]
        assert dict(zip(bars.x, bars.y, strict=True)) == {stage: stages[stage][key] for stage in stages}


@pytest.mark.parametrize("options", [{}, NO_MATED, NO_NON_MATED, NOTHING_COMPARED, APART], ids=str)
@pytest.mark.parametrize("number", range(len(FIGURES)))
def test_every_figure_has_data_or_says_why_not(options: dict[str, Any], number: int) -> None:
    figure = FIGURES[number](results(**options))
    assert figure.layout.title.text
    assert figure.data or notes(figure)
    figure.to_json()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (NO_MATED, "The set has no mated pair: there is no FNMR."),
        (NO_NON_MATED, "No non-mated pair was compared: there is no FMR."),
        (NOTHING_COMPARED, "No non-mated pair was compared: there is no FMR."),
    ],
    ids=["no mated", "no non-mated", "nothing compared"],
)
def test_without_pairs_of_both_kinds_there_is_no_curve(options: dict[str, Any], reason: str) -> None:
    found = results(**options)
    assert found["curve"] is None
    for figure in (figures.det(found), figures.roc(found)):
        assert not figure.data
        assert notes(figure) == [reason]
    assert notes(figures.fnmr_at_fmr(found)) == [f"Every level is withheld. {reason}"]
    figure = figures.rates_by_tolerance(found)
    assert len(figure.data) == 1
    assert reason in notes(figure)


def test_kinds_that_do_not_overlap_have_no_trade_off() -> None:
    found = results(**APART)
    assert found["eer"]["value"] == 0
    figure = figures.det(found)
    assert not figure.data
    assert "do not overlap" in notes(figure)[0]
    assert set(trace(figures.roc(found), "ROC").y) == {100.0}


def test_no_distances_no_timings_no_subgroups() -> None:
    found = results(**NOTHING_COMPARED)
    for figure in (figures.distances(found), figures.latency(found), figures.subgroups(found, "origin")):
        assert not figure.data
        assert len(notes(figure)) == 1


def test_names_of_the_set_are_no_mark_up() -> None:
    hostile = "<a href='javascript:x'>&lt;b>"
    figure = figures.subgroups(results(subgroups={hostile: [hostile, "other"] * 6}), hostile)
    shown = "&lt;a href='javascript:x'&gt;&amp;lt;…"
    assert shown in figure.layout.yaxis.ticktext
    assert shown in figure.layout.title.text
    assert "<a" not in figure.to_json()


@pytest.mark.parametrize("ground", ["#ffffff", "#14171b"])
def test_colours_can_be_read_on_light_and_on_dark(ground: str) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def contrast(colour: str) -> float:
        near, far = sorted((luminance(colour), luminance(ground)))
        return (far + 0.05) / (near + 0.05)

    assert contrast(TEXT_COLOUR) > 4
    assert min(contrast(MATED_COLOUR), contrast(NON_MATED_COLOUR)) > 3
    figure = figures.roc(results())
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize(
    ("rates", "expected"), [([0.5, None, 0.0], 0.1), ([0.002, 0.3], 0.001), ([0.01], 0.001), ([0, None], 0.001)]
)
def test_a_logarithmic_axis_begins_below_the_smallest_rate(rates: list[float | None], expected: float) -> None:
    assert log_floor(rates) == pytest.approx(expected)
