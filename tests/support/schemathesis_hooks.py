"""What Schemathesis, run by fuzzing.py, is told of this service: photos, and checks of our own."""

from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, GenerationMode, Response

from support.fuzz_answers import DELIBERATE
from support.light_server import light_photo

AnyCase = Case[Any]

PHOTOS = [light_photo(person, 0) for person in range(3)]
FILES = [
    *PHOTOS,
    light_photo(0, 1, 100),
    light_photo(0, 2, 513_000),
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"",
]

_NOT_IN_A_SCHEMA = {
    "cursor_invalid": "none that a list gave",
    "idempotency_key_reused": "sent with another request before",
    "idempotency_key_in_use": "sent with a request that is under way",
    "image_type_unsupported": "by the file's first bytes",
    "image_missing": "an empty file without a name is none",
    "form_invalid": "no boundary, where the form has no parts; or too many fields of its own",
    "no_face": "only three of the files show one",
}
"""Why data that fits the document may be refused all the same."""

_NOT_THERE = {"company_unregistered", "user_unregistered", "enrollment_unknown", "image_not_kept", "key_unknown"}

_NOT_IN_A_PARAMETER = (
    "needs company",
    "choose longer ones",
    "no such moment",
    "either a company, or admin: true",
    "printable characters only",
    "is not what face-engine evaluate writes",
)
"""Likewise, where a refusal names the parameter or the field: what depends on another one, or on Unicode's tables."""

_TAKEN = frozenset({"enrolled", "already_enrolled", "compared"})

schemathesis.openapi.media_type("image/*", st.sampled_from(FILES))


@schemathesis.check
def refusals_have_a_reason(_context: CheckContext, response: Response, case: AnyCase) -> None:
    """Refuse valid data only for what no schema can tell."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE or response.status_code < 400:
        return
    problem = response.json()
    reason = _reason(response)
    told = [error["problem"] for error in problem.get("errors", [])]
    explained = bool(told) and all(any(part in each for part in _NOT_IN_A_PARAMETER) for each in told)
    explained |= reason == "admin_required" and _makes_a_key_in_open_mode(response)
    assert reason in _NOT_IN_A_SCHEMA.keys() | _NOT_THERE or explained, f"valid data is refused: {problem}"


@schemathesis.check
def broken_forms_are_refused(_context: CheckContext, response: Response, case: AnyCase) -> None:
    """Take no form of the contract's endpoints without what is required, whatever else it holds."""
    if "specification" not in (case.operation.tags or []) or not isinstance(case.body, dict):
        return
    required = {"company", "id", "image"}
    if not required <= case.body.keys():
        assert _reason(response) not in _TAKEN, "a form without all its fields is taken"


@schemathesis.check
def only_a_deliberate_503(_context: CheckContext, response: Response, _case: AnyCase) -> None:
    if response.status_code >= 500:
        assert (response.status_code, _reason(response) in DELIBERATE) == (503, True), _reason(response)
        assert "retry-after" in response.headers


@schemathesis.check
def the_head_says_what_the_body_says(_context: CheckContext, response: Response, case: AnyCase) -> None:
    """Name a request and a reason in each answer, the same ones in both of its parts."""
    request_id = response.headers["x-request-id"][0]
    if response.status_code < 400:
        return
    assert _reason(response), "no reason"
    if case.operation.path.startswith("/v1/") and response.request.method != "HEAD":
        problem: dict[str, Any] = response.json()
        told = problem["status"], problem["reason"], problem["request_id"]
        assert told == (response.status_code, _reason(response), request_id)


def _makes_a_key_in_open_mode(response: Response) -> bool:
    request = response.request
    return (request.method, request.path_url) == ("POST", "/v1/keys") and "Authorization" not in request.headers


def _reason(response: Response) -> str:
    return "".join(response.headers.get("x-face-reason", []))
