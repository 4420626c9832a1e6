"""What executes the networks raises whatever it likes; here it becomes the engine's own errors."""

from collections.abc import Callable
from typing import TypeVar

from face_engine.errors import InferenceError, OutOfMemoryError

Result = TypeVar("Result")

HEAD_LENGTH, TAIL_LENGTH = 150, 350
"""What is told of a message that is longer: ONNX Runtime begins with names of functions and files, twice at times."""

OUT_OF_MEMORY = (
    "Failed to allocate memory for requested buffer",  # ONNX Runtime: the device has no more
    "is smaller than requested bytes",  # ONNX Runtime: its limit
    "out of memory",  # CUDA's cudaErrorMemoryAllocation, told by ONNX Runtime and by dlib
    "ALLOC_FAILED",  # cuBLAS and cuDNN, told by ONNX Runtime
    "ALLOCATION_FAILED",  # cuDNN 9, likewise
    "CUDA Resources could not be allocated",  # cuBLAS and cuDNN, told by dlib
    "bad_alloc",  # C++
)
"""What a message holds where memory was missing; nobody tells it in another way."""


def inference_error(error: Exception) -> InferenceError:
    """Return what the engine raises where a network failed with `error`."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
        return OutOfMemoryError(message(error) or "there is not enough memory")
    return InferenceError(message(error))


def let_go(call: Callable[..., Result], *arguments: object) -> Result:
    """Call what runs networks. However long its error is known, it keeps no frame of that: no pixels, and no network.

    Raises:
        InferenceError: as it does; OutOfMemoryError for its MemoryError.
    """
    try:
        return call(*arguments)
    except MemoryError as error:
        failure = inference_error(error)
    except InferenceError as error:
        failure = error
    failure.__cause__ = failure.__context__ = None
    try:
        raise failure.with_traceback(None)
    finally:
        del failure, call, arguments  # the error holds this frame


def message(error: Exception) -> str:
    """Return a vendor's message in one line."""
    text = " ".join(str(error).split())
    return text if len(text) <= HEAD_LENGTH + TAIL_LENGTH else f"{text[:HEAD_LENGTH]} ... {text[-TAIL_LENGTH:]}"
