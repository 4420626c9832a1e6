"""A multipart message over HTTP/1.1 while it is being made, part by part, valid unless somebody spoils it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from support.raw_http import End

ENROLL, ANALYSE = b"/enrollment_img/", b"/analy_img/"
V1_ENROLL, V1_VERIFY = b"/v1/companies/fuzz/users/%s/enrollments", b"/v1/companies/fuzz/users/%s/verifications"


@dataclass(slots=True)
class Part:
    headers: list[bytes]
    data: bytes

    def wire(self) -> bytes:
        return b"\r\n".join(self.headers) + b"\r\n\r\n" + self.data


@dataclass(slots=True)
class Draft:
    """A message that is being made."""

    rng: Random
    path: bytes
    request_id: bytes
    parts: list[Part]
    boundary: bytes = b"------------------------d74496d66958873e"
    method: bytes = b"POST"
    version: bytes = b"HTTP/1.1"
    headers: list[bytes] = field(default_factory=lambda: [b"Host: 127.0.0.1"])
    content_type: bytes | None = None
    preamble: bytes = b""
    epilogue: bytes = b"\r\n"
    closing: bytes = b"--"
    delimiter: bytes = b"\r\n"
    framing: Callable[["Draft", bytes], tuple[list[bytes], bytes]] = lambda _draft, body: (
        [b"Content-Length: %d" % len(body)],
        body,
    )
    end: End = "wait"
    pieces: int = 1

    def body(self) -> bytes:
        start, close = b"--" + self.boundary, self.delimiter + b"--" + self.boundary + self.closing
        between = self.delimiter + start + b"\r\n"
        parts = between.join(part.wire() for part in self.parts)
        return self.preamble + (start + b"\r\n" + parts if self.parts else start) + close + self.epilogue

    def wire(self) -> bytes:
        framing, body = self.framing(self, self.body())
        quoted = self.boundary if re.fullmatch(rb"[\w-]+", self.boundary) else b'"' + self.boundary + b'"'
        content_type = b"multipart/form-data; boundary=" + quoted if self.content_type is None else self.content_type
        lines = [self.method + b" " + self.path + b" " + self.version, *self.headers, *framing]
        lines += [b"Content-Type: " + content_type] if content_type else []
        return b"\r\n".join([*lines, b"X-Request-ID: " + self.request_id]) + b"\r\n\r\n" + body


def text(name: bytes, data: bytes) -> Part:
    return Part([b'Content-Disposition: form-data; name="%s"' % name], data)


def image_part(draft: Draft) -> Part:
    """Return the part that is named image, the last one. Raises IndexError: there is none."""
    return [part for part in draft.parts if part.headers and b'name="image"' in part.headers[0]][-1]
