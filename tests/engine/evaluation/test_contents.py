import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from face_engine.evaluation.contents import Named, found, sha256_of, shared, unique
from face_engine.evaluation.labels import MAX_PROBLEMS_LISTED, Photo, Problems, leaves_folder
from face_engine.evaluation.progress import Advance, silent
from support.labelled import photo, photo_files, told
from support.rights import without_rights


def named(*files: str) -> list[Named]:
    return [Named(file, "anna", f"list:{number}") for number, file in enumerate(files, start=1)]


@pytest.mark.parametrize("size", [0, 1, 1 << 20])
def test_a_photo_is_known_by_the_sha256_of_its_bytes(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "a.jpg").write_bytes(data)
    photos = found(tmp_path, named("a.jpg"), Problems(), silent)
    assert photos == {"a.jpg": Photo("a.jpg", hashlib.sha256(data).hexdigest(), "anna", "list:1")}


def test_what_is_not_there_or_cannot_be_read_is_a_problem_at_its_place(tmp_path: Path) -> None:
    photo_files(tmp_path, ["there.jpg"])
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    files = [
        "gone.jpg",
        "there.jpg",
        "folder.jpg",
        "fifo.jpg",
        "loop.jpg",
        "dangling.jpg",
        "zero.jpg",
        "there.jpg/a.jpg",
    ]
    problems = Problems()
    assert list(found(tmp_path, named(*files, "n" * 5000), problems, silent)) == ["there.jpg"]
    places = [problem.place for problem in problems.listed]
    assert places == [f"list:{number}" for number in (1, 3, 4, 5, 6, 7, 8, 9)]
    assert told(problems)[:3] == [
        "list:1: gone.jpg is not there",
        "list:3: folder.jpg cannot be read: not a file",
        "list:4: fifo.jpg cannot be read: not a file",
    ]


def test_a_device_is_no_photo() -> None:
    with pytest.raises(OSError, match="not a file"):
        sha256_of(Path("/dev/zero"))


def test_a_file_of_somebody_else_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo_files(tmp_path, ["a.jpg"])
    (tmp_path / "a.jpg").chmod(0)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # what is above it is open to its owner alone
    problems = Problems()
    with without_rights():
        assert found(Path(), named("a.jpg"), problems, silent) == {}
    assert told(problems) == ["list:1: a.jpg cannot be read: Permission denied"]


@pytest.mark.parametrize("file", ["/etc/passwd", "../a.jpg", "x/../../a.jpg", "..", "x\\..\\a.jpg", "a\0.jpg"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, file: str) -> None:
    assert leaves_folder(file)
    photo_files(tmp_path, ["a.jpg", "set/x/a.jpg"])
    problems = Problems()
    assert found(tmp_path / "set", named(file), problems, silent) == {}
    assert told(problems) == [f"list:1: {file!r} is outside of the set's folder"]


@pytest.mark.parametrize(
    "file", ["a.jpg", "x/a.jpg", "..a.jpg", "x../a..jpg", "./a.jpg", "한글/사진.jpg", "a b'\".jpg"]
)
def test_other_names_stay_in_it(file: str) -> None:
    assert not leaves_folder(file)


def test_every_photo_is_told_to_who_waits(tmp_path: Path) -> None:
    advanced = []

    @contextmanager
    def progress(*, title: str, total: int, unit: str) -> Iterator[Advance]:
        advanced.append((title, total, unit))
        yield lambda count: advanced.append(("", count, ""))

    found(photo_files(tmp_path, ["a.jpg"]), named("a.jpg", "gone.jpg", "/b.jpg"), Problems(), progress)
    assert advanced == [("reading the set", 3, "photo")] + 3 * [("", 1, "")]


def by_file(*photos: Photo) -> dict[str, Photo]:
    return {one.file: one for one in photos}


def test_a_photo_is_kept_once_and_none_that_two_persons_share() -> None:
    first, again, other = photo("a/1", "a", "x"), photo("a/2", "a", "x"), photo("b/1", "b", "y")
    copies = [photo("a/3", "a", "z"), photo("b/2", "b", "z"), photo("b/3", "b", "z"), photo("c/1", "c", "z")]
    photos = by_file(copies[0], first, again, other, *copies[1:])
    problems = Problems()
    assert list(unique(photos, problems)) == ["a/1", "b/1"]
    assert told(problems) == [
        "b/: b/2 of b is the very photo a/3 of a (a/)",
        "b/: b/3 of b is the very photo a/3 of a (a/)",
        "c/: c/1 of c is the very photo a/3 of a (a/)",
        "a/: a/2 is the very photo a/1 (a/)",
    ]
    problems = Problems()
    assert shared(photos, problems.note) == {photos["a/3"].sha256}
    assert (problems.count, len(problems.notes)) == (0, 3)


def test_of_different_photos_all_are_kept_in_their_order() -> None:
    photos = by_file(photo("b/1", "b"), photo("a/1", "a"), photo("a/0", "a"))
    problems = Problems()
    assert list(unique(photos, problems).items()) == list(photos.items())
    assert unique({}, problems) == {}
    assert problems.count == 0


def test_all_problems_are_counted_and_the_first_ones_kept() -> None:
    problems = Problems()
    for number in range(MAX_PROBLEMS_LISTED + 5):
        problems.add("here", str(number))
    assert (problems.count, problems.unlisted) == (MAX_PROBLEMS_LISTED + 5, 5)
    assert told(problems)[-1] == f"here: {MAX_PROBLEMS_LISTED - 1}"
