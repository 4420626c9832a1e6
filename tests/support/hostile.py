"""Requests that mean harm, each of one caller over one connection."""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

from support.hostile_files import HOSTILE_FILES, MAX_BYTES, SIZE, HostileFile

ENROLL, V1_ENROLL = "/enrollment_img/", "/v1/companies/withmind/users/mallory/enrollments"
V1_KEYS, V1_EVENTS, ALIVE, NOWHERE = "/v1/keys", "/v1/events", "/healthz", "/nowhere"

GB, MB = 10**9, 10**6
CONTRACT_BYTES = 500_000
MESSAGE_BYTES = 1_020_000
"""A little less than is read at all."""

Told = tuple[int, str]
"""Status and X-Face-Reason of an answer."""

_MULTIPART = "Content-Type: multipart/form-data; boundary=XX"
_CHUNKED = "Transfer-Encoding: chunked"
_BLOCK = bytes(MB)

_BROKEN: Told = (400, "http_invalid")
_TOO_LARGE: Told = (200, "message_too_large")
_V1_STATUSES = {"image_type_unsupported": 415}


@dataclass(frozen=True, slots=True)
class Attack:
    """What is sent, in pieces, and how the first answer may be told."""

    pieces: Callable[[], Iterable[bytes]]
    answers: frozenset[Told]


def attacks() -> Mapping[str, Attack]:
    """Return all of them by name. Nothing large is made before it is sent."""
    return dict([*_files(), *_floods(), *_forms(), *_heads()])


def request(path: str, *lines: str, method: str = "POST") -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *lines]).encode() + b"\r\n\r\n"


def posted(path: str, body: bytes, *lines: str) -> list[bytes]:
    """Return a whole request; without `lines` its body is a form."""
    return [request(path, *(lines or (_MULTIPART,)), f"Content-Length: {len(body)}"), body]


def form(image: bytes, **fields: str) -> bytes:
    texts = [_part(f'name="{name}"', value.encode()) for name, value in fields.items()]
    return b"".join([*texts, _part('name="image"; filename="a"', image)]) + b"--XX--\r\n"


def _part(disposition: str, data: bytes) -> bytes:
    return f"--XX\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + data + b"\r\n"


def _attack(name: str, pieces: Callable[[], Iterable[bytes]], *answers: Told) -> tuple[str, Attack]:
    return name, Attack(pieces, frozenset(answers))


def _files() -> Iterator[tuple[str, Attack]]:
    for name, file in HOSTILE_FILES.items():
        yield _attack(name, partial(_contract_message, file), (200, file.reason))
        if file.grows:
            v1 = _V1_STATUSES.get(file.reason, 422), file.reason
            yield _attack(f"{name}, 1 MB", partial(_v1_message, file), v1)


@cache
def _contract_message(file: HostileFile) -> list[bytes]:
    return posted(ENROLL, form(file.make(CONTRACT_BYTES), company="withmind", id="mallory"))


@cache
def _v1_message(file: HostileFile) -> list[bytes]:
    return posted(V1_ENROLL, form(file.make(MAX_BYTES)))


def _floods() -> Iterator[tuple[str, Attack]]:
    answers = {
        ENROLL: _TOO_LARGE,
        V1_KEYS: (413, "message_too_large"),
        ALIVE: (200, ""),
        NOWHERE: (404, "path_unknown"),
    }
    for path, answer in answers.items():
        method = "GET" if path == ALIVE else "POST"
        declared = request(path, _MULTIPART, f"Content-Length: {GB}", method=method)
        chunked = request(path, _MULTIPART, _CHUNKED, method=method)
        crumbs = [chunked, *[b"1\r\na\r\n" * 100_000] * 10, b"0\r\n\r\n"]
        yield _attack(f"1 GB to {path}", partial(_flood, declared, _BLOCK), answer)
        yield _attack(f"1 GB in chunks to {path}", partial(_flood, chunked, b"%x\r\n%s\r\n" % (MB, _BLOCK)), answer)
        yield _attack(f"1 MB in 1-byte chunks to {path}", partial(list, crumbs), answer, _BROKEN)
    broken = request(ENROLL, _MULTIPART, _CHUNKED) + b"%x\r\n%s%s\r\nzz\r\n" % (2 * MB, _BLOCK, _BLOCK)
    yield _attack("a broken chunk, then 1 GB", partial(_flood, broken, _BLOCK), _TOO_LARGE)
    yield _attack("1 GB that is no HTTP", partial(_flood, b"\x16\x03\x01", _BLOCK), _BROKEN)
    yield _attack("1 GB of empty lines", partial(_flood, b"\r\n", b"\r\n" * (MB // 2)), _BROKEN)
    yield _attack("a length of 2^63", partial(_declaring, str(2**63)), _TOO_LARGE)
    yield _attack("a length of 5,000 digits", partial(_declaring, "9" * 5_000), _BROKEN)


def _flood(head: bytes, block: bytes) -> Iterator[bytes]:
    yield head
    for _ in range(GB // MB):
        yield block


def _declaring(length: str) -> list[bytes]:
    return [request(ENROLL, _MULTIPART, f"Content-Length: {length}"), _BLOCK]


def _forms() -> Iterator[tuple[str, Attack]]:
    disposition = b"--XX\r\nContent-Disposition: form-data; name=a"
    bodies = {
        "15,000 fields": b"".join(_part(f'name="field{number}"', b"") for number in range(15_000)) + b"--XX--",
        "100,000 headers of a field": b"--XX\r\n" + b"a: b\r\n" * 100_000 + b"\r\n",
        "a field's header of 1 MB": b"--XX\r\nX: ".ljust(MESSAGE_BYTES, b"a"),
        "a field of 250,000 parameters": disposition + b";a=b" * 250_000 + b"\r\n\r\n",
        "a name of 1 MB": b'--XX\r\nContent-Disposition: form-data; name="'.ljust(MESSAGE_BYTES, b"\\"),
        "1 MB before the first field": b"\r\n" * (MESSAGE_BYTES // 2),
        "1 MB of near boundaries": disposition + b"\r\n\r\n" + b"\r\n--X" * 200_000,
        "forms within forms, 25,000 deep": (disposition + b"\r\n\r\n") * 20_000,
    }
    for name, body in bodies.items():
        yield _attack(name, partial(posted, ENROLL, body), (200, "form_invalid"))
    bomb = partial(gzip.compress, form(bytes(GB // 10), company="withmind", id="mallory"), 1)
    yield _attack("100 MB, compressed", lambda: _compressed(bomb), (200, "form_invalid"))
    objects = {
        "JSON, 16,000 deep": b"[" * 16_000,
        "JSON of 1,200 fields": json.dumps({f"f{number}": 1 for number in range(1_200)}).encode(),
        "JSON of a number of 16,000 digits": b'{"company": ' + b"9" * 16_000 + b"}",
    }
    for name, body in objects.items():
        yield _attack(name, partial(posted, V1_KEYS, body, "Content-Type: application/json"), (400, "json_invalid"))


def _compressed(make: Callable[[], bytes]) -> list[bytes]:
    return posted(ENROLL, make(), _MULTIPART, "Content-Encoding: gzip")


def _heads() -> Iterator[tuple[str, Attack]]:
    many = ["a:"] * 3_900
    parameters = "&".join(f"{number:x}=1" for number in range(2_500))
    heads: dict[str, tuple[bytes, Told]] = {
        "a header of 1 MB": (request(ALIVE, "X: " + "a" * MB, method="GET"), _BROKEN),
        "250,000 headers": (request(ALIVE, *["a:"] * 250_000, method="GET"), _BROKEN),
        "3,900 headers": (request(ALIVE, *many, method="GET"), (200, "")),
        "a path of 1 MB": (request("/" + "a" * MB, method="GET"), _BROKEN),
        "a path of 15 kB": (request(f"/v1/companies/{'%ff' * 5_000}", method="GET"), (422, "company_invalid")),
        "2,500 parameters": (request(f"{V1_EVENTS}?{parameters}", method="GET"), (422, "query_invalid")),
        "16 kB of cookies": (request(ALIVE, "Cookie: " + "a=b; " * 3_000, method="GET"), (200, "")),
    }
    for name, (head, answer) in heads.items():
        yield _attack(name, partial(list, [head]), answer)


def ordinary(image: bytes) -> list[bytes]:
    """Return an analysis that nobody objects to."""
    return posted("/analy_img/", form(image, company="withmind", id="tamy"))


ORDINARY_BYTES = SIZE
