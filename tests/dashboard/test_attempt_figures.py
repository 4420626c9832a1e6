import pytest

from face_dashboard import models, words
from face_dashboard.attempt.figures import distance_scale, stage_times
from face_dashboard.attempt.rates import calibration_of, distances_of, one_in, strangers
from face_dashboard.models import Box, Decision, Person, Quality
from face_engine.calibration import Calibration

CALIBRATION = Calibration(
    encoder_id="e1",
    distances=(0.4, 0.5, 0.6, 0.8, 1.0),
    false_match_rates=(0.0, 1e-5, 1e-3, 0.1, 1.0),
    comparisons=1_000_000,
    persons=2_000,
    source="a set",
    target_fmr=1e-4,
    tolerance=0.55,
    tolerance_interval=(0.54, 0.56),
)


def say(text: str, /, **values: object) -> str:
    return text.format(**values)


def person(number: int, distance: float) -> Person:
    return Person(
        box=Box(left=0, top=0, right=9, bottom=9),
        landmarks=[],
        confidence=1.0,
        quality=Quality(size=100, sharpness=0.2, brightness=0.5, turn=0, inside=1, reasons=[]),
        number=number,
        verdict="match" if distance <= 0.6 else "dismatch",
        distance=distance,
        tolerance=0.6,
        estimated_false_match_rate=None,
        reference_id=1,
    )


PERSONS = [person(1, 0.31), person(2, 0.58), person(3, 0.85)]


def texts(figure: object) -> str:
    return " ".join(one.text for one in figure.layout.annotations)  # type: ignore[attr-defined]


def test_the_scale_names_its_axes_zones_and_tolerance_on_a_transparent_ground() -> None:
    figure = distance_scale(PERSONS, [True, True, False], 0.6, CALIBRATION, say)
    layout = figure.layout
    assert layout.title.text == "Distance to the nearest reference"
    assert layout.xaxis.title.text == "distance (lower is more alike)"
    assert layout.yaxis.title.text == "face"
    assert "strangers" in layout.xaxis2.title.text
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    assert {"match", "dismatch", "<b>tolerance 0.6</b>"} <= {one.text for one in layout.annotations}


def test_each_face_has_a_marker_where_its_distance_is_told_apart_by_colour_and_shape() -> None:
    figure = distance_scale(PERSONS, [True, True, False], 0.6, CALIBRATION, say)
    match, dismatch, _rates = figure.data
    assert (list(match.x), list(match.y)) == ([0.31, 0.58], [1, 2])
    assert (list(dismatch.x), list(dismatch.y)) == ([0.85], [3])
    assert match.marker.color != dismatch.marker.color
    assert match.marker.symbol != dismatch.marker.symbol
    assert "face 3: distance 0.850" in dismatch.hovertext[0]
    assert "strangers who come as near: 17.78%" in dismatch.hovertext[0]


def test_a_what_if_tolerance_is_named_so_beside_the_one_decided_by() -> None:
    figure = distance_scale(PERSONS, [True, False, False], 0.5, CALIBRATION, say, actual=0.6)
    assert "what-if" in figure.layout.title.text
    assert "<b>what if: 0.5</b>" in texts(figure)
    assert "decided by: 0.6" in texts(figure)


def test_without_a_calibration_the_scale_has_no_rates() -> None:
    figure = distance_scale(PERSONS[:1], [True], 0.6, None, say)
    assert "xaxis2" not in figure.to_dict()["layout"]
    assert figure.data[0].hovertext == ("face 1: distance 0.310",)


def test_a_face_far_away_is_still_on_the_scale() -> None:
    figure = distance_scale([person(1, 1.7)], [False], 0.6, CALIBRATION, say)
    assert figure.layout.xaxis.range[1] > 1.7
    assert figure.layout.xaxis2.range == figure.layout.xaxis.range


def test_stages_are_in_their_order_with_the_whole_last_against_the_specification() -> None:
    figure = stage_times({"total": 391.0, "store": 3.0, "match": 0.25, "detect": 320.0, "decode": 4.0}, say)
    (bars,) = figure.data
    assert list(figure.layout.yaxis.ticktext)[::-1] == ["decoding", "detection", "comparison", "database", "in all"]
    assert list(bars.x)[::-1] == [4.0, 320.0, 0.25, 3.0, 391.0]
    assert list(bars.text)[::-1] == ["4.0", "320", "0.2", "3.0", "391"]
    assert figure.layout.xaxis.title.text == "milliseconds"
    assert "specification: 1,000 ms" in texts(figure)
    assert figure.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"


def test_without_times_the_figure_says_so() -> None:
    assert "Nothing was timed." in texts(stage_times({}, say))


@pytest.mark.parametrize(
    ("rate", "count"), [(1.0, 1), (0.04, 25), (0.0138, 72), (1 / 147_715, 150_000), (1 / 104_999, 100_000)]
)
def test_a_rate_is_one_in_so_many_to_two_digits(rate: float, count: int) -> None:
    assert one_in(rate) == count


@pytest.mark.parametrize(
    ("distance", "sentence"),
    [
        (0.2, "Fewer than 1 in 330,000 strangers comes as near."),
        (0.6, "About 1 in 1,000 strangers comes as near."),
        (0.9, "About 32% of strangers come as near."),
    ],
)
def test_a_distance_is_worth_so_many_strangers(distance: float, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "language", lambda: "en")
    assert strangers(CALIBRATION.false_match_rate(distance), CALIBRATION, say) == sentence
    assert "not known" in strangers(None, None, say)


def test_distances_are_found_where_rates_are_reached() -> None:
    found = distances_of(CALIBRATION, [1e-9, 1e-4, 0.1])
    assert [rate for _distance, rate in found] == [1e-4, 0.1]
    for distance, rate in found:
        assert CALIBRATION.false_match_rate(distance) == pytest.approx(rate, rel=0.05)


def test_the_calibration_that_the_service_tells_is_the_engines() -> None:
    told = models.Calibration(**{name: getattr(CALIBRATION, name) for name in models.Calibration.model_fields})
    decision = Decision(
        tolerance=0.6,
        source="default",
        changeable=True,
        applied_at=None,
        applied_by=None,
        note=None,
        default_tolerance=0.6,
        encoder_id=CALIBRATION.encoder_id,
        calibration=told,
    )
    assert calibration_of(decision) == CALIBRATION
    assert calibration_of(decision.model_copy(update={"calibration": None})) is None
