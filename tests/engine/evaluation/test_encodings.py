import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from face_engine import files
from face_engine.errors import (
    DataSetError,
    ImageCorruptError,
    ImageTooManyPixelsError,
    InferenceError,
    PhotoFileTooLargeError,
)
from face_engine.evaluation.encodings import (
    SHARD_PHOTOS,
    Analyser,
    Encodings,
    FaceChoice,
    ShardStore,
    choose_face,
    encode_photos,
    settings_key,
)
from face_engine.evaluation.labels import Photo
from face_engine.evaluation.progress import Advance, silent
from face_engine.files import read_photo
from face_engine.pipeline import FaceEngine
from face_engine.types import Analysis, Box, Face
from support.fakes import GOOD, face
from support.labelled import PlantedAnalyser, photo, photo_files
from support.photos import jpeg, portrait


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "photos"


@pytest.fixture
def store(tmp_path: Path) -> ShardStore:
    return ShardStore(tmp_path / "shards")


def shards(store: ShardStore) -> list[Path]:
    """Return the files, the largest first."""
    return sorted(store.folder.iterdir(), key=lambda path: -path.stat().st_size)


def planted(root: Path, count: int) -> tuple[PlantedAnalyser, list[Photo]]:
    """Return an analyser and photos: number n lies n from the origin, but 3, 10, 17, ... have no face."""
    names = [f"{number}.jpg" for number in range(count)]
    photo_files(root, names)
    analyser = PlantedAnalyser()
    for number, name in enumerate(names):
        analyser.planted[name.encode()] = () if number % 7 == 3 else (face(number, left=number),)
    return analyser, [photo(name) for name in names]


def encoded(
    engine: Analyser, root: Path, photos: Sequence[Photo], store: ShardStore, choice: FaceChoice = "centre"
) -> Encodings:
    encodings = encode_photos(engine, root, photos, choice, store, silent)
    assert encodings.rows.dtype == encodings.boxes.dtype == np.int32
    assert encodings.vectors.dtype == np.float32
    assert encodings.vectors.shape[1] == 128
    assert (encodings.boxes.shape, encodings.timings_ms.shape) == ((len(photos), 4), (len(photos), 4))
    return encodings


def assert_equal(one: Encodings, other: Encodings, *, exactly: bool = True) -> None:
    assert (one.outcomes, one.enrollments, one.encoded) == (other.outcomes, other.enrollments, other.encoded)
    for name in ("rows", "vectors", "boxes", "timings_ms"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert not exactly or one.seconds == pytest.approx(other.seconds, rel=1e-12)


# What becomes of photos.


def test_photos_are_encoded_in_their_order(root: Path, store: ShardStore) -> None:
    analyser, photos = planted(root, 5)
    encodings = encoded(analyser, root, photos, store)
    assert encodings.outcomes == ["encoded", "encoded", "encoded", "no_face", "encoded"]
    assert encodings.enrollments == ["enrolled", "enrolled", "enrolled", "no_face", "enrolled"]
    assert [float(encodings.vectors[row, 0]) for row in encodings.rows if row >= 0] == [0, 1, 2, 4]
    assert encodings.rows[3] == -1
    assert encodings.boxes.tolist() == [
        [0, 10, 99, 109],
        [1, 10, 100, 109],
        [2, 10, 101, 109],
        [0] * 4,
        [4, 10, 103, 109],
    ]
    assert encodings.timings_ms.tolist() == 5 * [[1, 2, 3, 4]]
    assert encodings.encoded == 5
    assert 0 < encodings.seconds < 60


def test_no_photos_are_no_encodings(root: Path, store: ShardStore) -> None:
    encodings = encoded(PlantedAnalyser(), root, [], store)
    assert (encodings.outcomes, encodings.encoded, encodings.seconds) == ([], 0, 0)
    assert encodings.vectors.shape == (0, 128)


def test_every_content_is_encoded_once(root: Path, store: ShardStore) -> None:
    photo_files(root, {"a.jpg": "1", "b.jpg": "2", "c.jpg": "1"})
    analyser = PlantedAnalyser({b"1": (face(1),), b"2": (face(2),)})
    photos = [
        photo("a.jpg", content="1"),
        photo("b.jpg", content="2"),
        photo("c.jpg", content="1"),
        photo("a.jpg", content="1"),
    ]
    encodings = encoded(analyser, root, photos, store)
    assert sorted(analyser.analysed) == [b"1", b"2"]
    assert encodings.rows.tolist() == [0, 1, 0, 0]
    assert encodings.vectors[:, 0].tolist() == [1, 2]
    assert encodings.encoded == 2


@pytest.mark.parametrize(
    "failure",
    [ImageCorruptError(), ImageTooManyPixelsError(9, 9, 9)],
    ids=lambda one: one.reason,
)
def test_what_is_no_photo_is_a_failure_to_acquire(
    root: Path, store: ShardStore, failure: ImageCorruptError | ImageTooManyPixelsError
) -> None:
    analyser, photos = planted(root, 2)
    analyser.planted[b"0.jpg"] = failure
    for _ in ("encoded", "kept"):
        encodings = encoded(analyser, root, photos, store)
        assert encodings.outcomes == [failure.reason, "encoded"]
        assert encodings.enrollments == [failure.reason, "enrolled"]
        assert encodings.rows.tolist() == [-1, 1]
        assert encodings.boxes[0].tolist() == encodings.timings_ms[0].tolist() == 4 * [0]
    assert len(analyser.analysed) == 2


@pytest.mark.parametrize(
    ("faces", "enrollment"),
    [
        ([face(1)], "enrolled"),
        ([face(1), face(2, left=200)], "several_faces"),
        ([face(1, quality=replace(GOOD, reasons=("face_blurred", "face_cut")))], "face_blurred"),
        ([replace(face(1), box=Box(0, 0, 299, 299)), face(2)], "enrolled"),
    ],
)
def test_a_photo_that_would_not_be_enrolled_has_a_template_all_the_same(
    root: Path, store: ShardStore, faces: list[Face], enrollment: str
) -> None:
    photo_files(root, ["a.jpg"])
    encodings = encoded(PlantedAnalyser({b"a.jpg": tuple(faces)}), root, [photo("a.jpg")], store)
    assert (encodings.outcomes, encodings.enrollments) == (["encoded"], [enrollment])
    assert encodings.rows.tolist() == [0]


def test_a_network_that_fails_ends_the_run(root: Path, store: ShardStore) -> None:
    class Broken(PlantedAnalyser):
        def analyse(self, image_bytes: bytes) -> Analysis:
            raise InferenceError("out of memory")

    _, photos = planted(root, 2)
    with pytest.raises(InferenceError):
        encoded(Broken(), root, photos, store)
    assert shards(store) == []


def test_a_photo_that_changed_or_is_gone_ends_the_run(root: Path, store: ShardStore) -> None:
    analyser, photos = planted(root, 2)
    (root / "1.jpg").write_text("0.jpg")
    with pytest.raises(DataSetError, match=r"1\.jpg has changed"):
        encoded(analyser, root, photos, store)
    (root / "1.jpg").unlink()
    with pytest.raises(DataSetError, match=r"1\.jpg: No such file"):
        encoded(analyser, root, photos, store)


# Whose face.


def placed(*boxes: tuple[int, int, int, int]) -> Analysis:
    """Return a photo of 640 x 480 with faces that are numbered by their templates."""
    faces = tuple(replace(face(number), box=Box(*box)) for number, box in enumerate(boxes))
    return Analysis(640, 480, faces, {})


@pytest.mark.parametrize(
    ("analysis", "centre", "largest"),
    [
        (placed((0, 0, 9, 9)), 0, 0),
        (placed((0, 0, 199, 199), (300, 220, 339, 259)), 1, 0),
        (placed((300, 0, 339, 39), (0, 220, 39, 259), (280, 300, 319, 339)), 2, 0),
        (placed((-50, -50, 400, 400), (310, 230, 700, 600)), 0, 0),
    ],
)
def test_the_label_means_the_face_at_the_centre_or_the_largest(analysis: Analysis, centre: int, largest: int) -> None:
    chosen = [choose_face(analysis, choice).template.vector[0] for choice in get_args(FaceChoice)]
    assert chosen == [centre, largest]


def test_of_faces_at_one_distance_the_detectors_first_is_meant() -> None:
    left, right, above, below = (0, 200, 99, 279), (540, 200, 639, 279), (50, 0, 89, 39), (550, 440, 589, 479)
    for boxes in ((left, right), (right, left), (above, below), (below, above)):
        assert [choose_face(placed(*boxes), choice).template.vector[0] for choice in get_args(FaceChoice)] == [0, 0]


# Going on.


def test_a_run_that_was_ended_goes_on_with_the_rest(root: Path, tmp_path: Path, store: ShardStore) -> None:
    analyser, photos = planted(root, 2 * SHARD_PHOTOS + 9)
    whole = encoded(analyser, root, photos, ShardStore(tmp_path / "whole"))
    ends_at = SHARD_PHOTOS + 5
    del analyser.planted[f"{ends_at}.jpg".encode()]
    analyser.analysed.clear()
    with pytest.raises(KeyError):
        encoded(analyser, root, photos, store)
    assert len(analyser.analysed) == ends_at + 1
    assert len(shards(store)) == 1

    analyser.planted[f"{ends_at}.jpg".encode()] = (face(ends_at, left=ends_at),)
    analyser.analysed.clear()
    resumed = encoded(analyser, root, photos, ShardStore(store.folder))
    assert analyser.analysed == [one.file.encode() for one in photos[SHARD_PHOTOS:]]
    assert_equal(resumed, whole, exactly=False)
    again = encoded(analyser, root, photos, ShardStore(store.folder))
    assert len(analyser.analysed) == len(photos) - SHARD_PHOTOS
    assert_equal(again, resumed)


def test_what_is_kept_serves_other_photos_too(root: Path, store: ShardStore) -> None:
    analyser, photos = planted(root, SHARD_PHOTOS + 10)
    encoded(analyser, root, photos[:20], store)
    encodings = encoded(analyser, root, photos[::-1], ShardStore(store.folder))
    assert len(analyser.analysed) == len(photos)
    assert len(shards(store)) == 2
    assert encodings.outcomes == encoded(analyser, root, photos, store).outcomes[::-1]
    assert encodings.encoded == len(photos)


DAMAGES = ["cut", "garbage", "empty", "other arrays", "pickled", "no npz", "of the other one"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_encoded_again(root: Path, store: ShardStore, damage: str) -> None:
    analyser, photos = planted(root, SHARD_PHOTOS + 8)
    whole = encoded(analyser, root, photos, store)
    first, second = shards(store)
    data = first.read_bytes()
    if damage == "cut":
        first.write_bytes(data[: len(data) // 2])
    elif damage == "garbage":
        first.write_bytes(bytes(reversed(data)))
    elif damage == "empty":
        first.write_bytes(b"")
    elif damage == "other arrays":
        with first.open("wb") as stream:
            np.savez(stream, sha256=np.array(["x"]), vector=np.zeros(3))
    elif damage == "pickled":
        with first.open("wb") as stream:
            np.savez(stream, sha256=np.array([{"x": 1}], dtype=object))
    elif damage == "no npz":
        with first.open("wb") as stream:
            np.save(stream, np.zeros(3))
    else:
        first.write_bytes(second.read_bytes())
    analyser.analysed.clear()
    store = ShardStore(store.folder)
    assert_equal(encoded(analyser, root, photos, store), whole, exactly=False)
    assert len(analyser.analysed) == SHARD_PHOTOS
    assert first not in shards(store)
    assert len(shards(store)) == 2
    assert_equal(encoded(analyser, root, photos, ShardStore(store.folder)), whole, exactly=False)
    assert len(analyser.analysed) == SHARD_PHOTOS


@pytest.mark.parametrize("damage", ["garbage", "no npz", "other arrays", "short templates"])
def test_what_is_named_as_a_shard_and_is_none_is_removed(root: Path, store: ShardStore, damage: str) -> None:
    analyser, photos = planted(root, 3)
    whole = encoded(analyser, root, photos, store)
    (path,) = shards(store)
    stream = io.BytesIO()
    if damage == "garbage":
        stream.write(b"garbage")
    elif damage == "no npz":
        np.save(stream, np.zeros(3))
    elif damage == "other arrays":
        np.savez(stream, sha256=np.array(["x"]))
    else:
        with np.load(path) as arrays:
            np.savez(stream, **{name: arrays[name][:, :3] if name == "vector" else arrays[name] for name in arrays})
    path.unlink()
    named_by_its_content = path.with_stem(hashlib.sha256(stream.getvalue()).hexdigest())
    named_by_its_content.write_bytes(stream.getvalue())
    assert_equal(encoded(analyser, root, photos, ShardStore(store.folder)), whole, exactly=False)
    assert not named_by_its_content.exists()


def test_a_bit_that_flips_anywhere_is_noticed(root: Path, store: ShardStore) -> None:
    analyser, photos = planted(root, 3)
    encoded(analyser, root, photos, store)
    (path,) = shards(store)
    data = path.read_bytes()
    for place in range(0, len(data), 37):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert ShardStore(store.folder).load() == ({}, 0)
        assert not path.exists()
    path.write_bytes(data)
    assert len(ShardStore(store.folder).load()[0]) == 3


def test_other_files_among_the_shards_are_let_alone(root: Path, store: ShardStore) -> None:
    analyser, photos = planted(root, 3)
    encoded(analyser, root, photos, store)
    for name in ("notes.txt", "copy.npz", f".{64 * 'a'}.npz.x"):
        (store.folder / name).write_text("mine")
    encoded(analyser, root, photos, ShardStore(store.folder))
    assert len(analyser.analysed) == 3
    assert len(shards(store)) == 4


def test_shards_are_the_owners(root: Path, store: ShardStore) -> None:
    before = os.umask(0)
    try:
        analyser, photos = planted(root, 3)
        encoded(analyser, root, photos, store)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (store.folder, *shards(store))] == [0o700, 0o600]


def test_who_waits_is_told_of_the_rest(root: Path, store: ShardStore) -> None:
    announced: list[tuple[str, int, str]] = []
    advanced: list[int] = []

    @contextmanager
    def progress(*, title: str, total: int, unit: str) -> Iterator[Advance]:
        announced.append((title, total, unit))
        yield advanced.append

    analyser, photos = planted(root, 8)
    for some in (photos[:3], photos):
        encode_photos(analyser, root, some, "centre", store, progress)
    assert announced == [("encoding", 3, "photo"), ("encoding (3 were done before)", 5, "photo")]
    assert advanced == 8 * [1]


def test_any_setting_has_shards_of_its_own() -> None:
    settings: dict[str, object] = {"encoder_id": "a/1", "runtime": "onnx", "exact_upsample": None, "face": "centre"}
    others: list[dict[str, object]] = [
        {**settings, "encoder_id": "a/2"},
        {**settings, "exact_upsample": 0},
        {**settings, "exact_upsample": 1},
        {**settings, "exact_upsample": "1"},
        {**settings, "exact_upsample": "None"},
        {**settings, "face": "largest"},
        {**settings, "device": "cuda"},
        {"encoder_id": "a/1"},
        {},
    ]
    keys = [settings_key(one) for one in (settings, *others)]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 16 and key.isalnum() for key in keys)
    assert settings_key(dict(reversed(settings.items()))) == settings_key(settings)


# The files of photos.


def test_a_photos_file_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_PHOTO_BYTES", 1_000)
    for size in (0, 999, 1_000):
        (tmp_path / "photo").write_bytes(bytes(size))
        assert read_photo(tmp_path / "photo") == bytes(size)
    (tmp_path / "photo").write_bytes(bytes(1_001))
    for path in (tmp_path / "photo", Path("/dev/zero")):
        with pytest.raises(PhotoFileTooLargeError, match="larger than"):
            read_photo(path)
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OSError, match="directory"):
            read_photo(path)


def test_a_file_that_is_too_large_is_a_failure_to_acquire(root: Path, store: ShardStore) -> None:
    root.mkdir()
    with (root / "huge.jpg").open("wb") as stream:
        stream.truncate(files.MAX_PHOTO_BYTES + 1)
    encodings = encoded(PlantedAnalyser(), root, [photo("huge.jpg", content="not read")], store)
    assert encodings.outcomes == encodings.enrollments == ["photo_file_too_large"]


# The real networks.


def test_real_photos_are_encoded_as_the_engine_does(engine: FaceEngine, tmp_path: Path, store: ShardStore) -> None:
    data = [jpeg(portrait(name)) for name in ("obama.jpg", "biden.jpg")]
    data += [data[0][:20_000], b"no photo"]
    photos = [photo(f"{number}.jpg", content=content) for number, content in enumerate(data)]
    for one, content in zip(photos, data, strict=True):
        (tmp_path / one.file).write_bytes(content)
    encodings = encoded(engine, tmp_path, photos, store)
    assert encodings.outcomes == ["encoded", "encoded", "image_truncated", "image_type_unsupported"]
    assert encodings.enrollments[:2] == ["enrolled", "enrolled"]
    assert encodings.rows.tolist() == [0, 1, -1, -1]
    for number in (0, 1):
        analysis = engine.analyse(data[number])
        assert np.array_equal(encodings.vectors[number], analysis.faces[0].template.vector)
        assert tuple(encodings.boxes[number].tolist()) == analysis.faces[0].box.ltrb
    assert (encodings.timings_ms[:2] > 0).all()
    assert np.linalg.norm(encodings.vectors[0] - encodings.vectors[1]) > 0.6
    assert_equal(encoded(PlantedAnalyser(), tmp_path, photos, ShardStore(store.folder)), encodings)
