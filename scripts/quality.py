"""What poor photos cost, and whether they are refused, on a set in LFW's form: a folder for each person.

Usage: .venv/bin/python scripts/quality.py --images FOLDER [--pairs 120]

In each photo the face at its centre counts. First the measures of all of them, and who is refused; then how turned
faces compare; then photos that were made poor on purpose, one of each person, against another photo of the person
(FNMR) and all photos of others (FMR), both at the default tolerance.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from face_engine.evaluation.encodings import choose_face
from face_engine.images import decode, encode_png, resize
from face_engine.matching import DEFAULT_TOLERANCE, distances
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import create_runtime
from face_engine.types import Face, ImageRGB, Quality, QualityReason

MEASURES = [field.name for field in fields(Quality) if field.name != "reasons"]
TURNS = (0.0, 0.1, 0.2, 0.3, 0.45, 1.0)
FRONTAL = 0.2
JPEG_QUALITY = 75


@dataclass(frozen=True, slots=True)
class Photo:
    person: str
    image: ImageRGB
    face: Face


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A photo made poor, and where the face is now: a point of the photo times `scale`, less left and top."""

    image: ImageRGB
    scale: float = 1.0
    left: int = 0
    top: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    title: str
    reason: QualityReason
    spoil: Callable[[Photo], Spoilt]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="a folder for each person, with JPEGs in it")
    parser.add_argument("--pairs", type=int, default=120, help="persons whose photo is made poor")
    arguments = parser.parse_args()
    engine = FaceEngine(create_runtime())
    paths = sorted(arguments.images.glob("*/*.jpg"))
    photos = [read(engine, path) for path in tqdm(paths, unit="photo", disable=None)]
    print(f"{len(photos)} photos of {len({photo.person for photo in photos})} persons, runtime {engine.runtime.name}")
    print_measures(photos)
    print_refused(paths, photos)
    print_turned(photos)
    print_cases(engine, photos, arguments.pairs)


def read(engine: FaceEngine, path: Path) -> Photo:
    data = path.read_bytes()
    return Photo(path.parent.name, decode(data), choose_face(engine.analyse(data), "centre"))


def print_measures(photos: list[Photo]) -> None:
    ranks = (0, 0.5, 5, 50, 95, 99.5, 100)
    print(f"\n{'percentile':12}" + "".join(f"{rank:>8g}" for rank in ranks))
    for name in MEASURES:
        values = np.percentile([getattr(photo.face.quality, name) for photo in photos], ranks)
        print(f"{name:12}" + "".join(f"{value:>8.3g}" for value in values))


def print_refused(paths: list[Path], photos: list[Photo]) -> None:
    print("\nrefused")
    for path, photo in zip(paths, photos, strict=True):
        quality = photo.face.quality
        if quality.reasons:
            measures = ", ".join(f"{name} {getattr(quality, name):.3g}" for name in MEASURES)
            print(f"  {path.stem}: {', '.join(quality.reasons)} ({measures})")


def print_turned(photos: list[Photo]) -> None:
    turns = np.array([photo.face.quality.turn for photo in photos])
    persons, vectors = of_persons(photos)
    print(f"\n{'turn':12}{'photos':>8}{'distance to own frontal ones':>30}{'FMR':>8}")
    for low, high in pairwise(TURNS):
        chosen = np.flatnonzero((turns >= low) & (turns < high))
        mated, non_mated = [], []
        for index in chosen:
            measured, own = distances(vectors[index], vectors), persons == persons[index]
            non_mated.append(measured[~own])
            own[index] = False
            mated.append(measured[own & (turns < FRONTAL)])
        rate = (np.concatenate(non_mated) <= DEFAULT_TOLERANCE).mean()
        print(f"{low:.2f} to {high:.2f}{len(chosen):>8}{np.median(np.concatenate(mated)):>30.3f}{rate:>8.1%}")


def print_cases(engine: FaceEngine, photos: list[Photo], count: int) -> None:
    """Print a line for each case. Refused are those that have its reason, of all that were found; kept the others."""
    pairs = mated_pairs(photos, count)
    persons, vectors = of_persons(photos)
    print(f"\n{len(pairs)} pairs, tolerance {DEFAULT_TOLERANCE}")
    print(f"{'':22}{'no face':>8}{'refused':>9}{'distance':>10}{'FNMR':>7}{'FMR':>7}{'kept FNMR':>11}")
    for case in tqdm(list(cases()), unit="case", disable=None):
        found = [(face, one, other) for one, other in pairs if (face := find(engine, case.spoil(one), one.face))]
        mated = np.array([distances(face.template.vector, of(other))[0] for face, _, other in found])
        refused = np.array([case.reason in face.quality.reasons for face, _, _ in found])
        false = [
            (distances(face.template.vector, vectors[persons != one.person]) <= DEFAULT_TOLERANCE).mean()
            for face, one, _ in found
        ]
        missed = mated > DEFAULT_TOLERANCE
        kept = f"{missed[~refused].mean():.1%}" if not refused.all() else "-"
        tqdm.write(
            f"{case.title:22}{1 - len(found) / len(pairs):>8.0%}{refused.mean():>9.0%}{np.median(mated):>10.3f}"
            f"{missed.mean():>7.1%}{np.mean(false):>7.1%}{kept:>11}"
        )


def of(photo: Photo) -> npt.NDArray[np.float32]:
    return photo.face.template.vector[None]


def of_persons(photos: list[Photo]) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float32]]:
    return np.array([photo.person for photo in photos]), np.concatenate([of(photo) for photo in photos])


def mated_pairs(photos: list[Photo], count: int) -> list[tuple[Photo, Photo]]:
    """Return two good photos each of up to `count` persons, evenly spread over those who have them."""
    good: dict[str, list[Photo]] = {}
    for photo in photos:
        if not photo.face.quality.reasons:
            good.setdefault(photo.person, []).append(photo)
    pairs = [(one, other) for one, other, *_ in (of_one for of_one in good.values() if len(of_one) > 1)]
    chosen = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)
    return [pairs[index] for index in chosen]


def find(engine: FaceEngine, spoilt: Spoilt, face: Face) -> Face | None:
    """Return the face as it is found in the spoilt photo, where it should be, or None."""
    left, top, right, bottom = face.box.ltrb
    x, y = (left + right) / 2 * spoilt.scale - spoilt.left, (top + bottom) / 2 * spoilt.scale - spoilt.top
    reach = (right - left) / 2 * spoilt.scale

    def off(found: Face) -> float:
        left, top, right, bottom = found.box.ltrb
        return max(abs((left + right) / 2 - x), abs((top + bottom) / 2 - y))

    nearest = min(engine.analyse(encode_png(np.ascontiguousarray(spoilt.image))).faces, key=off, default=None)
    return nearest if nearest and off(nearest) <= reach else None


def cases() -> Iterator[Case]:
    yield Case("as it is", "face_blurred", lambda photo: Spoilt(photo.image))
    for sigma in (1, 2, 3, 4):
        yield Case(f"blur {sigma} px", "face_blurred", partial(blurred, sigma=sigma))
    for title, angle in (("sideways", 0), ("upwards", 90), ("aslant", 45)):
        for length in (5, 9, 13):
            yield Case(f"moved {title} {length} px", "face_blurred", partial(moved, length=length, angle=angle))
    for size in (80, 60, 48, 40, 30):
        yield Case(f"size {size} px, JPEG", "face_too_small", partial(reduced, size=size))
    for gain in (0.3, 0.2, 0.15, 0.1):
        yield Case(f"light x {gain}", "face_too_dark", partial(lit, gain=gain))
    for gamma in (3, 4, 6):
        yield Case(f"gamma {gamma}", "face_too_dark", partial(gamma_of, gamma=gamma))
    for gain in (1.5, 2, 2.5, 3):
        yield Case(f"light x {gain}", "face_too_bright", partial(lit, gain=gain))
    for edge in ("left", "right", "top", "bottom"):
        for share in (0.2, 0.3, 0.4):
            yield Case(f"{edge} {share:.0%} cut off", "face_cut", partial(cut, edge=edge, share=share))
    yield Case("one half x 0.1", "face_too_dark", partial(half_lit, gain=0.1))
    yield Case("one half x 3", "face_too_bright", partial(half_lit, gain=3))


def blurred(photo: Photo, sigma: float) -> Spoilt:
    return Spoilt(as_image(cv2.GaussianBlur(photo.image, (0, 0), sigma)))


def moved(photo: Photo, length: int, angle: int) -> Spoilt:
    kernel = np.zeros((length, length), np.float32)
    line = np.arange(length)
    middle = np.full(length, length // 2)
    kernel[{0: (middle, line), 90: (line, middle), 45: (line, line)}[angle]] = 1 / length
    return Spoilt(as_image(cv2.filter2D(photo.image, -1, kernel, borderType=cv2.BORDER_REFLECT)))


def reduced(photo: Photo, size: float) -> Spoilt:
    """Reduce until the face has that size, and compress: cameras keep no small face without."""
    scale = size / photo.face.quality.size
    data = cv2.imencode(".jpg", resize(photo.image, scale)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return Spoilt(decode(data.tobytes()), scale)


def lit(photo: Photo, gain: float) -> Spoilt:
    return Spoilt(as_image(photo.image * float(gain)))


def gamma_of(photo: Photo, gamma: float) -> Spoilt:
    return Spoilt(as_image(255 * (photo.image / 255) ** gamma))


def half_lit(photo: Photo, gain: float) -> Spoilt:
    left, _, right, _ = photo.face.box.ltrb
    beyond = np.arange(photo.image.shape[1]) > (left + right) / 2
    return Spoilt(as_image(photo.image * np.where(beyond, gain, 1.0)[None, :, None]))


def cut(photo: Photo, edge: str, share: float) -> Spoilt:
    """Cut the photo through the face, so that a share of its box is lost."""
    left, top, right, bottom = photo.face.box.ltrb
    lost = round((right - left + 1) * share)
    if edge == "left":
        return Spoilt(photo.image[:, left + lost :], left=left + lost)
    if edge == "right":
        return Spoilt(photo.image[:, : right + 1 - lost])
    if edge == "top":
        return Spoilt(photo.image[top + lost :], top=top + lost)
    return Spoilt(photo.image[: bottom + 1 - lost])


def as_image(values: npt.NDArray[np.generic]) -> ImageRGB:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


if __name__ == "__main__":
    main()
