"""dlib's serialized format: the primitives of which its .dat files are made.

Source of the format: dlib/serialize.h, dlib/float_details.h and dlib/cuda/tensor.h of dlib 20.0.1 (unchanged since the
files were published in 2017).
"""

import math
import struct
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from face_engine.errors import NetworkFormatError

_Item = TypeVar("_Item")

MAX_INTEGER_BYTES = 8
MAX_STRING_BYTES = 1_000
MAX_VECTOR_ITEMS = 1_000
MAX_TENSOR_VALUES = 50_000_000
"""Each limit is far above what the published files hold: a damaged length is refused before memory is taken for it."""

_FLOAT_INFINITY = 32_000  # float_details::is_inf, and every special value is at or above it
_OLD_FLOAT_MASK = 0x70  # set in the first byte of a number that old versions of dlib wrote as text


class DlibReader:
    """Reads a file's values one after another. Every refusal says where: the byte offset, and the layer.

    Args:
        name: what to call the file in an error.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._offset = 0
        self._name = name
        self.context = ""
        """What is being read, for the error's text: "layer 3, convolution" for instance."""

    def fail(self, problem: str) -> NetworkFormatError:
        """Return the error that says what was found, and where in which file."""
        place = f"byte {self._offset}" + (f", {self.context}" if self.context else "")
        return NetworkFormatError(self._name, place, problem)

    def expect(self, what: str, expected: Sequence[object], found: object) -> None:
        """Refuse a value that is none of the expected ones."""
        if found not in expected:
            wanted = " or ".join(repr(item) for item in expected)
            raise self.fail(f"{what} is {found!r}, not {wanted}")

    def integer(self) -> int:
        """Read an integer: a control byte (sign in bit 7, number of bytes in the low 4 bits), then little endian."""
        control = self._take(1)[0]
        size = control & 0x0F
        if not 1 <= size <= MAX_INTEGER_BYTES or control & _OLD_FLOAT_MASK:
            raise self.fail(f"an integer cannot begin with the byte {control:#04x}")
        value = int.from_bytes(self._take(size), "little")
        return -value if control & 0x80 else value

    def version(self, of: str, accepted: Sequence[int]) -> int:
        found = self.integer()
        self.expect(f"the version of {of}", accepted, found)
        return found

    def boolean(self) -> bool:
        found = self._take(1)
        if found not in (b"0", b"1"):
            raise self.fail(f"a boolean is '0' or '1', not {found!r}")
        return found == b"1"

    def byte(self) -> int:
        return self._take(1)[0]

    def float(self) -> float:
        """Read a floating point number: mantissa and exponent of 2, each an integer."""
        mantissa, exponent = self.integer(), self.integer()
        if exponent >= _FLOAT_INFINITY:
            raise self.fail("a parameter is not a finite number")
        try:
            return math.ldexp(mantissa, exponent)
        except OverflowError:
            raise self.fail(f"a parameter's exponent is {exponent}") from None

    def string(self) -> str:
        size = self.integer()
        if not 0 <= size <= MAX_STRING_BYTES:
            raise self.fail(f"a string of {size} bytes")
        found = self._take(size)
        try:
            return found.decode("ascii")
        except UnicodeDecodeError:
            raise self.fail(f"a string that is not text: {found[:40]!r}") from None

    def vector(self, item: Callable[[], _Item]) -> list[_Item]:
        size = self.integer()
        if not 0 <= size <= MAX_VECTOR_ITEMS:
            raise self.fail(f"a vector of {size} items")
        return [item() for _ in range(size)]

    def tensor(self) -> npt.NDArray[np.float32]:
        """Read a tensor: (samples, channels, rows, columns) float32."""
        self.version("a tensor", (2,))
        shape = tuple(self.integer() for _ in range(4))
        count = 1
        for size in shape:
            count *= size
        if min(shape) < 0 or max(*shape, count) > MAX_TENSOR_VALUES:
            raise self.fail(f"a tensor of shape {shape}")
        values = np.frombuffer(self._take(4 * count), "<f4").reshape(shape)
        if not np.isfinite(values).all():
            raise self.fail("a tensor holds values that are not finite numbers")
        return values.astype(np.float32)

    def alias(self) -> tuple[int, ...]:
        """Read an alias tensor: the shape of a part of another tensor."""
        self.version("an alias tensor", (1,))
        return tuple(self.integer() for _ in range(4))

    def end(self) -> None:
        """Refuse what follows the last value."""
        rest = len(self._data) - self._offset
        if rest:
            raise self.fail(f"{rest} bytes follow the network")

    def _take(self, size: int) -> bytes:
        found = self._data[self._offset : self._offset + size]
        if len(found) < size:
            raise self.fail("the file ends here")
        self._offset += size
        return found


def write_integer(value: int) -> bytes:
    """Return an integer as `DlibReader.integer` reads it."""
    magnitude = abs(value)
    size = max(1, (magnitude.bit_length() + 7) // 8)
    return struct.pack("B", size | (0x80 if value < 0 else 0)) + magnitude.to_bytes(size, "little")
