"""From a message to the fields of the contract: bounded, complete, and strictly of the form.

The message is held in memory, never in a temporary file, and parsed only once it is complete and within its limit.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from face_api.errors import RefusalError
from face_api.store import Profile

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 32
"""The contract has five fields; some clients add their own."""

NAME_PATTERN = "[a-z0-9]{1,128}"

_NAME = re.compile(NAME_PATTERN)
_INTEGER = re.compile(r"[0-9]{1,3}")
_GENDERS = range(2)
_AGES = range(151)


@dataclass(frozen=True, slots=True)
class EnrollmentRequest:
    company: str
    user: str
    profile: Profile
    image: bytes


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    company: str
    user: str
    image: bytes


@dataclass(frozen=True, slots=True)
class PhotoForm:
    """A form without names: those are in the path."""

    profile: Profile
    image: bytes


@dataclass(slots=True)
class Form:
    """The parts of a multipart message by name; a name may come twice."""

    texts: dict[str, list[bytes]] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)


class BrokenMessageError(RefusalError):
    """The message was not read to its end, or is no form: where the next one begins is anybody's guess."""


async def read_message(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """Read the whole message.

    Raises:
        BrokenMessageError: it is, or says that it is, larger than `max_bytes`; or it did not arrive in time.
        RefusalError: the client went away before its end.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise BrokenMessageError("message_too_large")
    message = bytearray()
    try:
        with anyio.fail_after(timeout_s):
            async for chunk in request.stream():
                if len(message) + len(chunk) > max_bytes:
                    raise BrokenMessageError("message_too_large")
                message += chunk
    except TimeoutError as error:
        raise BrokenMessageError("message_incomplete") from error
    except ClientDisconnect as error:
        raise RefusalError("message_incomplete") from error
    return bytes(message)


def parse_enrollment(content_type: str | None, message: bytes) -> EnrollmentRequest:
    """Parse the fields of an enrollment; raises RefusalError naming what is missing or malformed."""
    form = parse_form(content_type, message)
    return EnrollmentRequest(_name(form, "company"), _name(form, "id"), _profile(form), _image(form))


def parse_analysis(content_type: str | None, message: bytes) -> AnalysisRequest:
    """Parse the fields of an analysis; raises RefusalError naming what is missing or malformed."""
    form = parse_form(content_type, message)
    return AnalysisRequest(_name(form, "company"), _name(form, "id"), _image(form))


def parse_photo_form(content_type: str | None, message: bytes) -> PhotoForm:
    """Parse a photo and what a company tells of the user; raises RefusalError naming what is missing or malformed."""
    form = parse_form(content_type, message)
    return PhotoForm(_profile(form), _image(form))


def parse_photo(content_type: str | None, message: bytes) -> bytes:
    """Parse the photo alone; raises RefusalError where it is missing."""
    return _image(parse_form(content_type, message))


def check_name(value: str, name: str) -> str:
    """Return a company or a user's id as it is; raises RefusalError, `{name}_invalid`, where it is none."""
    if not _NAME.fullmatch(value):
        raise RefusalError(f"{name}_invalid")
    return value


def parse_form(content_type: str | None, message: bytes) -> Form:
    """Parse a multipart/form-data message of at most MAX_PARTS parts.

    A part is a file when it says a file name in either notation: `filename*`, which RFC 7578 forbids, is what some
    clients send for a name that is not ASCII.

    Raises:
        RefusalError: it is of another type, broken, or its closing boundary is missing.
    """
    media_type, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if media_type != b"multipart/form-data" or not boundary:
        raise BrokenMessageError("form_invalid")
    collector = _FormCollector()
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        parser.write(message)
        parser.finalize()
    except FormParserError as error:
        raise BrokenMessageError("form_invalid") from error
    if not collector.ended:
        raise BrokenMessageError("form_invalid")
    return collector.form


class _FormCollector:
    """Gathers what the streaming parser reports of one message."""

    def __init__(self) -> None:
        self.form = Form()
        self.ended = False
        self._parts = 0
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._data = bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._extend_header_name,
            "on_header_value": self._extend_header_value,
            "on_header_end": self._end_header,
            "on_part_data": self._extend_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BrokenMessageError("form_invalid")
        self._disposition = b""
        self._data = bytearray()

    def _extend_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _extend_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _extend_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def _end_part(self) -> None:
        disposition, options = parse_options_header(self._disposition)
        if disposition != b"form-data" or b"name" not in options:
            raise BrokenMessageError("form_invalid")
        name = options[b"name"].decode("utf-8", "replace")
        extended_name = re.search(rb";\s*filename\*[^=;]*=", self._disposition, re.IGNORECASE) is not None
        data = bytes(self._data)
        if b"filename" not in options and not extended_name:
            if data:  # an empty text counts as absent
                self.form.texts.setdefault(name, []).append(data)
        elif options.get(b"filename") or extended_name or data:
            # What a browser sends for a file input left empty, an empty name and no bytes, is no file.
            self.form.files.setdefault(name, []).append(data)

    def _end(self) -> None:
        self.ended = True


def _text(form: Form, name: str) -> str | None:
    """The field's text; None where it is absent."""
    values = form.texts.get(name, [])
    if len(values) > 1 or name in form.files:
        raise RefusalError(f"{name}_invalid")
    if not values:
        return None
    try:
        return values[0].decode("ascii")
    except UnicodeDecodeError as error:
        raise RefusalError(f"{name}_invalid") from error


def _name(form: Form, name: str) -> str:
    value = _text(form, name)
    if value is None:
        raise RefusalError(f"{name}_missing")
    return check_name(value, name)


def _profile(form: Form) -> Profile:
    return Profile(_integer(form, "gender", _GENDERS), _integer(form, "age", _AGES))


def _integer(form: Form, name: str, accepted: range) -> int | None:
    value = _text(form, name)
    if value is None:
        return None
    if not _INTEGER.fullmatch(value) or int(value) not in accepted:
        raise RefusalError(f"{name}_invalid")
    return int(value)


def _image(form: Form) -> bytes:
    files = form.files.get("image", [])
    if not files:
        raise RefusalError("image_missing")
    if len(files) > 1 or "image" in form.texts:
        raise RefusalError("image_repeated")
    return files[0]
