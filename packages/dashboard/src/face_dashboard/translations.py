"""The languages of the dashboard: English as it stands in the code, others from catalogue/*.po."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, Protocol, get_args

from babel.messages.pofile import read_po

Language = Literal["en", "ko"]

LANGUAGES: Mapping[Language, str] = {"en": "English", "ko": "한국어"}


class Say(Protocol):
    """Returns a text in the reader's language, with values in the places that it names."""

    def __call__(self, text: str, /, **values: object) -> str: ...


class PlainError(Exception):
    """What went wrong, in plain words that a page can show in the reader's language.

    Args:
        template: the message, with places for `values`; it is what a catalogue translates.
    """

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template.format(**values))
        self.template = template
        self.values = values


def translate(language: Language, text: str) -> str:
    """Return a text of the code in a language; as it stands where the catalogue lacks it."""
    return catalogue(language).get(text, text)


@cache
def catalogue(language: Language) -> Mapping[str, str]:
    """Return the translations of a language; none for English."""
    if language == "en":
        return {}
    with files("face_dashboard").joinpath("catalogue", f"{language}.po").open("rb") as stream:
        return {str(message.id): str(message.string) for message in read_po(stream) if message.id and message.string}


def preferred(accepted: str | None) -> Language:
    """Return the language that a browser asks for, such as `ko-KR,ko;q=0.9,en;q=0.8`: the first that there is."""
    for wanted in (accepted or "").split(","):
        primary = wanted.partition(";")[0].strip().partition("-")[0].lower()
        for language in get_args(Language):
            if primary == language:
                return language  # type: ignore[no-any-return]
    return "en"
