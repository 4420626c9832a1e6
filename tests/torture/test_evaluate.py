"""The development set as a whole, in LFW's form: two minutes of encoding."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SHARED_DATA


@pytest.mark.torture
def test_lfws_form_gives_the_known_figures(tmp_path: Path) -> None:
    folder = SHARED_DATA / "lfw-dev"
    if not (folder / "pairs.txt").is_file():
        pytest.skip(f"the development set is not on this machine: no {folder}")
    program = str(Path(sys.executable).with_name("face-engine"))
    command = [program, "evaluate", "--images", str(folder / "images"), "--pairs", str(folder / "pairs.txt")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "report"), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["pairs"], told["images"], told["fta"]) == (1000, 943, 0.0)
    assert told["accuracy_mean"] == pytest.approx(0.987, abs=0.0011)
    assert told["fmr"] == pytest.approx(0.018, abs=0.0021)
    assert told["fnmr"] == pytest.approx(0.006, abs=0.0021)
    assert told["fnmr_at_fmr"]["1e-3"] is None
