"""The page of accuracy: what it says when there is nothing yet, and what when there is a report."""

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from face_dashboard.accuracy.evaluations import Evaluations, evaluations
from face_dashboard.accuracy.orders import Order, keep
from face_engine.calibration import Calibration
from face_engine.evaluation.reports import Report, write_json
from face_engine.images import resize
from support.evaluation import documents, with_tolerance
from support.labelled import photo_files
from support.photos import jpeg, portrait
from support.server import LIGHT, Server, running_server

PAGE = "views/accuracy.py"
NO_API = "http://127.0.0.1:9"
TAB = "accuracy_tab"

Open = Callable[..., AppTest]


@pytest.fixture
def sets_dir(tmp_path: Path) -> Path:
    return tmp_path / "dashboard" / "sets"


@pytest.fixture
def reports_dir(tmp_path: Path) -> Path:
    return tmp_path / "dashboard" / "reports"


def put_report(reports_dir: Path, name: str, made: tuple[dict[str, Any], dict[str, Any]], **changes: Any) -> None:
    """Write the documents of a report; its pairs are nowhere."""
    report = Report(reports_dir / name)
    report.folder.mkdir(parents=True)
    (report.folder / ".face-engine-report").touch()
    results, manifest = made
    write_json(report.results_path, results | changes)
    write_json(report.manifest_path, manifest)


def all_text(page: AppTest) -> str:
    shown = [*page.markdown, *page.caption, *page.subheader, *page.warning, *page.error, *page.success, *page.info]
    return "\n".join(str(element.value) for element in shown)


def metrics(page: AppTest) -> Mapping[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def test_without_a_set_it_says_how_to_get_one(dashboard: Open, sets_dir: Path) -> None:
    page = dashboard(NO_API, PAGE)
    assert [title.value for title in page.title] == ["Accuracy"]
    assert "There is no labelled set" in all_text(page)
    assert str(sets_dir) in all_text(page)
    assert not page.error


@pytest.mark.parametrize("tab", ["Report", "Pick a tolerance", "Compare"])
def test_without_a_report_it_leads_to_running_one(dashboard: Open, tab: str) -> None:
    page = dashboard(NO_API, PAGE, **{TAB: tab})
    assert "There is no report yet" in all_text(page)
    page.button("accuracy_go_run").click().run()
    assert not page.exception
    assert page.session_state[TAB] == "Run"


def test_nobody_sees_it_without_signing_in(dashboard: Open) -> None:
    page = dashboard(NO_API, signed_in=False)
    assert "Accuracy" not in [title.value for title in page.title]


def test_a_set_that_cannot_be_evaluated_says_why(dashboard: Open, sets_dir: Path) -> None:
    photo_files(sets_dir, ["loose/1.jpg"])
    page = dashboard(NO_API, PAGE)
    assert "This set cannot be evaluated. It has neither a list" in all_text(page)
    assert "Start" not in [button.label for button in page.button]


def zipped(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"{name}/1.jpg", data)
    return stream.getvalue()


def test_a_set_is_uploaded_and_deleted(dashboard: Open, sets_dir: Path) -> None:
    page = dashboard(NO_API, PAGE)
    page.file_uploader("accuracy_upload_0").upload("우리 faces.zip", zipped(ann=b"one", bo=b"two")).run()
    assert page.text_input("accuracy_upload_name_0").value == "faces"
    page.button("accuracy_unpack").click().run()
    assert not page.exception
    assert "A folder for each person: 2 photos in 2 folders" in all_text(page)
    assert (sets_dir / "faces" / "ann" / "1.jpg").read_bytes() == b"one"
    page.button("accuracy_set_delete").click().run()
    assert page.button("accuracy_set_delete_now").disabled
    page.text_input("accuracy_set_confirm").input("faces")
    page.button("accuracy_set_delete").click().run()
    page.button("accuracy_set_delete").click()
    page.button("accuracy_set_delete_now").click().run()
    assert list(sets_dir.iterdir()) == []
    assert "There is no labelled set" in all_text(page)


def test_an_archive_that_means_harm_is_refused_in_plain_words(dashboard: Open, sets_dir: Path) -> None:
    page = dashboard(NO_API, PAGE)
    page.file_uploader("accuracy_upload_0").upload("faces.zip", zipped(**{"../../ann": b"one"})).run()
    page.button("accuracy_unpack").click().run()
    assert page.error[0].value == "`../../ann/1.jpg` would lie outside of the set's folder."
    assert list(sets_dir.iterdir()) == []


def test_an_evaluation_is_started_and_its_report_shown(dashboard: Open, sets_dir: Path, reports_dir: Path) -> None:
    for person, file in (("obama", "obama.jpg"), ("obama", "obama2.jpg"), ("biden", "biden.jpg")):
        (sets_dir / "faces" / person).mkdir(parents=True, exist_ok=True)
        (sets_dir / "faces" / person / file).write_bytes(jpeg(resize(portrait(file), 0.6)))
    page = dashboard(NO_API, PAGE)
    assert "A folder for each person: 3 photos in 2 folders" in all_text(page)
    page.text_input("accuracy_name_faces").input("first")
    next(button for button in page.button if button.label == "Start").click().run()
    assert not page.exception
    made = evaluations(sets_dir, reports_dir)
    try:
        assert "first is being made" in all_text(page)
        made.wait(120)
        page.run()
        assert "The report **first** is done." in all_text(page)
        page.button("accuracy_see").click().run()
        assert not page.exception
        assert metrics(page)["FNMR at 0.6"] == "0%"
        assert page.session_state["accuracy_report"] == "first"
    finally:
        made.close()


def test_what_is_wrong_with_a_set_can_be_left_out(dashboard: Open, sets_dir: Path, reports_dir: Path) -> None:
    photo_files(sets_dir, {"faces/ann/1.jpg": "a", "faces/ann/2.jpg": "b", "faces/ann/3.jpg": "a"})
    page = dashboard(NO_API, PAGE)
    page.text_input("accuracy_name_faces").input("first")
    next(button for button in page.button if button.label == "Start").click().run()
    made = evaluations(sets_dir, reports_dir)
    try:
        made.wait(120)
        page.run()
        assert "**The evaluation first failed.** 1 problem in the labelled set" in page.error[0].value
        assert "ann/3.jpg" in page.code[0].value
        page.button("accuracy_skip").click().run()
        made.wait(120)
        page.run()
        assert "The report **first** is done." in all_text(page)
        page.button("accuracy_dismiss").click().run()
        assert "The report **first** is done." not in all_text(page)
    finally:
        made.close()


def test_a_refused_name_is_told(dashboard: Open, sets_dir: Path) -> None:
    photo_files(sets_dir, ["faces/ann/1.jpg", "faces/bo/1.jpg"])
    page = dashboard(NO_API, PAGE)
    page.text_input("accuracy_name_faces").input("../outside")
    next(button for button in page.button if button.label == "Start").click().run()
    assert "A name has 1 to 64 letters" in page.error[0].value


def test_what_is_not_finished_can_be_discarded(dashboard: Open, reports_dir: Path) -> None:
    reports_dir.mkdir(parents=True)
    keep(reports_dir, "begun", Order("faces"))
    page = dashboard(NO_API, PAGE)
    assert "**begun**, of the set faces, is not finished." in all_text(page)
    page.button("accuracy_discard_begun").click().run()
    assert "is not finished" not in all_text(page)
    assert list(reports_dir.iterdir()) == []


def test_a_report_shows_its_figures_and_what_must_not_be_overlooked(dashboard: Open, reports_dir: Path) -> None:
    put_report(reports_dir, "made", documents(subgroups={"sex": ["f", "m"] * 6}))
    page = dashboard(NO_API, PAGE, **{TAB: "Report"})
    assert not page.exception
    assert {"FMR at 0.6", "FNMR at 0.6", "EER", "FTE", "Accuracy"} == set(metrics(page))
    assert "What must not be overlooked" in all_text(page)
    assert "The set shows 12 persons" in all_text(page)
    levels, subgroups = (table.value for table in page.dataframe)
    assert list(levels["fmr"]) == ["10%", "1%", "0.1%", "0.01%", "0.001%", "0.0001%"]
    assert list(levels["fnmr"])[2:] == ["withheld"] * 4
    assert list(subgroups["value"]) == ["f", "m"]
    assert page.button("accuracy_report_delete")


def test_a_report_is_deleted_when_that_is_confirmed(dashboard: Open, reports_dir: Path) -> None:
    put_report(reports_dir, "made", documents())
    page = dashboard(NO_API, PAGE, **{TAB: "Report"})
    page.button("accuracy_report_delete").click().run()
    assert (reports_dir / "made").exists()
    # A run of AppTest is of the whole page, which opens the dialog only where its button was clicked.
    page.button("accuracy_report_delete").click()
    page.button("accuracy_report_delete_now").click().run()
    assert not (reports_dir / "made").exists()
    assert "There is no report yet" in all_text(page)


def test_a_damaged_report_is_told_beside_the_others(dashboard: Open, reports_dir: Path) -> None:
    put_report(reports_dir, "made", documents())
    put_report(reports_dir, "old", documents(), schema="face-engine-evaluation/0")
    page = dashboard(NO_API, PAGE, **{TAB: "Report"})
    assert "The report old cannot be read" in page.warning[0].value
    assert "EER" in metrics(page)


def test_names_of_the_set_are_no_markup(dashboard: Open, reports_dir: Path) -> None:
    results, manifest = documents()
    results["data_set"]["name"] = "**bold** [link](http://x) :material/home: $a$"
    put_report(reports_dir, "made", (results, manifest))
    page = dashboard(NO_API, PAGE, **{TAB: "Report"})
    assert r"\*\*bold\*\* \[link\]\(http\://x\) \:material/home\: \$a\$" in all_text(page)


def test_a_tolerance_is_picked_while_the_service_is_down(dashboard: Open, reports_dir: Path) -> None:
    put_report(reports_dir, "made", documents())
    page = dashboard(NO_API, PAGE, **{TAB: "Pick a tolerance"})
    assert "Nothing answers at" in page.error[0].value
    assert float(metrics(page)["Recommended tolerance"]) == pytest.approx(page.slider[0].value)
    page.slider[0].set_value(0.0).run()
    assert (metrics(page)["FMR"], metrics(page)["FNMR"]) == ("0%", "100%")
    assert "accuracy_apply" not in [button.key for button in page.button]


def test_a_small_set_recommends_no_tolerance(dashboard: Open, reports_dir: Path) -> None:
    put_report(reports_dir, "made", documents(names=("ann", "bo"), photos_each=2))
    page = dashboard(NO_API, PAGE, **{TAB: "Pick a tolerance"})
    assert "This report recommends no tolerance" in all_text(page)


def test_one_report_alone_is_compared_with_nothing(dashboard: Open, reports_dir: Path) -> None:
    put_report(reports_dir, "made", documents())
    page = dashboard(NO_API, PAGE, **{TAB: "Compare"})
    assert "There is no other report of the same pairs" in all_text(page)


def test_two_reports_are_compared(dashboard: Open, sets_dir: Path, reports_dir: Path) -> None:
    for person, file in (("obama", "obama.jpg"), ("obama", "obama2.jpg"), ("biden", "biden.jpg")):
        (sets_dir / "faces" / person).mkdir(parents=True, exist_ok=True)
        (sets_dir / "faces" / person / file).write_bytes(jpeg(resize(portrait(file), 0.6)))
    made = Evaluations(sets_dir, reports_dir)
    made.start(Order("faces"), "old")
    made.wait(120)
    with_tolerance(reports_dir / "old", reports_dir / "new", 0.1)
    page = dashboard(NO_API, PAGE, **{TAB: "Compare", "accuracy_report": "new"})
    assert not page.exception
    assert "**No difference beyond chance**, on 3 pairs." in all_text(page)
    tests, changes = (table.value for table in page.dataframe)
    assert "FMR at the tolerance" in list(tests["what"])
    assert ["tolerance", "0.6", "0.1"] in changes.to_numpy().tolist()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("service"), LIGHT) as server:
        yield server


def put_measured(reports_dir: Path, name: str, encoder_id: str) -> float:
    """Write the report of an encoder, with a calibration; return the tolerance that it recommends."""
    results, manifest = documents()
    results["settings"]["encoder_id"] = encoder_id
    put_report(reports_dir, name, (results, manifest))
    tolerance: float = results["recommended"]["tolerance"]["value"]
    calibration = Calibration(encoder_id, (0.5, 1.0), (0.001, 1.0), 594, 12, "made", 0.01, tolerance, None)
    write_json(Report(reports_dir / name).calibration_path, calibration.to_json())
    return tolerance


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def encoder_of(server: Server) -> str:
    return str(server.client.get("/healthz").json()["encoder_id"])


def test_a_tolerance_is_applied_and_taken_back(dashboard: Open, reports_dir: Path, service: Server) -> None:
    def decision() -> dict[str, Any]:
        told: dict[str, Any] = service.client.get("/v1/decision").json()
        return told

    tolerance = put_measured(reports_dir, "made", encoder_of(service))
    page = dashboard(url_of(service), PAGE, **{TAB: "Pick a tolerance"})
    assert "The service decides at the tolerance **0.6**: the default." in all_text(page)
    page.button("accuracy_apply").click().run()
    assert decision()["source"] == "default"
    page.button("accuracy_apply").click()
    page.button("accuracy_apply_now").click().run()
    assert not page.exception
    applied = decision()
    assert (applied["tolerance"], applied["source"], applied["note"]) == (tolerance, "applied", "by the report made")
    assert applied["calibration"]["source"] == "made"
    page.run()
    assert f"The service decides at the tolerance **{tolerance:g}**: applied here" in all_text(page)
    page.button("accuracy_withdraw").click().run()
    page.button("accuracy_withdraw").click()
    page.button("accuracy_withdraw_now").click().run()
    assert decision()["source"] == "default"


def test_a_report_of_another_encoder_cannot_be_applied(dashboard: Open, reports_dir: Path, service: Server) -> None:
    put_measured(reports_dir, "made", "another/1")
    page = dashboard(url_of(service), PAGE, **{TAB: "Pick a tolerance"})
    assert "made with another encoder" in page.warning[0].value
    assert page.button("accuracy_apply").disabled


def test_a_fixed_tolerance_is_said_to_be_fixed(dashboard: Open, reports_dir: Path, tmp_path: Path) -> None:
    with running_server(tmp_path / "service", LIGHT, tolerance=0.55) as server:
        put_measured(reports_dir, "made", encoder_of(server))
        page = dashboard(url_of(server), PAGE, **{TAB: "Pick a tolerance"})
    assert "The service decides at the tolerance **0.55**: set by the operator" in all_text(page)
    assert "The operator has fixed the tolerance" in page.warning[0].value
    assert page.button("accuracy_apply").disabled
