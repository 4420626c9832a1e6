"""How far a device's answers lie from the right ones: boxes, confidences, templates, and verdicts on pairs."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from face_engine.calibration import published
from face_engine.evaluation.data_set import DataSetOptions, open_set
from face_engine.evaluation.encodings import choose_face
from face_engine.evaluation.progress import silent
from face_engine.evaluation.scores import NOT_COMPARED, STEPS, scored_blocks, to_step
from face_engine.matching import DEFAULT_TOLERANCE
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import Runtime
from face_engine.types import Box, Vector

ORACLE = "dlib-reference.json"
BOX_TOLERANCE = 1  # pixel
CONFIDENCE_TOLERANCE = 1e-2
SHARED_TEMPLATE_DISTANCE = 1e-4
"""Up to which templates of two devices could share an encoder id: the steps of a tolerance are no finer."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The right answer for a photo; its faces in the order of their boxes' left edges."""

    photo: Path
    boxes: list[Box]
    confidences: list[float]
    templates: list[Vector]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the answers lie from the expected ones, at most.

    Args:
        other_faces: photos in which other faces were found; they are not in the other figures.
        apart: (n_faces,) float64, distances of the templates of the same face.
    """

    faces: int
    other_faces: list[str]
    box_pixels: int
    confidence: float
    apart: npt.NDArray[np.float64]

    @property
    def is_close(self) -> bool:
        near = self.box_pixels <= BOX_TOLERANCE and self.confidence <= CONFIDENCE_TOLERANCE
        return self.faces > 0 and not self.other_faces and near


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a labelled set's pairs are told to be, beside what the CPU tells.

    Args:
        failed: photos in which only one of the two found a face.
        apart: (n_photos,) float64, distances of the templates of the same photo.
        moved: (n_pairs,) float64, by how much each pair's distance differs.
        changed: by tolerance, how many verdicts differ.
    """

    failed: list[str]
    apart: npt.NDArray[np.float64]
    moved: npt.NDArray[np.float64]
    changed: dict[float, int]


def dlibs_answers(groups: Path) -> list[Expected]:
    """Return dlib's own answers on the group photos, as the development set has them."""
    images = json.loads((groups / ORACLE).read_text())["images"]
    answers = []
    for name, answer in images.items():
        faces = sorted(answer["faces"], key=lambda face: face["box"])
        answers.append(
            Expected(
                groups / name,
                [Box(*face["box"]) for face in faces],
                [face["confidence"] for face in faces],
                [np.array(face["template"], np.float32) for face in faces],
            )
        )
    return answers


def answers_of(runtime: Runtime, photos: Sequence[Path]) -> list[Expected]:
    """Return what a runtime answers, by dlib's own search without upsampling. Raises FaceEngineError."""
    engine = FaceEngine.exact(runtime, upsample=0)
    answers = []
    for photo in photos:
        faces = sorted(engine.analyse(photo.read_bytes()).faces, key=lambda face: face.box.ltrb)
        answers.append(
            Expected(
                photo,
                [face.box for face in faces],
                [face.confidence for face in faces],
                [face.template.vector for face in faces],
            )
        )
    return answers


def agreement(runtime: Runtime, expected: Sequence[Expected]) -> Agreement:
    """Compare a runtime's answers with the expected ones. Raises FaceEngineError."""
    other_faces, boxes, confidences, apart = [], [0], [0.0], []
    for answer, right in zip(answers_of(runtime, [one.photo for one in expected]), expected, strict=True):
        if len(answer.boxes) != len(right.boxes):
            other_faces.append(f"{right.photo.name}: {len(answer.boxes)} faces instead of {len(right.boxes)}")
            continue
        for box, right_box in zip(answer.boxes, right.boxes, strict=True):
            boxes.append(int(np.abs(np.subtract(box.ltrb, right_box.ltrb)).max()))
        confidences += np.abs(np.subtract(answer.confidences, right.confidences)).tolist()
        apart += [_distance(*both) for both in zip(answer.templates, right.templates, strict=True)]
    return Agreement(len(apart), other_faces, max(boxes), max(confidences), np.array(apart))


def verdicts(runtime: Runtime, cpu: Runtime, folder: Path) -> Verdicts:
    """Compare verdicts on a set in LFW's form, a folder with images/ and pairs.txt, made as the service makes them.

    Raises:
        FaceEngineError: the set cannot be read, or a photo cannot be analysed.
    """
    images = folder / "images"
    known = published(FaceEngine(cpu).encoder_id)
    tolerances = {DEFAULT_TOLERANCE} | ({known.tolerance} if known and known.tolerance else set())
    with tempfile.TemporaryDirectory() as scratch:
        labelled = open_set(DataSetOptions(images, folder / "pairs.txt"), Path(scratch), silent)
        photos = [images / photo.file for photo in labelled.photos]
        found, right = (list(_templates(FaceEngine(one), photos)) for one in (runtime, cpu))
        failed, kept = [], []
        for number, (photo, one, other) in enumerate(zip(photos, found, right, strict=True)):
            if one is not None and other is not None:
                kept.append((number, one, other))
            elif one is not other:
                failed.append(photo.name)
        rows = np.full(len(photos), -1, np.int32)
        rows[[number for number, _, _ in kept]] = np.arange(len(kept))
        vectors = np.stack([one for _, one, _ in kept]), np.stack([other for _, _, other in kept])
        steps = [np.concatenate([block["steps"] for block in scored_blocks(labelled.pairs, rows, v)]) for v in vectors]
    compared = (steps[0] != NOT_COMPARED) & (steps[1] != NOT_COMPARED)
    ours, theirs = (some[compared].astype(np.int64) for some in steps)
    return Verdicts(
        failed,
        np.array([_distance(*pair) for pair in zip(*vectors, strict=True)]),
        np.abs(ours - theirs) / STEPS,
        {
            tolerance: int(((ours <= to_step(tolerance)) != (theirs <= to_step(tolerance))).sum())
            for tolerance in sorted(tolerances)
        },
    )


def spread(apart: npt.NDArray[np.float64]) -> str:
    """Return distances in words: median, 95th and 99th percentile, and the largest."""
    return " / ".join(f"{value:.1e}" for value in np.percentile(apart, [50, 95, 99, 100]))


def _templates(engine: FaceEngine, photos: Sequence[Path]) -> Iterator[Vector | None]:
    for photo in photos:
        analysis = engine.analyse(photo.read_bytes())
        yield choose_face(analysis, "centre").template.vector if analysis.faces else None


def _distance(one: Vector, other: Vector) -> float:
    return float(np.linalg.norm(one.astype(np.float64) - other))
