"""What a service that runs for weeks must not do: keep a little of every request. Shorter: tests/end_to_end."""

import os
from pathlib import Path

import pytest

from support.photos import IN_BAND, collage, jpeg, noise, pad_jpeg, portrait
from support.server import REAL, running_server
from support.soak import SETTINGS, Photo, soak

ANALYSES = int(os.environ.get("SOAK_ANALYSES", "20000"))
"""Fewer prove little; they are for who works on this test."""

HEIGHTS = range(200, 600, 4)
"""Pixels: up to 0.3 megapixels, so that this ends some day, and so many sizes that none of them is worth keeping."""

FAIL = {"result": "Fail"}
MATCH, DISMATCH = {"result": {"person_1": "match"}}, {"result": {"person_1": "dismatch"}}


@pytest.mark.torture
def test_memory_files_and_threads_are_the_same_after_thousands_of_analyses(tmp_path: Path) -> None:
    with running_server(tmp_path, REAL, **SETTINGS) as server:
        soak(server, ANALYSES, jpeg(portrait("obama.jpg"), IN_BAND), photos())


def photos() -> list[Photo]:
    """Return small photos, and what is to be answered to each where the user is Obama."""
    both = {"result": {"person_1": "match", "person_2": "dismatch"}}
    return [
        *((jpeg(portrait("obama2.jpg", height), IN_BAND), MATCH) for height in HEIGHTS),
        *((jpeg(portrait("biden.jpg", height), IN_BAND), DISMATCH) for height in HEIGHTS),
        (jpeg(collage(["obama2.jpg", "biden.jpg"]), IN_BAND), both),
        (jpeg(noise(), IN_BAND), FAIL),
        (pad_jpeg(jpeg(portrait("obama.jpg"))[:-5_000], IN_BAND), FAIL),
    ]
