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

from face_api.errors import BusyError
from face_api.settings import Settings
from face_engine.encoding import DEFAULT_VIEWS, encoder_id
from face_engine.errors import InferenceError
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import Device, create_runtime, encoder_id_of, usable_cores
from face_engine.search import Scope
from face_engine.types import Analysis

WATCH_S = 1.0

_Result = TypeVar("_Result")


class Analyser(Protocol):
    """What the services need of the engine."""

    runtime: str
    encoder_id: str

    @property
    def ready_workers(self) -> int:
        """How many can analyse a photo now, or once they are done with the one that they have."""
        ...

    @property
    def waiting(self) -> int:
        """How many photos wait for a worker."""
        ...

    def check_room(self) -> None:
        """Raise BusyError where a photo that came now would not be let into the line."""
        ...

    async def analyse(self, image_bytes: bytes, scope: Scope = "every_face") -> Analysis:
        """Find and encode the faces of a photo (see FaceEngine.analyse).

        Raises:
            ImageError: the bytes are no photo that can be analysed.
            BusyError: too many photos wait already.
            InferenceError: the networks failed; says nothing of the photo.
        """
        ...


class AnalysisTooLongError(InferenceError):
    """The photo took longer than any should. Its worker was ended, since nobody waits for it any more."""

    reason = "inference_timeout"


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
    gpu_memory_mb: int | None = None
    """Of the GPU, for this engine alone; None for what there is."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "EngineConfig":
        return cls(
            settings.runtime,
            settings.device,
            settings.upsample if settings.exact else None,
            settings.max_image_pixels,
            max(1, usable_cores() // (settings.workers * settings.inference_workers)),
            settings.gpu_memory_mb,
        )

    @property
    def encoder_id(self) -> str:
        """The id of the templates that the engine will make. Raises FaceEngineError where it cannot be built here."""
        plain = encoder_id_of(self.runtime, self.device)
        return plain if self.exact_upsample is not None else encoder_id(plain, DEFAULT_VIEWS)

    def create_engine(self) -> FaceEngine:
        """Load the networks. Raises FaceEngineError where they cannot be loaded here."""
        runtime = create_runtime(self.runtime, self.device, self.threads, self.gpu_memory_mb)
        if self.exact_upsample is None:
            return FaceEngine(runtime, max_pixels=self.max_pixels)
        return FaceEngine.exact(runtime, self.exact_upsample, self.max_pixels)


class InferencePool:
    """A fixed number of worker processes, each with a loaded engine. `start` before the first photo.

    Photos wait here, not with a worker: a worker that dies costs the one photo it had, and a caller who goes away
    leaves the line.

    Args:
        max_waiting: photos that may wait; one more is refused at once, so that those who wait need not wait long.
        limit_s: seconds that a worker may take for a photo before it is ended.
    """

    def __init__(self, config: EngineConfig, workers: int, max_waiting: int, limit_s: float) -> None:
        self._workers = [_Worker(config) for _ in range(workers)]
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._max_waiting = max_waiting
        self._limit_s = limit_s
        self.waiting = 0
        self.runtime = ""
        self.encoder_id = ""

    @property
    def ready_workers(self) -> int:
        return sum(worker.ready for worker in self._workers)

    def check_room(self) -> None:
        if self.waiting >= self._max_waiting and self._idle.empty():
            raise BusyError("overloaded")

    async def start(self) -> None:
        """Start the workers and wait until their networks are loaded.

        Raises:
            FaceEngineError: the engine cannot be built; says why.
        """
        try:
            loaded = await asyncio.gather(*(asyncio.wrap_future(worker.load()) for worker in self._workers))
        except BaseException:
            self.close()
            raise
        self.runtime, self.encoder_id = loaded[0].runtime, loaded[0].encoder_id
        for worker in self._workers:
            self._idle.put_nowait(worker)

    async def analyse(self, image_bytes: bytes, scope: Scope = "every_face") -> Analysis:
        """Analyse a photo as soon as a worker is idle.

        Raises:
            ImageError: the bytes are no photo that can be analysed.
            BusyError: too many photos wait already.
            WorkerLostError: the worker died, or could not be started. The next photo finds another one.
            AnalysisTooLongError: it took longer than the limit.
            InferenceError: the networks failed.
        """
        worker = await self._next_worker()
        worker.busy = True
        try:
            future = worker.submit(_analyse, image_bytes, scope)
        except (OSError, BrokenProcessPool) as error:
            self._put_back(worker)
            raise WorkerLostError(f"a worker process cannot be started: {error}") from error
        # Not when this call ends, which may be cancelled, but when the worker is free: then the next photo may have it.
        loop = asyncio.get_running_loop()
        limit = loop.call_later(self._limit_s, _kill_unless_done, worker, future)
        future.add_done_callback(lambda done: _call_in(loop, self._release, worker, done, limit))
        try:
            return await asyncio.wrap_future(future)
        except BrokenProcessPool as error:
            if limit.when() <= loop.time():
                raise AnalysisTooLongError(f"a photo took longer than {self._limit_s:g} s") from error
            raise WorkerLostError("a worker process died; another one is starting") from error

    async def replace_dead_workers(self) -> None:
        """Go on replacing those that died while they had nothing to do, until cancelled: a photo may never come."""
        while True:
            await asyncio.sleep(WATCH_S)
            for worker in self._workers:
                if worker.died_idle:
                    worker.restart()

    def close(self) -> None:
        """End the workers. Whoever may still be waited for was answered; nobody wants what they are doing."""
        for worker in self._workers:
            worker.close()

    async def _next_worker(self) -> "_Worker":
        self.check_room()
        self.waiting += 1
        try:
            return await self._idle.get()
        finally:
            self.waiting -= 1

    def _release(self, worker: "_Worker", done: Future[Analysis], limit: asyncio.TimerHandle) -> None:
        limit.cancel()
        if not done.cancelled() and isinstance(done.exception(), BrokenProcessPool):
            worker.restart()
        self._put_back(worker)

    def _put_back(self, worker: "_Worker") -> None:
        worker.busy = False
        self._idle.put_nowait(worker)


class _Worker:
    """A place in the pool. Its process is started where there is none: at first, and after it died."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._executor: ProcessPoolExecutor | None = None
        self._closed = False
        self._pid: int | None = None
        self.busy = False

    @property
    def ready(self) -> bool:
        """Whether there is a process that has loaded its networks."""
        return self._pid is not None and _is_alive(self._pid)

    @property
    def died_idle(self) -> bool:
        """Whether its process is gone and no photo will bring that to light."""
        return not self.busy and self._pid is not None and not _is_alive(self._pid)

    def load(self) -> Future["_Loaded"]:
        """Start the process and have it load its networks. Raises as `submit` does."""
        return self.submit(_load)

    def kill(self) -> None:
        """End the process, whatever it is doing; who waits for it is told that it died."""
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

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
                self._started()

    def close(self) -> None:
        self._closed = True
        if self._executor is not None:
            self.kill()
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
            self._executor.submit(_load).add_done_callback(self._note_loaded)
        return self._executor

    def _note_loaded(self, future: Future["_Loaded"]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._pid = future.result().pid

    def _forget(self) -> None:
        self._pid = None
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _kill_unless_done(worker: _Worker, future: Future[Analysis]) -> None:
    if not future.done():
        worker.kill()
        # While it still loads its networks nothing is known of its process.
        asyncio.get_running_loop().call_later(WATCH_S, _kill_unless_done, worker, future)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What a worker process tells of itself once its networks are loaded."""

    runtime: str
    encoder_id: str
    pid: int


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


def _load() -> _Loaded:
    engine = _load_engine()
    return _Loaded(engine.runtime.name, engine.encoder_id, os.getpid())


def _analyse(image_bytes: bytes, scope: Scope) -> Analysis:
    return _load_engine().analyse(image_bytes, scope)
