"""`python -m support.light_server`: `face-api serve` with everything real but the networks, and so started at once.

Its photos name the person they show: `light_photo`.
"""

import argparse
import re
import struct
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import numpy as np
import numpy.typing as npt

from face_engine.types import TEMPLATE_SIZE, Analysis, Box, Chip, Face, Quality, Template, Vector
from support.fakes import IdleAnalyser

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from face_api.settings import Settings
    from face_engine.search import Scope

EXIT_STARTUP = 3
ENCODER_ID = "light/1"

PERSON_SIGMA = 0.09
"""Of each of a template's numbers: two persons are then about 1.44 apart, and never below 0.9."""

PHOTO_SIGMA = 0.01
"""By which the templates of a person's photos vary: they are about 0.16 apart."""

CHIP_SIDE = 150
_COARSE_SIDE = 12
_PERSON = re.compile(rb"person=([0-9]{1,18}) number=([0-9]{1,18});")
_MARK = re.compile(rb"\xff\xd8\xff(?:\xfe..)?((?:%b)+)" % _PERSON.pattern, re.DOTALL)


def light_photo(person: int, number: int, size: int = 300_000) -> bytes:
    """Return a file of `size` bytes that passes for a JPEG and shows a person (>= 0), in a photo of theirs (>= 0)."""
    photo = b"\xff\xd8\xffperson=%d number=%d;" % (person, number)
    assert _MARK.fullmatch(photo), photo
    return photo.ljust(size, b"\0")


def marked_jpeg(jpeg: bytes, *faces: tuple[int, int]) -> bytes:
    """Return a real JPEG that shows persons, each by its number, in photos of theirs: in a comment of the file."""
    comment = b"".join(b"person=%d number=%d;" % face for face in faces)
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + jpeg[2:]


class LightAnalyser(IdleAnalyser):
    """Sees what `light_analysis` does, in all photos at a time. It takes `delay_s` for a photo."""

    runtime = "light"
    encoder_id = ENCODER_ID

    def __init__(self, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s

    async def analyse(self, image_bytes: bytes, scope: "Scope" = "every_face") -> Analysis:
        await anyio.sleep(self._delay_s)
        return light_analysis(image_bytes)


def light_analysis(image_bytes: bytes) -> Analysis:
    """Return what is seen in any file: the faces that a `light_photo` or a `marked_jpeg` names, or none."""
    mark = _MARK.match(image_bytes)
    faces = tuple(light_face(int(person), int(number)) for person, number in _PERSON.findall(mark[1])) if mark else ()
    return Analysis(640, 480, faces, {"decode": 1.0, "detect": 2.0, "align": 1.0, "encode": 1.0})


def light_face(person: int, number: int) -> Face:
    """Return the face that LightAnalyser sees in `light_photo(person, number)`."""
    left, top = 100 + number % 300, 100 + number % 200
    landmarks = np.array([[80, 35], [65, 35], [20, 35], [35, 35], [50, 65]], np.int32) + np.array([left, top], np.int32)
    template = Template(_vector(person, number), ENCODER_ID)
    quality = Quality(size=150.0, sharpness=1.0, brightness=0.5, turn=0.0, inside=1.0, reasons=())
    return Face(Box(left, top, left + 99, top + 99), 1.0, landmarks, _chip(person, number), template, quality)


def _vector(person: int, number: int) -> Vector:
    face = np.random.default_rng([0, person]).normal(0.0, PERSON_SIGMA, TEMPLATE_SIZE)
    variation = np.random.default_rng([1, person, number]).normal(0.0, PHOTO_SIGMA, TEMPLATE_SIZE)
    return (face + variation).astype(np.float32)


def _chip(person: int, number: int) -> Chip:
    """Return soft colours, which are the person's, with the grain of the photo: it compresses as a photo does."""
    coarse = np.random.default_rng([2, person]).uniform(30, 225, (_COARSE_SIDE, _COARSE_SIDE, 3))
    enlarge = _interpolation(_COARSE_SIDE, CHIP_SIDE)
    soft = np.einsum("yi,ijc,xj->yxc", enlarge, coarse, enlarge, optimize=True)
    grain = np.random.default_rng([3, person, number]).normal(0.0, 3.0, soft.shape)
    return np.asarray(np.clip(np.rint(soft + grain), 0, 255), dtype=np.uint8)


def _interpolation(source: int, target: int) -> npt.NDArray[np.float64]:
    """Return the matrix (target, source) that interpolates linearly between `source` values."""
    positions = np.linspace(0, source - 1, target)
    return np.clip(1.0 - np.abs(positions[:, None] - np.arange(source)[None, :]), 0.0, None)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C, as `face-api serve` does; other settings are FACE_API_* variables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that the analysis of a photo takes")
    parser.add_argument("--pool", action="store_true", help="one photo a worker at a time, as the service does it")
    arguments = parser.parse_args()
    sys.exit(0 if serve(arguments.port, arguments.data_dir, arguments.delay, arguments.pool) else EXIT_STARTUP)


def serve(port: int, data_dir: Path, delay_s: float, pool: bool) -> bool:
    """What `face-api serve` does, without networks; tell whether it could start."""
    from face_api import logs  # noqa: PLC0415 - unit tests import this module for its analyser
    from face_api.cli.common import plain_errors, read_settings  # noqa: PLC0415
    from face_api.server import run  # noqa: PLC0415
    from face_api.store import open_configured  # noqa: PLC0415

    settings = read_settings(port=port, data_dir=data_dir)
    logs.configure(settings.log_format)
    with plain_errors():
        if settings.workers > 1:
            open_configured(settings).close()
        return run(partial(build, settings, delay_s, pool), settings)


def build(settings: "Settings", delay_s: float, pool: bool) -> "Starlette":
    if pool:
        from support.light_pool import build_with_pool  # noqa: PLC0415 - unit tests import this module for its analyser

        return build_with_pool(settings, delay_s)
    from face_api.app import create_app  # noqa: PLC0415

    return create_app(settings, LightAnalyser(delay_s))


if __name__ == "__main__":
    main()
