"""The ways in which a multipart message can differ from the plainest one, harmless ones and others."""

import re
from collections.abc import Callable, Sequence

from support.multipart import ANALYSE, ENROLL, Draft, Part, image_part, text
from support.raw_http import split

Mutation = Callable[[Draft], None]

_BOUNDARY_CHARACTERS = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=?"
_NAMES = [
    b"",
    b"Fuzz",
    b"fu zz",
    b"fuzz\0",
    b"../fuzz",
    b"\xff\xfe",
    "회사".encode(),
    b"a" * 129,
    b"'; --",
    b"fuzz\r\n",
    b"%66",
]


# How a message may differ from the plainest one and still be as valid.


def chunked(draft: Draft) -> None:
    def framing(draft: Draft, body: bytes) -> tuple[list[bytes], bytes]:
        pieces = split(body, draft.rng.sample(range(1, len(body)), min(len(body) - 1, draft.rng.randrange(100))))
        extension = draft.rng.choice([b"", b";a=b", b';a="b"', b" "])
        trailer = draft.rng.choice([b"", b"X-Trailer: a\r\n", b"Content-Length: 5\r\n"])
        chunks = [b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces]
        return [b"Transfer-Encoding: chunked"], b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"

    draft.framing = framing


def shuffled(draft: Draft) -> None:
    draft.rng.shuffle(draft.parts)


def unknown_fields(draft: Draft) -> None:
    for number in range(draft.rng.randrange(1, 20)):
        place = draft.rng.randrange(len(draft.parts) + 1)
        draft.parts.insert(place, text(b"field%d" % number, draft.rng.randbytes(draft.rng.randrange(200)) + b"."))


def empty_fields(draft: Draft) -> None:
    draft.parts[:0] = [text(name, b"") for name in (b"company", b"id", b"age", b"image")]


def known_fields(draft: Draft) -> None:
    draft.parts += [text(b"gender", b"1"), text(b"age", b"%d" % draft.rng.randrange(151))]


def part_headers(draft: Draft) -> None:
    part = draft.rng.choice(draft.parts)
    place = draft.rng.randrange(len(part.headers) + 1)
    line = [
        b"Content-Type: text/plain; charset=utf-16",
        b"Content-Transfer-Encoding: base64",
        b"X-Any:",
        b"X: \xff\xfe",
    ]
    part.headers.insert(place, draft.rng.choice(line))


def header_case(draft: Draft) -> None:
    for part in draft.parts:
        part.headers = [re.sub(rb"^[^:]+", lambda name: name[0].swapcase(), line) for line in part.headers]


def file_name(draft: Draft) -> None:
    names = [
        'filename="사진.jpg"'.encode(),
        b"filename*=utf-8''%EC%82%AC%EC%A7%84.jpg",
        b"filename*=utf-16''%00%ff",
        b'filename="a\\"b;c.jpg"',
        b'filename="../../etc/passwd"',
        b'filename="' + b"a" * 1000 + b'"',
        b"filename=plain",
        b'filename="%0d%0a\xff"',
    ]
    image_part(draft).headers[0] = b'Content-Disposition: form-data; name="image"; ' + draft.rng.choice(names)


def preamble(draft: Draft) -> None:
    draft.preamble = draft.rng.choice([b"\r\n", b"\r\n\r\n"])


def epilogue(draft: Draft) -> None:
    rest = draft.rng.choice([b"", b"\r\n\r\n", b"\r\nbye" * 100, b"\r\n--" + draft.boundary + b"\r\n", b"\r\n\0"])
    draft.epilogue = rest


def boundary(draft: Draft) -> None:
    size = draft.rng.choice([1, 2, 69, 70])
    draft.boundary = bytes(draft.rng.choice(_BOUNDARY_CHARACTERS) for _ in range(size))


def request_headers(draft: Draft) -> None:
    draft.headers += [b"X-Any-%d: %s" % (number, b"a" * draft.rng.randrange(100)) for number in range(50)]


def expect(draft: Draft) -> None:
    draft.headers.append(b"Expect: 100-continue")


def torn(draft: Draft) -> None:
    draft.pieces = draft.rng.randrange(2, 40)


# How a message may be spoilt, so that it is not what was asked for.


def part_missing(draft: Draft) -> None:
    del draft.parts[draft.rng.randrange(len(draft.parts))]


def part_twice(draft: Draft) -> None:
    draft.parts.insert(draft.rng.randrange(len(draft.parts) + 1), draft.rng.choice(draft.parts))


def name_invalid(draft: Draft) -> None:
    value = draft.rng.choice([*_NAMES, draft.rng.randbytes(20) + b"\xff", b"a" * 600_000])
    if draft.path in {ENROLL, ANALYSE}:
        draft.rng.choice(draft.parts[:2]).data = value
    else:
        image_part(draft).headers[0] = (
            b'Content-Disposition: form-data; name="' + value.replace(b'"', b"") + b'x"; filename="a"'
        )


def file_as_text(draft: Draft) -> None:
    image_part(draft).headers[0] = b'Content-Disposition: form-data; name="image"'


def text_as_file(draft: Draft) -> None:
    if draft.path in {ENROLL, ANALYSE}:
        part = draft.rng.choice(draft.parts[:2])
        part.headers[0] += b'; filename="a"'
    else:
        draft.parts.append(text(b"image", b"1"))


def unclosed(draft: Draft) -> None:
    draft.closing = draft.rng.choice([b"\r\n", b"\r\n", b"", b"-", b"-\r\n-", b"\0--"])
    draft.epilogue = b""


def other_boundary(draft: Draft) -> None:
    told = draft.rng.choice(
        [b"another", b"", b'""', b"b" * 5000, draft.boundary + b"x", b"*=utf-8''%ff%00", b"\xff\xff"]
    )
    draft.content_type = b"multipart/form-data; boundary=" + told


def other_type(draft: Draft) -> None:
    draft.content_type = draft.rng.choice(
        [
            b"",
            b"application/json",
            b"application/x-www-form-urlencoded",
            b"multipart/mixed; boundary=" + draft.boundary,
            b"multipart/form-data",
            b"multipart/form-datax; boundary=" + draft.boundary,
            b";" * 1000,
        ]
    )


def no_parts(draft: Draft) -> None:
    draft.parts = []


def many_parts(draft: Draft) -> None:
    draft.parts[:0] = [text(b"f%d" % number, b"") for number in range(draft.rng.choice([33, 300, 5000]))]


def disposition_broken(draft: Draft) -> None:
    part = draft.rng.choice(draft.parts)
    part.headers = draft.rng.choice(
        [
            [],
            [b"Content-Disposition: attachment" + part.headers[0].partition(b"form-data")[2]],
            [b"Content-Disposition: form-data"],
            [b'Content-Disposition: form-data; names="image"'],
            [b'Content-Disposition: form-data; name="ima\0ge"; filename="a"'],
            [b"Content-Disposition: form-data; name*=utf-8''image; filename=\"a\""],
            [b"Content-Disposition"],
            [b"Content-Disposition; form-data: a"],
            [b"Content-Disposition: form-data; name=" + b"a" * 100_000],
            [b"Content-Disposition: form-data" + b"; a=b" * 10_000 + part.headers[0].partition(b"form-data")[2]],
            [b"X-%d: a" % number for number in range(2000)] + part.headers,
            [b": a", *part.headers],
            [b"\0: a", *part.headers],
            [b"a\r: b", *part.headers],
        ]
    )


def line_ends(draft: Draft) -> None:
    draft.delimiter = draft.rng.choice([b"", b"\n", b"\r", b"\0"])


def nested(draft: Draft) -> None:
    inner = Draft(draft.rng, b"", b"", [Part(list(part.headers), part.data) for part in draft.parts], b"inner").body()
    part = image_part(draft)
    part.headers.append(b"Content-Type: multipart/mixed; boundary=inner")
    part.data = inner


def utf_16(draft: Draft) -> None:
    draft.parts.insert(0, text(b"_charset_", b"utf-16"))
    for part in draft.parts[1:]:
        part.headers.append(b"Content-Type: text/plain; charset=utf-16")
        part.data = part.data.decode("latin-1").encode("utf-16")


def other_file(draft: Draft) -> None:
    image_part(draft).data = draft.rng.choice(
        [b"", b"\0" * 400_000, b"GIF89a" + bytes(400_000), b"<html>" * 60_000, b"\xff\xd8"]
    )


def length_lies(draft: Draft) -> None:
    off = draft.rng.choice([-100_000, -1000, -50, 1, 10, 100_000_000, 10**18])

    def framing(_draft: Draft, body: bytes) -> tuple[list[bytes], bytes]:
        return [b"Content-Length: %d" % max(0, len(body) + off)], body

    draft.framing = framing
    draft.end = draft.rng.choice(["wait", "half_close"])


def both_framings(draft: Draft) -> None:
    chunked = draft.rng.random() < 0.5

    def framing(draft: Draft, body: bytes) -> tuple[list[bytes], bytes]:
        lines = [b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked"]
        draft.rng.shuffle(lines)
        return lines, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body

    draft.framing = framing


def length_broken(draft: Draft) -> None:
    lines = draft.rng.choice(
        [
            [],
            [b"Content-Length: -1"],
            [b"Content-Length: +5"],
            [b"Content-Length: 0x5"],
            [b"Content-Length: 5, 6"],
            [b"Content-Length: 5", b"Content-Length: 6"],
            [b"Content-Length: " + b"9" * 1000],
            ["Content-Length: ٣".encode()],
            [b"Content-Length:"],
            [b"Transfer-Encoding: gzip, chunked"],
            [b"Transfer-Encoding: identity"],
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding : chunked"],
            [b"Transfer-Encoding: \x0bchunked"],
        ]
    )
    draft.framing = lambda _draft, body: (lines, body)


def chunks_broken(draft: Draft) -> None:
    wire = draft.rng.choice(
        [
            b"zz\r\n%s\r\n0\r\n\r\n",
            b"-5\r\n%s\r\n0\r\n\r\n",
            b"0x500\r\n%s\r\n0\r\n\r\n",
            b"5\r\n%s\r\n0\r\n\r\n",
            b"ffffffffff\r\n%s",
            b"f" * 30 + b"\r\n%s",
            b"1;" + b"a" * 40_000 + b"\r\na\r\n%s",
            b"\r\n%s\r\n0\r\n\r\n",
            b"1\r\na\r\n" * 50_000 + b"%s",
        ]
    )
    draft.framing = lambda _draft, body: ([b"Transfer-Encoding: chunked"], wire.replace(b"%s", body))
    draft.end = draft.rng.choice(["wait", "half_close"])


def expectation_broken(draft: Draft) -> None:
    draft.headers.append(b"Expect: 100-continue")
    draft.framing = lambda _draft, body: ([b"Transfer-Encoding: chunked"], b"no chunk\r\n" + body)


def chunks_unended(draft: Draft) -> None:
    draft.framing = lambda _draft, body: ([b"Transfer-Encoding: chunked"], b"%x\r\n%s\r\n" % (len(body), body))
    draft.end = draft.rng.choice(["wait", "half_close"])


def too_large(draft: Draft) -> None:
    image_part(draft).data += bytes(1_100_000)


def request_line(draft: Draft) -> None:
    kind = draft.rng.randrange(4)
    if kind == 0:
        draft.method = draft.rng.choice(
            [b"GET", b"PUT", b"DELETE", b"TRACE", b"post", b"P\0ST", b"A" * 5000, b"OPTIONS"]
        )
    elif kind == 1:
        draft.path = draft.rng.choice(
            [
                draft.path + b"x",
                b"*",
                b"/" + b"a" * 40_000,
                b"/\xff",
                b"/ /",
                b"",
                b"//" + draft.path,
                b"/v1/%00%0a",
                b"/v1/",
            ]
        )
    elif kind == 2:
        draft.version = draft.rng.choice([b"HTTP/11", b"HTTPS/1.1", b"HTTP/1.1x", b"", b"ICY", b"HTTP/1.1 HTTP/1.1"])
    else:
        draft.path += b" \0"


def head_broken(draft: Draft) -> None:
    lines = [b"no colon", b": a", b"a b: c", b"\0: a", b"a: \0", b"a: b\rc", b"x: " + b"a" * 40_000, b"Host: another"]
    lines += [b"\r\n".join([b"x: y"] * 10_000)]
    draft.headers.insert(draft.rng.randrange(2), draft.rng.choice(lines))


def from_elsewhere(draft: Draft) -> None:
    draft.headers[0] = draft.rng.choice(
        [b"Host: evil.example", b"Host: [", b"Host: [::1", b"Host: " + b"a" * 5000, b"Host:"]
    )
    if draft.rng.random() < 0.5:
        line = [
            b"Origin: http://evil.example",
            b"Origin: http://[",
            b"X-Forwarded-For: 127.0.0.1",
            b"Via: \xff",
            b"Origin: \xff",
        ]
        draft.headers[0] = b"Host: 127.0.0.1\r\n" + draft.rng.choice(line)


# What may turn out either way, or depends on the settings.


def folded(draft: Draft) -> None:
    part = draft.rng.choice(draft.parts)
    part.headers[0] = part.headers[0].replace(b"; ", draft.rng.choice([b";\r\n ", b";\r\n\t", b" \t;\x0b"]))
    draft.headers.append(b"X-Folded: a\r\n b")


def line_feeds(draft: Draft) -> None:
    for part in draft.parts:
        part.headers = [b"\n".join([*part.headers, b"X: a"])]


def with_prose(draft: Draft) -> None:
    draft.preamble = draft.rng.choice(
        [b"This is a message.\r\n", b"\0" * 5000 + b"\r\n", b"--\r\n", b"--" + draft.boundary]
    )


def other_version(draft: Draft) -> None:
    draft.version = draft.rng.choice([b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.9"])


def breaks_off(draft: Draft) -> None:
    draft.end = draft.rng.choice(["reset", "half_close"])


HARMLESS: Sequence[Mutation] = [
    chunked, shuffled, unknown_fields, empty_fields, known_fields, part_headers, header_case, file_name,
    preamble, epilogue, boundary, request_headers, expect, torn,
]  # fmt: skip
FATAL: Sequence[Mutation] = [
    part_missing, part_twice, name_invalid, file_as_text, text_as_file, unclosed, other_boundary, other_type,
    no_parts, many_parts, disposition_broken, line_ends, nested, utf_16, other_file, length_lies, length_broken,
    both_framings, chunks_broken, chunks_unended, expectation_broken, too_large, request_line, head_broken,
]  # fmt: skip
EITHER: Sequence[Mutation] = [
    folded, line_feeds, with_prose, other_version, breaks_off, from_elsewhere,
]  # fmt: skip
