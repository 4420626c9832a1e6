"""`make bench`: what a photo costs, by stage and size, on this machine.

Absolute times belong to the machine that is named; the ratios are what can be compared.
"""

import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from face_engine.images import decode
from face_engine.pipeline import FaceEngine, only_face
from face_engine.runtimes import create_runtime
from face_engine.types import ImageRGB
from sample_photos import sample_photo

MEGAPIXELS = (0.1, 0.25, 0.5, 1.0)
REPEATS = 3


def main() -> None:
    runtime = create_runtime()
    image = decode(sample_photo("obama.jpg").read_bytes())
    rows: list[tuple[str, float, float | None]] = []
    for megapixels in MEGAPIXELS:
        photo = resize_to(image, megapixels)
        seconds = median_seconds(lambda photo=photo: runtime.detect(photo, 0))  # type: ignore[misc]
        rows.append((f"detection, {megapixels:g} megapixels", seconds, seconds / megapixels))
    small = resize_to(image, 0.25)
    upsampled = median_seconds(lambda: runtime.detect(small, 1), repeats=1)
    rows.append(("detection, 0.25 megapixels upsampled once", upsampled, upsampled / 0.25))

    face = only_face(FaceEngine(runtime, upsample=0).analyse(sample_photo("obama.jpg").read_bytes()))
    rows.append(("landmarks and chip of a face", median_seconds(lambda: runtime.align(image, [face.box]), 20), None))
    rows.append(("encoding of a face", median_seconds(lambda: runtime.encode([face.chip]), 20), None))
    rows.append(
        ("decoding of 1 megapixel", median_seconds(lambda: decode(sample_photo("obama.jpg").read_bytes())), None)
    )

    unit = rows[MEGAPIXELS.index(1.0)][1]
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{platform.processor() or platform.machine()}, {cpu_name()}; runtime {runtime.name} on {runtime.device}\n")
    print(f"{'':44}{'seconds':>10}{'s/megapixel':>13}{'of 1 MP detection':>19}")
    for name, seconds, per_megapixel in rows:
        density = f"{per_megapixel:.2f}" if per_megapixel is not None else ""
        print(f"{name:44}{seconds:>10.4f}{density:>13}{seconds / unit:>18.1%}")
    print(f"\nlargest resident memory: {memory_mb:.0f} MB")
    print(
        json.dumps({"seconds": {name: seconds for name, seconds, _ in rows}, "memory_mb": memory_mb}), file=sys.stderr
    )


def resize_to(image: ImageRGB, megapixels: float) -> ImageRGB:
    """Return the image with as many pixels, its sides in the same ratio."""
    height, width = image.shape[:2]
    scale = (megapixels * 1e6 / (width * height)) ** 0.5
    return np.asarray(cv2.resize(image, (round(width * scale), round(height * scale))), dtype=np.uint8)


def median_seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median wall-clock time of `repeats` calls, after one that warms up."""
    if repeats > 1:
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def cpu_name() -> str:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


if __name__ == "__main__":
    main()
