"""face-engine as a person and a program use it: a process of its own."""

import json
import os
import pty
import subprocess
import sys
import termios
from importlib.metadata import version
from pathlib import Path

import pytest

from face_engine.runtimes import DEVICES, RUNTIMES, RuntimeName, choose_runtime, device_status
from support.photos import collage, jpeg, noise, portrait

PROGRAM = Path(sys.executable).with_name("face-engine")


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=300)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "obama.jpg").write_bytes(jpeg(portrait("obama.jpg")))
    (folder / "obama2.jpg").write_bytes(jpeg(portrait("obama2.jpg")))
    (folder / "biden.jpg").write_bytes(jpeg(portrait("biden.jpg")))
    (folder / "both.jpg").write_bytes(jpeg(collage(["obama.jpg", "biden.jpg"])))
    (folder / "nobody.jpg").write_bytes(jpeg(noise()))
    (folder / "text.jpg").write_text("no photo")
    return folder


def test_detect_prints_one_json_line_per_image(photos: Path) -> None:
    result = run("detect", "both.jpg", "nobody.jpg", "--exact", "--upsample", "0", "--json", cwd=photos)
    assert (result.returncode, result.stderr) == (0, "")
    both, nobody = map(json.loads, result.stdout.splitlines())
    assert list(both) == ["image", "width", "height", "faces"]
    assert (both["image"], both["height"], len(both["faces"])) == ("both.jpg", 320, 2)
    assert (nobody["image"], nobody["faces"]) == ("nobody.jpg", [])
    for face in both["faces"]:
        assert list(face) == ["box", "confidence", "landmarks", "quality", "template"]
        assert list(face["quality"]) == ["size", "sharpness", "brightness", "turn", "inside", "reasons"]
        assert face["quality"]["reasons"] == []
        left, top, right, bottom = face["box"]
        assert left < right
        assert top < bottom
        assert face["confidence"] > 0
        assert [len(point) for point in face["landmarks"]] == [2] * 5
        assert len(face["template"]) == 128


def test_a_terminal_sees_a_progress_bar_and_a_pipe_the_results_alone(photos: Path) -> None:
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (30, 100))
    command = [str(PROGRAM), "detect", "--exact", "--upsample", "0", "--json", "obama.jpg", "nobody.jpg"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=its_end, check=False, cwd=photos, timeout=300)
    os.close(its_end)
    with os.fdopen(terminal, "rb") as screen:
        assert b"| 0/2 [" in screen.read1(100_000)
    assert result.returncode == 0
    assert [json.loads(line)["image"] for line in result.stdout.splitlines()] == ["obama.jpg", "nobody.jpg"]


def test_detect_goes_on_after_a_bad_file_and_says_which(photos: Path) -> None:
    result = run("detect", "text.jpg", "missing.jpg", ".", "obama.jpg", "--exact", "--upsample", "0", cwd=photos)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "face-engine: text.jpg: not a JPEG or PNG file",
        "face-engine: missing.jpg: No such file or directory",
        "face-engine: .: Is a directory",
    ]
    assert result.stdout.startswith("obama.jpg: 256 x 320, 1 face, ")
    assert "confidence" in result.stdout


@pytest.mark.parametrize(("other", "verdict"), [("obama2.jpg", "match"), ("biden.jpg", "dismatch")])
def test_compare_tells_distance_tolerance_and_verdict(photos: Path, other: str, verdict: str) -> None:
    result = run("compare", "obama.jpg", other, "--exact", "--upsample", "0", "--json", cwd=photos)
    answer = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert list(answer) == ["distance", "tolerance", "verdict"]
    assert (answer["verdict"], answer["tolerance"]) == (verdict, 0.6)
    assert (answer["distance"] <= 0.6) is (verdict == "match")


def test_compare_for_people_obeys_the_tolerance(photos: Path) -> None:
    result = run("compare", "obama.jpg", "obama2.jpg", "--exact", "--upsample", "0", "--tolerance", "0.1", cwd=photos)
    assert result.returncode == 0
    assert result.stdout.startswith("dismatch: distance 0.4")
    assert result.stdout.endswith(" > tolerance 0.1\n")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("nobody.jpg", "nobody.jpg: no face was found"),
        ("both.jpg", "both.jpg: 2 faces were found of which none is twice as wide as the others"),
        ("text.jpg", "text.jpg: not a JPEG or PNG file"),
    ],
)
def test_compare_has_no_verdict_on_other_photos(photos: Path, other: str, message: str) -> None:
    result = run("compare", other, "obama.jpg", "--exact", "--upsample", "0", cwd=photos)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"face-engine: {message}\n")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_cuda_is_never_replaced_by_the_cpu(photos: Path, runtime: RuntimeName) -> None:
    status = device_status(runtime, "cuda")
    if status.available:
        pytest.skip(f"the runtime {runtime} has CUDA and a GPU here")
    result = run("detect", "obama.jpg", "--runtime", runtime, "--device", "cuda", cwd=photos)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == f"face-engine: {status.detail}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_result_that_cannot_be_written_is_said_so() -> None:
    with Path("/dev/full").open("w") as full:
        command = [str(PROGRAM), "doctor", "--json"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert result.stderr == "face-engine: cannot write the result: No space left on device\n"


@pytest.mark.parametrize("tolerance", ["nan", "-0.1", "6"])
def test_a_tolerance_without_meaning_is_wrong_usage(tolerance: str) -> None:
    assert run("compare", "a.jpg", "b.jpg", "--tolerance", tolerance).returncode == 2


def test_wrong_usage_is_status_2() -> None:
    assert run("detect").returncode == 2
    assert run("detect", "x.jpg", "--exact", "--upsample", "9").returncode == 2
    assert run("benchmark").returncode == 2
    assert "Traceback" not in run("nonsense").stderr


def test_help_names_the_commands() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert all(command in result.stdout for command in ("detect", "compare", "benchmark", "doctor"))


def test_doctor_reports_versions_runtimes_devices_and_weights() -> None:
    result = run("doctor", "--json")
    report = json.loads(result.stdout)
    assert (result.returncode, report["ok"]) == (0, True)
    assert report["versions"]["onnxruntime"] == version("onnxruntime")
    assert [runtime["name"] for runtime in report["runtimes"]] == list(RUNTIMES)
    assert [choice["runtime"] for choice in report["auto"]] == [choose_runtime(device)[0] for device in DEVICES]
    assert all(file["ok"] and file["sha256"] == file["expected_sha256"] for file in report["weights"])
    assert run("doctor").stdout.endswith("Ready.\n")


def test_a_closed_pipe_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        command = [str(PROGRAM), "doctor", "--json"]
        result = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert "Traceback" not in result.stderr


def run_with(tmp_path: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a Python in which something is amiss."""
    (tmp_path / "sitecustomize.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [str(PROGRAM), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


@pytest.mark.parametrize("module", ["dlib", "onnx", "onnxruntime"])
@pytest.mark.parametrize("arguments", [["doctor"], ["detect", "x.jpg"]])
def test_a_module_that_is_missing_is_named(tmp_path: Path, module: str, arguments: list[str]) -> None:
    code = (
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        f"u.find_spec = lambda name, *rest: None if name == {module!r} else find(name, *rest)\n"
    )
    result = run_with(tmp_path, code, *arguments)
    assert result.returncode == 3
    assert f"the module {module} is not installed" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["doctor"], ["detect", "x.jpg"]])
def test_a_dlib_that_cannot_be_loaded_is_said_so(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "dlib.py").write_text("raise ImportError('libcudnn.so.9: cannot open shared object file')")
    result = run_with(tmp_path, "", *arguments)
    assert result.returncode == 3
    assert "libcudnn.so.9: cannot open" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_an_openvino_that_does_not_start_leaves_onnx(tmp_path: Path) -> None:
    (tmp_path / "openvino.py").write_text(
        "__version__ = '1.0'\nInferRequest = object\n"
        "class Core:\n    def __init__(self):\n        raise RuntimeError('no plugin')\n"
    )
    result = run_with(tmp_path, "", "doctor", "--json")
    report = json.loads(result.stdout)
    assert result.returncode == 0
    assert report["auto"][0]["runtime"] == "onnx"
    assert "no plugin" in report["auto"][0]["why"]


def test_a_bound_on_the_gpus_memory_needs_a_gpu() -> None:
    result = run("detect", "x.jpg", "--gpu-memory", "2048")
    assert result.returncode == 2
    assert "--gpu-memory needs --device cuda" in result.stderr
    assert run("detect", "x.jpg", "--device", "cuda", "--gpu-memory", "100").returncode == 2


def test_upsample_is_for_the_exact_search_alone() -> None:
    result = run("detect", "x.jpg", "--upsample", "1")
    assert result.returncode == 2
    assert "--upsample needs --exact" in result.stderr


def test_benchmark_measures_runtimes_side_by_side(photos: Path) -> None:
    result = run("benchmark", "obama.jpg", "nobody.jpg", "--runtime", "onnx", "--callers", "2", "--json", cwd=photos)
    assert (result.returncode, result.stderr) == (0, "")
    figures = json.loads(result.stdout)
    assert (figures["photos"], figures["machine"]["cores"] > 0, figures["matrix_product_gflops"] > 0) == (2, True, True)
    (onnx,) = figures["runtimes"]
    assert (onnx["runtime"], onnx["device"]) == ("onnx", "cpu")
    assert onnx["around_network"] > 0
    assert 0 < onnx["memory_loaded"] <= onnx["memory_peak"]
    assert set(onnx["photos_per_second"]) == {"1", "2"}
    for stage in ("detection", "encoding", "encoding_views", "enrollment", "analysis"):
        assert 0 < onnx[stage]["p50"] <= onnx[stage]["p95"]


def test_benchmark_says_what_it_cannot_measure(photos: Path) -> None:
    assert run("benchmark", "missing.jpg", cwd=photos).stderr == "face-engine: missing.jpg: No such file or directory\n"
    result = run("benchmark", "nobody.jpg", "--runtime", "onnx", cwd=photos)
    assert (result.returncode, result.stderr) == (1, "face-engine: the first photo must show a face\n")
    result = run("benchmark", "obama.jpg", "--device", "cuda", cwd=photos)
    assert result.returncode == 3 or device_status("onnx", "cuda").available


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nothing_is_sent_or_left_anywhere(photos: Path, tmp_path: Path, runtime: RuntimeName) -> None:
    """ONNX Runtime and OpenVINO have telemetry on by default: its first trace are files in the home folder."""
    if not device_status(runtime, "cpu").available:
        pytest.skip(f"the runtime {runtime} cannot run here")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_", "CI"))}
    command = [str(PROGRAM), "detect", str(photos / "obama.jpg"), "--runtime", runtime]
    for arguments in command, [str(PROGRAM), "doctor"]:
        environment["HOME"] = str(tmp_path)
        result = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment, timeout=60)
        assert (result.returncode, result.stderr) == (0, "")
    assert {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*") if path.is_file()} <= {
        (".cache", "face-engine")
    }
