"""An operation of v1, declared once: Starlette's routes and the OpenAPI document are made of the same list."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from face_api.access import require_admin, require_company
from face_api.errors import RefusalError
from face_api.requests import check_name
from face_api.responses import NO_STORE, problem_answer
from face_api.routes.door import Call, Door, Expects, Handler
from face_api.routes.v1.turns import Turns
from face_api.store import Operation, Page

PREFIX = "/v1"

PNG = "image/png"

_Model = TypeVar("_Model", bound=BaseModel)

_CURSOR = re.compile("[a-z0-9]{1,128}")
_POSITION_CURSOR = re.compile("[0-9]{1,17}x[0-9]{1,18}")
_NUMBER = re.compile("[0-9]{1,18}")

Method = Literal["GET", "POST", "PUT", "DELETE"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    Args:
        answers: by status, a model of the JSON, the PNG media type, or None for no content.
        problems: reasons that the path and what it expects do not imply.
        fields: of the form, besides the image, where a photo is expected.
        operation: under which the metrics count it.
        idempotent: whether Idempotency-Key is looked at.
        lasting: whether it may take minutes.
    """

    method: Method
    path: str
    handler: Handler
    tag: str
    summary: str
    answers: Mapping[int, type[BaseModel] | str | None]
    problems: Sequence[str] = ()
    expects: Expects = "nothing"
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    fields: Sequence[str] = field(default_factory=tuple)
    operation: Operation | None = None
    admin: bool = False
    idempotent: bool = False
    lasting: bool = False

    async def __call__(self, call: Call) -> Response:
        if self.admin:
            require_admin(call.identity)
        return await self.handler(call)


def routes_of(endpoints: Sequence[Endpoint], door: Door) -> list[Route]:
    """Return a route for each path, which knows all its methods."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    turns = Turns()
    return [
        Route(path, partial(_answer, door, turns, methods), methods=list(methods)) for path, methods in by_path.items()
    ]


async def _answer(door: Door, turns: Turns, methods: Mapping[str, Endpoint], request: Request) -> Response:
    endpoint = methods["GET" if request.method == "HEAD" else request.method]
    if endpoint.operation is not None:
        request.state.operation = endpoint.operation
    handler: Handler = endpoint
    if endpoint.expects == "nothing":
        take = partial(turns.take_lasting, endpoint.path) if endpoint.lasting else turns.take
        handler = partial(take, endpoint)
    answer = await door.answer(request, endpoint.expects, handler, problem_answer)
    for name, value in NO_STORE.items():
        answer.headers.setdefault(name, value)
    return answer


def company_of(call: Call) -> str:
    """Return the path's company, which the caller may reach. Raises RefusalError, AccessError."""
    company = check_name(call.request.path_params["company"], "company")
    require_company(call.identity, company)
    return company


def user_of(call: Call) -> str:
    """Return the path's user. Raises RefusalError."""
    return check_name(call.request.path_params["user"], "id")


def number_of(call: Call) -> int:
    """Return the path's enrollment; a number that none could have is that of an unknown one. Raises RefusalError."""
    number = call.request.path_params["enrollment"]
    if not _NUMBER.fullmatch(number):
        raise RefusalError("enrollment_unknown")
    return int(number)


def query_of(call: Call, model: type[_Model]) -> _Model:
    """Parse the query. Raises RefusalError, which names each parameter that is not accepted."""
    given = call.request.query_params
    parameters = dict(given)
    if len(parameters) != len(given.multi_items()):
        raise RefusalError("query_invalid", {"errors": [{"parameter": "", "problem": "a parameter comes twice"}]})
    try:
        return model.model_validate(parameters)
    except ValidationError as error:
        raise RefusalError("query_invalid", {"errors": _problems(error, "parameter")}) from error


def json_of(call: Call, model: type[_Model]) -> _Model:
    """Parse the message. Raises RefusalError."""
    try:
        return model.model_validate_json(call.message)
    except ValidationError as error:
        raise RefusalError("json_invalid", {"errors": _problems(error, "field")}) from error


def cursor_of(cursor: str | None) -> str:
    """Return the name that a cursor stands for, empty for none. Raises RefusalError."""
    if cursor is None:
        return ""
    try:
        name = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error) as error:
        raise RefusalError("cursor_invalid") from error
    if not _CURSOR.fullmatch(name):
        raise RefusalError("cursor_invalid")
    return name


def number_cursor_of(cursor: str | None) -> int | None:
    """Return the number that a cursor stands for. Raises RefusalError."""
    name = cursor_of(cursor)
    if name and not _NUMBER.fullmatch(name):
        raise RefusalError("cursor_invalid")
    return int(name) if name else None


def position_cursor_of(cursor: str | None) -> str:
    """Return the position in time that a cursor stands for, empty for none. Raises RefusalError."""
    position = cursor_of(cursor)
    if position and not _POSITION_CURSOR.fullmatch(position):
        raise RefusalError("cursor_invalid")
    return position


def check_whose(company: str | None, user: str | None) -> None:
    """Refuse a query for a user without a company. Raises RefusalError."""
    if user is not None and company is None:
        raise RefusalError("query_invalid", {"errors": [{"parameter": "user", "problem": "needs company"}]})


def in_utc(moment: datetime | None) -> datetime | None:
    """Return the moment in UTC, which it is taken to be where it does not say. Raises RefusalError."""
    if moment is None:
        return None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise RefusalError("query_invalid", {"errors": [{"parameter": "", "problem": "no such moment"}]}) from error


def next_cursor(page: Page[Any]) -> str | None:
    if page.next_after is None:
        return None
    return base64.urlsafe_b64encode(page.next_after.encode()).decode()


def _problems(error: ValidationError, place: str) -> list[dict[str, str]]:
    # Not what was sent: an answer repeats nothing that somebody else may have typed.
    return [
        {place: ".".join(str(part) for part in problem["loc"]), "problem": problem["msg"]}
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
