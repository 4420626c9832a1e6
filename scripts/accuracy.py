"""What averaging views does to accuracy, on a labelled set in LFW's form: images/ and pairs.txt.

Usage: .venv/bin/python scripts/accuracy.py FOLDER

By LFW's protocol: the threshold is chosen on nine folds and tested on the tenth. Beside it what depends on no threshold
(the area under the ROC curve; d', the distance of the two means in standard deviations), and the errors at 0.6.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dlib
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from face_engine.encoding import encode_views
from face_engine.matching import DEFAULT_TOLERANCE, distances
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import Runtime, create_runtime
from face_engine.types import Analysis, Chip, Face, Vector

JITTERS = 100  # dlib's own recommendation for the highest accuracy
Vectors = dict[str, Vector]
Pair = tuple[str, str, bool]


def main() -> None:
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its argument
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    runtime = create_runtime()
    engine = FaceEngine(runtime, views="plain")
    folds = read_pairs(folder / "pairs.txt")
    photos = {path.stem: path for path in folder.rglob("*.jpg")}
    names = sorted({name for fold in folds for pair in fold for name in pair[:2]})
    chips = {name: face_at_centre(engine.analyse(photos[name].read_bytes())).chip for name in tqdm(names, unit="photo")}
    methods: dict[str, Callable[[Chip], Vector]] = {
        "plain": lambda chip: encode_views(runtime.encode, [chip], "plain")[0],
        "diagonal4": lambda chip: encode_views(runtime.encode, [chip], "diagonal4")[0],
        f"dlib's {JITTERS} jitters": lambda chip: jittered(runtime, chip),
    }
    print(f"{len(names)} photos, {sum(map(len, folds))} pairs in {len(folds)} folds, runtime {runtime.name}")
    print(f"{'views':20}{'LFW accuracy':>18}{'AUC':>10}{'d-prime':>10}{'FNMR':>8}{'FMR':>8}{'ms a face':>11}")
    for title, method in methods.items():
        start = time.perf_counter()
        vectors = {name: method(chip) for name, chip in tqdm(chips.items(), desc=title, unit="face", leave=False)}
        print(f"{title:20}{report(folds, vectors)}{(time.perf_counter() - start) * 1000 / len(names):>11.1f}")


def read_pairs(path: Path) -> list[list[Pair]]:
    """Return the folds of LFW's pairs.txt: in each the mated pairs come first."""
    header, *lines = [line.split("\t") for line in path.read_text().splitlines()]
    size = 2 * int(header[1])
    pairs = [
        (f"{line[0]}_{int(line[1]):04d}", f"{line[-2]}_{int(line[-1]):04d}", len(line) == 3)  # noqa: PLR2004
        for line in lines
    ]
    pairs = [(one, f"{one[:-5]}_{other[-4:]}" if mated else other, mated) for one, other, mated in pairs]
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]


def face_at_centre(analysis: Analysis) -> Face:
    """Return the face nearest to the photo's centre: in LFW the one that is meant."""
    if not analysis.faces:
        raise ValueError("a photo without a face")

    def off_centre(ltrb: tuple[int, int, int, int]) -> int:
        left, top, right, bottom = ltrb
        return abs(left + right - analysis.width) + abs(top + bottom - analysis.height)

    return min(analysis.faces, key=lambda face: off_centre(face.box.ltrb))


def jittered(runtime: Runtime, chip: Chip) -> Vector:
    """Return dlib's remedy: the mean of random small turns, shifts, zooms and mirrorings of the chip."""
    copies: Sequence[Chip] = [np.asarray(copy) for copy in dlib.jitter_image(chip, JITTERS)]
    return np.asarray(runtime.encode(copies).mean(axis=0), np.float32)


def report(folds: list[list[Pair]], vectors: Vectors) -> str:
    """Return one line of figures."""
    scores = [np.array([distances(vectors[a], vectors[b][None])[0] for a, b, _ in fold]) for fold in folds]
    labels = [np.array([mated for _, _, mated in fold]) for fold in folds]
    accuracies = []
    for index in range(len(folds)):
        others = [i for i in range(len(folds)) if i != index]
        threshold = best_threshold(
            np.concatenate([scores[i] for i in others]), np.concatenate([labels[i] for i in others])
        )
        accuracies.append(float(((scores[index] <= threshold) == labels[index]).mean()))
    distance, label = np.concatenate(scores), np.concatenate(labels)
    mated, non_mated = distance[label], distance[~label]
    auc = (mated[:, None] < non_mated[None]).mean() + (mated[:, None] == non_mated[None]).mean() / 2
    separation = (non_mated.mean() - mated.mean()) / np.sqrt((non_mated.var() + mated.var()) / 2)
    accuracy, error = np.mean(accuracies), np.std(accuracies, ddof=1) / np.sqrt(len(folds))
    fnmr, fmr = (mated > DEFAULT_TOLERANCE).mean(), (non_mated <= DEFAULT_TOLERANCE).mean()
    return f"{f'{accuracy:.2%} +- {error:.2%}':>18}{auc:>10.5f}{separation:>10.3f}{fnmr:>8.1%}{fmr:>8.1%}"


def best_threshold(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.bool_]) -> float:
    """Return the threshold of the highest accuracy; in the middle of several equals."""
    ordered = np.unique(scores)
    candidates = (ordered[:-1] + ordered[1:]) / 2
    accuracy = ((scores[None] <= candidates[:, None]) == labels[None]).mean(axis=1)
    return float(candidates[accuracy == accuracy.max()].mean())


if __name__ == "__main__":
    main()
