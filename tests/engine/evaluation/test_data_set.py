import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_engine.errors import DataSetError, ProblemsFoundError
from face_engine.evaluation.data_set import FOLDS, DataSetOptions, open_set
from face_engine.evaluation.labels import NO_FOLD, LabelledSet, numbered
from face_engine.evaluation.lfw import file_of
from face_engine.evaluation.progress import silent
from support.labelled import files_of, photo_files, rows, seeded, text_file, told
from support.rights import without_rights


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def opened(images: Path, **options: Any) -> LabelledSet:
    scratch = images.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return open_set(DataSetOptions(images, **options), scratch, silent)


def problems_of(images: Path, **options: Any) -> list[str]:
    """Return what a set is refused for, having checked that it can be read without."""
    with pytest.raises(ProblemsFoundError) as refusal:
        opened(images, **options)
    skipped = opened(images, **options, on_problem="skip")
    assert refusal.value.count == skipped.problems.count == len(refusal.value.listed)
    assert list(refusal.value.listed) == told(skipped.problems)
    return list(refusal.value.listed)


@contextmanager
def mode_of(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


def every_pair(persons: Mapping[str, str]) -> set[tuple[frozenset[str], bool]]:
    return {(frozenset(two), persons[two[0]] == persons[two[1]]) for two in combinations(persons, 2)}


def as_set(pairs: Sequence[tuple[str, str, bool]]) -> set[tuple[frozenset[str], bool]]:
    assert len({frozenset(pair[:2]) for pair in pairs}) == len(pairs)
    return {(frozenset(pair[:2]), pair[2]) for pair in pairs}


def write_lfw(images: Path, people: Mapping[str, int]) -> Path:
    return photo_files(images, [file_of(name, str(number)) for name in people for number in range(1, people[name] + 1)])


# A folder for each person.


def test_a_folder_for_each_person_makes_all_pairs(images: Path) -> None:
    photo_files(
        images, ["ben/2.png", "ben/1.JPEG", "anna/x/y/1.jpg", "anna/2.jpg", "carl/z.Png", "carl/note.txt", "1.jpg"]
    )
    labelled = opened(images)
    assert [(photo.file, photo.person, photo.place) for photo in labelled.photos] == [
        ("anna/2.jpg", "anna", "anna/"),
        ("anna/x/y/1.jpg", "anna", "anna/"),
        ("ben/1.JPEG", "ben", "ben/"),
        ("ben/2.png", "ben", "ben/"),
        ("carl/z.Png", "carl", "carl/"),
    ]
    assert labelled.identities.tolist() == [0, 0, 1, 1, 2]
    assert labelled.persons == 3
    assert as_set(files_of(labelled)) == every_pair({photo.file: photo.person for photo in labelled.photos})
    assert (labelled.pairs.mated, labelled.pairs.non_mated) == (2, 8)
    assert (labelled.form, labelled.folds, labelled.subgroups) == ("a folder for each person", FOLDS, {})
    assert labelled.training is None
    assert [str(note) for note in labelled.problems.notes] == ["'1.jpg': is a photo in nobody's folder, and not used"]


def test_what_is_hidden_is_not_of_the_set(images: Path) -> None:
    photo_files(images, [".cache/1.jpg", "anna/.thumbnails/1.jpg", "anna/._1.jpg", "anna/1.jpg", "ben/1.jpg"])
    assert [photo.file for photo in opened(images).photos] == ["anna/1.jpg", "ben/1.jpg"]


def test_a_folder_without_photos_is_a_problem(images: Path) -> None:
    photo_files(images, ["anna/1.jpg", "ben/1.jpg", "carl/1.gif"])
    (images / "dora").mkdir()
    assert problems_of(images) == ["carl/: has no JPEG or PNG file", "dora/: has no JPEG or PNG file"]


def test_what_only_looks_like_a_photo_is_a_problem_or_searched(images: Path) -> None:
    photo_files(images, ["anna/1.jpg", "ben/1.jpg", "ben/folder.jpg/2.jpg"])
    os.mkfifo(images / "anna" / "fifo.jpg")
    (images / "anna" / "loop.jpg").symlink_to("loop.jpg")
    (images / "anna" / "up").symlink_to("..")
    (images / "anna" / "dangling.jpg").symlink_to("nowhere.jpg")
    problems = problems_of(images)
    assert [problem.partition(" cannot")[0] for problem in problems] == [
        "anna/: anna/dangling.jpg is not there",
        "anna/: anna/fifo.jpg",
        "anna/: anna/loop.jpg",
    ]
    photos = opened(images, on_problem="skip").photos
    assert [photo.file for photo in photos] == ["anna/1.jpg", "ben/1.jpg", "ben/folder.jpg/2.jpg"]


def test_a_link_to_the_folder_itself_repeats_its_photos(images: Path) -> None:
    photo_files(images, ["anna/1.jpg", "ben/1.jpg"])
    (images / "zoe").symlink_to(images)
    with pytest.raises(ProblemsFoundError) as refusal:
        opened(images)
    assert [problem.partition(" of ")[0] for problem in refusal.value.listed] == [
        "zoe/: zoe/anna/1.jpg",
        "zoe/: zoe/ben/1.jpg",
    ]


def test_names_that_are_not_utf8_are_problems(images: Path) -> None:
    photo_files(images, ["anna/1.jpg", "ben/1.jpg"])
    for name in (b"anna/\xff.jpg", b"\xe9ve/1.jpg"):
        path = images / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    problems = problems_of(images)
    assert problems == [
        "anna/: the name of 'anna/\\udcff.jpg' is not UTF-8",
        "'\\udce9ve': the folder's name is not UTF-8",
    ]
    "\n".join(problems).encode()


def test_folders_of_somebody_else_are_problems(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo_files(images, ["anna/1.jpg", "ben/1.jpg", "ben/x/1.jpg"])
    for path in (images.parent, *images.parent.rglob("*")):
        path.chmod(0o755)
    (images.parent / "scratch").mkdir()
    monkeypatch.chdir(images.parent)  # what is above it is open to its owner alone
    with mode_of(images / "ben" / "x", 0), without_rights():
        (problem,) = problems_of(Path("images"))
    assert problem.startswith("ben/: ")
    assert problem.endswith("cannot be read: Permission denied")
    with mode_of(images, 0), without_rights(), pytest.raises(DataSetError, match="Permission denied"):
        opened(Path("images"))


def test_a_photo_counts_once_and_none_that_two_persons_share(images: Path) -> None:
    contents = {
        "anna/1.jpg": "1",
        "anna/2.jpg": "1",
        "anna/3.jpg": "2",
        "ben/1.jpg": "3",
        "ben/2.jpg": "4",
        "carl/1.jpg": "4",
    }
    problems = problems_of(photo_files(images, contents))
    assert problems == [
        "carl/: carl/1.jpg of carl is the very photo ben/2.jpg of ben (ben/)",
        "anna/: anna/2.jpg is the very photo anna/1.jpg (anna/)",
    ]
    labelled = opened(images, on_problem="skip")
    assert [photo.file for photo in labelled.photos] == ["anna/1.jpg", "anna/3.jpg", "ben/1.jpg"]
    assert labelled.identities.tolist() == [0, 0, 1]


def test_persons_are_dealt_out_into_folds(images: Path) -> None:
    photo_files(images, [f"p{person:02}/{number}.jpg" for person in range(25) for number in range(2)])
    labelled = opened(images)
    folds = {int(labelled.identities[reference]): fold for reference, _, _, fold in rows(labelled.pairs)}
    assert all(folds[int(labelled.identities[reference])] == fold for reference, _, _, fold in rows(labelled.pairs))
    assert sorted(np.bincount(list(folds.values()))) == 5 * [2] + 5 * [3]
    assert rows(opened(images).pairs) == rows(labelled.pairs)
    assert rows(opened(images, seed=1).pairs) != rows(labelled.pairs)


def test_of_many_pairs_a_sample_is_taken(images: Path) -> None:
    photo_files(images, [f"p{person:02}/{number}.jpg" for person in range(20) for number in range(2)])
    labelled = opened(images, max_non_mated=30, seed=4)
    assert (labelled.pairs.mated, labelled.pairs.non_mated) == (20, 30)
    assert len(rows(labelled.pairs)) == 50
    assert rows(opened(images, max_non_mated=30, seed=5).pairs) != rows(labelled.pairs)
    assert opened(images, max_non_mated=0).pairs.non_mated == 0


# A CSV of photos.


def test_a_csv_of_photos_makes_all_pairs(images: Path) -> None:
    photo_files(images, ["a.jpg", "b.jpg", "x/c.tiff", "unused.jpg"])
    labels = text_file(images / "labels.csv", "file,person,sex", "x/c.tiff,Anna,f", "a.jpg,Ben,", "b.jpg,Anna,f")
    labelled = opened(images, labels=labels)
    assert [photo.file for photo in labelled.photos] == ["x/c.tiff", "a.jpg", "b.jpg"]
    assert labelled.identities.tolist() == [0, 1, 0]
    assert labelled.subgroups == {"sex": ["f", "", "f"]}
    assert as_set(files_of(labelled)) == every_pair({"x/c.tiff": "Anna", "a.jpg": "Ben", "b.jpg": "Anna"})
    assert (labelled.form, labelled.folds) == ("a CSV of photos, labels.csv", FOLDS)


def test_a_row_of_a_photo_that_cannot_be_used_is_a_problem_at_its_line(images: Path) -> None:
    photo_files(images, {"a.jpg": "1", "b.jpg": "2", "c.jpg": "1", "d.jpg": "2", "e.jpg": "3"})
    lines = ["file,person,sex", "a.jpg,Anna,f", "b.jpg,Ben,m", "gone.jpg,Ben,m", "../a.jpg,Ben,m", "./c.jpg,Carl,m"]
    labels = text_file(images.parent / "labels.csv", *lines, "d.jpg,Ben,m", "e.jpg,Dora,f")
    assert problems_of(images, labels=labels) == [
        "labels.csv:4: gone.jpg is not there",
        "labels.csv:5: '../a.jpg' is outside of the set's folder",
        "labels.csv:6: ./c.jpg of Carl is the very photo a.jpg of Anna (labels.csv:2)",
        "labels.csv:7: d.jpg is the very photo b.jpg (labels.csv:3)",
    ]
    labelled = opened(images, labels=labels, on_problem="skip")
    assert files_of(labelled) == [("b.jpg", "e.jpg", False)]
    assert labelled.subgroups == {"sex": ["m", "f"]}


# A CSV of pairs.


def test_a_csv_of_pairs_is_read_in_its_order(images: Path) -> None:
    photo_files(images, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    pairs = text_file(
        images / "master.csv", "file_x,file_y,Decision", "c.jpg,a.jpg,No", "a.jpg,b.jpg,Yes", "d.jpg,b.jpg,No"
    )
    labelled = opened(images, pairs=pairs)
    assert files_of(labelled) == [("c.jpg", "a.jpg", False), ("a.jpg", "b.jpg", True), ("d.jpg", "b.jpg", False)]
    assert labelled.identities.tolist() == [0, 1, 1, 2]
    assert {photo.person for photo in labelled.photos} == {""}
    assert (labelled.form, labelled.folds, labelled.training) == ("a CSV of pairs, master.csv", FOLDS, None)
    assert (labelled.pairs.mated, labelled.pairs.non_mated) == (1, 2)
    folds = {int(labelled.identities[reference]): fold for reference, _, _, fold in rows(labelled.pairs)}
    assert len(set(folds.values())) == len(folds) == 3
    assert set(folds.values()) <= set(range(FOLDS))


def test_pairs_may_have_labels_of_their_photos_beside_them(images: Path) -> None:
    photo_files(images, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    lines = ["a.jpg,b.jpg,Yes", "b.jpg,c.jpg,Yes", "c.jpg,a.jpg,No", "d.jpg,a.jpg,No"]
    pairs = text_file(images / "pairs.csv", "file_x,file_y,Decision", *lines)
    labels = text_file(images / "labels.csv", "person,age,file", "anna,30,a.jpg", "anna,,b.jpg", "ben,50,c.jpg")
    assert problems_of(images, pairs=pairs, labels=labels) == [
        "pairs.csv:5: d.jpg has no labels",
        "pairs.csv:3: is mated, but its photos are of different persons by the other labels",
    ]
    labelled = opened(images, pairs=pairs, labels=labels, on_problem="skip")
    assert files_of(labelled) == [("a.jpg", "b.jpg", True), ("c.jpg", "a.jpg", False)]
    assert [photo.person for photo in labelled.photos] == ["anna", "anna", "ben"]
    assert labelled.subgroups == {"age": ["30", "", "50"]}


# LFW's files.


PEOPLE = {"Anna": 4, "Ben": 2, "Carl": 3, "Dora": 3, "Eve": 1, "Fritz": 2}
PAIRS = [
    "2\t2",
    "Anna\t1\t2",
    "Anna\t1\t3",
    "Anna\t2\tBen\t1",
    "Ben\t1\tCarl\t1",
    "Dora\t1\t2",
    "Dora\t2\t3",
    "Eve\t1\tDora\t1",
    "Dora\t2\tFritz\t1",
]


@pytest.fixture
def pairs(images: Path) -> Path:
    write_lfw(images, PEOPLE)
    return text_file(images.parent / "pairs.txt", *PAIRS)


def test_lfws_pairs_are_read_with_their_folds(images: Path, pairs: Path) -> None:
    labelled = opened(images, pairs=pairs)
    found = [(one, other, mated) for one, other, mated in files_of(labelled)]
    assert found[:3] == [
        ("Anna/Anna_0001.jpg", "Anna/Anna_0002.jpg", True),
        ("Anna/Anna_0001.jpg", "Anna/Anna_0003.jpg", True),
        ("Anna/Anna_0002.jpg", "Ben/Ben_0001.jpg", False),
    ]
    assert [row[3] for row in rows(labelled.pairs)] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert labelled.identities.tolist() == numbered([photo.person for photo in labelled.photos]).tolist()
    assert (labelled.form, labelled.folds, labelled.persons) == ("LFW's form, pairs.txt", 2, 6)
    assert labelled.training is None


def test_pairs_in_one_fold_are_dealt_out_by_persons(images: Path, pairs: Path) -> None:
    labelled = opened(images, pairs=text_file(pairs, "4", *PAIRS[1:]))
    assert labelled.folds == FOLDS
    assert NO_FOLD not in {row[3] for row in rows(labelled.pairs)}


def test_wrong_lines_of_lfws_pairs_are_problems(images: Path, pairs: Path) -> None:
    wrong = [
        "Anna\t1\t1",
        "Anna\t1\tAnna\t2",
        "Ben\t1",
        "Ben\t1\t9",
        "..\t1\t2",
        "Ben\t1\tAnna\t2",
        "x/y\t1\t2",
        "Ben\t2\tBen\t1",
    ]
    text_file(pairs, "2\t4", *PAIRS[1:], *wrong)
    assert problems_of(images, pairs=pairs) == [
        "pairs.txt:12: is neither NAME N N nor NAME N NAME N: 'Ben\\t1'",
        "pairs.txt:13: Ben/Ben_0009.jpg is not there",
        "pairs.txt:14: '../.._0001.jpg' is outside of the set's folder",
        "pairs.txt:14: '../.._0002.jpg' is outside of the set's folder",
        "pairs.txt:16: x/y/x/y_0001.jpg is not there",
        "pairs.txt:16: x/y/x/y_0002.jpg is not there",
        "pairs.txt:10: a photo is compared with itself, or with a copy of it",
        "pairs.txt:11: is non-mated, but its photos are of one person by the other labels",
        "pairs.txt:17: is non-mated, but its photos are of one person by the other labels",
        "pairs.txt:15: is the pair of line 4 again",
    ]
    labelled = opened(images, pairs=pairs, on_problem="skip")
    assert [row[3] for row in rows(labelled.pairs)] == 8 * [0]


def test_labels_beside_lfws_pairs_tell_subgroups(images: Path, pairs: Path) -> None:
    files = [file_of(name, str(number)) for name in PEOPLE for number in range(1, PEOPLE[name] + 1)]
    labels = text_file(
        images / "labels.csv", "file,person,initial", *(f"{file},{file[:3]},{file[0]}" for file in files)
    )
    labelled = opened(images, pairs=pairs, labels=labels)
    assert labelled.subgroups["initial"] == [photo.file[0] for photo in labelled.photos]
    assert files_of(labelled) == files_of(opened(images, pairs=pairs))


def test_persons_in_several_folds_are_noted(images: Path, pairs: Path) -> None:
    assert opened(images, pairs=pairs).problems.notes == []
    write_lfw(images, {"a": 2, "b": 3, "c": 2, "d": 2})
    shared = text_file(images / "shared.txt", "3\t1", "a 1 2", "a 1 b 1", "b 2 3", "b 2 c 1", "d 1 2", "d 1 c 2")
    (note,) = opened(images, pairs=shared).problems.notes
    assert str(note) == "shared.txt: 2 persons are in several folds, so accuracy's standard error is a little small"


# LFW's unrestricted protocol.


def training_of(labelled: LabelledSet) -> dict[int, set[tuple[frozenset[str], bool]]]:
    """Return the training pairs of each fold by their files."""
    assert labelled.training is not None
    found = rows(labelled.training)
    named = files_of(labelled, labelled.training)
    assert labelled.training.mated == sum(mated for *_, mated in named)
    assert labelled.training.mated + labelled.training.non_mated == len(named)
    return {
        fold: as_set([pair for pair, row in zip(named, found, strict=True) if row[3] == fold])
        for fold in {row[3] for row in found}
    }


def test_without_people_the_photos_of_the_pairs_train(images: Path, pairs: Path) -> None:
    restricted, labelled = opened(images, pairs=pairs), opened(images, pairs=pairs, protocol="unrestricted")
    assert labelled.photos == restricted.photos
    assert rows(labelled.pairs) == rows(restricted.pairs)
    persons = {photo.file: photo.person for photo in labelled.photos}
    first = {file: person for file, person in persons.items() if person in {"Anna", "Ben", "Carl"}}
    second = {file: person for file, person in persons.items() if file not in first}
    assert training_of(labelled) == {0: every_pair(first), 1: every_pair(second)}


def test_people_tell_all_photos_that_train(images: Path, pairs: Path) -> None:
    people = text_file(
        images / "people.txt", "2", "3", "Ben\t2", "Anna\t4", "Carl\t3", "3", "Fritz\t2", "Dora\t3", "Eve\t1"
    )
    restricted = opened(images, pairs=pairs)
    labelled = opened(images, pairs=pairs, people=people, protocol="unrestricted")
    assert list(labelled.photos[: len(restricted.photos)]) == restricted.photos
    assert len(labelled.photos) == sum(PEOPLE.values())
    assert files_of(labelled) == files_of(restricted)
    persons = {file_of(name, str(number)): name for name in PEOPLE for number in range(1, PEOPLE[name] + 1)}
    first = {file: person for file, person in persons.items() if person in {"Anna", "Ben", "Carl"}}
    second = {file: person for file, person in persons.items() if file not in first}
    assert training_of(labelled) == {0: every_pair(first), 1: every_pair(second)}
    assert labelled.identities.tolist() == numbered([photo.person for photo in labelled.photos]).tolist()


def test_training_pairs_are_those_of_brute_force(tmp_path: Path) -> None:
    for seed in range(20):
        random_ = seeded(seed)
        folds = [
            {f"F{fold}P{person}": random_.randint(1, 5) for person in range(random_.randint(2, 5))} for fold in range(3)
        ]
        photos = {
            (name, number): fold
            for fold, people in enumerate(folds)
            for name in people
            for number in range(1, people[name] + 1)
        }
        by_fold = [[photo for photo in photos if photos[photo] == fold] for fold in range(3)]
        mated = [[two for two in combinations(of_fold, 2) if two[0][0] == two[1][0]] for of_fold in by_fold]
        non_mated = [[two for two in combinations(of_fold, 2) if two[0][0] != two[1][0]] for of_fold in by_fold]
        size = min(map(len, [*mated, *non_mated]))
        if not size:
            continue
        lines = [f"3 {size}"]
        for fold in range(3):
            lines += [f"{one[0]} {one[1]} {other[1]}" for one, other in random_.sample(mated[fold], size)]
            lines += [
                f"{one[0]} {one[1]} {other[0]} {other[1]}" for one, other in random_.sample(non_mated[fold], size)
            ]
        images = photo_files(tmp_path / str(seed) / "images", [file_of(name, str(number)) for name, number in photos])
        list_file = text_file(images / "pairs.txt", *lines)
        people = text_file(
            images / "people.txt",
            "3",
            *(
                line
                for of_fold in folds
                for line in (str(len(of_fold)), *(f"{name} {of_fold[name]}" for name in of_fold))
            ),
        )
        labelled = opened(images, pairs=list_file, people=people, protocol="unrestricted")
        assert training_of(labelled) == {
            fold: every_pair({file_of(name, str(number)): name for name, number in by_fold[fold]}) for fold in range(3)
        }
        few = opened(images, pairs=list_file, people=people, protocol="unrestricted", max_non_mated=6)
        assert few.training is not None
        assert few.training.non_mated == sum(min(2, len(of_fold)) for of_fold in non_mated)


def test_wrong_people_are_problems(images: Path, pairs: Path) -> None:
    people = text_file(
        images / "people.txt", "2", "3", "Ben\t3", "Anna\t4", "Carl\t3", "3", "Fritz\t2", "Dora\t3", "Ben\t1"
    )
    assert problems_of(images, pairs=pairs, people=people, protocol="unrestricted") == [
        "people.txt: Ben is in two folds",
        "pairs.txt:8: Eve is not in people.txt",
        "people.txt: Ben/Ben_0003.jpg is not there",
    ]


def test_a_photo_trains_once_and_none_that_two_persons_share(images: Path, pairs: Path) -> None:
    people = text_file(
        images / "people.txt", "2", "3", "Ben\t2", "Anna\t4", "Carl\t3", "3", "Fritz\t2", "Dora\t3", "Eve\t1"
    )
    copies = {"Anna/Anna_0004.jpg": "Anna/Anna_0001.jpg", "Fritz/Fritz_0002.jpg": "Carl/Carl_0001.jpg"}
    photo_files(images, copies)
    assert problems_of(images, pairs=pairs, people=people, protocol="unrestricted") == [
        "people.txt: Fritz/Fritz_0002.jpg of Fritz is the very photo Carl/Carl_0001.jpg of Carl (pairs.txt:5)",
        "people.txt: Anna/Anna_0004.jpg is the very photo Anna/Anna_0001.jpg (pairs.txt:2)",
    ]
    labelled = opened(images, pairs=pairs, people=people, protocol="unrestricted", on_problem="skip")
    trained = {file for found in training_of(labelled).values() for two, _ in found for file in two}
    assert len(trained) == len(labelled.photos) - 1 == sum(PEOPLE.values()) - 3
    assert not trained & {*copies, "Carl/Carl_0001.jpg"}


def test_people_of_other_folds_are_refused(images: Path, pairs: Path) -> None:
    people = text_file(images / "people.txt", "1", "1", "Anna\t4")
    with pytest.raises(DataSetError, match=r"people\.txt has 1 folds, and the pairs have 2"):
        opened(images, pairs=pairs, people=people, protocol="unrestricted")


def test_the_unrestricted_protocol_needs_folds(images: Path, pairs: Path) -> None:
    text_file(pairs, "4", *PAIRS[1:])
    with pytest.raises(DataSetError, match="folds"):
        opened(images, pairs=pairs, protocol="unrestricted")


@pytest.mark.parametrize("options", [{"people": "people.txt"}, {"protocol": "unrestricted"}])
@pytest.mark.parametrize("form", ["folders", "photos", "pairs"])
def test_other_forms_have_no_people(images: Path, options: dict[str, Any], form: str) -> None:
    photo_files(images, ["a/1.jpg", "b/1.jpg"])
    files = {
        "folders": {},
        "photos": {"labels": text_file(images / "labels.csv", "file,person", "a/1.jpg,a", "b/1.jpg,b")},
        "pairs": {"pairs": text_file(images / "pairs.csv", "file_x,file_y,Decision", "a/1.jpg,b/1.jpg,No")},
    }
    with pytest.raises(DataSetError, match=r"go with LFW's pairs\.txt"):
        opened(images, **files[form], **options)


# What cannot be used at all.


def test_a_set_must_be_in_a_folder(images: Path) -> None:
    photo_files(images, ["file"])
    for path in (images / "file", images / "nowhere"):
        with pytest.raises(DataSetError, match="is not a folder"):
            opened(path)


@pytest.mark.parametrize("files", [[], ["1.jpg"], ["anna/1.jpg"]])
def test_a_set_without_pairs_is_refused(images: Path, files: list[str]) -> None:
    photo_files(images, files)
    with pytest.raises(DataSetError, match="the set has no pair that can be compared"):
        opened(images)


def test_a_set_of_which_nothing_is_left_is_refused(images: Path) -> None:
    (images / "anna").mkdir()
    lists: list[dict[str, Any]] = [
        {},
        {"labels": text_file(images.parent / "labels.csv", "file,person", "a,1", "b,2")},
        {"pairs": text_file(images.parent / "pairs.csv", "file_x,file_y,Decision", "a,b,Yes")},
        {"pairs": text_file(images.parent / "empty.csv", "file_x,file_y,Decision")},
        {"pairs": text_file(images.parent / "pairs.txt", "2 1", "a 1 2", "a 1 b 1", "c 1 2", "c 1 d 1")},
    ]
    people = text_file(images.parent / "people.txt", "2", "1", "a\t2", "1", "c\t2")
    lists += [{**lists[-1], "people": people, "protocol": "unrestricted"}]
    for options in lists:
        with pytest.raises(DataSetError, match="the set has no pair that can be compared"):
            opened(images, **options, on_problem="skip")


def test_a_list_may_be_of_any_bytes(images: Path) -> None:
    photo_files(images, ["a/1.jpg", "b/1.jpg"])
    path, pairs = images.parent / "list", text_file(images.parent / "pairs.txt", "2 1", *2 * ["a 1 2", "a 1 b 1"])
    pieces = [
        b"10 300\n",
        b"1\n",
        b"file_x,file_y,Decision\n",
        b"file,person,sex\n",
        b"a/1.jpg,b/1.jpg,Yes\n",
        b"a/1.jpg,a,f\n",
    ]
    pieces += [
        b"a 1 2\n",
        b"a 1 b 2\n",
        b'"',
        b"\0",
        b"\xff",
        b"\r",
        b"9" * 30,
        b"\t",
        b",",
        b"x" * 5000,
        "한글".encode(),
    ]
    for seed in range(300):
        random_ = seeded(seed)
        path.write_bytes(b"".join(random_.choices(pieces, k=random_.randint(0, 9))))
        on_problem = random_.choice(["skip", "refuse"])
        uses: list[dict[str, Any]] = [{"pairs": path}, {"labels": path}, {"pairs": path, "labels": path}]
        uses += [{"pairs": pairs, "people": path, "protocol": "unrestricted"}]
        for use in uses:
            try:
                opened(images, **use, on_problem=on_problem)
            except DataSetError as error:
                assert 0 < len(str(error)) < 300
