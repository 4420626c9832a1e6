"""Evaluations as the dashboard runs them: real photos, the real program, and what is left of those that end early."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from face_dashboard.accuracy.crops import face_crop
from face_dashboard.accuracy.evaluation_reports import (
    compare_reports,
    delete_report,
    list_reports,
    read_calibration,
    read_report,
)
from face_dashboard.accuracy.evaluations import EvaluationRefusedError, Evaluations, Run
from face_dashboard.accuracy.orders import Order, keep, unfinished
from face_engine.errors import ReportError
from face_engine.images import resize
from support.evaluation import with_tolerance
from support.photos import jpeg, portrait

TIMEOUT_S = 120.0
PHOTOS = {"obama": ("obama.jpg", "obama2.jpg"), "biden": ("biden.jpg",)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `sets`, and in it one of two persons."""
    folder = tmp_path_factory.mktemp("accuracy")
    for person, names in PHOTOS.items():
        (folder / "sets" / "faces" / person).mkdir(parents=True)
        for name in names:
            for variant in range(2):
                photo = jpeg(resize(portrait(name), 0.6 - variant / 50))
                (folder / "sets" / "faces" / person / f"{name[:-4]}-{variant}.jpg").write_bytes(photo)
    return folder


@pytest.fixture
def running(folders: Path) -> Iterator[Evaluations]:
    evaluations = Evaluations(folders / "sets", folders / "reports")
    yield evaluations
    evaluations.close()


def ended(evaluations: Evaluations) -> Run:
    evaluations.wait(TIMEOUT_S)
    run = evaluations.run
    assert run is not None
    assert run.state != "running"
    return run


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def report(folders: Path) -> str:
    evaluations = Evaluations(folders / "sets", folders / "reports")
    evaluations.start(Order("faces", target_fmr=0.4, face="largest"), "first")
    run = ended(evaluations)
    assert (run.state, run.message) == ("done", "")
    assert run.step is not None
    assert (run.step.title, run.step.done, run.step.unit) == ("drawing persons anew", run.step.total, "pair")
    return "first"


def test_a_report_says_what_was_ordered(folders: Path, report: str) -> None:
    (headline,), damaged = list_reports(folders / "reports")
    assert damaged == []
    assert (headline.name, headline.set_name, headline.photos, headline.persons) == (report, "faces", 6, 2)
    assert (headline.pairs, headline.tolerance, headline.fmr, headline.fnmr) == (15, 0.6, 0.0, 0.0)
    documents = read_report(folders / "reports", report)
    assert documents.results["settings"]["face"] == "largest"
    assert documents.results["recommended"]["fmr"] == 0.4
    assert documents.images == folders / "sets" / "faces"
    assert unfinished(folders / "reports") == {}


def test_its_calibration_is_the_services(folders: Path, report: str) -> None:
    calibration = read_calibration(folders / "reports", report)
    assert json.loads(json.dumps(calibration)) == json.loads(
        (folders / "reports" / report / "calibration.json").read_text()
    )


def test_the_worst_pairs_can_be_looked_at(folders: Path, report: str) -> None:
    documents = read_report(folders / "reports", report)
    for pair in documents.results["worst"]["false_non_matches"]:
        for photo in pair["photos"]:
            shown = face_crop(documents.images, photo["file"], photo["box"])
            assert shown is not None
            assert shown.startswith(b"\xff\xd8")
    assert face_crop(documents.images, "../../reports/first/results.json", [0, 0, 9, 9]) is None
    assert face_crop(documents.images, "gone.jpg", [0, 0, 9, 9]) is None


def test_a_photo_behind_a_link_that_leads_out_is_not_shown(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(folders / "sets" / "faces" / "biden" / "biden-0.jpg")
    assert face_crop(tmp_path, "link.jpg", [0, 0, 99, 99]) is None


def test_one_at_a_time_and_a_stopped_run_goes_on(folders: Path, running: Evaluations) -> None:
    order = Order("faces")
    running.start(order, "stopped")
    with pytest.raises(EvaluationRefusedError, match="is running already"):
        running.start(order, "other")
    wait_until(lambda: running.run is not None and running.run.step is not None)
    running.stop()
    run = ended(running)
    assert (run.state, run.message, run.signal) == ("stopped", "", None)
    assert unfinished(folders / "reports") == {"stopped": order}
    running.start(order, "stopped")
    assert ended(running).state == "done"
    assert unfinished(folders / "reports") == {}
    delete_report(folders / "reports", "stopped")
    assert not (folders / "reports" / "stopped").exists()


def test_a_run_that_the_system_ends_is_told(folders: Path, running: Evaluations) -> None:
    running.start(Order("faces"), "killed")
    wait_until(lambda: running.run is not None and running.run.step is not None)
    assert running._process is not None
    running._process.send_signal(signal.SIGKILL)
    run = ended(running)
    assert (run.state, run.signal) == ("failed", signal.SIGKILL)
    delete_report(folders / "reports", "killed")
    assert unfinished(folders / "reports") == {}


def test_the_sets_problems_are_told_and_can_be_left_out(folders: Path, running: Evaluations) -> None:
    bad = folders / "sets" / "bad"
    (bad / "images").mkdir(parents=True)
    for number, person in enumerate(PHOTOS):
        photo = (folders / "sets" / "faces" / person / f"{person}-0.jpg").read_bytes()
        (bad / "images" / f"{number}.jpg").write_bytes(photo)
    (bad / "pairs.csv").write_text("file_x,file_y,Decision\n0.jpg,1.jpg,No\n0.jpg,gone.jpg,Yes\n")
    running.start(Order("bad"), "bad")
    run = ended(running)
    assert (run.state, run.message) == ("failed", "1 problem in the labelled set")
    assert run.problems == ("pairs.csv:3: gone.jpg is not there",)
    assert unfinished(folders / "reports") == {}
    running.start(Order("bad", skip_problems=True), "bad")
    assert ended(running).state == "done"
    assert read_report(folders / "reports", "bad").results["data_set"]["problems"] == 1
    delete_report(folders / "reports", "bad")


@pytest.mark.parametrize(
    ("set_name", "name", "message"),
    [
        ("gone", "new", "no set `gone`"),
        ("../sets/faces", "new", "no set"),
        ("shapeless", "new", "neither a list"),
        ("faces", "../new", "A name has"),
        ("faces", ".new", "A name has"),
        ("faces", "first", "a report `first` already"),
    ],
)
@pytest.mark.usefixtures("report")
def test_what_cannot_be_started_is_said(
    folders: Path, running: Evaluations, set_name: str, name: str, message: str
) -> None:
    (folders / "sets" / "shapeless").mkdir(exist_ok=True)
    with pytest.raises(EvaluationRefusedError, match=message):
        running.start(Order(set_name), name)
    assert running.run is None
    assert unfinished(folders / "reports") == {}


def test_a_dashboard_that_is_killed_leaves_no_run(folders: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from face_dashboard.accuracy.evaluations import Evaluations\n"
        "from face_dashboard.accuracy.orders import Order\n"
        "made = Evaluations(Path(sys.argv[1]), Path(sys.argv[2])); made.start(Order('faces'), 'orphan')\n"
        "print(made._process.pid, flush=True); time.sleep(600)"
    )
    arguments = [sys.executable, "-c", code, str(folders / "sets"), str(folders / "reports")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as dashboard:
        assert dashboard.stdout is not None
        child = int(dashboard.stdout.readline())
        dashboard.kill()
    wait_until(lambda: not is_running(child))
    assert not (folders / "reports" / "orphan" / "results.json").exists()
    assert list(unfinished(folders / "reports")) == ["orphan"]
    delete_report(folders / "reports", "orphan")
    assert unfinished(folders / "reports") == {}


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_two_reports_are_compared(folders: Path, report: str) -> None:
    with_tolerance(folders / "reports" / report, folders / "reports" / "strict", 0.1)
    comparison = compare_reports(folders / "reports", report, "strict")
    assert {"what": "tolerance", "old": 0.6, "new": 0.1} in comparison["changes"]
    assert {test["metric"] for test in comparison["tests"]} >= {"fmr_at_tolerance", "fnmr_at_tolerance"}
    names = [one.name for one in list_reports(folders / "reports")[0]]
    assert sorted(names) == ["first", "strict"]
    delete_report(folders / "reports", "strict")
    with pytest.raises(ReportError, match="no report 'strict'"):
        compare_reports(folders / "reports", report, "strict")


def test_a_damaged_report_is_told_of_and_can_be_deleted(tmp_path: Path) -> None:
    for name, text in (("cut", "{"), ("old", '{"schema": "face-engine-evaluation/0"}'), ("empty", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".face-engine-report").touch()
        (tmp_path / name / "results.json").write_text(text)
    (tmp_path / "unfinished").mkdir()
    finished, damaged = list_reports(tmp_path)
    assert finished == []
    assert {one.name: one.problem.partition(": ")[2] for one in damaged} == {
        "cut": "is damaged",
        "old": "its schema is 'face-engine-evaluation/0', not face-engine-evaluation/1",
        "empty": "its schema is None, not face-engine-evaluation/1",
    }
    delete_report(tmp_path, "cut")
    assert not (tmp_path / "cut").exists()


def test_only_reports_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    with pytest.raises(ReportError, match="holds other files"):
        delete_report(tmp_path, "photos")
    for name in ("link", "..", "gone"):
        delete_report(tmp_path, name)
    assert (tmp_path / "photos" / "mine.jpg").exists()


def test_orders_are_read_again_and_others_not(tmp_path: Path) -> None:
    order = Order("faces", 1e-4, 0.5, "unrestricted", "largest", skip_problems=True)
    keep(tmp_path, "one", order)
    (tmp_path / ".two.order").write_text("[1]")
    (tmp_path / ".three.order").write_text('{"set_name": "x", "else": 1}')
    assert unfinished(tmp_path) == {"one": order}
    assert os.stat(tmp_path / ".one.order").st_mode & 0o077 == 0  # noqa: PTH116
