"""docs/api.md and its Korean edition: their code blocks, and whether an answer is the documented one."""

import json
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_api.store.events import STAGES

DOCS = Path(__file__).resolve().parents[2] / "docs"
ENGLISH, KOREAN = DOCS / "api.md", DOCS / "api.ko.md"

ANYTHING = "…"
"""Stands for any text in a documented answer."""

PIXELS = 2
RELATIVE, ABSOLUTE = 0.1, 0.01
"""The page rounds, and processors do so differently."""

_SMALL = {"estimated_false_match_rate"}

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SETTING_UP = re.compile(r"(export \w+=\S+\n)+")
_PATH = re.compile(r"\$API(/[^\s?\"]*)")
_PROGRAMS = {"sh", "python", "javascript"}

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
_PLACES = {"box", "landmarks"}
_VARYING = {"id", "p50", "p95", "p99", "took_ms", *STAGES, "sequence", "entries"}
"""Numbers that no two runs share: milliseconds, an event's, an audit entry's. (An enrollment's is in an example's path
as well.)"""

_OF_ALL_EXAMPLES = {"count", "already_enrolled"}
"""Numbers that depend on whether there is Node.js, where an answer counts all that the examples enrolled."""


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    text: str

    @property
    def is_program(self) -> bool:
        return self.language in _PROGRAMS and not self.sets_up

    @property
    def sets_up(self) -> bool:
        """Whether it is what the reader has to fill in: the tests have values of their own."""
        return self.language == "sh" and _SETTING_UP.fullmatch(self.text) is not None


@dataclass(frozen=True, slots=True)
class Example:
    """A program, and the block that shows what it prints."""

    program: Block
    answer: Block

    def __str__(self) -> str:
        paths = _PATH.findall(self.program.text) if self.program.language == "sh" else ()
        return " ".join([self.program.language, *paths[-1:]])


def code_blocks(document: Path) -> list[Block]:
    return [Block(language, text) for language, text in _BLOCK.findall(document.read_text(encoding="utf-8"))]


def examples(document: Path) -> list[Example]:
    """Return the programs in their order, each with the next block that is none: some share an answer."""
    return list(_examples(code_blocks(document)))


def _examples(blocks: list[Block]) -> Iterator[Example]:
    for number, block in enumerate(blocks):
        if block.is_program:
            yield Example(block, next(later for later in blocks[number:] if not later.is_program))


def variables(document: Path) -> set[str]:
    """Return the names of what the reader has to fill in."""
    return {
        name for block in code_blocks(document) if block.sets_up for name in re.findall(r"export (\w+)", block.text)
    }


def assert_printed(answer: Block, printed: str) -> None:
    """Check what a program printed against the documented answer."""
    if answer.language == "json":
        counts_all = '"already_enrolled":' in answer.text
        varying = _VARYING | _OF_ALL_EXAMPLES if counts_all else _VARYING
        _assert_like(json.loads(answer.text), json.loads(printed), "", varying)
    else:
        assert [line.rstrip() for line in printed.splitlines()] == answer.text.splitlines()


def _assert_like(documented: Any, given: Any, name: str, varying: Set[str]) -> None:
    if isinstance(documented, dict):
        assert isinstance(given, dict) and documented.keys() == given.keys(), (name, documented, given)
        for key in documented:
            _assert_like(documented[key], given[key], name if name in _PLACES else key, varying)
    elif isinstance(documented, list):
        assert isinstance(given, list) and len(documented) == len(given), (name, documented, given)
        for one, other in zip(documented, given, strict=True):
            _assert_like(one, other, name, varying)
    else:
        assert _is_like(documented, given, name, varying), (name, documented, given)


def _is_like(documented: object, given: object, name: str, varying: Set[str]) -> bool:
    if isinstance(documented, str) and isinstance(given, str):
        if _MOMENT.fullmatch(documented):
            return _MOMENT.fullmatch(given) is not None
        pattern = ".*".join(re.escape(part) for part in documented.split(ANYTHING))
        return re.fullmatch(pattern, given) is not None
    if isinstance(documented, float) and isinstance(given, float):
        tolerance = max(RELATIVE * abs(documented), 0 if name in _SMALL else ABSOLUTE)
        return name in varying or abs(given - documented) <= tolerance
    if type(documented) is int and type(given) is int:
        return name in varying or abs(given - documented) <= (PIXELS if name in _PLACES else 0)
    return documented is given  # null, true, false
