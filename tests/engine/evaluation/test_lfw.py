from pathlib import Path

import pytest

from face_engine.errors import DataSetError
from face_engine.evaluation import lfw
from face_engine.evaluation.contents import Named
from face_engine.evaluation.labels import NO_FOLD, Problems, leaves_folder
from face_engine.evaluation.lfw import (
    MAX_FOLDS,
    MAX_PHOTOS,
    PairsHeader,
    file_of,
    read_pairs,
    read_pairs_header,
    read_people,
)
from face_engine.evaluation.listed import ListedPair
from support.labelled import text_file, told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.txt"


def pairs_of(path: Path, problems: Problems | None = None) -> list[ListedPair]:
    header = read_pairs_header(path)
    assert header is not None
    return list(read_pairs(path, header, problems or Problems()))


def listed(line: int, one: tuple[str, int], other: tuple[str, int], fold: int) -> ListedPair:
    reference, probe = (
        Named(f"{name}/{name}_{number:04d}.jpg", name, f"pairs.txt:{line}") for name, number in (one, other)
    )
    return ListedPair(line, reference, probe, one[0] == other[0], fold)


# pairs.txt


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("10 300", PairsHeader(10, 300)),
        ("10\t300", PairsHeader(10, 300)),
        (" 10   300 ", PairsHeader(10, 300)),
        ("\ufeff10 300", PairsHeader(10, 300)),
        ("1100", PairsHeader(1, 1100)),
        ("1 500", PairsHeader(1, 500)),
        (f"{MAX_FOLDS} 999999999", PairsHeader(MAX_FOLDS, 999_999_999)),
        ("", None),
        ("file_x,file_y,Decision", None),
        ("10,300", None),
        ("10 300 1", None),
        ("10 -300", None),
        ("10 3e2", None),
        ("10 ²", None),
        ("George_W_Bush 1 2", None),
    ],
)
def test_a_header_is_a_number_or_two(path: Path, first: str, expected: PairsHeader | None) -> None:
    assert read_pairs_header(text_file(path, first, "a 1 2")) == expected


def test_an_empty_file_has_no_header(path: Path) -> None:
    assert read_pairs_header(text_file(path)) is None


@pytest.mark.parametrize(
    "first", ["0", "0 300", "10 0", f"{MAX_FOLDS + 1} 1", "1000000000", "1" * 5000, f"1 {'9' * 5000}"], ids=len
)
def test_a_header_of_impossible_numbers_is_refused(path: Path, first: str) -> None:
    with pytest.raises(DataSetError, match=r"^pairs\.txt:1: ") as refusal:
        read_pairs_header(text_file(path, first, "a 1 2"))
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("separator", ["\t", " ", "   "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_pairs_are_read_with_their_lines_and_folds(path: Path, separator: str, end: str) -> None:
    lines = ["2 2", "a 1 2", "b 1 11", "a 1 b 2", "c 3 b 12345", "", "d 1 2", "d 2 3", "d 1 e 1", "e 2 d 2", ""]
    path.write_text(end.join(line.replace(" ", separator) for line in lines))
    assert pairs_of(path) == [
        listed(2, ("a", 1), ("a", 2), 0),
        listed(3, ("b", 1), ("b", 11), 0),
        listed(4, ("a", 1), ("b", 2), 0),
        listed(5, ("c", 3), ("b", 12345), 0),
        listed(7, ("d", 1), ("d", 2), 1),
        listed(8, ("d", 2), ("d", 3), 1),
        listed(9, ("d", 1), ("e", 1), 1),
        listed(10, ("e", 2), ("d", 2), 1),
    ]


def test_names_with_blanks_are_separated_by_tabs(path: Path) -> None:
    pairs = pairs_of(text_file(path, "1", "José de la Cruz\t1\t2", "José de la Cruz\t1\t2 Pac\t3"))
    assert pairs == [
        listed(2, ("José de la Cruz", 1), ("José de la Cruz", 2), NO_FOLD),
        listed(3, ("José de la Cruz", 1), ("2 Pac", 3), NO_FOLD),
    ]


@pytest.mark.parametrize("header", ["2", "1 2"])
def test_a_single_fold_is_none(path: Path, header: str) -> None:
    pairs = pairs_of(text_file(path, header, "a 1 2", "a 1 3", "a 1 b 1", "a 1 c 1"))
    assert [pair.fold for pair in pairs] == 4 * [NO_FOLD]


def test_a_line_of_another_form_is_a_problem_and_counts_in_its_fold(path: Path) -> None:
    lines = ["2 2", "a 1 2", "a 1", "", "a 1 b", "a 1 b x", "a 1 b 2 c", "a -1 2", f"a 1 {'9' * 5000}", "a 1 2"]
    problems = Problems()
    assert [(pair.line, pair.fold) for pair in pairs_of(text_file(path, *lines), problems)] == [(2, 0), (10, 1)]
    assert [problem.place for problem in problems.listed] == [f"pairs.txt:{line}" for line in (3, 5, 6, 7, 8, 9)]
    assert told(problems)[0] == "pairs.txt:3: is neither NAME N N nor NAME N NAME N: 'a 1'"
    assert max(map(len, told(problems))) < 200


def test_a_non_mated_line_of_one_person_is_read_as_it_is_said(path: Path) -> None:
    _, pair = pairs_of(text_file(path, "1", "a 1 2", "a 1 a 3"))
    assert (pair.mated, pair.reference.person, pair.probe.person) == (False, "a", "a")


@pytest.mark.parametrize("name", ["..", "/etc", "../..", "a/../../b", "a\\b"])
def test_a_name_that_leads_elsewhere_is_caught_where_files_are_read(name: str) -> None:
    assert leaves_folder(file_of(name, "1"))


@pytest.mark.parametrize(("count", "told"), [(0, "0"), (3, "3"), (5, "more"), (50_000, "more")])
def test_another_number_of_lines_than_announced_is_refused(path: Path, count: int, told: str) -> None:
    text_file(path, "2 1", *(f"a {number} {number + 1}" for number in range(1, count + 1)))
    with pytest.raises(
        DataSetError, match=rf"^pairs\.txt: its first line announces 2 x 2 x 1 pairs, and it has {told}$"
    ):
        pairs_of(path)


def test_a_file_that_is_no_text_is_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    with pytest.raises(DataSetError, match=r"pairs\.txt: is not UTF-8 text"):
        read_pairs_header(path)
    path.write_bytes(b"1\na 1 2\n\xe9 1 2\n")
    with pytest.raises(DataSetError, match=r"pairs\.txt: is not UTF-8 text"):
        pairs_of(path)


# people.txt


@pytest.mark.parametrize("separator", ["\t", "  "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_people_are_read_by_fold(path: Path, separator: str, end: str) -> None:
    lines = ["\ufeff3", "2", f"a{separator}2", f"b{separator}1", "", "0", "1", f"c{separator}0", ""]
    path.write_text(end.join(lines), encoding="utf-8")
    assert read_people(path) == [
        {"a": ["a/a_0001.jpg", "a/a_0002.jpg"], "b": ["b/b_0001.jpg"]},
        {},
        {"c": []},
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], r":end: here the number of folds should stand alone"),
        (["10 300"], r":1: here the number of folds should stand alone"),
        (["a\t1"], r":1: here the number of folds should stand alone"),
        (["1" * 5000], r":1: here the number of folds should stand alone"),
        (["2", "1", "a\t1"], r":end: here the number of persons of a fold should stand alone"),
        (["1", "a\t1"], r":2: here the number of persons of a fold should stand alone"),
        (["999999999"], r":end: here the number of persons of a fold should stand alone"),
        (["1", "2", "a\t1"], r":end: is not NAME N"),
        (["1", "999999999", "a\t1"], r":end: is not NAME N"),
        (["1", "1", "a"], r":3: is not NAME N"),
        (["1", "1", "", "a\tb"], r":4: is not NAME N"),
        (["1", "1", "a\t-1"], r":3: is not NAME N"),
        (["1", "1", f"a\t{'9' * 5000}"], r":3: is not NAME N"),
        (["1", "2", "a\t1", "a\t2"], r":4: a is in this fold before"),
        (["1", "1", "a\t999999999"], rf":3: these are more than {MAX_PHOTOS:,} photos"),
        (["1", "1", "a\t1", "b\t1"], r":4: there is more than its numbers announce"),
    ],
)
def test_what_is_no_list_of_people_is_refused_with_its_line(path: Path, lines: list[str], problem: str) -> None:
    with pytest.raises(DataSetError, match=rf"^pairs\.txt{problem}"):
        read_people(text_file(path, *lines))


def test_the_photos_of_all_people_together_are_limited(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lfw, "MAX_PHOTOS", 10)
    text_file(path, "2", "2", "a\t3", "b\t4", "1", "c\t3")
    assert sum(len(files) for fold in read_people(path) for files in fold.values()) == 10
    with pytest.raises(DataSetError, match=r"^pairs\.txt:6: these are more than 10 photos"):
        read_people(text_file(path, "2", "2", "a\t3", "b\t4", "1", "c\t4"))
