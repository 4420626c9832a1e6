"""A fuzzer of multipart messages: valid ones, and what they become when they are spoilt, over sockets of their own.

Message `number` of a `seed` is always the same: `message(seed, number)`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from support.fuzz_answers import is_taken, is_to_request, wrong
from support.light_server import light_photo
from support.multipart import ANALYSE, ENROLL, V1_ENROLL, V1_VERIFY, Draft, Part, text
from support.multipart_mutations import EITHER, FATAL, HARMLESS, Mutation, request_line, torn
from support.raw_http import End, Exchange, exchange, split
from support.server import Server

Kind = Literal["harmless", "fatal", "mixed", "bytes", "cut", "pipelined", "noise"]
Hope = Literal["taken", "refused", "either"]
"""What becomes of the form."""

WEIGHTS: Mapping[Kind, int] = {
    "harmless": 4,
    "fatal": 6,
    "mixed": 4,
    "bytes": 4,
    "cut": 2,
    "pipelined": 1,
    "noise": 1,
}
CALLERS = 48
PHOTO_BYTES = 300_000
FEW = 3
USERS = 20
TAIL_BYTES = 100
HEAD_BYTES = 900

_SPECIAL = [b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b'"', b";", b"--", b":", b"\xff"]


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent over one connection; `name` says how it was made.

    Args:
        paths: what is asked for by each request id; None where the line that says so is spoilt.
    """

    name: str
    kind: Kind
    paths: Mapping[str, bytes | None]
    pieces: tuple[bytes, ...]
    hope: Hope
    end: End


def fuzz(
    server: Server, seed: int, numbers: range, headers: Sequence[bytes] = (), *, is_let_in: bool = True
) -> Counter[str]:
    """Send these messages, many at a time; return how often each answer came, by what tells it.

    Args:
        headers: of each request, for example a key.
        is_let_in: whether that key is one; without one nothing is taken.

    Raises:
        AssertionError: there is an answer that should not be, or none; names the messages.
        HangError: a connection was neither answered nor closed.
    """
    complaints: list[str] = []

    def send(number: int) -> list[str]:
        made = message(seed, number, headers)
        made = made if is_let_in else replace(made, hope="refused")
        came = exchange(server.port, made.pieces, made.end)
        complaints.extend(f"{seed}/{number}: {made.name}\n  {what}" for what in complain(made, came))
        told = [f"{answer.status} {answer.headers.get('x-face-reason', '')}" for answer in came.answers]
        return told or [f"none, {made.end}"]

    told: Counter[str] = Counter()
    with ThreadPoolExecutor(CALLERS) as callers:
        for each in callers.map(send, numbers):
            told.update(each)
    assert not complaints, "\n".join([f"{len(complaints)} complaints, the first ones:", *sorted(complaints)[:20]])
    return told


def complain(message: Message, came: Exchange) -> Iterator[str]:
    """Yield what is wrong with what came back."""
    answers = came.answers
    ids = [answer.headers.get("x-request-id", "") for answer in answers if is_to_request(answer)]
    own = [each for each in ids if each in message.paths]
    if own != [each for each in message.paths if each in own]:
        yield f"answers out of order: {ids}"
    if message.kind not in {"bytes", "noise"} and own != ids:
        yield f"an answer to somebody else: {ids}"
    if came.rest and not came.was_reset:
        yield f"an answer is cut off: {came.rest[:200]!r}"
    for answer in answers:
        if what := wrong(answer, message.paths.get(answer.headers.get("x-request-id", ""))):
            yield f"{what}: {answer}"
    if message.end == "wait" and message.kind != "noise" and not answers:
        yield f"no answer: {came}"
    if message.hope == "taken" and not (answers and is_taken(answers[0])):
        yield f"a valid form is refused: {came}"
    if message.hope == "refused" and any(is_taken(answer) for answer in answers):
        yield f"a broken form is taken: {came}"


def message(seed: int, number: int, headers: Sequence[bytes] = ()) -> Message:
    """Return one message; `headers` are added to each request."""
    rng = Random(f"{seed}/{number}")  # noqa: S311 - messages, not secrets
    (kind,) = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
    drafts = [_draft(rng, seed, number, index, headers) for index in range(rng.randrange(2, 5))]
    if kind != "pipelined":
        del drafts[1:]
    draft = drafts[0]
    names = _apply(draft, _mutations(rng, kind))
    for following in drafts[1:]:
        names += _apply(following, rng.sample(HARMLESS, 1))
    wire = b"".join(each.wire() for each in drafts)
    if kind == "bytes":
        wire = _spoil(rng, wire)
    elif kind == "cut":
        draft.end = rng.choice(["wait", "half_close", "reset"])
        wire = wire[: rng.choice([rng.randrange(len(wire)), rng.randrange(HEAD_BYTES)])]
    elif kind == "noise":
        wire = rng.choice([rng.randbytes(rng.randrange(3000)), b"\x16\x03\x01" + rng.randbytes(300), b"\r\n" * 2000])
    is_known = kind != "bytes" and request_line.__name__ not in names
    # Where one request ends, and the next one begins, is anybody's guess unless all are valid.
    is_next_known = is_known and set(names) <= {mutation.__name__ for mutation in HARMLESS}
    paths = {
        each.request_id.decode(): each.path if (is_known if each is draft else is_next_known) else None
        for each in drafts
    }
    hopes: dict[Kind, Hope] = {"harmless": "taken", "fatal": "refused"}
    places = rng.sample(range(len(wire)), min(len(wire), draft.pieces - 1))
    name = f"{kind} {'+'.join(names)} {draft.path.decode(errors='replace')[:60]} {draft.end}"
    return Message(name, kind, paths, tuple(split(wire, places)), hopes.get(kind, "either"), draft.end)


def _draft(rng: Random, seed: int, number: int, index: int, headers: Sequence[bytes]) -> Draft:
    user = b"user%d" % rng.randrange(USERS)
    path = rng.choice([ENROLL, ENROLL, ANALYSE, V1_ENROLL % user, V1_VERIFY % user])
    is_contract = path in {ENROLL, ANALYSE}
    photo = light_photo(rng.randrange(5), rng.randrange(5), PHOTO_BYTES if is_contract else 500)
    parts = [text(b"company", b"fuzz"), text(b"id", user)] if is_contract else []
    disposition = b'Content-Disposition: form-data; name="image"; filename="a.jpg"'
    parts.append(Part([disposition, b"Content-Type: image/jpeg"], photo))
    draft = Draft(rng, path, b"fuzz-%d-%d-%d" % (seed, number, index), parts)
    draft.headers += headers
    return draft


def _mutations(rng: Random, kind: Kind) -> Sequence[Mutation]:
    if kind == "harmless":
        return rng.sample(HARMLESS, rng.randrange(FEW))
    if kind == "fatal":
        return [rng.choice(FATAL), torn][: rng.choice([1, 1, 1, 2])]
    return rng.sample([*HARMLESS, *FATAL, *EITHER], rng.randrange(1, FEW + 1))


def _apply(draft: Draft, mutations: Sequence[Mutation]) -> list[str]:
    names = []
    for mutate in mutations:
        try:
            mutate(draft)
        except (LookupError, ValueError):  # another one has taken away what this one would change
            continue
        names.append(mutate.__name__)
    return names


def _spoil(rng: Random, wire: bytes) -> bytes:
    """Change some bytes, most of them where the structure is: at the beginning and at the end."""
    spoilt = bytearray(wire)
    for _ in range(rng.randrange(1, 12)):
        size = len(spoilt)
        anywhere, early, late = rng.randrange(size), rng.randrange(HEAD_BYTES), size - rng.randrange(TAIL_BYTES)
        place = min(rng.choice([anywhere, early, early, late]), size - 1)
        kind = rng.randrange(5)
        if kind == 0:
            spoilt[place] = rng.randrange(256)
        elif kind == 1:
            spoilt[place:place] = rng.choice(
                [b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b'"', b";", b"--", b":", b"\xff"]
            )
        elif kind == 2:
            del spoilt[place : place + rng.randrange(1, 30)]
        elif kind == 3:
            spoilt[place:place] = spoilt[place : place + rng.randrange(1, 200)]
        else:
            spoilt[place:place] = rng.randbytes(rng.randrange(1, 50))
    return bytes(spoilt)
