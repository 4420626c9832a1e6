"""Every example of docs/api.md, run as it stands, one after the other, and its answer. The Korean edition has the same
ones: tests/api/test_docs_complete.py."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sample_photos import sample_photo
from support.api_docs import ENGLISH, Block, Example, assert_printed, examples, variables
from support.command import face_api
from support.server import running_server

TIMEOUT_S = 240.0

NODE = shutil.which("node")
PHOTOS = ("biden.jpg", "obama.jpg", "obama2.jpg")
EXAMPLES = examples(ENGLISH)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each example printed, in a folder with the sample photos; of those that cannot be run here, nothing."""
    data_dir, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("photos")
    for name in PHOTOS:
        shutil.copy(sample_photo(name), folder)
    keys = {
        "KEY": face_api("keys", "create", "--company", "withmind", "--data-dir", data_dir).expect().strip(),
        "ADMIN_KEY": face_api("keys", "create", "--admin", "--data-dir", data_dir).expect().strip(),
    }
    outputs: list[str] = []
    with running_server(data_dir, auth="keys") as server:
        filled_in = keys | {"API": f"http://127.0.0.1:{server.port}", "KEY_ID": ""}
        assert variables(ENGLISH) == filled_in.keys()
        for example in EXAMPLES:
            output = _run(example.program, folder, filled_in)
            outputs.append(output)
            if '"key_id"' in example.answer.text and not filled_in["KEY_ID"]:
                filled_in["KEY_ID"] = json.loads(output)["key_id"]
    return outputs


def _run(program: Block, folder: Path, filled_in: Mapping[str, str]) -> str:
    if program.language == "javascript":
        if NODE is None:
            return ""
        (folder / "example.mjs").write_text(program.text)
        command = [NODE, "example.mjs"]
    elif program.language == "python":
        command = [sys.executable, "-c", program.text]
    else:
        command = ["sh", "-ec", program.text]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | filled_in,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, (program.text, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.parametrize(("number", "example"), list(enumerate(EXAMPLES)), ids=map(str, EXAMPLES))
def test_an_example_prints_what_the_page_says(printed: list[str], number: int, example: Example) -> None:
    if example.program.language == "javascript" and NODE is None:
        pytest.skip("there is no Node.js on this machine")
    assert_printed(example.answer, printed[number])
