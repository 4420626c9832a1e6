import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_api.errors import RefusalError
from face_api.requests import (
    MAX_PARTS,
    AnalysisRequest,
    EnrollmentRequest,
    parse_analysis,
    parse_enrollment,
    parse_form,
)
from face_api.store import Profile

BOUNDARY = "------------------------d74496d66958873e"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
IMAGE = b"\xff\xd8\xff the bytes \r\n-- of a photo \0"


def part(name: str, data: bytes, *, filename: str | None = None, disposition: str = "form-data") -> bytes:
    header = f'Content-Disposition: {disposition}; name="{name}"' + (f"; {filename}" if filename else "")
    return f"--{BOUNDARY}\r\n{header}\r\n\r\n".encode() + data + b"\r\n"


def image_part(data: bytes = IMAGE, filename: str = 'filename="test_img.jpg"') -> bytes:
    return part("image", data, filename=filename)


def message(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


COMPANY, USER = part("company", b"withmind"), part("id", b"tamy")


def reason_of(message_bytes: bytes, content_type: str | None = CONTENT_TYPE) -> str:
    with pytest.raises(RefusalError) as refusal:
        parse_enrollment(content_type, message_bytes)
    return refusal.value.reason


def test_an_enrollment_with_all_its_fields() -> None:
    form = message(COMPANY, USER, part("gender", b"0"), part("age", b"28"), image_part())
    assert parse_enrollment(CONTENT_TYPE, form) == EnrollmentRequest("withmind", "tamy", Profile(0, 28), IMAGE)


def test_the_order_of_fields_is_free_and_unknown_ones_are_ignored() -> None:
    form = message(image_part(), part("note", b"hi"), USER, COMPANY)
    assert parse_enrollment(CONTENT_TYPE, form) == EnrollmentRequest("withmind", "tamy", Profile(), IMAGE)


def test_an_analysis_has_no_gender_and_age() -> None:
    form = message(COMPANY, USER, part("gender", b"nonsense"), image_part())
    assert parse_analysis(CONTENT_TYPE, form) == AnalysisRequest("withmind", "tamy", IMAGE)


@pytest.mark.parametrize(("gender", "age"), [(b"0", b"0"), (b"1", b"150"), (b"", b""), (b"", b"007")])
def test_gender_and_age_within_their_meaning(gender: bytes, age: bytes) -> None:
    form = message(COMPANY, USER, part("gender", gender), part("age", age), image_part())
    expected = Profile(int(gender) if gender else None, int(age) if age else None)
    assert parse_enrollment(CONTENT_TYPE, form).profile == expected


@pytest.mark.parametrize(
    "value", [b"2", b"-1", b"male", b"1.0", b" 1", b"1\n", "\u0661".encode(), b"\xff", b"9" * 10_000]
)
def test_gender_outside_its_meaning(value: bytes) -> None:
    assert reason_of(message(COMPANY, USER, part("gender", value), image_part())) == "gender_invalid"


@pytest.mark.parametrize("value", [b"151", b"-1", b"old", b"28.5", b"0x1c", b"1e2", b"9" * 10_000])
def test_age_outside_its_meaning(value: bytes) -> None:
    assert reason_of(message(COMPANY, USER, part("age", value), image_part())) == "age_invalid"


@pytest.mark.parametrize(
    "value",
    [
        b"Tamy",
        b"ta my",
        b"tamy ",
        b"tamy\n",
        b"ta-my",
        b"../tamy",
        b"\xed\x83\x80\xeb\xaf\xb8",
        b"\xff",
        b"a" * 10_000,
        b"a" * 129,
    ],
)
@pytest.mark.parametrize("field", ["company", "id"])
def test_names_are_lower_case_letters_and_digits(field: str, value: bytes) -> None:
    other = USER if field == "company" else COMPANY
    assert reason_of(message(part(field, value), other, image_part())) == f"{field}_invalid"


@pytest.mark.parametrize("value", [b"a", b"0", b"a1b2c3", b"a" * 128])
def test_names_up_to_128_characters(value: bytes) -> None:
    assert parse_analysis(CONTENT_TYPE, message(COMPANY, part("id", value), image_part())).user == value.decode()


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([USER, image_part()], "company_missing"),
        ([part("company", b""), USER, image_part()], "company_missing"),
        ([COMPANY, image_part()], "id_missing"),
        ([COMPANY, USER], "image_missing"),
        ([], "company_missing"),
        ([COMPANY, COMPANY, USER, image_part()], "company_invalid"),
        ([COMPANY, part("id", b"tamy", filename='filename="id.txt"'), image_part()], "id_invalid"),
        ([COMPANY, USER, part("image", IMAGE)], "image_missing"),
        ([COMPANY, USER, image_part(), image_part()], "image_repeated"),
        ([COMPANY, USER, image_part(), part("image", b"text")], "image_repeated"),
        ([COMPANY, USER, part("image", b"", filename='filename=""')], "image_missing"),
        ([COMPANY, USER, part("image", IMAGE, disposition="attachment")], "form_invalid"),
        ([COMPANY, USER, image_part(), *[part(f"f{n}", b"") for n in range(MAX_PARTS)]], "form_invalid"),
    ],
)
def test_what_is_missing_or_malformed_is_named(parts: list[bytes], reason: str) -> None:
    assert reason_of(message(*parts)) == reason


def test_an_empty_text_counts_as_absent_wherever_it_stands() -> None:
    empty = part("company", b""), part("id", b""), part("image", b""), part("age", b"")
    form = message(*empty, COMPANY, USER, image_part())
    assert parse_enrollment(CONTENT_TYPE, form) == EnrollmentRequest("withmind", "tamy", Profile(), IMAGE)


def test_an_empty_file_with_a_name_is_a_file() -> None:
    assert parse_enrollment(CONTENT_TYPE, message(COMPANY, USER, image_part(b""))).image == b""


@pytest.mark.parametrize(
    "filename",
    [
        'filename="사진.jpg"',
        "filename*=utf-8''%EC%82%AC%EC%A7%84.jpg",
        'filename*0="a"; filename*1=".jpg"',
        'filename="a\\"b.jpg"',
        'filename="C:\\a.jpg"',
    ],
)
def test_a_file_is_a_file_in_either_notation_of_its_name(filename: str) -> None:
    assert parse_enrollment(CONTENT_TYPE, message(COMPANY, USER, image_part(filename=filename))).image == IMAGE


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=" + BOUNDARY,
        "multipart/form-data; boundary=another",
        "multipart/form-data; boundary=" + "b" * 1000,
    ],
)
def test_other_messages_are_no_form(content_type: str | None) -> None:
    assert reason_of(message(COMPANY, USER, image_part()), content_type) == "form_invalid"


@given(st.integers(0, 10_000))
def test_a_form_that_is_cut_off_is_never_taken(kept: int) -> None:
    whole = message(COMPANY, USER, image_part())
    end = len(whole) - len(b"--\r\n")
    cut = whole[: kept % end]
    with pytest.raises(RefusalError):
        parse_form(CONTENT_TYPE, cut)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_form_or_a_refusal(data: bytes) -> None:
    for body in (data, message(data), message(COMPANY, part("id", data), image_part(data))):
        try:
            parse_form(CONTENT_TYPE, body)
        except RefusalError as refusal:
            assert refusal.reason
