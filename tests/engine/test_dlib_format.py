import math
import struct
import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.errors import NetworkFormatError
from face_engine.networks.dlib_format import (
    MAX_STRING_BYTES,
    MAX_TENSOR_VALUES,
    MAX_VECTOR_ITEMS,
    DlibReader,
    write_integer,
)

integers = st.integers(-(2**64) + 1, 2**64 - 1)

Read = Callable[[DlibReader], object]

READS: tuple[Read, ...] = (
    DlibReader.integer,
    DlibReader.boolean,
    DlibReader.byte,
    DlibReader.float,
    DlibReader.string,
    DlibReader.tensor,
    DlibReader.alias,
    lambda reader: reader.vector(reader.float),
    lambda reader: reader.vector(reader.string),
    lambda reader: reader.version("a layer", (1, 2)),
)


def reader_of(*parts: bytes) -> DlibReader:
    return DlibReader(b"".join(parts), "some.dat")


def numbers(*values: int) -> bytes:
    return b"".join(map(write_integer, values))


def text(value: bytes) -> bytes:
    return write_integer(len(value)) + value


def tensor(values: npt.NDArray[np.float32]) -> bytes:
    return numbers(2, *values.shape) + values.astype("<f4").tobytes()


VALUES = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2)
STREAM = b"".join(
    [
        numbers(-300),
        b"1",
        b"\x07",
        numbers(3, -1),
        text(b"con_4"),
        write_integer(2) + text(b"a") + text(b""),
        tensor(VALUES),
        numbers(1, 1, 2, 3, 4),
    ]
)
"""One of each kind of value."""


def read_stream(reader: DlibReader) -> list[object]:
    found = [
        reader.integer(),
        reader.boolean(),
        reader.byte(),
        reader.float(),
        reader.string(),
        reader.vector(reader.string),
        reader.tensor(),
        reader.alias(),
    ]
    reader.end()
    return found


def test_one_value_of_each_kind_is_read() -> None:
    *found, array, alias = read_stream(reader_of(STREAM))
    assert found == [-300, True, 7, 1.5, "con_4", ["a", ""]]
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float32
    assert np.array_equal(array, VALUES)
    assert alias == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x01\x00", 0),
        (b"\x01\xff", 255),
        (b"\x81\x05", -5),
        (b"\x81\x00", 0),
        (b"\x02\x00\x01", 256),
        (b"\x02\x05\x00", 5),  # more bytes than it needs
        (b"\x88" + b"\xff" * 8, -(2**64 - 1)),
        (b"\x08" + b"\xff" * 7 + b"\x7f", 2**63 - 1),
    ],
)
def test_integers_are_a_sign_a_size_and_little_endian_bytes(data: bytes, expected: int) -> None:
    reader = reader_of(data)
    assert reader.integer() == expected
    reader.end()


@given(integers)
def test_an_integer_is_read_as_it_was_written(value: int) -> None:
    reader = reader_of(write_integer(value))
    assert reader.integer() == value
    reader.end()


def test_a_byte_that_cannot_begin_an_integer_is_refused() -> None:
    for control in {*range(256)} - {*range(0x01, 0x09)} - {*range(0x81, 0x89)}:
        with pytest.raises(NetworkFormatError, match=f"cannot begin with the byte {control:#04x}"):
            reader_of(bytes([control]), bytes(16)).integer()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_mantissa_times_a_power_of_two(value: float) -> None:
    fraction, exponent = math.frexp(value)
    reader = reader_of(numbers(int(fraction * 2**53), exponent - 53))
    assert reader.float() == value


@given(integers, st.integers(-(2**64) + 1, 2**64 - 1) | st.integers(-1200, 1200) | st.integers(31_998, 32_003))
def test_what_is_no_finite_number_is_refused(mantissa: int, exponent: int) -> None:
    try:
        found = reader_of(numbers(mantissa, exponent)).float()
    except NetworkFormatError:
        return
    assert math.isfinite(found)


@pytest.mark.parametrize(("mantissa", "exponent"), [(1, 1023), (-1, 1023), (2**53 - 1, 971), (2**60, 963), (1, -1074)])
def test_the_largest_and_the_smallest_numbers_are_read(mantissa: int, exponent: int) -> None:
    assert reader_of(numbers(mantissa, exponent)).float() == math.ldexp(mantissa, exponent)


@pytest.mark.parametrize(
    ("mantissa", "exponent"),
    [
        (1, 1024),
        (2, 1023),
        (-(2**60), 964),
        (0, 32_000),  # infinity
        (0, 32_001),  # minus infinity
        (0, 32_002),  # not a number
        (1, 2**64 - 1),
    ],
)
def test_infinity_not_a_number_and_what_overflows_are_no_parameters(mantissa: int, exponent: int) -> None:
    with pytest.raises(NetworkFormatError, match="a parameter"):
        reader_of(numbers(mantissa, exponent)).float()


def test_booleans_are_the_digits_0_and_1() -> None:
    reader = reader_of(b"01\x01")
    assert [reader.boolean(), reader.boolean()] == [False, True]
    with pytest.raises(NetworkFormatError, match="a boolean is '0' or '1'"):
        reader.boolean()


def test_a_string_may_be_as_long_as_the_limit() -> None:
    assert len(reader_of(text(b"x" * MAX_STRING_BYTES)).string()) == MAX_STRING_BYTES


@pytest.mark.parametrize("size", [-1, MAX_STRING_BYTES + 1, 2**64 - 1])
def test_a_string_of_an_impossible_length_is_refused(size: int) -> None:
    with pytest.raises(NetworkFormatError, match=f"a string of {size} bytes"):
        reader_of(write_integer(size), b"x" * 2000).string()


def test_a_string_that_is_not_ascii_is_refused() -> None:
    with pytest.raises(NetworkFormatError, match="not text"):
        reader_of(text("네트워크".encode())).string()


@pytest.mark.parametrize("size", [-1, MAX_VECTOR_ITEMS + 1, 2**64 - 1])
def test_a_vector_of_an_impossible_length_is_refused(size: int) -> None:
    reader = reader_of(write_integer(size), bytes(3000))
    with pytest.raises(NetworkFormatError, match=f"a vector of {size} items"):
        reader.vector(reader.byte)


def test_a_vector_may_be_empty_or_as_long_as_the_limit() -> None:
    reader = reader_of(write_integer(0), write_integer(MAX_VECTOR_ITEMS), bytes(MAX_VECTOR_ITEMS))
    assert reader.vector(reader.byte) == []
    assert reader.vector(reader.byte) == [0] * MAX_VECTOR_ITEMS
    reader.end()


def test_a_tensor_may_be_empty() -> None:
    reader = reader_of(numbers(2, 0, 0, 0, 0), numbers(2, 0, 3, 1, 1))
    assert reader.tensor().shape == (0, 0, 0, 0)
    assert reader.tensor().shape == (0, 3, 1, 1)
    reader.end()


def test_a_tensor_can_be_written_to() -> None:
    reader_of(tensor(VALUES)).tensor()[:] = 0


@pytest.mark.parametrize(
    "shape",
    [
        (-1, 1, 1, 1),
        (-1, -1, 1, 1),
        (1, 0, -1, 5),
        (1, 1, 1, MAX_TENSOR_VALUES + 1),
        (2**32, 2**32, 1, 1),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, 2**64 - 1),
        (0, 2**64 - 1, 1, 1),  # empty, and yet larger than any array
        (0, 2**62, 2**62, 1),
    ],
)
def test_a_tensor_of_an_impossible_shape_is_refused(shape: tuple[int, int, int, int]) -> None:
    with pytest.raises(NetworkFormatError, match="a tensor of shape"):
        reader_of(numbers(2, *shape), bytes(64)).tensor()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_tensor_of_numbers_that_are_not_finite_is_refused(value: float) -> None:
    with pytest.raises(NetworkFormatError, match="not finite"):
        reader_of(tensor(np.full((1, 1, 1, 2), value, np.float32))).tensor()


def test_another_version_of_a_tensor_or_an_alias_is_refused() -> None:
    with pytest.raises(NetworkFormatError, match="the version of a tensor is 1, not 2"):
        reader_of(numbers(1, 0, 0, 0, 0)).tensor()
    with pytest.raises(NetworkFormatError, match="the version of an alias tensor is 2, not 1"):
        reader_of(numbers(2, 0, 0, 0, 0)).alias()


def test_a_version_is_one_of_those_that_are_accepted() -> None:
    assert reader_of(write_integer(2)).version("the layer", (2, 3)) == 2
    with pytest.raises(NetworkFormatError, match="the version of the layer is 4, not 2 or 3"):
        reader_of(write_integer(4)).version("the layer", (2, 3))


def test_what_follows_the_end_is_counted() -> None:
    reader = reader_of(write_integer(7), b"abc")
    reader.integer()
    with pytest.raises(NetworkFormatError, match="3 bytes follow the network"):
        reader.end()


def test_a_refusal_says_file_byte_and_context() -> None:
    reader = reader_of(numbers(1, 2), b"\xff")
    assert (reader.integer(), reader.integer()) == (1, 2)
    reader.context = "layer 3 from the input, con"
    with pytest.raises(NetworkFormatError) as caught:
        reader.boolean()
    assert caught.value.file == "some.dat"
    assert caught.value.place == "byte 5, layer 3 from the input, con"
    assert str(caught.value) == "some.dat, byte 5, layer 3 from the input, con: a boolean is '0' or '1', not b'\\xff'"


def test_a_refusal_without_context_says_file_and_byte() -> None:
    with pytest.raises(NetworkFormatError) as caught:
        reader_of(b"").byte()
    assert str(caught.value) == "some.dat, byte 0: the file ends here"


def test_a_value_that_is_cut_off_is_refused_where_its_missing_part_begins() -> None:
    with pytest.raises(NetworkFormatError) as caught:
        reader_of(b"\x04\x01\x02").integer()
    assert caught.value.place == "byte 1"
    assert caught.value.problem == "the file ends here"


@pytest.mark.parametrize("size", range(len(STREAM)))
def test_a_stream_that_is_cut_off_anywhere_is_refused(size: int) -> None:
    with pytest.raises(NetworkFormatError, match="the file ends here") as caught:
        read_stream(reader_of(STREAM[:size]))
    assert int(caught.value.place.removeprefix("byte ")) <= size


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (numbers(2, 1, 1, 1, MAX_TENSOR_VALUES), DlibReader.tensor),
        (numbers(2, MAX_TENSOR_VALUES, MAX_TENSOR_VALUES, MAX_TENSOR_VALUES, 1), DlibReader.tensor),
        (numbers(2**63), DlibReader.string),
        (numbers(MAX_STRING_BYTES), DlibReader.string),
        (numbers(2**63), lambda reader: reader.vector(reader.byte)),
        (numbers(MAX_VECTOR_ITEMS), lambda reader: reader.vector(reader.tensor)),
    ],
)
def test_no_memory_is_taken_for_a_length_that_the_file_only_claims(data: bytes, read: Read) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(NetworkFormatError):
            read(reader_of(data, b"xyz"))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


small_or_large = st.integers(-3, 9) | st.sampled_from([2**31, 2**32, 2**63, 2**64 - 1, -(2**63), 31_999, 32_000])
damage = st.lists(
    st.binary(max_size=40)
    | small_or_large.map(write_integer)
    | st.binary(max_size=12).map(text)
    | st.lists(small_or_large, min_size=4, max_size=4).map(lambda shape: numbers(2, *shape))
    | st.floats(width=32).map(lambda value: struct.pack("<f", value)),
    max_size=12,
).map(b"".join)


@given(damage, st.lists(st.sampled_from(READS), min_size=1, max_size=8))
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes, reads: list[Read]) -> None:
    reader = reader_of(data)
    try:
        for read in reads:
            read(reader)
        reader.end()
    except NetworkFormatError as error:
        assert str(error).startswith("some.dat, byte ")


@given(st.integers(0, len(STREAM) - 1), st.binary(max_size=9), st.integers(0, 9))
def test_a_damaged_stream_is_read_or_refused_and_nothing_else(start: int, inserted: bytes, removed: int) -> None:
    try:
        read_stream(reader_of(STREAM[:start], inserted, STREAM[start + removed :]))
    except NetworkFormatError as error:
        assert str(error).startswith("some.dat, byte ")
