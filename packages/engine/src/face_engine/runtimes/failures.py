"""What executes the networks raises whatever it likes; here it becomes the engine's own errors."""

from face_engine.errors import InferenceError, OutOfMemoryError

MESSAGE_LENGTH = 500

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
    text = message(error)
    if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return OutOfMemoryError(text or "there is not enough memory")
    return InferenceError(text)


def message(error: Exception) -> str:
    """Return a vendor's message in one line."""
    return " ".join(str(error).split())[:MESSAGE_LENGTH]
