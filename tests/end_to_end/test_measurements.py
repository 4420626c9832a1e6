"""The scripts that measure the service: their messages are what they say, and they run."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from bench import BAND
from face_api.requests import parse_enrollment
from face_engine.images import decode
from messages import COMPANY, CONTENT_TYPE, sample_messages

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_each_message_has_a_photo_in_the_size_band_that_no_other_has() -> None:
    messages = sample_messages()
    again = len(messages.photos)
    assert again > 1
    one, other = (parse_enrollment(CONTENT_TYPE, messages.body(number, f"user{number}")) for number in (0, again))
    assert (one.company, one.user, other.user) == (COMPANY, "user0", f"user{again}")
    assert one.image != other.image
    assert len(one.image) in BAND
    assert np.array_equal(decode(one.image), decode(other.image))


def test_the_overhead_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "overhead.py"), "--count", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 1}, done.stderr  # 1: more than is wanted, which two requests do not prove
    for kind in ("enrollment of a new user", "analysis"):
        assert re.search(rf"^{kind}: overhead \d+\.\d ms", done.stdout, re.MULTILINE), done.stdout + done.stderr
