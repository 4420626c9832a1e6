import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from face_dashboard.archives import ArchiveError
from face_dashboard.client import ApiClient
from face_dashboard.people.chosen import unpacked
from face_dashboard.people.imports import Desk, Import
from face_dashboard.people.photo_list import (
    AGE_INVALID,
    AMBIGUOUS,
    GENDER_INVALID,
    ID_INVALID,
    LISTED_TWICE,
    MAX_FILES,
    NO_COLUMNS,
    NO_CSV,
    NO_ID,
    NO_PHOTO,
    NO_TEXT,
    NOT_LISTED,
    NOT_THERE,
    TOO_MANY,
    TWO_FOLDERS,
    Entry,
    PhotoList,
    PhotoListError,
    of_csv,
    of_folder,
)
from face_dashboard.people.sheets import csv_file
from support.light_server import light_photo
from support.server import LIGHT, Server, running_server

WAIT_S = 60.0
BYTES = 1000


def whose(photos: PhotoList) -> dict[str, str]:
    return {entry.file: entry.user for entry in photos.entries}


def wrong(photos: PhotoList) -> dict[str, str]:
    return {problem.file: problem.text for problem in photos.problems}


def csv_of(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def test_a_folder_is_a_user_and_so_is_a_file_in_none() -> None:
    files = ["staff/tamy/1.jpg", "staff/tamy/b/c.PNG", "staff/bob.jpg", "staff/eve_1.jpeg", "staff/eve-22.jpg"]
    photos = of_folder(files)
    assert whose(photos) == {
        "staff/tamy/1.jpg": "tamy",
        "staff/tamy/b/c.PNG": "b",
        "staff/bob.jpg": "bob",
        "staff/eve_1.jpeg": "eve",
        "staff/eve-22.jpg": "eve",
    }
    assert photos.users == 4
    assert not photos.problems
    assert [entry.file for entry in photos.entries] == sorted(files)
    assert all(files[entry.index] == entry.file for entry in photos.entries)


def test_a_file_without_a_folder_is_a_user_too() -> None:
    assert whose(of_folder(["bob.jpg"])) == {"bob.jpg": "bob"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("staff/Tamy/1.jpg", NO_ID),
        ("staff/tamy kim/1.jpg", NO_ID),
        ("staff/김/1.jpg", NO_ID),
        ("staff/IMG_0001.jpg", NO_ID),
        ("staff/bob_front.jpg", NO_ID),
        (f"staff/{'a' * 129}.jpg", NO_ID),
        ("staff/tamy/notes.txt", NO_PHOTO),
        ("staff/tamy/1.heic", NO_PHOTO),
    ],
)
def test_what_is_no_photo_of_a_user_is_left_out(file: str, text: str) -> None:
    photos = of_folder([file, "staff/bob.jpg"])
    assert wrong(photos) == {file: text}
    assert whose(photos) == {"staff/bob.jpg": "bob"}


def test_what_systems_leave_in_folders_is_not_mentioned() -> None:
    photos = of_folder(["s/.DS_Store", "s/tamy/Thumbs.db", "s/desktop.ini", "s/__MACOSX/tamy/1.jpg", "s/tamy/._1.jpg"])
    assert photos == PhotoList([], [])


def test_two_folders_of_one_name_are_not_taken_for_one_person() -> None:
    photos = of_folder(["staff/seoul/tamy/1.jpg", "staff/busan/tamy/1.jpg", "staff/seoul/tamy/2.jpg"])
    assert whose(photos) == {"staff/seoul/tamy/1.jpg": "tamy", "staff/seoul/tamy/2.jpg": "tamy"}
    assert wrong(photos) == {"staff/busan/tamy/1.jpg": TWO_FOLDERS}


def test_of_nothing_nothing_is_understood() -> None:
    assert of_folder([]) == PhotoList([], [])
    assert of_csv(b"id,file", []) == PhotoList([], [])


def test_there_is_a_most_of_files() -> None:
    files = [f"staff/{number}.jpg" for number in range(MAX_FILES + 1)]
    assert of_folder(files[:-1]).users == MAX_FILES
    with pytest.raises(PhotoListError) as refused:
        of_folder(files)
    assert refused.value.template == TOO_MANY


def test_a_csv_file_says_whose_photos_are() -> None:
    listing = csv_of("ID, File ,age,gender,remark", "tamy,1.jpg,28,0,x", "bob, sub/2.jpg ,,1,", "", "eve,3.jpg")
    photos = of_csv(listing, ["1.jpg", "sub/2.jpg", "3.jpg"])
    assert photos.entries == [
        Entry(0, "1.jpg", "tamy", 0, 28),
        Entry(1, "sub/2.jpg", "bob", 1, None),
        Entry(2, "3.jpg", "eve", None, None),
    ]
    assert not photos.problems


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_csv_files_of_any_spreadsheet_are_read(delimiter: str, encoding: str, line_end: str) -> None:
    rows = [["file", "id"], ["타미, 1.jpg", "tamy"], ["2.jpg", "bob"]]
    text = line_end.join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    assert whose(of_csv(text.encode(encoding), ["타미, 1.jpg", "2.jpg"])) == {"타미, 1.jpg": "tamy", "2.jpg": "bob"}


def test_a_line_of_a_csv_file_may_name_less_than_the_whole_path() -> None:
    files = ["set/a/1.jpg", "set/b/1.jpg", "2.jpg", "other/2.jpg"]
    listing = csv_of("id,file", "ann,a/1.jpg", "bo,b\\1.jpg", "cy,2.JPG")
    photos = of_csv(listing, files)
    assert [(entry.index, entry.user) for entry in photos.entries] == [(0, "ann"), (1, "bo"), (2, "cy")]
    assert wrong(photos) == {"other/2.jpg": NOT_LISTED}


def test_names_are_the_same_however_a_system_spells_their_letters() -> None:
    assert of_csv("id,file\nann,\uac00.jpg".encode(), ["\u1100\u1161.jpg"]).users == 1


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("tamy,2.jpg,,", NOT_THERE),
        ("tamy,,,", NOT_THERE),
        ("tamy,twice.jpg,,", AMBIGUOUS),
        ("Tamy,1.jpg,,", ID_INVALID),
        (",1.jpg,,", ID_INVALID),
        ("tamy,1.jpg,2,", GENDER_INVALID),
        ("tamy,1.jpg,f,", GENDER_INVALID),
        ("tamy,1.jpg,0,151", AGE_INVALID),
        ("tamy,1.jpg,0,-1", AGE_INVALID),
        ("tamy,1.jpg,0,28.5", AGE_INVALID),
        ("tamy,1.jpg,0,²", AGE_INVALID),
        ("bob,bob.jpg,,", LISTED_TWICE),
    ],
)
def test_a_line_that_cannot_be_followed_is_left_out(line: str, text: str) -> None:
    listing = csv_of("id,file,gender,age", "bob,bob.jpg,,", line)
    photos = of_csv(listing, ["bob.jpg", "1.jpg", "a/twice.jpg", "b/twice.jpg"])
    assert whose(photos) == {"bob.jpg": "bob"}
    assert text in wrong(photos).values()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", NO_COLUMNS),
        (b"\n \n", NO_COLUMNS),
        (b"tamy,1.jpg\n", NO_COLUMNS),
        (b"id;photo\n", NO_COLUMNS),
        (b'id,file\ntamy,"1.jpg\n', NO_CSV),
        (b"i\0d,file\n", NO_TEXT),
        (b"\xff\xfe\xff\xff\x80", NO_TEXT),
    ],
)
def test_what_is_no_csv_file_of_photos_is_refused(content: bytes, text: str) -> None:
    with pytest.raises(PhotoListError) as refused:
        of_csv(content, ["1.jpg"])
    assert refused.value.template == text


def test_an_archives_files_are_there_until_nobody_needs_them(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("set/b.jpg", b"second")
        packed.writestr("set/a.jpg", b"first")
    chosen = unpacked(archive, tmp_path)
    assert chosen.names == ["set/a.jpg", "set/b.jpg"]
    assert [chosen.read(index) for index in range(2)] == [b"first", b"second"]
    del chosen
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_archive_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        unpacked(io.BytesIO(b"no archive"), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum(a)", "\t=1"])
def test_nothing_in_a_csv_file_runs_as_a_formula(text: str) -> None:
    assert csv_file(["file"], [[text]]).decode("utf-8-sig").splitlines()[1].strip('"').startswith("'")


def test_a_csv_file_has_empty_cells_for_what_is_not_known() -> None:
    assert csv_file(["id", "age"], [["tamy", None], ['a,"b', 0]]) == b'\xef\xbb\xbfid,age\r\ntamy,\r\n"a,""b",0\r\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("importing"), LIGHT, min_image_bytes=BYTES) as running:
        yield running


@contextmanager
def connected(server: Server) -> Iterator[ApiClient]:
    client = ApiClient(f"http://127.0.0.1:{server.port}")
    try:
        yield client
    finally:
        client._http.close()


@pytest.fixture
def api(server: Server) -> Iterator[ApiClient]:
    with connected(server) as client:
        yield client


def photos_of(*users: str) -> list[Entry]:
    return [Entry(index, f"{user}.jpg", user, 0, 28) for index, user in enumerate(users)]


def read_light(entry: Entry) -> bytes:
    return light_photo(entry.index, 0, BYTES)


def finished(one: Import) -> Import:
    one.start()
    one.wait(WAIT_S)
    return one


def outcomes(one: Import) -> Sequence[tuple[str, str, str]]:
    return [(outcome.user, outcome.outcome, outcome.reason) for outcome in one.outcomes]


def test_photos_are_enrolled_one_after_the_other(api: ApiClient) -> None:
    def read(entry: Entry) -> bytes:
        return b"\xff\xd8\xffnobody".ljust(BYTES, b"\0") if entry.user == "bob" else read_light(entry)

    done = finished(Import(api, "orderly", photos_of("tamy", "bob", "eve"), read))
    assert done.state == "done"
    assert outcomes(done) == [
        ("tamy", "enrolled", "enrolled"),
        ("bob", "refused", "no_face"),
        ("eve", "enrolled", "enrolled"),
    ]
    assert done.next_entry is None
    tamy = api.user("orderly", "tamy")
    assert (tamy.gender, tamy.age, len(tamy.enrollments)) == (0, 28, 1)


def test_the_same_again_changes_nothing(api: ApiClient) -> None:
    for outcome in ("enrolled", "already_enrolled"):
        done = finished(Import(api, "again", photos_of("tamy"), read_light))
        assert outcomes(done) == [("tamy", outcome, outcome)]


def test_it_stops_after_the_photo_that_is_being_sent(api: ApiClient) -> None:
    def read(entry: Entry) -> bytes:
        if entry.user == "bob":
            one.stop()
        return read_light(entry)

    one = Import(api, "stopping", photos_of("tamy", "bob", "eve"), read)
    assert finished(one).state == "stopped"
    assert [outcome.user for outcome in one.outcomes] == ["tamy", "bob"]
    assert one.next_entry == one.entries[2]


def test_a_busy_service_is_waited_for_and_one_that_is_gone_ends_it(tmp_path: Path) -> None:
    settings = {"min_image_bytes": BYTES, "limit_per_key": "2/second"}
    with running_server(tmp_path, LIGHT, **settings) as going, connected(going) as api:

        def read(entry: Entry) -> bytes:
            if entry.user == "last":
                going.kill()
            return read_light(entry)

        one = finished(Import(api, "acme", photos_of(*"abcde", "last", "never"), read, waits_s=[0.4] * 5))
    assert one.state == "broken"
    assert one.error is not None
    assert one.error.reason == "unreachable"
    assert outcomes(one) == [(user, "enrolled", "enrolled") for user in "abcde"]
    assert one.next_entry == one.entries[5]


def test_there_is_one_import_at_a_time(api: ApiClient) -> None:
    desk = Desk()
    first, second = (Import(api, "desk", photos_of("tamy"), read_light) for _number in range(2))
    assert desk.begin(first)
    assert desk.current is first
    assert not desk.begin(second)
    first.wait(WAIT_S)
    assert not desk.begin(second), "nobody has seen yet what became of the first one"
    desk.clear()
    assert desk.current is None
    assert desk.begin(second)
    assert desk.is_importing("desk") or second.state == "done"
    second.wait(WAIT_S)
    assert not desk.is_importing("desk")
