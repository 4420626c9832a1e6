"""The check of NVIDIA GPUs, run on the CPU: the same parts, so that it works where there is a GPU at last."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import cuda_check
import cuda_dlib
from cuda_agreement import agreement, answers_of, verdicts
from face_engine.errors import OutOfMemoryError
from face_engine.runtimes import Runtime, create_runtime, device_status
from face_engine.types import AlignedFace, Box, Chip, Detection, ImageRGB
from sample_photos import sample_photo

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "cuda_check.py"


@pytest.fixture(scope="module")
def cpu() -> Runtime:
    return create_runtime("onnx", "cpu")


class Shifted:
    """A runtime whose templates lie a little off another one's."""

    def __init__(self, runtime: Runtime, by: float) -> None:
        self.name, self.device, self.encoder_id = runtime.name, runtime.device, runtime.encoder_id
        self._runtime, self._by = runtime, by

    def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
        return self._runtime.detect(image_rgb, upsample)

    def align(self, image_rgb: ImageRGB, boxes: Sequence[Box]) -> list[AlignedFace]:
        return self._runtime.align(image_rgb, boxes)

    def encode(self, chips: Sequence[Chip]) -> npt.NDArray[np.float32]:
        vectors = self._runtime.encode(chips)
        vectors[:, 0] += self._by
        return vectors


def run(tmp_path: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], str]:
    page = tmp_path / "page.md"
    command = [sys.executable, str(SCRIPT), "--quick", "--out", str(page), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=tmp_path)
    return done, page.read_text()


def test_every_part_runs_and_is_on_the_page(tmp_path: Path) -> None:
    done, page = run(tmp_path, "--device", "cpu", "--runtime", "onnx")
    assert done.returncode == 0, done.stderr
    assert page.startswith("# The CPU (")
    titles = re.findall(r"^### (.*)$", page, re.MULTILINE)
    assert titles == [title for title, part in cuda_check.PARTS.items() if part is not cuda_check.pairs]
    assert "| boxes apart, pixels | 0 |" in page
    assert re.search(r"^\| encodings a second \|( \d+\.\d \|){6}$", page, re.MULTILINE)
    assert "25 megapixels was refused, and the next one answered as before" in page
    assert "Failed" not in page


def test_where_nothing_can_use_a_gpu_the_page_says_what_is_missing(tmp_path: Path) -> None:
    if any(device_status(name, "cuda").available for name in cuda_check.RUNTIMES):
        pytest.skip("something here can use a GPU")
    done, page = run(tmp_path)
    assert done.returncode == 3
    assert "built without CUDA" in page
    assert "compiled without CUDA" in page


def test_a_part_that_fails_is_told_with_why(tmp_path: Path) -> None:
    plan = cuda_check.Plan("onnx", "cpu", tmp_path, tmp_path, quick=True)

    def fail(_plan: cuda_check.Plan) -> list[str]:
        raise OutOfMemoryError("CUDA failure 2: out of memory")

    def measured_and_failed(_plan: cuda_check.Plan) -> list[str]:
        raise cuda_check.CheckError("boxes lie elsewhere", ["| a | table |"])

    assert cuda_check.run(fail, plan) == (["**Failed**: OutOfMemoryError: CUDA failure 2: out of memory"], False)
    assert cuda_check.run(measured_and_failed, plan) == (
        ["| a | table |", "", "**Failed**: boxes lie elsewhere."],
        False,
    )


def test_answers_that_differ_are_seen(cpu: Runtime) -> None:
    (right,) = answers_of(cpu, [sample_photo("obama.jpg")])
    assert agreement(cpu, [right]).is_close
    (box,) = right.boxes
    moved = replace(right, boxes=[Box(box.left + 2, box.top, box.right, box.bottom)])
    assert (agreement(cpu, [moved]).box_pixels, agreement(cpu, [moved]).is_close) == (2, False)
    surer = replace(right, confidences=[right.confidences[0] + 0.5])
    assert not agreement(cpu, [surer]).is_close
    none = replace(right, boxes=[], confidences=[], templates=[])
    assert agreement(cpu, [none]).other_faces == ["obama.jpg: 1 faces instead of 0"]
    assert agreement(Shifted(cpu, 0.25), [right]).apart == pytest.approx([0.25], abs=1e-4)


def test_templates_and_verdicts_of_pairs_are_compared(cpu: Runtime, tmp_path: Path) -> None:
    for file, name in (("obama.jpg", "Obama_0001"), ("obama2.jpg", "Obama_0002"), ("biden.jpg", "Biden_0001")):
        folder = tmp_path / "images" / name.partition("_")[0]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jpg").write_bytes(sample_photo(file).read_bytes())
    (tmp_path / "pairs.txt").write_text("1\nObama\t1\t2\nObama\t1\tBiden\t1\n")
    same = verdicts(cpu, cpu, tmp_path)
    assert (same.failed, same.apart.tolist(), same.moved.tolist()) == ([], [0, 0, 0], [0, 0])
    assert same.changed == {0.5175: 0, 0.6: 0}
    # Both photos of a pair move alike, so that no distance does.
    shifted = verdicts(Shifted(cpu, 0.25), cpu, tmp_path)
    assert shifted.apart == pytest.approx([0.25] * 3, abs=1e-4)
    assert shifted.moved == pytest.approx([0, 0], abs=1e-4)


def test_each_architecture_of_this_machines_gpus_is_compiled_for_once() -> None:
    assert cuda_dlib.architectures_of("9.0\n8.6\n12.0\n9.0\n") == "86-real;90-real;120-real"
    with pytest.raises(cuda_dlib.BuildError, match="no compute capability: 'No devices were found'"):
        cuda_dlib.architectures_of("No devices were found\n")


def test_without_a_toolkit_dlib_is_not_compiled(tmp_path: Path) -> None:
    with pytest.raises(cuda_dlib.BuildError, match="no CUDA toolkit with nvcc"):
        cuda_dlib.wheel("90-real", tmp_path, tmp_path)


def test_dlib_is_compiled_from_what_the_lock_file_names() -> None:
    required, sha256 = re.findall(r"^(\S+) --hash=sha256:(\w+)$", cuda_dlib.REQUIREMENT.read_text(), re.MULTILINE)[0]
    locked = (ROOT / "uv.lock").read_text()
    assert sha256 in locked
    assert required.replace("==", "-") + ".tar.gz" in locked
