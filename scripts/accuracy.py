"""What averaging views does to accuracy, on a labelled set in LFW's form: images/ and pairs.txt.

Usage: .venv/bin/python scripts/accuracy.py FOLDER

By LFW's protocol: the threshold is chosen on nine folds and tested on the tenth. Beside it what depends on no threshold
(the area under the ROC curve; d', the distance of the two means in standard deviations), and the errors at 0.6.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dlib
import numpy as np
from tqdm import tqdm

from face_engine.encoding import encode_views
from face_engine.evaluation.accuracy import cross_validate
from face_engine.evaluation.data_set import DataSetOptions, open_set
from face_engine.evaluation.encodings import choose_face
from face_engine.evaluation.labels import LabelledSet
from face_engine.evaluation.progress import silent
from face_engine.evaluation.rates import Tally
from face_engine.evaluation.scores import STEPS, scored_blocks, to_step
from face_engine.matching import DEFAULT_TOLERANCE
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import Runtime, create_runtime
from face_engine.types import Chip, Vector

JITTERS = 100  # dlib's own recommendation for the highest accuracy


def main() -> None:
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its argument
        sys.exit(__doc__)
    images = Path(sys.argv[1]) / "images"
    runtime = create_runtime()
    engine = FaceEngine(runtime, views="plain")
    with tempfile.TemporaryDirectory() as scratch:
        labelled = open_set(DataSetOptions(images, images.parent / "pairs.txt"), Path(scratch), silent)
        chips = [
            choose_face(engine.analyse((images / photo.file).read_bytes()), "centre").chip
            for photo in tqdm(labelled.photos, unit="photo")
        ]
        methods: dict[str, Callable[[Chip], Vector]] = {
            "plain": lambda chip: encode_views(runtime.encode, [chip], "plain")[0],
            "diagonal4": lambda chip: encode_views(runtime.encode, [chip], "diagonal4")[0],
            f"dlib's {JITTERS} jitters": lambda chip: jittered(runtime, chip),
        }
        pairs = labelled.pairs.mated + labelled.pairs.non_mated
        print(f"{len(chips)} photos, {pairs} pairs in {labelled.folds} folds, runtime {runtime.name}")
        print(f"{'views':20}{'LFW accuracy':>18}{'AUC':>10}{'d-prime':>10}{'FNMR':>8}{'FMR':>8}{'ms a face':>11}")
        for title, method in methods.items():
            start = time.perf_counter()
            vectors = [method(chip) for chip in tqdm(chips, desc=title, unit="face", leave=False)]
            print(f"{title:20}{report(labelled, vectors)}{(time.perf_counter() - start) * 1000 / len(chips):>11.1f}")


def jittered(runtime: Runtime, chip: Chip) -> Vector:
    """Return dlib's remedy: the mean of random small turns, shifts, zooms and mirrorings of the chip."""
    copies: Sequence[Chip] = [np.asarray(copy) for copy in dlib.jitter_image(chip, JITTERS)]
    return np.asarray(runtime.encode(copies).mean(axis=0), np.float32)


def report(labelled: LabelledSet, vectors: Sequence[Vector]) -> str:
    """Return one line of figures."""
    rows = np.arange(len(vectors), dtype=np.int32)
    blocks = list(scored_blocks(labelled.pairs, rows, np.stack(vectors)))
    tally = Tally()
    for block in blocks:
        tally.add(block)
    accuracy = cross_validate(lambda: iter(blocks), labelled.folds)
    curve = tally.curve()
    auc, errors = curve.auc(), curve.at(to_step(DEFAULT_TOLERANCE))
    if accuracy is None or auc is None:
        sys.exit("the set has no folds with mated and non-mated pairs")
    scored = np.concatenate(blocks)
    mated, non_mated = scored["steps"][scored["mated"]] / STEPS, scored["steps"][~scored["mated"]] / STEPS
    separation = (non_mated.mean() - mated.mean()) / np.sqrt((non_mated.var() + mated.var()) / 2)
    return (
        f"{f'{accuracy.mean:.2%} +- {accuracy.standard_error:.2%}':>18}{auc:>10.5f}{separation:>10.3f}"
        f"{errors.fnmr or 0:>8.1%}{errors.fmr or 0:>8.1%}"
    )


if __name__ == "__main__":
    main()
