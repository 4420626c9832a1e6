from functools import partial
from typing import get_args

import pytest

from face_api.problems import PROBLEMS
from face_dashboard.charts import DONE
from face_dashboard.reasons import WORDS, in_short, in_words
from face_dashboard.translations import LANGUAGES, Language, Say, translate
from face_engine.types import QualityReason

REASONS = sorted({*PROBLEMS, *get_args(QualityReason), *DONE, "unreachable", "unexpected"})
LANGUAGES_SPOKEN: list[Language] = sorted(LANGUAGES)


def say_in(language: Language) -> Say:
    return partial(translate, language)


@pytest.mark.parametrize("language", LANGUAGES_SPOKEN)
@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_words_in_every_language(reason: str, language: Language) -> None:
    assert reason in WORDS
    words = in_words(reason, say_in(language))
    assert words.endswith(".")
    assert reason not in words
    assert words.startswith(in_short(reason, say_in(language)))
    assert (words != in_words(reason, say_in("en"))) == (language != "en")


def test_no_words_are_left_of_a_reason_that_is_gone() -> None:
    assert set(WORDS) == set(REASONS)


def test_a_reason_that_is_not_known_is_shown_as_it_is() -> None:
    assert in_words("of_a_later_version", say_in("ko")) == "of_a_later_version"
    assert in_short("of_a_later_version", say_in("ko")) == "of_a_later_version"


def test_what_helps_stands_behind_what_it_was() -> None:
    assert in_words("face_turned", say_in("en")) == "The face is turned away. Look straight into the camera."
    assert in_short("face_turned", say_in("en")) == "The face is turned away."
