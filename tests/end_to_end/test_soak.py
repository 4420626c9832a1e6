"""What a service that runs for weeks must not do: keep a little of every request. With the networks: tests/torture."""

from pathlib import Path

from support.light_server import light_photo
from support.photos import MAX_BAND, MIN_BAND
from support.server import LIGHT, running_server
from support.soak import SETTINGS, Photo, soak

ANALYSES = 3_000
SIZES = range(MIN_BAND, MAX_BAND, 10_000)
"""Bytes."""


def test_a_server_holds_no_more_after_thousands_of_analyses(tmp_path: Path) -> None:
    photos: list[Photo] = [
        (light_photo(person, number, size), {"result": {"person_1": answer}})
        for number, size in enumerate(SIZES)
        for person, answer in ((1, "match"), (2, "dismatch"))
    ]
    no_face = b"\xff\xd8\xff".ljust(SIZES[0], b"\0"), {"result": "Fail"}
    with running_server(tmp_path, LIGHT, **SETTINGS) as server:
        soak(server, ANALYSES, light_photo(1, len(SIZES)), [*photos, no_face])
