"""Encodes every photo once, and keeps the outcomes in shards, so that a run that was ended goes on where it was."""

import hashlib
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from face_engine.errors import DataSetError, FaceCountError, ImageError, PhotoFileTooLargeError
from face_engine.evaluation.labels import Photo
from face_engine.evaluation.progress import Progress
from face_engine.files import read_photo, replace_file
from face_engine.search import dominant_face, side
from face_engine.types import TEMPLATE_SIZE, Analysis, Face

SHARD_PHOTOS = 32
"""What is lost at most when the run is ended: three seconds' work."""

STAGES = ("decode", "detect", "align", "encode")

ENCODED = "encoded"
ENROLLED = "enrolled"
NO_FACE = "no_face"

FaceChoice = Literal["centre", "largest"]
"""Whose face a photo is labelled with, where it shows several: the one nearest to its centre, as in LFW, or the largest
one."""

_TEXT = "U40"


@dataclass(frozen=True, slots=True, eq=False)
class Encodings:
    """What became of n photos.

    Args:
        outcomes: `encoded`, or why there is no template (`no_face`, `image_corrupt`, ...): a failure to acquire.
        enrollments: `enrolled`, or why the service would refuse the photo as a reference: a failure to enroll.
        rows: (n,) int32, each photo's row of `vectors`; -1 where it has none.
        vectors: (m, 128) float32.
        boxes: (n, 4) int32, left, top, right, bottom of the face in pixels of the photo, inclusive; 0 where there is
            none.
        timings_ms: (n, 4) float64, milliseconds of each of STAGES; photos with the same bytes have the same.
        seconds: wall-clock time that encoding them took.
        encoded: number of photos that were encoded: each content once.
    """

    outcomes: Sequence[str]
    enrollments: Sequence[str]
    rows: npt.NDArray[np.int32]
    vectors: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.int32]
    timings_ms: npt.NDArray[np.float64]
    seconds: float
    encoded: int


class Analyser(Protocol):
    """What of FaceEngine is needed here."""

    encoder_id: str

    def analyse(self, image_bytes: bytes) -> Analysis: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Record:
    sha256: str
    outcome: str
    enrollment: str
    vector: npt.NDArray[np.float32] | None
    box: tuple[int, int, int, int]
    timings_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ShardStore:
    """The outcomes of photos by their content, in files of SHARD_PHOTOS, each named by the SHA-256 of its bytes.

    Args:
        folder: made where it is not there. What it holds must come from one engine with one set of settings: name it
            by them (see `settings_key`).
    """

    folder: Path

    def load(self) -> tuple[dict[str, _Record], float]:
        """Return what is there, by SHA-256, and the seconds it took. A damaged shard is removed."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        records: dict[str, _Record] = {}
        seconds = 0.0
        for path in self.folder.glob(f"{'?' * 64}.npz"):
            data = path.read_bytes()
            try:
                if hashlib.sha256(data).hexdigest() != path.stem:
                    raise ValueError("it was not written to its end, or changed since")
                of_shard, its_seconds = _unpacked(data)
            except Exception:  # noqa: BLE001 - numpy's parser of the header raises whatever it may
                path.unlink()
                continue
            records |= {record.sha256: record for record in of_shard}
            seconds += its_seconds
        return records, seconds

    def append(self, records: Sequence[_Record], seconds: float) -> None:
        """Keep outcomes: on disk as a whole when this returns, or not at all."""
        data = _packed(records, seconds)
        replace_file(self.folder / f"{hashlib.sha256(data).hexdigest()}.npz", data)


def encode_photos(
    engine: Analyser, root: Path, photos: Sequence[Photo], choice: FaceChoice, store: ShardStore, progress: Progress
) -> Encodings:
    """Encode what the store does not hold yet, and return what became of every photo.

    Raises:
        DataSetError: a photo has changed since its SHA-256 was taken, or is gone.
        InferenceError: the networks failed; says nothing of the photo.
    """
    done, seconds = store.load()
    by_content = {photo.sha256: photo for photo in photos}
    missing = [photo for sha256, photo in by_content.items() if sha256 not in done]
    for records, its_seconds in _encoded(engine, root, missing, choice, progress, len(by_content)):
        store.append(records, its_seconds)
        done |= {record.sha256: record for record in records}
        seconds += its_seconds

    order = {sha256: number for number, sha256 in enumerate(by_content)}
    vectors = np.zeros((len(by_content), TEMPLATE_SIZE), np.float32)
    for sha256, number in order.items():
        if (vector := done[sha256].vector) is not None:
            vectors[number] = vector
    records = [done[photo.sha256] for photo in photos]
    return Encodings(
        outcomes=[record.outcome for record in records],
        enrollments=[record.enrollment for record in records],
        rows=np.array([order[one.sha256] if one.vector is not None else -1 for one in records], np.int32),
        vectors=vectors,
        boxes=np.array([record.box for record in records], np.int32).reshape(-1, 4),
        timings_ms=np.array([record.timings_ms for record in records]).reshape(-1, len(STAGES)),
        seconds=seconds,
        encoded=len(by_content),
    )


def settings_key(settings: Mapping[str, object]) -> str:
    """Return a name for the settings that outcomes depend on: equal settings have the same one."""
    return hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:16]


def _encoded(
    engine: Analyser, root: Path, photos: Sequence[Photo], choice: FaceChoice, progress: Progress, total: int
) -> Iterator[tuple[list[_Record], float]]:
    """Encode photos; return the outcomes shard by shard, with the seconds each took."""
    title = "encoding" if len(photos) == total else f"encoding ({total - len(photos):,} were done before)"
    records: list[_Record] = []
    start = time.perf_counter()
    with progress(title=title, total=len(photos), unit="photo") as advance:
        for photo in photos:
            records.append(_encode(engine, root, photo, choice))
            if len(records) == SHARD_PHOTOS:
                yield records, time.perf_counter() - start
                records, start = [], time.perf_counter()
            advance(1)
    if records:
        yield records, time.perf_counter() - start


def _encode(engine: Analyser, root: Path, photo: Photo, choice: FaceChoice) -> _Record:
    try:
        image_bytes = read_photo(root / photo.file)
        if hashlib.sha256(image_bytes).hexdigest() != photo.sha256:
            raise DataSetError(f"{photo.file} has changed while the set was evaluated")
        analysis = engine.analyse(image_bytes)
    except OSError as error:
        raise DataSetError(f"{photo.file}: {error.strerror}") from error
    except (ImageError, PhotoFileTooLargeError) as error:
        return _Record(photo.sha256, error.reason, error.reason, None, (0, 0, 0, 0), (0.0,) * len(STAGES))
    timings_ms = tuple(analysis.timings_ms.get(stage, 0.0) for stage in STAGES)
    if not analysis.faces:
        return _Record(photo.sha256, NO_FACE, NO_FACE, None, (0, 0, 0, 0), timings_ms)
    face = choose_face(analysis, choice)
    return _Record(photo.sha256, ENCODED, _enrollment(analysis), face.template.vector, face.box.ltrb, timings_ms)


def choose_face(analysis: Analysis, choice: FaceChoice) -> Face:
    """Return the face that the photo's label means; there is at least one."""
    if choice == "largest":
        return max(analysis.faces, key=lambda face: side(face.box))

    def off_centre(face: Face) -> int:
        left, top, right, bottom = face.box.ltrb
        return abs(left + right + 1 - analysis.width) + abs(top + bottom + 1 - analysis.height)

    return min(analysis.faces, key=off_centre)


def _enrollment(analysis: Analysis) -> str:
    """Return what the service's enrollment would answer: ENROLLED, or the reason why not."""
    try:
        reasons = dominant_face(analysis).quality.reasons
    except FaceCountError as error:
        return error.reason
    return reasons[0] if reasons else ENROLLED


def _packed(records: Sequence[_Record], seconds: float) -> bytes:
    stream = io.BytesIO()
    nothing = np.zeros(TEMPLATE_SIZE, np.float32)
    np.savez(
        stream,
        sha256=np.array([record.sha256 for record in records], "U64"),
        outcome=np.array([record.outcome for record in records], _TEXT),
        enrollment=np.array([record.enrollment for record in records], _TEXT),
        has_vector=np.array([record.vector is not None for record in records]),
        vector=np.stack([nothing if record.vector is None else record.vector for record in records]),
        box=np.array([record.box for record in records], np.int32),
        timings_ms=np.array([record.timings_ms for record in records]),
        seconds=np.array(seconds),
    )
    return stream.getvalue()


def _unpacked(data: bytes) -> tuple[list[_Record], float]:
    with np.load(io.BytesIO(data), allow_pickle=False) as shard:
        arrays = {name: shard[name] for name in shard.files}
    count = len(arrays["sha256"])
    vectors = arrays["vector"].reshape(count, TEMPLATE_SIZE)
    boxes = arrays["box"].reshape(count, 4)
    timings_ms = arrays["timings_ms"].reshape(count, len(STAGES))
    records = [
        _Record(
            sha256=str(arrays["sha256"][index]),
            outcome=str(arrays["outcome"][index]),
            enrollment=str(arrays["enrollment"][index]),
            vector=vectors[index] if arrays["has_vector"][index] else None,
            box=tuple(boxes[index].tolist()),
            timings_ms=tuple(timings_ms[index].tolist()),
        )
        for index in range(count)
    ]
    return records, float(arrays["seconds"])
