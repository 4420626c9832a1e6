from pathlib import Path

import pytest

from face_engine.errors import DataSetError
from face_engine.evaluation.contents import Named
from face_engine.evaluation.labels import NO_FOLD, Problems
from face_engine.evaluation.listed import ListedPair
from face_engine.evaluation.tables import MAX_SUBGROUPS, LabelledPhotos, read_pairs, read_photos
from face_engine.evaluation.texts import MAX_FIELD_CHARACTERS
from support.labelled import text_file, told

HEADER = "file_x,file_y,Decision"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


def pairs_of(path: Path, *lines: str, problems: Problems | None = None) -> list[ListedPair]:
    return list(read_pairs(text_file(path, *lines), problems or Problems()))


def photos_of(path: Path, *lines: str, problems: Problems | None = None) -> LabelledPhotos:
    return read_photos(text_file(path, *lines), problems or Problems())


# Pairs.


def listed(line: int, reference: str, probe: str, mated: bool) -> ListedPair:
    one, other = (Named(file, "", f"labels.csv:{line}") for file in (reference, probe))
    return ListedPair(line, one, other, mated, NO_FOLD)


def test_deepfaces_pairs_are_read(path: Path) -> None:
    assert pairs_of(path, HEADER, "img1.jpg,img2.jpg,Yes", "img1.jpg,img3.jpg,No") == [
        listed(2, "img1.jpg", "img2.jpg", mated=True),
        listed(3, "img1.jpg", "img3.jpg", mated=False),
    ]


@pytest.mark.parametrize(("decision", "mated"), [("Yes", True), ("YES", True), (" yes ", True), ("nO", False)])
def test_a_decision_is_in_any_case(path: Path, decision: str, mated: bool) -> None:
    assert pairs_of(path, HEADER, f"a,b,{decision}") == [listed(2, "a", "b", mated)]


@pytest.mark.parametrize(
    "header", ["\ufeffDECISION,extra,File_Y,file_x", " decision , ,file_y, FILE_X ", '"Decision","a,b",file_y,file_x']
)
def test_columns_are_in_any_order_and_others_are_not_read(path: Path, header: str) -> None:
    assert pairs_of(path, header, "No,1,b,a") == [listed(2, "a", "b", mated=False)]


def test_other_columns_may_have_one_name(path: Path) -> None:
    assert pairs_of(path, f"{HEADER},x,x,", "a,b,Yes,1,2,3") == [listed(2, "a", "b", mated=True)]


def test_a_wrong_row_is_a_problem_at_its_line(path: Path) -> None:
    lines = [
        'a,"b\n1",Yes',
        "a,b,Maybe",
        "a,b,",
        "a,,Yes",
        " ,b,No",
        "a,b",
        "a,b,No,1",
        "",
        f"a,b,{'y' * 900}",
        "a,c,No",
    ]
    problems = Problems()
    assert pairs_of(path, HEADER, *lines, problems=problems) == [
        listed(3, "a", "b\n1", mated=True),
        listed(12, "a", "c", mated=False),
    ]
    assert told(problems)[:7] == [
        "labels.csv:4: its Decision is neither Yes nor No: 'Maybe'",
        "labels.csv:5: its Decision is neither Yes nor No: ''",
        "labels.csv:6: names no two files",
        "labels.csv:7: names no two files",
        "labels.csv:8: has 2 fields, not 3",
        "labels.csv:9: has 4 fields, not 3",
        f"labels.csv:11: its Decision is neither Yes nor No: '{'y' * 40}'",
    ]
    assert problems.count == 7


@pytest.mark.parametrize(
    "header",
    ["", "file_x,file_y", "file,person", f"{HEADER},file_x", "file_x;file_y;Decision", "10 300 300", "{}", "\0"],
)
def test_other_columns_are_refused(path: Path, header: str) -> None:
    with pytest.raises(DataSetError, match=r"^labels\.csv:1: "):
        pairs_of(path, header, "a,b,Yes")


def test_a_nul_is_a_character_like_any_other(path: Path) -> None:
    """That no file has such a name is found where files are read."""
    assert pairs_of(path, HEADER, "a\0,b,Yes") == [listed(2, "a\0", "b", mated=True)]


@pytest.mark.parametrize("line", ['a,"b"c,Yes', f"a,{'b' * (MAX_FIELD_CHARACTERS + 1)},Yes", 'a,b,"Yes'])
def test_what_is_no_csv_is_refused(path: Path, line: str) -> None:
    with pytest.raises(DataSetError, match=r"^labels\.csv:3: "):
        pairs_of(path, HEADER, "a,b,Yes", line)


# Photos.


def test_photos_are_read_with_their_persons_and_subgroups(path: Path) -> None:
    photos = photos_of(path, "\ufeffAge, Person ,FILE,sex", '30,"Doe, Jane",a.jpg,', ",b,x/b.jpg,f")
    assert photos.named == [Named("a.jpg", "Doe, Jane", "labels.csv:2"), Named("x/b.jpg", "b", "labels.csv:3")]
    assert photos.subgroups == {"Age": {"a.jpg": "30", "x/b.jpg": ""}, "sex": {"a.jpg": "", "x/b.jpg": "f"}}


def test_columns_of_subgroups_are_optional_and_keep_their_case(path: Path) -> None:
    assert photos_of(path, "file,person").subgroups == {}
    assert list(photos_of(path, "x,file,X,person").subgroups) == ["x", "X"]


def test_a_row_without_file_or_person_is_a_problem(path: Path) -> None:
    problems = Problems()
    assert photos_of(path, "file,person", ",a", "a.jpg,", " , ", "a.jpg", problems=problems).named == []
    assert told(problems) == [f"labels.csv:{line}: names no file, or no person" for line in (2, 3, 4)] + [
        "labels.csv:5: has 1 fields, not 2"
    ]


def test_a_file_that_is_labelled_twice_is_kept_once_and_not_at_all_if_the_labels_differ(path: Path) -> None:
    rows = ["a,1,f", "b,1,f", "c,2,m", "d,3,", "a,1,f", "b,2,f", "c,2,f", "b,1,f", "e,4,"]
    problems = Problems()
    photos = photos_of(path, "file,person,sex", *rows, problems=problems)
    assert [(one.file, one.person, one.place) for one in photos.named] == [
        ("a", "1", "labels.csv:2"),
        ("d", "3", "labels.csv:5"),
        ("e", "4", "labels.csv:10"),
    ]
    assert photos.subgroups == {"sex": {"a": "f", "d": "", "e": ""}}
    assert told(problems) == [
        "labels.csv:6: a is labelled again, as in labels.csv:2",
        "labels.csv:7: b has other labels in labels.csv:3",
        "labels.csv:8: c has other labels in labels.csv:4",
        "labels.csv:9: b is labelled again, as in labels.csv:3",
    ]


def test_a_column_of_too_many_values_is_a_problem_and_left_out(path: Path) -> None:
    def row(number: int) -> str:
        return f"{number},{number},{number % (MAX_SUBGROUPS + 1) or ''},{number % (MAX_SUBGROUPS + 1)}"

    problems = Problems()
    photos = photos_of(path, "file,person,few,many", *(row(number) for number in range(200)), problems=problems)
    assert list(photos.subgroups) == ["few"]
    assert len(photos.named) == 200
    assert told(problems) == [f"labels.csv:1: the column many has {MAX_SUBGROUPS + 1} values: too many for subgroups"]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "file",
        "person,sex",
        "file,person,File",
        "file,person,x,x",
        "file;person",
        HEADER,
        "file\tperson",
    ],
)
def test_columns_that_are_missing_or_ambiguous_are_refused(path: Path, header: str) -> None:
    with pytest.raises(DataSetError, match=r"^labels\.csv:1: "):
        photos_of(path, header, "a,b,c")


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(DataSetError, match=r"labels\.csv: No such file"):
        list(read_pairs(path, Problems()))
    with pytest.raises(DataSetError, match=r"labels\.csv: No such file"):
        read_photos(path, Problems())
