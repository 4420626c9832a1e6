"""Uploaded archives: what is unpacked, and what is refused without a trace."""

import io
import os
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from face_dashboard import archives
from face_dashboard.archives import ArchiveError, unpack

FILES = {"ann/1.jpg": b"one", "ann/2.JPG": b"two", "bo/photo.png": b"three", "pairs.csv": b"file_x,file_y,Decision\n"}


def packed(files: dict[str, bytes] | Iterable[tuple[zipfile.ZipInfo, bytes]]) -> io.BytesIO:
    """Return an archive of files, by name or with all that the archive says of each."""
    stream = io.BytesIO()
    entries = files.items() if isinstance(files, dict) else files
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in entries:
            archive.writestr(entry, data)
    return stream


def named(name: str, **attributes: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("x")
    entry.filename = name
    for attribute, value in attributes.items():
        setattr(entry, attribute, value)
    return entry


def unpacked(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(archive: io.BytesIO, tmp_path: Path) -> str:
    """Return the message of a refusal that left nothing behind."""
    sets = tmp_path / "sets"
    with pytest.raises(ArchiveError) as error:
        unpack(archive, sets / "new")
    assert list(tmp_path.rglob("*")) in ([], [sets])
    return str(error.value)


def test_photos_and_lists_are_unpacked_for_the_owner_alone(tmp_path: Path) -> None:
    assert unpack(packed(FILES), tmp_path / "sets" / "new") == 4
    assert unpacked(tmp_path / "sets" / "new") == FILES
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["new"]
    for path, mode in ((tmp_path / "sets" / "new", 0o700), (tmp_path / "sets" / "new" / "ann" / "1.jpg", 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_what_systems_add_is_left_out(tmp_path: Path) -> None:
    added = {"__MACOSX/ann/._1.jpg": b"?", "ann/.DS_Store": b"?", "ann/._2.jpg": b"?", "bo/Thumbs.db": b"?"}
    assert unpack(packed(FILES | added), tmp_path / "new") == 4
    assert unpacked(tmp_path / "new") == FILES


def test_folders_of_their_own_are_no_files(tmp_path: Path) -> None:
    folder = named("ann/", external_attr=(stat.S_IFDIR | 0o755) << 16)
    assert unpack(packed([(folder, b""), (named("ann/1.jpg"), b"one")]), tmp_path / "new") == 1
    assert unpacked(tmp_path / "new") == {"ann/1.jpg": b"one"}


@pytest.mark.parametrize(("encoding", "letters"), [("utf-8", "철수"), ("cp949", "김철수")])
def test_korean_names_are_read_as_they_were_packed(tmp_path: Path, encoding: str, letters: str) -> None:
    raw = packed({"ABCDEF/1.jpg": b"one"}).getvalue().replace(b"ABCDEF", letters.encode(encoding))
    unpack(io.BytesIO(raw), tmp_path / "new")
    assert unpacked(tmp_path / "new") == {f"{letters}/1.jpg": b"one"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/etc/1.jpg", "outside of the set's folder"),
        ("../1.jpg", "outside of the set's folder"),
        ("ann/../../1.jpg", "outside of the set's folder"),
        ("__MACOSX/../../1.jpg", "outside of the set's folder"),
        ("C:/1.jpg", "outside of the set's folder"),
        ("ann\\1.jpg", "outside of the set's folder"),
        ("ann//1.jpg", "outside of the set's folder"),
        ("./1.jpg", "outside of the set's folder"),
        ("ann/1\n.jpg", "cannot be read"),
        ("ann/1.jpg\0.exe", "cannot be read"),
        ("ann/run.sh", "neither a photo"),
        ("ann/1.jpg.exe", "neither a photo"),
        ("ann/noname", "neither a photo"),
        (".ssh/1.jpg", "neither a photo"),
        ("ann/.jpg", "neither a photo"),
        ("/".join("abcdefghi") + "/1.jpg", "too long a name"),
        ("a" * 201 + ".jpg", "too long a name"),
        ("ann/1.jpg", "comes twice"),
        ("ann/1.JPG", "comes twice"),
        ("Ann/3.jpg", "comes twice"),
        ("ann/1.jpg/3.jpg", "comes twice"),
        ("bo", "neither a photo"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_means_harm_refuses_the_archive(tmp_path: Path, name: str, message: str) -> None:
    entries = [(named(one), data) for one, data in FILES.items()]
    assert message in refusal(packed([*entries, (named(name), b"?")]), tmp_path)


def test_a_file_where_a_folder_is_refuses_the_archive(tmp_path: Path) -> None:
    assert "comes twice" in refusal(packed({"a.jpg/1.jpg": b"one", "a.jpg": b"two"}), tmp_path)


def test_names_that_are_no_text_refuse_the_archive(tmp_path: Path) -> None:
    raw = packed({"ABC/1.jpg": b"one"}).getvalue()
    assert "cannot be read" in refusal(io.BytesIO(raw.replace(b"ABC", b"\xff\xfe\x00")), tmp_path)
    said_utf8 = packed({"김/1.jpg": b"one"}).getvalue().replace("김".encode(), b"\xff\xfe\xfd")
    assert "no zip archive" in refusal(io.BytesIO(said_utf8), tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR, stat.S_IFSOCK])
def test_what_is_no_file_refuses_the_archive(tmp_path: Path, kind: int) -> None:
    entry = named("ann/1.jpg", external_attr=(kind | 0o777) << 16)
    assert "is a link, or something else" in refusal(packed([(entry, b"/etc/passwd")]), tmp_path)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    raw = bytearray(packed({"1.jpg": b"one"}).getvalue())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refusal(io.BytesIO(bytes(raw)), tmp_path)


def test_other_compression_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("1.jpg", b"one")
    assert "ordinary zip archive" in refusal(stream, tmp_path)


@pytest.mark.parametrize("data", [b"", b"PK", b"no archive" * 50, b"PK\x05\x06" + bytes(10)])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "no zip archive" in refusal(io.BytesIO(data), tmp_path)


def test_an_archive_without_a_photo_or_list_is_refused(tmp_path: Path) -> None:
    assert "holds no photo" in refusal(packed({"__MACOSX/1.jpg": b"?"}), tmp_path)


def test_the_limits_are_those_that_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed({f"{number}.jpg": bytes(1000) for number in range(10)})
    for limit, value, message in (
        ("MAX_ARCHIVE_BYTES", 500, "more than 0 MB"),
        ("MAX_ENTRIES", 9, "more than 9 entries"),
        ("MAX_UNPACKED_BYTES", 9_999, "Unpacked"),
        ("MAX_ENTRY_BYTES", 999, "`0.jpg` has more than"),
        ("MAX_DIRECTORY_BYTES", 100, "entries"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(archives, limit, value)
            assert message in refusal(archive, tmp_path)
    for limit, value in (("MAX_ENTRIES", 10), ("MAX_UNPACKED_BYTES", 10_000), ("MAX_ENTRY_BYTES", 1000)):
        monkeypatch.setattr(archives, limit, value)
    assert unpack(archive, tmp_path / "new") == 10


@pytest.mark.parametrize(("limit", "message"), [("MAX_ENTRY_BYTES", "has more than"), ("MAX_UNPACKED_BYTES", "Unpack")])
def test_bytes_are_counted_while_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, message: str
) -> None:
    """What the directory says is looked at under the limits that are said, the bytes under smaller ones."""
    archive = packed({f"{number}.jpg": bytes(50_000) for number in range(3)})
    monkeypatch.setattr(archives, "CHUNK_BYTES", 1000)
    files = list(archives._judged(zipfile.ZipFile(archive).infolist()))
    monkeypatch.setattr(archives, limit, 40_000)
    monkeypatch.setattr(archives, "_judged", lambda _entries: iter(files))
    assert message in refusal(archive, tmp_path)


def test_a_directory_that_understates_its_files_gains_nothing(tmp_path: Path) -> None:
    raw = bytearray(packed({"1.jpg": bytes(100_000)}).getvalue())
    place = raw.index(b"PK\x01\x02") + 24
    raw[place : place + 4] = struct.pack("<L", 10)
    assert "no zip archive" in refusal(io.BytesIO(bytes(raw)), tmp_path)


def test_a_directory_of_a_million_entries_is_not_read(tmp_path: Path) -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, archives.MAX_DIRECTORY_BYTES + 1, 0, 0)
    assert "20,000 entries" in refusal(io.BytesIO(bytes(100) + end), tmp_path)
    zip64 = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 46, 0, 0)
    assert "20,000 entries" in refusal(io.BytesIO(zip64 + end), tmp_path)


def test_a_set_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(ArchiveError, match="a set `new` already"):
        unpack(packed(FILES), tmp_path / "new")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]


def test_a_dangling_link_in_the_place_of_the_set_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArchiveError, match="a set `new` already"):
        unpack(packed(FILES), tmp_path / "new")
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A process may write no file of more than 100 kB, which fails like a full disk."""
    (tmp_path / "archive.zip").write_bytes(packed({"1.jpg": b"one", "2.jpg": os.urandom(300_000)}).getvalue())
    code = (
        "import resource, signal, sys; from pathlib import Path; from face_dashboard import archives\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: archives.unpack(open(sys.argv[1], 'rb'), Path(sys.argv[2]))\n"
        "except archives.ArchiveError as error: print(error)"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "archive.zip"), str(tmp_path / "sets" / "new")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "The set cannot be written: File too large." in done.stdout
    assert list((tmp_path / "sets").iterdir()) == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_archive_is_unpacked_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    raw = bytearray(packed(FILES).getvalue())
    for place, value in changes:
        raw[place % len(raw)] = value
    folder = tmp_path_factory.mktemp("damaged")
    try:
        unpack(io.BytesIO(bytes(raw)), folder / "new")
    except ArchiveError:
        assert list(folder.iterdir()) == []
    else:
        assert [path.name for path in folder.iterdir()] == ["new"]
