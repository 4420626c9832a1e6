"""How many annotated faces each way to search finds, and what it costs.

Usage: .venv/bin/python scripts/recall.py FOLDER

FOLDER holds photos and annotations.json: {"images": {NAME: [{"box": [left, top, right, bottom], "ignore": bool}]}}.
Each photo is searched as it is and enlarged to several sizes. A face is found where a box overlaps it by 30 % (the
annotators drew tighter boxes than the detector's).
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import in_format
from face_engine.images import decode, resize
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import create_runtime
from face_engine.search import BudgetedSearch, ExactSearch, Search

Annotations = dict[str, list[dict[str, Any]]]

MIN_OVERLAP = 0.3
SIZES_MP = (None, 1.0, 3.0, 12.0)
SEARCHES: dict[str, Search] = {
    "budgeted (default)": BudgetedSearch(),
    "exact, as it is": ExactSearch(0),
    "exact, upsampled once": ExactSearch(1),
    "exact, upsampled twice": ExactSearch(2),
}
MAX_SEARCHED_MP = 20.0  # more takes minutes and shows nothing new


def main() -> None:
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its argument
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    annotated = json.loads((folder / "annotations.json").read_text())["images"]
    runtime = create_runtime()
    print(f"{len(annotated)} photos, runtime {runtime.name}: faces found, milliseconds a photo")
    print(f"{'':24}" + "".join(f"{'as they are' if size is None else f'{size:g} MP':>22}" for size in SIZES_MP))
    for title, search in SEARCHES.items():
        engine = FaceEngine(runtime, search=search)
        engine.warm_up()
        print(f"{title:24}" + "".join(f"{measure(engine, search, folder, annotated, size):>22}" for size in SIZES_MP))


def measure(engine: FaceEngine, search: Search, folder: Path, annotated: Annotations, size: float | None) -> str:
    """Return "found of all, milliseconds", or a dash where the search would take too long."""
    found, wanted, milliseconds = 0, 0, []
    for name, faces in annotated.items():
        image = decode((folder / name).read_bytes())
        scale = 1.0 if size is None else math.sqrt(size * 1e6 / (image.shape[0] * image.shape[1]))
        image = resize(image, scale)
        height, width = image.shape[:2]
        if width * height * search.passes(width, height, "every_face")[0].factor ** 2 > MAX_SEARCHED_MP * 1e6:
            return "-"
        photo = in_format(image, ".jpg", 95)
        start = time.perf_counter()
        analysis = engine.analyse(photo)
        milliseconds.append((time.perf_counter() - start) * 1000)
        for face in faces:
            if not face["ignore"]:
                wanted += 1
                box = np.array(face["box"], float) * scale
                found += any(overlap(box, np.array(other.box.ltrb, float)) >= MIN_OVERLAP for other in analysis.faces)
    return f"{found} of {wanted}, {np.mean(milliseconds):.0f} ms"


def overlap(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return the intersection of two boxes over their union."""
    inner = np.prod(np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]) + 1, 0))
    return float(inner / (np.prod(one[2:] - one[:2] + 1) + np.prod(other[2:] - other[:2] + 1) - inner))


if __name__ == "__main__":
    main()
