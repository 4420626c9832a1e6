"""Runs the engine outside the event loop's process.

Photos come from anywhere, and native code decodes them: what goes wrong there ends a worker, not the server. The
reference runtime also holds Python's global lock for seconds. So each worker is a process with an engine of its own,
and the cores are divided among them.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Protocol, TypeVar

from face_api.settings import Settings
from face_engine.errors import InferenceError
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import Device, create_runtime, usable_cores
from face_engine.search import Scope
from face_engine.types import Analysis

_Result = TypeVar("_Result")


class Analyser(Protocol):
    """What the services need of the engine."""

    runtime: str
    encoder_id: str

    async def analyse(self, image_bytes: bytes, scope: Scope = "every_face") -> Analysis:
        """Find and encode the faces of a photo (see FaceEngine.analyse).

        Raises:
            ImageError: the bytes are no photo that can be analysed.
            InferenceError: the networks failed; says nothing of the photo.
        """
        ...


class WorkerLostError(InferenceError):
    """A worker process died (out of memory, most often). The photo may be tried again."""

    reason = "inference_worker_lost"


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What it takes to build the engine that the settings name."""

    runtime: str
    device: Device
    exact_upsample: int | None
    """How often dlib's own search doubles the photo's sides; None for the search within a budget."""
    max_pixels: int
    threads: int
    """Cores for one photo."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "EngineConfig":
        return cls(
            settings.runtime,
            settings.device,
            settings.upsample if settings.exact else None,
            settings.max_image_pixels,
            max(1, usable_cores() // settings.inference_workers),
        )

    def create_engine(self) -> FaceEngine:
        """Load the networks. Raises FaceEngineError where they cannot be loaded here."""
        runtime = create_runtime(self.runtime, self.device, self.threads)
        if self.exact_upsample is None:
            return FaceEngine(runtime, max_pixels=self.max_pixels)
        return FaceEngine.exact(runtime, self.exact_upsample, self.max_pixels)


class InferencePool:
    """A fixed number of worker processes, each with a loaded engine. `start` before the first photo.

    Photos wait here, not with a worker: a worker that dies costs the one photo it had, and a caller who goes away
    leaves the line.
    """

    def __init__(self, config: EngineConfig, workers: int) -> None:
        self._workers = [_Worker(config) for _ in range(workers)]
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self.runtime = ""
        self.encoder_id = ""

    async def start(self) -> None:
        """Start the workers and wait until their networks are loaded.

        Raises:
            FaceEngineError: the engine cannot be built; says why.
        """
        try:
            loaded = await asyncio.gather(*(asyncio.wrap_future(worker.submit(_load)) for worker in self._workers))
        except BaseException:
            self.close()
            raise
        self.runtime, self.encoder_id = loaded[0]
        for worker in self._workers:
            self._idle.put_nowait(worker)

    async def analyse(self, image_bytes: bytes, scope: Scope = "every_face") -> Analysis:
        """Analyse a photo as soon as a worker is idle.

        Raises:
            ImageError: the bytes are no photo that can be analysed.
            WorkerLostError: the worker died, or could not be started. The next photo finds another one.
            InferenceError: the networks failed.
        """
        worker = await self._idle.get()
        try:
            future = worker.submit(_analyse, image_bytes, scope)
        except (OSError, BrokenProcessPool) as error:
            self._idle.put_nowait(worker)
            raise WorkerLostError(f"a worker process cannot be started: {error}") from error
        # Not when this call ends, which may be cancelled, but when the worker is free: then the next photo may have it.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda done: _call_in(loop, self._release, worker, done))
        try:
            return await asyncio.wrap_future(future)
        except BrokenProcessPool as error:
            raise WorkerLostError("a worker process died; another one is starting") from error

    def close(self) -> None:
        """Stop the workers; a photo that is being analysed is finished."""
        for worker in self._workers:
            worker.close()

    def _release(self, worker: "_Worker", done: Future[Analysis]) -> None:
        if not done.cancelled() and isinstance(done.exception(), BrokenProcessPool):
            worker.restart()
        self._idle.put_nowait(worker)


class _Worker:
    """A place in the pool. Its process is started where there is none: at first, and after it died."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._executor: ProcessPoolExecutor | None = None
        self._closed = False

    def submit(self, call: Callable[..., _Result], *arguments: object) -> Future[_Result]:
        """Hand the process one call.

        Raises:
            OSError, BrokenProcessPool: the process cannot be started; a later call tries again.
        """
        try:
            return self._started().submit(call, *arguments)
        except (OSError, BrokenProcessPool):
            # Most often it died while it had nothing to do, and the call has not been begun.
            self._forget()
        try:
            return self._started().submit(call, *arguments)
        except (OSError, BrokenProcessPool):
            self._forget()
            raise

    def restart(self) -> None:
        """Start the process and load its networks while nobody waits for them; where that fails, `submit` will try."""
        self._forget()
        if not self._closed:
            with suppress(OSError, BrokenProcessPool):
                self.submit(_load)

    def close(self) -> None:
        self._closed = True
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:
            # One process each: an executor gives all its processes up when one of them dies.
            self._executor = ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(self._config,),
            )
        return self._executor

    def _forget(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
    with suppress(RuntimeError):  # the loop ended before the worker did
        loop.call_soon_threadsafe(call, *arguments)


# What follows runs in the worker processes.

_config: EngineConfig | None = None
_engine: FaceEngine | None = None


def _start_worker(config: EngineConfig) -> None:
    global _config  # noqa: PLW0603 - a worker process has one engine, and an executor offers no other place for it
    _config = config
    # Ctrl-C, and a supervisor's SIGTERM, reach the whole process group; the server decides when its workers stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _load_engine() -> FaceEngine:
    # Loaded by the first task rather than by the initializer: there an error would only break the pool, unexplained.
    global _engine  # noqa: PLW0603 - see _start_worker
    if _engine is None:
        if _config is None:
            raise InferenceError("the worker was not given its configuration")
        engine = _config.create_engine()
        engine.warm_up()
        _engine = engine
    return _engine


def _load() -> tuple[str, str]:
    engine = _load_engine()
    return engine.runtime.name, engine.encoder_id


def _analyse(image_bytes: bytes, scope: Scope) -> Analysis:
    return _load_engine().analyse(image_bytes, scope)
