import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from face_engine.errors import DataSetError
from face_engine.evaluation.labels import Problems
from face_engine.evaluation.texts import (
    MAX_FIELD_CHARACTERS,
    MAX_LINE_CHARACTERS,
    Row,
    columns_of,
    lines_of,
    rows_of,
)
from support.labelled import told


def read_lines(path: Path) -> list[tuple[int, str]]:
    return list(lines_of(path))


def read_table(path: Path) -> list[Row]:
    return list(rows_of(path, columns_of(path), Problems()))


readers = pytest.mark.parametrize("read", [read_lines, read_table])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "set.txt"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
def test_lines_and_rows_are_numbered_whatever_ends_them(path: Path, end: str, mark: bytes) -> None:
    path.write_bytes(mark + end.join([" a,b\t", "", "1 , 2", "한글,x\u2028y\x85z"]).encode())
    assert read_lines(path) == [(1, "a,b"), (2, ""), (3, "1 , 2"), (4, "한글,x\u2028y\x85z")]
    assert columns_of(path) == ["a", "b"]
    assert read_table(path) == [Row(3, {"a": "1", "b": "2"}), Row(4, {"a": "한글", "b": "x\u2028y\x85z"})]


@readers
def test_an_empty_file_has_none(path: Path, read: Callable[[Path], object]) -> None:
    path.touch()
    assert read(path) == []
    assert columns_of(path) == []


def test_a_row_has_the_line_that_it_ends_in(path: Path) -> None:
    path.write_bytes(b'a,"b\nc"\n1,"2\n3\r\n4"\n5,6\n')
    assert columns_of(path) == ["a", "b\nc"]
    assert read_table(path) == [Row(5, {"a": "1", "b\nc": "2\n3\r\n4"}), Row(6, {"a": "5", "b\nc": "6"})]


def test_quotes_keep_commas_and_quotes(path: Path) -> None:
    path.write_text('a,b\n"x,y","say ""hi"""\n')
    assert read_table(path) == [Row(2, {"a": "x,y", "b": 'say "hi"'})]


def test_a_row_of_another_length_is_a_problem(path: Path) -> None:
    path.write_text('a,b\n1\n2,"3\n"\n4,5,6\n,\n\n')
    problems = Problems()
    assert list(rows_of(path, ["a", "b"], problems)) == [Row(4, {"a": "2", "b": "3"}), Row(6, {"a": "", "b": ""})]
    assert told(problems) == ["set.txt:2: has 1 fields, not 2", "set.txt:5: has 3 fields, not 2"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('"a', 1),
        ('a\n"1"2\n', 2),
        ('a\n1\n"2\n', 3),
        (f"{'a' * (MAX_FIELD_CHARACTERS + 1)}\n1\n", 1),
        (f"a\n1\n{'2' * (MAX_FIELD_CHARACTERS + 1)}\n", 3),
        ('a\n"' + "1\n" * MAX_FIELD_CHARACTERS, MAX_FIELD_CHARACTERS // 2 + 2),
    ],
    ids=["open header", "more after a quote", "open quote", "long name", "long field", "quote that swallows the rest"],
)
def test_what_is_no_csv_is_refused_with_its_line(path: Path, text: str, line: int) -> None:
    path.write_text(text)
    with pytest.raises(DataSetError, match=rf"^set\.txt:{line}: "):
        read_table(path)


def test_a_long_field_is_read(path: Path) -> None:
    path.write_text(f"a\n{'1' * MAX_FIELD_CHARACTERS}\n")
    assert read_table(path) == [Row(2, {"a": "1" * MAX_FIELD_CHARACTERS})]


@readers
@pytest.mark.parametrize("before", [0, 100_000])
def test_what_is_not_utf8_is_refused(path: Path, read: Callable[[Path], object], before: int) -> None:
    path.write_bytes(b"a\n" * before + b"\xe9\n")
    with pytest.raises(DataSetError, match="UTF-8"):
        read(path)


@readers
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "loop", tmp_path / "gone", tmp_path / "file" / "below"):
        with pytest.raises(DataSetError, match=path.name):
            read(path)
    with pytest.raises(DataSetError, match="is not a file"):
        read(Path("/dev/zero"))


@readers
def test_a_line_without_end_is_refused_before_it_fills_the_memory(path: Path, read: Callable[[Path], object]) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 32)
    tracemalloc.start()
    try:
        with pytest.raises(DataSetError, match=r"a line of more than 1,000,000 characters"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * MAX_LINE_CHARACTERS
    finally:
        tracemalloc.stop()
