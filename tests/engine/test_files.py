import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from face_engine.files import create_file, replace_file

OLD, NEW = b"old" * 10_000, b"new" * 20_000

DIE_AT_EVERY_LINE = """
import os, sys, tempfile
from pathlib import Path
from face_engine import files

writer, folder = getattr(files, sys.argv[1]), Path(sys.argv[2])
new = b"new" * 20_000

def survives(path, lines):
    def trace(frame, event, _):
        nonlocal lines
        if frame.f_code.co_filename not in {files.__file__, tempfile.__file__}:
            return None
        if event == "line":
            lines -= 1
            if lines < 0:
                os._exit(9)
        return trace
    child = os.fork()
    if child == 0:
        sys.settrace(trace)
        writer(path, new)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0

lines = 0
while True:
    place = folder / str(lines)
    place.mkdir()
    path = place / "file"
    if writer is files.replace_file:
        path.write_bytes(b"old" * 10_000)
    if survives(path, lines):
        break
    lines += 1
"""
"""Ends the program before each line of the writing in turn: before the first, before the second, and so on."""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("write", [replace_file, create_file])
@pytest.mark.parametrize("data", [b"", NEW], ids=["empty", "long"])
def test_a_new_file_holds_the_bytes_and_is_the_owners(
    tmp_path: Path, write: Callable[[Path, bytes], None], data: bytes
) -> None:
    before = os.umask(0)
    try:
        write(tmp_path / "file", data)
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == data
    assert mode(tmp_path / "file") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_is_replaced_is_the_owners_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    path.chmod(0o666)
    with path.open("rb") as reader:
        replace_file(path, NEW)
        assert reader.read() == OLD
    assert path.read_bytes() == NEW
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_there_is_never_overwritten_by_create(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file", "folder", "dangling"):
        with pytest.raises(FileExistsError):
            create_file(tmp_path / name, NEW)
    assert (tmp_path / "file").read_bytes() == OLD
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file", "folder"]


def test_of_many_creators_one_succeeds_and_its_bytes_stay(tmp_path: Path) -> None:
    def create(number: int) -> bool:
        barrier.wait()
        try:
            create_file(path, bytes([number]) * 5000)
        except FileExistsError:
            return False
        return True

    barrier = Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        for round_ in range(20):
            path = tmp_path / str(round_)
            created = list(pool.map(create, range(8)))
            assert created.count(True) == 1
            assert path.read_bytes() == bytes([created.index(True)]) * 5000
    assert len(list(tmp_path.iterdir())) == 20


def test_a_reader_sees_one_of_the_files_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 30_000 for number in range(60)]
    replace_file(path, contents[0])
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(replace_file, path, content) for content in contents]
        while not all(writer.done() for writer in writers):
            assert path.read_bytes() in contents
        for writer in writers:
            writer.result()
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_bytes(OLD)
    with pytest.raises(OSError, match="directory"):
        replace_file(tmp_path / "folder", NEW)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "kept"]
    for write in (replace_file, create_file):
        with pytest.raises(FileNotFoundError):
            write(tmp_path / "nowhere" / "file", NEW)


@pytest.mark.parametrize("writer", ["replace_file", "create_file"])
def test_a_program_that_ends_anywhere_leaves_the_old_or_the_new(tmp_path: Path, writer: str) -> None:
    subprocess.run([sys.executable, "-c", DIE_AT_EVERY_LINE, writer, str(tmp_path)], check=True)
    places = sorted(tmp_path.iterdir(), key=lambda place: int(place.name))
    assert len(places) > 10
    found = [(place / "file").read_bytes() if (place / "file").exists() else b"" for place in places]
    before = OLD if writer == "replace_file" else b""
    changed_at = found.index(NEW)
    assert 0 < changed_at < len(found) - 1
    assert found == [before] * changed_at + [NEW] * (len(found) - changed_at)
    # What is left over, should the program end meanwhile, is nobody else's to read either.
    assert {mode(path) for place in places for path in place.iterdir() if path.name != "file"} == {0o600}
    assert [path.name for path in places[-1].iterdir()] == ["file"]


@pytest.mark.parametrize(("write", "names"), [(replace_file, {"replace", "rename"}), (create_file, {"link"})])
def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, write: Callable[[Path, bytes], None], names: set[str]
) -> None:
    def note(_frame: object, event: str, function: object) -> None:
        if event == "c_call":
            calls.append(getattr(function, "__name__", ""))

    calls: list[str] = []
    sys.setprofile(note)
    try:
        write(tmp_path / "file", NEW)
    finally:
        sys.setprofile(None)
    kept = ["named" if call in names else call for call in calls if call in {"write", "flush", "fsync"} | names]
    assert kept == ["write", "flush", "fsync", "named", "fsync"]
