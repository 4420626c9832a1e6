"""What a server that runs for weeks must not do: keep a little of every photo."""

import math

import cv2
import numpy as np
import psutil
import pytest

from face_engine.images import decode
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import RUNTIMES, create_runtime, device_status
from sample_photos import sample_photo
from support.photos import jpeg

SIZES = 200
ANALYSES = 2_000
GROWTH = 1.2
MAX_RESIDENT = 600e6  # bytes


@pytest.mark.torture
@pytest.mark.parametrize("name", [name for name in RUNTIMES if name != "reference"])
def test_memory_is_the_same_after_thousands_of_photos(name: str) -> None:
    status = device_status(name, "cpu")
    if not status.available:
        pytest.skip(status.detail)
    engine = FaceEngine(create_runtime(name))
    image = decode(sample_photo("obama.jpg").read_bytes())
    rng = np.random.default_rng(0)
    photos = []
    for _ in range(SIZES):
        side = math.sqrt(math.exp(rng.uniform(math.log(0.02e6), math.log(3.2e6))))
        aspect = math.exp(rng.uniform(-0.4, 0.4))
        size_wh = round(side * aspect), round(side / aspect)
        photos.append(jpeg(np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)))
    process = psutil.Process()
    base = process.memory_info().rss  # the photos themselves, and pytest
    resident: list[int] = []
    for number in range(ANALYSES):
        engine.analyse(photos[number % SIZES])
        resident.append(process.memory_info().rss)
    early, late = max(resident[:SIZES]), max(resident[-SIZES:])
    print(f"{name}: {base / 1e6:.0f} MB before, {early / 1e6:.0f} after {SIZES}, {late / 1e6:.0f} after {ANALYSES}")  # noqa: T201 - the figures of `make torture`
    assert late <= GROWTH * early
    assert late <= MAX_RESIDENT
