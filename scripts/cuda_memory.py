"""What a runtime takes of a device's memory, and what happens where there is too little."""

import multiprocessing
import resource
import shutil
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np
import psutil

from bench import in_format
from face_engine.errors import OutOfMemoryError
from face_engine.images import resize
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import MIN_GPU_MEMORY_MB, Device, create_runtime
from face_engine.types import ImageRGB

LARGEST_SIDE = 1800
"""Of a photo of 3.2 megapixels, the most that the default search looks at."""

TOO_LARGE_SIDE = 5000
"""Of a photo whose features take twice what the smallest bound has for them."""

CPU_ROOM = 300 << 20
"""Bytes that a process on the CPU may have beyond what it has when its networks are loaded."""

POLL_S = 0.02

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class NotRecoveredError(Exception):
    """Memory ran out, and not as it should have; the message says how."""


@dataclass(frozen=True, slots=True)
class Memory:
    """MB of the device (of this process where it is the CPU): before, and the most while photos were searched."""

    limit_mb: int | None
    before: float
    peak: float


def alone(work: Callable[_Arguments, _Result], *arguments: _Arguments.args, **keywords: _Arguments.kwargs) -> _Result:
    """Do some work in a process of its own, which holds the device's memory for no longer than that."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments, **keywords).result()


def measure_memory(name: str, device: Device, limit_mb: int | None, face: ImageRGB) -> Memory:
    """Search photos of many sizes up to the largest, in a process of its own. Raises FaceEngineError."""
    return alone(_measure_memory, name, device, limit_mb, face)


def run_out_of_memory(name: str, device: Device, face: ImageRGB) -> str:
    """Analyse a photo that is too large for the memory; return what was said of it.

    The GPU is held to MIN_GPU_MEMORY_MB, on the CPU the process is. The photo after it must be answered as before.

    Raises:
        NotRecoveredError: the large photo was answered, or the one after it was not as the one before.
    """
    return alone(_run_out_of_memory, name, device, face)


def used_mb(device: Device) -> float:
    """Return what is taken of the device's memory now: by everybody of the GPU, by this process of the CPU's."""
    if device == "cpu":
        return float(psutil.Process().memory_info().rss) / 1e6
    program = shutil.which("nvidia-smi") or "nvidia-smi"
    query = [program, "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    return float(subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout)


def _measure_memory(name: str, device: Device, limit_mb: int | None, face: ImageRGB) -> Memory:
    before = peak = used_mb(device)
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(POLL_S):
            peak = max(peak, used_mb(device))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        runtime = create_runtime(name, device, gpu_memory_mb=limit_mb)
        for side in range(LARGEST_SIDE // 10, LARGEST_SIDE + 1, LARGEST_SIDE // 10):
            runtime.detect(_of_side(face, side), 0)
        runtime.encode([np.ascontiguousarray(_of_side(face, 150))] * 32)
    finally:
        ended.set()
        watcher.join()
    return Memory(limit_mb, before, peak)


def _run_out_of_memory(name: str, device: Device, face: ImageRGB) -> str:
    runtime = create_runtime(name, device, gpu_memory_mb=MIN_GPU_MEMORY_MB if device == "cuda" else None)
    engine = FaceEngine.exact(runtime, upsample=0, max_pixels=TOO_LARGE_SIDE**2)
    photo, too_large = (in_format(_of_side(face, side), ".jpg") for side in (600, TOO_LARGE_SIDE))
    before = engine.analyse(photo).faces
    if device == "cpu":
        limit = psutil.Process().memory_info().vms + CPU_ROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        engine.analyse(too_large)
    except OutOfMemoryError as error:
        told = str(error)
    else:
        raise NotRecoveredError(f"a photo of {TOO_LARGE_SIDE} x {TOO_LARGE_SIDE} pixels was answered")
    after = engine.analyse(photo).faces
    if [face.box for face in before] != [face.box for face in after]:
        raise NotRecoveredError("the photo after the one that was too large was answered in another way than before it")
    return told


def _of_side(image_rgb: ImageRGB, side: int) -> ImageRGB:
    """Return a square photo of the middle of another one."""
    height, width = image_rgb.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    return resize(np.ascontiguousarray(image_rgb[top : top + least, left : left + least]), side / least)
