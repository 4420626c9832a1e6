"""Gives freed memory back to the system."""

import ctypes
import sys


def trim() -> None:
    """Hand back what the C library keeps of freed memory, where it can be asked to; takes some milliseconds.

    glibc keeps freed blocks of up to 32 MB for the next ones. Every photo needs blocks of other sizes, so what is kept
    would grow to several photos' worth.
    """
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if malloc_trim is not None:
            malloc_trim(0)
