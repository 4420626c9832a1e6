import string
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

import face_dashboard
from face_dashboard import archives, client
from face_dashboard.accuracy import evaluations, labelled_sets
from face_dashboard.translations import LANGUAGES, catalogue, preferred, translate

PACKAGE = Path(face_dashboard.__file__).parent

KEYWORDS = {"_": None, "say": None}
"""What a text of the code stands in."""

ELSEWHERE = frozenset(
    {
        client.NOTHING_ANSWERS,
        client.TOO_SLOW,
        client.OTHER_STATUS,
        client.OTHER_SERVICE,
        client.KEY_UNREADABLE,
    }
) | {
    value
    for module in (archives, evaluations, labelled_sets)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str) and value.endswith(".")
}
"""Texts that come with an error, and are translated where it is shown."""


def texts_of_the_code() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for _line, text, _comments, _context in extract_from_file("python", str(path), keywords=KEYWORDS):
            assert isinstance(text, str), f"{path}: {text}"
            yield text
    # What a page says of an error that the gate found.
    yield from ELSEWHERE


@pytest.fixture(scope="module")
def texts() -> frozenset[str]:
    return frozenset(texts_of_the_code())


def places(text: str) -> list[str]:
    return sorted(name.partition(".")[0] for _text, name, *_ in string.Formatter().parse(text) if name is not None)


def test_every_text_of_the_code_is_translated_and_nothing_else_is(texts: frozenset[str]) -> None:
    korean = set(catalogue("ko"))
    missing = sorted(texts - korean)
    assert not missing, f"not in ko.po: {missing}"
    unused = sorted(korean - texts)
    assert not unused, f"no longer in the code: {unused}"


def test_a_translation_has_the_places_of_its_text() -> None:
    for text, translation in catalogue("ko").items():
        assert places(text) == places(translation), text
        assert translation.strip(), text


def test_no_text_comes_twice() -> None:
    with files("face_dashboard").joinpath("catalogue", "ko.po").open("rb") as stream:
        entries = sum(line.startswith(b"msgid ") for line in stream) - 1
    assert entries == len(catalogue("ko"))


def test_the_catalogue_is_a_sound_file() -> None:
    with files("face_dashboard").joinpath("catalogue", "ko.po").open("rb") as stream:
        messages = read_po(stream, abort_invalid=True)
    assert messages.locale is not None
    assert messages.locale.language == "ko"


def test_what_a_language_lacks_is_english() -> None:
    assert translate("ko", "no such text") == "no such text"
    assert translate("en", "Overview") == "Overview"
    assert translate("ko", "Overview") == "개요"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("ko", "ko"),
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("fr-FR, ko;q=0.5", "ko"),
        ("en-GB,ko;q=0.5", "en"),
        ("fr", "en"),
        (";;,,", "en"),
    ],
)
def test_the_browsers_first_language_that_there_is(accepted: str | None, language: str) -> None:
    assert preferred(accepted) == language
    assert language in LANGUAGES
