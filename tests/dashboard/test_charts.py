from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import plotly.graph_objects as go
import pytest

from face_dashboard import charts
from face_dashboard.models import Bucket, CompanyTally, Percentiles
from face_dashboard.periods import Period

SEOUL = ZoneInfo("Asia/Seoul")
START = datetime(2026, 11, 28, 15, tzinfo=UTC)  # midnight in Seoul
OUTCOMES = {"compared": 8, "no_face": 2}


def say(text: str, /, **values: object) -> str:
    return "~" + text.format(**values)


def percentiles(p50: float) -> Percentiles:
    return Percentiles(count=10, p50=p50, p95=2 * p50, p99=3 * p50)


def bucket(hour: int = 0, **changes: Any) -> Bucket:
    fields: dict[str, Any] = {
        "start": START + timedelta(hours=hour),
        "operation": "analyse",
        "outcomes": OUTCOMES,
        "matches": 6,
        "dismatches": 3,
        "latency": {"detect": percentiles(80), "encode": percentiles(20), "total": percentiles(110)},
    }
    return Bucket(**fields | changes)


def tally(company: str | None, outcomes: Mapping[str, int] = OUTCOMES) -> CompanyTally:
    return CompanyTally(
        company=company, operation="analyse", outcomes=dict(outcomes), matches=0, dismatches=0, latency={}
    )


TODAY = Period(START, START + timedelta(hours=15, minutes=30), 3600)

BUCKETS = [bucket(0), bucket(1, latency={"total": percentiles(50)})]

FIGURES = {
    "verdicts": charts.verdicts(BUCKETS, TODAY, SEOUL, say),
    "latency_over_time": charts.latency_over_time(BUCKETS, "analyse", TODAY, SEOUL, say),
    "stages_over_time": charts.stages_over_time(BUCKETS, "analyse", TODAY, SEOUL, say),
    "outcomes": charts.outcomes(BUCKETS, {"no_face": "nobody there"}, say),
    "companies": charts.companies([tally("withmind"), tally(None)], "analyse", say),
}

EMPTY = {
    "verdicts": charts.verdicts([bucket(operation="enroll")], TODAY, SEOUL, say),
    "latency_over_time": charts.latency_over_time([bucket(latency={})], "analyse", TODAY, SEOUL, say),
    "stages_over_time": charts.stages_over_time([], "analyse", TODAY, SEOUL, say),
    "outcomes": charts.outcomes([], {}, say),
    "companies": charts.companies([tally("withmind")], "enroll", say),
}


def named(figure: go.Figure) -> dict[str, Any]:
    return {trace.name.lstrip("~"): trace for trace in figure.data}


@pytest.mark.parametrize("name", FIGURES)
def test_a_chart_has_title_axes_and_a_ground_that_shows_any_theme(name: str) -> None:
    layout = FIGURES[name].layout
    assert layout.title.text.startswith("~"), "in the reader's language"
    assert layout.xaxis.title.text.startswith("~")
    assert layout.yaxis.title.text.startswith("~") or layout.yaxis.ticktext, "a scale or names"
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("name", EMPTY)
def test_a_chart_without_data_says_so(name: str) -> None:
    figure = EMPTY[name]
    assert not figure.data
    assert figure.layout.annotations[0].text.startswith("~Nothing")


@pytest.mark.parametrize("name", ["verdicts", "latency_over_time", "stages_over_time"])
def test_what_is_over_time_shows_all_of_the_period(name: str) -> None:
    assert FIGURES[name].layout.xaxis.range == (TODAY.since, TODAY.until + timedelta(minutes=30))


def test_verdicts_are_counted_by_the_readers_clock() -> None:
    traces = named(FIGURES["verdicts"])
    assert [list(traces[name].y) for name in ("match", "dismatch", "fail")] == [[6, 6], [3, 3], [2, 2]]
    assert [time.hour for time in traces["match"].x] == [0, 1]


def test_latency_stands_beside_the_specifications_target() -> None:
    figure = FIGURES["latency_over_time"]
    traces = named(figure)
    assert [list(traces[name].y) for name in ("median", "95 %", "99 %")] == [[110, 50], [220, 100], [330, 150]]
    assert figure.layout.shapes[0].y0 == 1000
    enrollments = charts.latency_over_time([bucket(operation="enroll")], "enroll", TODAY, SEOUL, say)
    assert enrollments.layout.shapes[0].y0 == 500


def test_a_stage_that_a_bucket_lacks_is_nothing_there() -> None:
    traces = named(FIGURES["stages_over_time"])
    assert list(traces) == ["detection", "encoding"]
    assert list(traces["detection"].y) == [80, 0]


def test_outcomes_are_summed_and_the_many_rare_ones_are_one() -> None:
    figure = FIGURES["outcomes"]
    assert list(figure.data[0].x) == [4, 16]
    assert list(figure.layout.yaxis.ticktext) == ["nobody there", "compared"]
    many = charts.outcomes([bucket(outcomes={f"r{number}": 100 - number for number in range(12)})], {}, say)
    assert many.layout.yaxis.ticktext[0] == "~others"
    assert sum(many.data[0].x) == sum(100 - number for number in range(12))


def test_the_companies_with_most_requests_are_drawn() -> None:
    tallies = [tally(f"company{number}", {"compared": number + 1}) for number in range(40)]
    figure = charts.companies(tallies, "analyse", say)
    assert len(figure.layout.yaxis.ticktext) == charts.MAX_COMPANIES
    assert figure.layout.yaxis.ticktext[-1] == "company39"
    traces = named(FIGURES["companies"])
    assert [list(traces[name].x) for name in ("answered", "fail")] == [[8, 8], [2, 2]]
    assert set(FIGURES["companies"].layout.yaxis.ticktext) == {"withmind", "~not registered"}
