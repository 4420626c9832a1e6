"""How near strangers come, on a set in LFW's form: the table that face_engine.calibration publishes.

Usage: .venv/bin/python scripts/calibration.py --images FOLDER [--persons NAME...]

Every photo against every photo of another person; a person is the name of the folder. In each photo the face at its
centre counts. The range is what 1,000 draws of the persons, each with replacement, make of the rate (95 %).
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from accuracy import face_at_centre
from face_engine.calibration import published
from face_engine.matching import distances
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import create_runtime

STEP = 0.025
DRAWS = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="a folder for each person, with JPEGs in it")
    parser.add_argument("--persons", nargs="+", help="only these, by their folders")
    arguments = parser.parse_args()
    photos = sorted(arguments.images.glob("*/*.jpg"))
    if arguments.persons:
        photos = [photo for photo in photos if photo.parent.name in arguments.persons]
    engine = FaceEngine(create_runtime())
    faces = [face_at_centre(engine.analyse(photo.read_bytes())) for photo in tqdm(photos, unit="photo", disable=None)]
    vectors = np.stack([face.template.vector for face in faces])
    persons = np.unique([photo.parent.name for photo in photos], return_inverse=True)[1]
    count = int(persons.max()) + 1

    between: list[npt.NDArray[np.float64]] = []
    pairs: list[npt.NDArray[np.intp]] = []
    for index, vector in enumerate(vectors):
        others = np.flatnonzero(persons[:index] != persons[index])
        between.append(distances(vector, vectors[others]))
        pairs.append(persons[others] * count + persons[index])
    measured, pair = np.concatenate(between), np.concatenate(pairs)

    print(f"{len(photos)} photos of {count} persons, {len(measured):,} comparisons of strangers")
    print(f"encoder {engine.encoder_id}")
    print(f"{'distance':>8}{'pairs':>9}{'rate':>11}{'95 % range':>24}{'published':>11}")
    table = published(engine.encoder_id)
    for distance in grid(measured):
        near = measured <= distance
        low, high = spread(pair, near, count)
        known = f"{table.false_match_rate(distance):>11.2e}" if table else f"{'none':>11}"
        print(f"{distance:>8.3f}{near.sum():>9,}{near.mean():>11.2e}{f'{low:.1e} to {high:.1e}':>24}{known}")


def grid(measured: npt.NDArray[np.float64]) -> list[float]:
    """Return the table's distances: steps from the last one that no pair comes under to the first that all do."""
    first, last = int(measured.min() / STEP), int(np.ceil(measured.max() / STEP))
    return [round(step * STEP, 3) for step in range(first, last + 1)]


def spread(pair: npt.NDArray[np.intp], near: npt.NDArray[np.bool_], count: int) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % quantiles of the rate over draws of the persons.

    Args:
        pair: which two persons each comparison is of, one * count + other.
        near: whether it is a false match.
        count: of the persons.
    """
    size = count * count
    matches = np.bincount(pair, weights=near, minlength=size).reshape(count, count)
    all_of_them = np.bincount(pair, minlength=size).reshape(count, count)
    rng = np.random.default_rng(0)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(np.float64)
    rates = ((draws @ matches) * draws).sum(axis=1) / ((draws @ all_of_them) * draws).sum(axis=1)
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
