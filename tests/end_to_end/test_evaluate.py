"""`face-engine evaluate` as quality assurance runs it: real photos, a process of its own, and one that is killed."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from face_engine.calibration import load_calibration
from face_engine.evaluation import reports
from face_engine.evaluation.encodings import SHARD_PHOTOS
from face_engine.images import resize
from support.photos import collage, jpeg, noise, portrait

PROGRAM = str(Path(sys.executable).with_name("face-engine"))
PHOTOS = {"obama": ("obama.jpg", "obama2.jpg", "obama3.jpg"), "biden": ("biden.jpg",)}
VARIANTS = 9
SCHEMA = Path(reports.__file__).with_name("results.schema.json")
HEADLINE = {"accuracy_mean", "accuracy_se", "eer", "fnmr_at_fmr", "fta", "fte", "pairs", "images", "images_per_second"}
TIMEOUT_S = 300.0


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two persons, each in several sizes, so that there are more than go into a shard; one without a face."""
    folder = tmp_path_factory.mktemp("set") / "images"
    for person, names in PHOTOS.items():
        (folder / person).mkdir(parents=True)
        for name in names:
            for variant in range(VARIANTS):
                image = resize(portrait(name), 0.7 - variant / 50)
                (folder / person / f"{name[:-4]}-{variant}.jpg").write_bytes(jpeg(image))
    (folder / "biden" / "nobody.jpg").write_bytes(jpeg(noise(200, 160)))
    (folder / "obama" / "with-biden.jpg").write_bytes(jpeg(resize(collage(["obama.jpg", "biden.jpg"]), 0.7)))
    return folder


def evaluate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "evaluate", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )


def without_timing(report: Path) -> tuple[str, dict[str, Any]]:
    """Return the text of results.json up to its fields of time, and those."""
    text = (report / "results.json").read_text()
    document = json.loads(text)
    assert list(document)[-1] == "timing"
    return text[: text.index('"timing"')], document["timing"]


@pytest.fixture(scope="module")
def report(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "report"
    done = evaluate("--images", images, "--out", folder, "--json", "--face", "largest")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)) >= HEADLINE
    return folder


def test_the_report_holds_what_it_says(report: Path, images: Path) -> None:
    assert {path.name for path in report.iterdir()} == {
        "results.json",
        "report.html",
        "manifest.json",
        "calibration.json",
        "photos.csv",
        "scores",
        ".face-engine-report",
    }
    results = json.loads((report / "results.json").read_text())
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(results)
    count = len(list(images.rglob("*.jpg")))
    data = results["data_set"]
    assert (data["photos"], data["persons"], data["problems"]) == (count, 2, 0)
    obamas, bidens = 3 * VARIANTS + 1, VARIANTS + 1
    assert data["mated_pairs"] == obamas * (obamas - 1) // 2 + bidens * (bidens - 1) // 2
    assert data["non_mated_pairs"] == obamas * bidens
    # The photo without a face: each mated pair of it is a false non-match, and no non-mated one of it is counted.
    assert results["acquisition"]["fta"]["reasons"] == {"no_face": 1}
    assert data["mated_pairs_not_compared"] == bidens - 1
    assert results["at_tolerance"]["fnmr"]["count"] >= bidens - 1
    assert results["at_tolerance"]["fmr"]["of"] == obamas * (bidens - 1)
    assert results["acquisition"]["fte"]["reasons"]["no_face"] == 1
    assert results["acquisition"]["fte"]["reasons"]["several_faces"] == 1


def test_every_photo_is_told_of(report: Path) -> None:
    with (report / "photos.csv").open(newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    assert rows["biden/nobody.jpg"]["outcome"] == "no_face"
    assert rows["obama/obama-0.jpg"]["outcome"] == "encoded"
    assert rows["obama/obama-0.jpg"]["enrollment"] == "enrolled"


def test_the_manifest_tells_how_to_do_it_again(report: Path, images: Path) -> None:
    manifest = json.loads((report / "manifest.json").read_text())
    assert manifest["command"][:3] == ["face-engine", "evaluate", "--images"]
    assert manifest["settings"]["seed"] == 0
    assert manifest["settings"]["encoder_id"].startswith("dlib-resnet-v1:")
    assert len(manifest["engine"]["source_sha256"]) == len(manifest["data_set"]["hash"]) == 64
    assert manifest["data_set"]["images"] == str(images)


def test_the_calibration_is_one(report: Path) -> None:
    calibration = load_calibration(report / "calibration.json")
    results = json.loads((report / "results.json").read_text())
    assert calibration.comparisons == results["at_tolerance"]["fmr"]["of"]
    assert calibration.false_match_rate(2.0) == 1.0
    assert calibration.tolerance is None  # so few comparisons cannot tell it for an FMR of 0.001


def test_the_page_opens_without_a_network(report: Path) -> None:
    page = (report / "report.html").read_text()
    assert "<html" in page
    assert 'src="http' not in page


@pytest.fixture(scope="module")
def resumed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run that was killed once its first shard was there, and started again; with its encodings."""
    out = tmp_path_factory.mktemp("killed") / "report"
    arguments = ["--images", str(images), "--out", str(out), "--face", "largest"]
    with subprocess.Popen([PROGRAM, "evaluate", *arguments], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + TIMEOUT_S
        while not list(out.glob("work/*/*.npz")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (out / "results.json").exists()
    (shard,) = out.glob("work/*/*.npz")
    written = shard.stat().st_mtime_ns
    done = evaluate(*arguments, "--keep-encodings")
    assert done.returncode == 0, done.stderr
    assert shard.stat().st_mtime_ns == written
    return out


def test_a_killed_run_goes_on_where_it_was(images: Path, report: Path, resumed: Path) -> None:
    assert len(list(images.rglob("*.jpg"))) > SHARD_PHOTOS
    figures, timing = without_timing(resumed)
    assert figures == without_timing(report)[0]
    assert timing["images_per_second"] > 0


def test_a_report_is_written_anew(images: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    for name in ("obama/obama-0.jpg", "obama/obama2-0.jpg", "biden/biden-0.jpg"):
        (few / name).parent.mkdir(parents=True, exist_ok=True)
        (few / name).write_bytes((images / name).read_bytes())
    out = tmp_path / "report"
    for tolerance in ("0.1", "0.6"):
        assert evaluate("--images", few, "--out", out, "--tolerance", tolerance).returncode == 0
    results = json.loads((out / "results.json").read_text())
    assert results["at_tolerance"]["tolerance"] == 0.6
    assert results["at_tolerance"]["fnmr"]["count"] == 0
    assert evaluate("compare", out, out).returncode == 0
    (few / "obama" / "obama2-0.jpg").write_bytes((images / "obama" / "obama3-0.jpg").read_bytes())
    refused = evaluate("--images", few, "--out", out)
    assert refused.returncode == 1
    assert "holds the report of another set" in refused.stderr
    assert json.loads((out / "results.json").read_text()) == results
    assert evaluate("--images", few, "--out", out, "--overwrite").returncode == 0


def test_a_worse_version_is_told(images: Path, report: Path, resumed: Path, tmp_path: Path) -> None:
    out = tmp_path / "strict"
    shutil.copytree(resumed, out)
    done = evaluate("--images", images, "--out", out, "--face", "largest", "--tolerance", "0.05")
    assert done.returncode == 0, done.stderr
    compared = evaluate("compare", report, out)
    assert compared.returncode == 1
    assert "NEW is worse: FNMR at the tolerance" in compared.stdout
    assert "tolerance: 0.6 -> 0.05" in compared.stdout
    assert evaluate("compare", out, report).returncode == 0
    told = json.loads(evaluate("compare", report, out, "--json").stdout)
    assert told["regression"] is True
    assert "fnmr_at_tolerance" in [test["metric"] for test in told["tests"] if test["verdict"] == "worse"]


def test_problems_are_listed_with_their_lines(images: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(
        "file_x,file_y,Decision\n"
        "obama/obama-0.jpg,obama/obama2-0.jpg,Yes\n"
        "obama/obama-0.jpg,biden/biden-0.jpg,No\n"
        "biden/biden-0.jpg,obama/obama-0.jpg,No\n"
        "obama/obama-0.jpg,obama/gone.jpg,Yes\n"
        "obama/obama-0.jpg,../../secret.jpg,Yes\n"
    )
    arguments = ["--images", str(images), "--pairs", str(pairs), "--out", str(tmp_path / "report"), "--json"]
    refused = evaluate(*arguments)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.splitlines() == [
        "pairs.csv:5: obama/gone.jpg is not there",
        "pairs.csv:6: '../../secret.jpg' is outside of the set's folder",
        "pairs.csv:4: is the pair of line 3 again",
        "face-engine: 3 problems in the labelled set; correct it, or leave out what is wrong: --on-problem skip",
    ]
    skipped = evaluate(*arguments, "--on-problem", "skip")
    assert skipped.returncode == 0, skipped.stderr
    assert json.loads(skipped.stdout)["pairs"] == 2
    assert json.loads((tmp_path / "report" / "results.json").read_text())["data_set"]["problems"] == 3


def test_a_name_cannot_steer_the_terminal(images: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text('file,person\n"a/\033]0;x\007\n.jpg",A\n')
    done = evaluate("--images", images, "--labels", labels, "--out", tmp_path / "report")
    assert done.returncode == 1
    assert "is not there" in done.stderr
    assert all(character.isprintable() or character == "\n" for character in done.stderr)
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--out", "report"], 2, "--images and --out are needed"),
        (["--images", "."], 2, "--images and --out are needed"),
        (["--images", "set", "--out", "."], 1, "or they in it"),
        (["--images", "set", "--out", "other"], 1, "holds other files"),
        (["--images", "set", "--out", "set/report"], 1, "lies in the folder of the photos, or they in it"),
        (["--images", "set", "--out", "report"], 1, "the set has no pair"),
        (["--images", "set", "--out", "report", "--tolerance", "nan"], 2, "not a number"),
        (["--images", "set", "--out", "report", "--protocol", "unrestricted"], 1, "go with LFW's pairs.txt"),
        (["--images", "set", "--out", "report", "--device", "cuda"], 3, "CUDA"),
        (["compare", ".", "."], 2, "results.json: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, message: str
) -> None:
    for name in ("set", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    done = evaluate(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_two_runs_do_not_write_to_one_report(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    command = [PROGRAM, "evaluate", "--images", str(images), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not (out / ".face-engine-report").exists():
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(0.1)
            second = evaluate("--images", images, "--out", out)
        finally:
            process.kill()
    assert second.returncode == 1
    assert "another evaluation is writing to" in second.stderr


@pytest.fixture
def two_pictures(tmp_path: Path) -> Path:
    """A set that takes no time: of one person, without a face."""
    folder = tmp_path / "set"
    (folder / "nobody").mkdir(parents=True)
    for number in range(2):
        (folder / "nobody" / f"{number}.jpg").write_bytes(jpeg(noise(160 + number, 120)))
    return folder


def test_a_program_reads_how_far_a_run_is(two_pictures: Path, tmp_path: Path) -> None:
    done = evaluate("--images", two_pictures, "--out", tmp_path / "report", "--progress", "json", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["images"] == 2
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {tuple(line) for line in lines} == {("step", "done", "total", "unit")}
    assert {line["step"]: line["done"] for line in lines} == {
        "reading the set": 2,
        "encoding": 2,
        "comparing": 1,
        "drawing persons anew": 1,
    }


def test_a_run_ends_when_nobody_reads_how_far_it_is(two_pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    arguments = ["--images", str(two_pictures), "--out", str(out), "--progress", "json"]
    with subprocess.Popen([PROGRAM, "evaluate", *arguments], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.close()
        assert process.wait(TIMEOUT_S) != 0
    assert not (out / "results.json").exists()


def test_the_program_is_not_slowed_by_what_evaluate_needs() -> None:
    code = "import sys, face_engine.cli; sys.exit('plotly' in sys.modules or 'jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ)).returncode == 0
