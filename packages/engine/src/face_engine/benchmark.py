"""What a photo costs with each runtime, side by side: the same photos, the same machine, one run.

Absolute times belong to the machine; ratios to dlib, and the share of the processor's own speed, can be compared.
"""

import math
import multiprocessing
import platform
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from face_engine.detection import lay_out_pyramid
from face_engine.encoding import DEFAULT_VIEWS, encode_views
from face_engine.errors import NoFaceFoundError
from face_engine.images import decode, resize
from face_engine.networks.models import load_detector
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import Device, Runtime, create_runtime, usable_cores
from face_engine.runtimes.converted import ConvertedRuntime
from face_engine.search import Scope
from face_engine.timing import StageTimings
from face_engine.types import Chip, ImageRGB

REFERENCE = "reference"
MEGAPIXEL = 1_000_000
PRODUCT_SIDE = 2048  # of the float32 matrix product
SCOPES: dict[str, Scope] = {"enrollment": "dominant_face", "analysis": "every_face"}


class NoFaceInFirstPhotoError(NoFaceFoundError):
    """Detection and encoding are measured on the first photo's face."""

    def __str__(self) -> str:
        return "the first photo must show a face"


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds over a number of measurements."""

    mean: float
    p50: float
    p95: float
    count: int

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> "Spread":
        p50, p95 = np.percentile(milliseconds, [50, 95])
        return cls(statistics.fmean(milliseconds), float(p50), float(p95), len(milliseconds))


@dataclass(frozen=True, slots=True)
class RuntimeFigures:
    """What one runtime was measured to do. Times in milliseconds, memory in MB."""

    runtime: str
    device: Device
    load: float
    detection: Spread
    """Of the first photo, resized to one megapixel, without upsampling."""

    around_network: float | None
    """The share of that which is spent outside the network; None where the runtime does not tell."""

    detection_gflops: float
    encoding: Spread
    """Of one chip, without averaging."""

    encoding_views: Spread
    """Of one face with the default views."""

    enrollment: Spread
    """End to end, over all photos: bytes in, template out."""

    analysis: Spread
    photos_per_second: dict[int, float]
    """By number of callers: all photos analysed, several times over."""

    memory_loaded: float
    memory_peak: float


def measure(
    photos: Sequence[bytes], runtimes: Sequence[str], device: Device = "cpu", callers: int | None = None
) -> dict[str, Any]:
    """Measure each runtime in a process of its own, one after the other. Return the figures, ready for JSON.

    Args:
        photos: JPEG or PNG files, at least one with a face first.
        callers: how many call at a time, beside one alone; as many as there are cores when None.

    Raises:
        FaceEngineError: a runtime cannot be loaded, a photo cannot be analysed, or the first one shows no face.
    """
    figures = []
    for name in runtimes:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            figures.append(
                process.submit(measure_runtime, list(photos), name, device, callers or usable_cores()).result()
            )
    return {
        "machine": {"processor": processor_name(), "cores": usable_cores(), "platform": platform.platform()},
        "matrix_product_gflops": matrix_product_gflops(),
        "photos": len(photos),
        "views": DEFAULT_VIEWS,
        "runtimes": [asdict(figure) for figure in figures],
    }


def measure_runtime(photos: list[bytes], name: str, device: Device, callers: int) -> RuntimeFigures:
    """Measure one runtime in this process."""
    start = time.perf_counter()
    runtime = create_runtime(name, device)
    engine = FaceEngine(runtime)
    engine.warm_up()
    load = _since(start)
    with _MemoryPeak() as memory:
        slow = name == REFERENCE
        repeats = 3 if slow else 20
        image = one_megapixel(decode(photos[0]))
        detection = _spread(lambda: runtime.detect(image, 0), repeats)
        chip = _some_chip(runtime, image)
        encoding = _spread(lambda: runtime.encode([chip]), 3 * repeats)
        encoding_views = _spread(lambda: encode_views(runtime.encode, [chip], DEFAULT_VIEWS), 3 * repeats)
        ends = {title: _end_to_end(engine, photos, scope, 1 if slow else 3) for title, scope in SCOPES.items()}
        rates = {1: 1000 / ends["analysis"].mean}
        if not slow:
            rates[callers] = _photos_per_second(engine, photos, callers)
    return RuntimeFigures(
        runtime=runtime.name,
        device=device,
        load=load,
        detection=detection,
        around_network=_share_around(runtime, image),
        detection_gflops=detector_operations(image.shape[1], image.shape[0]) / detection.p50 / 1e6,
        encoding=encoding,
        encoding_views=encoding_views,
        enrollment=ends["enrollment"],
        analysis=ends["analysis"],
        photos_per_second=rates,
        memory_loaded=memory.before,
        memory_peak=memory.peak,
    )


def table(figures: dict[str, Any]) -> list[str]:
    """Return the figures as lines for people, each runtime a column, with ratios to the reference where it is there."""
    runtimes = figures["runtimes"]
    reference = next((runtime for runtime in runtimes if runtime["runtime"] == REFERENCE), None)

    def line(title: str, values: Sequence[str]) -> str:
        return f"{title:38}" + "".join(f"{value:>24}" for value in values)

    def timed(title: str, key: str, part: str = "p50") -> str:
        values = []
        for runtime in runtimes:
            ratio = "" if reference is None else f"{reference[key][part] / runtime[key][part]:7.1f}x"
            values.append(f"{runtime[key][part]:.1f} ms{ratio:>9}")
        return line(title, values)

    product = figures["matrix_product_gflops"]
    lines = [
        f"{figures['machine']['processor']}, {figures['machine']['cores']} cores; "
        f"{figures['photos']} photos; views {figures['views']}",
        f"float32 matrix product: {product:.0f} GFLOP/s",
        "",
        line("", [f"{runtime['runtime']} on {runtime['device']}" for runtime in runtimes]),
        timed("detection of 1 megapixel", "detection"),
        line(
            "  GFLOP/s, of the matrix product",
            [f"{one['detection_gflops']:.0f}{one['detection_gflops'] / product:>9.0%}" for one in runtimes],
        ),
        line(
            "  around the network, of the network",
            [f"{one['around_network']:.1%}" if one["around_network"] is not None else "-" for one in runtimes],
        ),
        timed("encoding of a chip", "encoding"),
        timed("encoding of a face, all views", "encoding_views"),
    ]
    for scope in SCOPES:
        lines += [timed(f"{scope}, {part}", scope, part) for part in ("mean", "p50", "p95")]
    lines += [
        line(
            "photos analysed a second",
            [
                ", ".join(f"{rate:.1f} by {callers}" for callers, rate in one["photos_per_second"].items())
                for one in runtimes
            ],
        ),
        line("memory loaded, peak", [f"{one['memory_loaded']:.0f}, {one['memory_peak']:.0f} MB" for one in runtimes]),
        line("load and warm up", [f"{one['load']:.0f} ms" for one in runtimes]),
    ]
    return lines


def one_megapixel(image_rgb: ImageRGB) -> ImageRGB:
    """Return the image with about a million pixels, its sides in the same ratio."""
    return resize(image_rgb, math.sqrt(MEGAPIXEL / (image_rgb.shape[0] * image_rgb.shape[1])))


def detector_operations(width: int, height: int) -> int:
    """Return how many floating point operations dlib's detector does on a photo, multiplications and additions."""
    parameters = load_detector().parameters
    plane = lay_out_pyramid(width, height, parameters.pyramid_padding, parameters.pyramid_outer_padding)
    return parameters.network.operations(plane.height, plane.width)


def matrix_product_gflops() -> float:
    """Return what numpy reaches with a float32 matrix product on all cores."""
    factor = np.random.default_rng(0).random((PRODUCT_SIDE, PRODUCT_SIDE), np.float32)
    best = min(_times(lambda: factor @ factor, 5))
    return 2 * PRODUCT_SIDE**3 / best / 1e6


def processor_name() -> str:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


class _MemoryPeak:
    """Watches this process's resident memory, in MB, every 5 milliseconds."""

    def __enter__(self) -> "_MemoryPeak":
        self._process = psutil.Process()
        self.before = self.peak = self._resident()
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self.peak = max(self.peak, self._resident())

    def _resident(self) -> float:
        return float(self._process.memory_info().rss) / 1e6


def _some_chip(runtime: Runtime, image: ImageRGB) -> Chip:
    found = runtime.detect(image, 0)
    if not found:
        raise NoFaceInFirstPhotoError
    return runtime.align(image, [found[0].box])[0].chip


def _share_around(runtime: Runtime, image: ImageRGB) -> float | None:
    if not isinstance(runtime, ConvertedRuntime):
        return None
    timings_ms: StageTimings = {}
    for _ in range(5):
        runtime.timed_detect(image, 0, timings_ms)
    return timings_ms["around"] / timings_ms["network"]


def _end_to_end(engine: FaceEngine, photos: Sequence[bytes], scope: Scope, repeats: int) -> Spread:
    times: list[float] = []
    for photo in photos:
        times += _times(partial(engine.analyse, photo, scope), repeats)
    return Spread.of(times)


def _photos_per_second(engine: FaceEngine, photos: Sequence[bytes], callers: int) -> float:
    work = list(photos) * 3
    start = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(engine.analyse, work))
    return len(work) / (time.perf_counter() - start)


def _spread(work: Callable[[], object], repeats: int) -> Spread:
    """Return how long `repeats` calls take, after as many that warm up as a tenth of them."""
    _times(work, repeats // 10)
    return Spread.of(_times(work, repeats))


def _times(work: Callable[[], object], repeats: int) -> list[float]:
    milliseconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        milliseconds.append(_since(start))
    return milliseconds


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
