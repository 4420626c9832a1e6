"""The pool of worker processes with the real engine."""

import asyncio
import errno
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from multiprocessing import popen_spawn_posix

import numpy as np
import pytest

from face_api.errors import BusyError
from face_api.inference import AnalysisTooLongError, EngineConfig, InferencePool, WorkerLostError
from face_api.settings import Settings
from face_engine.errors import DeviceUnavailableError, ImageCorruptError
from face_engine.runtimes import device_status
from support.photos import jpeg, portrait

CONFIG = EngineConfig("reference", "cpu", exact_upsample=0, max_pixels=25_000_000, threads=1)
PHOTO = jpeg(portrait("obama.jpg"))
NO_PHOTO_OF_ANYBODY = jpeg(np.zeros((24, 24, 3), np.uint8))
SLOW_PHOTO = jpeg(portrait("obama.jpg", height=600))  # takes two seconds, so that a worker can die at it


def run_with_pool(
    scenario: Callable[[InferencePool], Awaitable[None]],
    workers: int = 1,
    max_waiting: int = 8,
    limit_s: float = 600.0,
    config: EngineConfig = CONFIG,
) -> None:
    async def run() -> None:
        pool = InferencePool(config, workers, max_waiting, limit_s)
        await pool.start()
        try:
            await scenario(pool)
        finally:
            pool.close()
        assert multiprocessing.active_children() == []

    asyncio.run(run())


def kill_a_worker() -> None:
    worker = multiprocessing.active_children()[0]
    assert worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(30)


def test_photos_are_analysed_while_the_event_loop_runs() -> None:
    async def scenario(pool: InferencePool) -> None:
        analysis = asyncio.ensure_future(pool.analyse(SLOW_PHOTO))
        turns = 0
        while not analysis.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert len(analysis.result().faces) == 1
        assert analysis.result().faces[0].template.encoder_id == pool.encoder_id
        # The search takes seconds: a loop that is held up turns once or twice.
        assert turns > 5

    run_with_pool(scenario)


def test_the_engines_errors_come_back_as_they_are() -> None:
    async def scenario(pool: InferencePool) -> None:
        with pytest.raises(ImageCorruptError):
            await pool.analyse(b"\xff\xd8\xff\xd9")

    run_with_pool(scenario)


def test_a_worker_that_dies_is_an_error_and_is_replaced() -> None:
    async def scenario(pool: InferencePool) -> None:
        doomed = asyncio.ensure_future(pool.analyse(SLOW_PHOTO))
        await asyncio.sleep(0.3)
        kill_a_worker()
        with pytest.raises(WorkerLostError):
            await doomed
        assert len((await pool.analyse(PHOTO)).faces) == 1

    run_with_pool(scenario)


def test_a_worker_that_dies_costs_nobody_elses_photo() -> None:
    async def scenario(pool: InferencePool) -> None:
        analyses = [asyncio.ensure_future(pool.analyse(SLOW_PHOTO)) for _ in range(4)]
        await asyncio.sleep(0.3)
        kill_a_worker()
        answers = await asyncio.gather(*analyses, return_exceptions=True)
        assert [isinstance(answer, WorkerLostError) for answer in answers].count(True) == 1
        assert [isinstance(answer, BaseException) for answer in answers].count(True) == 1

    run_with_pool(scenario, workers=2)


def test_a_worker_that_dies_while_idle_costs_nothing() -> None:
    async def scenario(pool: InferencePool) -> None:
        kill_a_worker()
        await asyncio.sleep(1)
        assert len((await pool.analyse(PHOTO)).faces) == 1

    run_with_pool(scenario)


def test_a_worker_that_cannot_be_started_again_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(pool: InferencePool) -> None:
        kill_a_worker()
        await asyncio.sleep(1)
        with monkeypatch.context() as patch:

            def no_memory(*_arguments: object) -> None:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

            patch.setattr(popen_spawn_posix.Popen, "_launch", no_memory)
            for _ in range(3):
                with pytest.raises(WorkerLostError):
                    await asyncio.wait_for(pool.analyse(PHOTO), 30)
        assert len((await asyncio.wait_for(pool.analyse(PHOTO), 60)).faces) == 1

    run_with_pool(scenario)


def test_a_caller_who_leaves_the_line_is_not_served() -> None:
    async def scenario(pool: InferencePool) -> None:
        first, *waiting, last = [asyncio.ensure_future(pool.analyse(PHOTO)) for _ in range(200)]
        await asyncio.sleep(0.1)
        for analysis in waiting:
            analysis.cancel()
        # Had the waiting been served, the last would come a minute later.
        assert len((await asyncio.wait_for(last, 30)).faces) == 1
        assert len((await first).faces) == 1

    run_with_pool(scenario, max_waiting=200)


def test_a_caller_who_leaves_a_worker_does_not_take_it_along() -> None:
    async def scenario(pool: InferencePool) -> None:
        for _ in range(3):
            analysis = asyncio.ensure_future(pool.analyse(PHOTO))
            await asyncio.sleep(0.1)
            analysis.cancel()
        assert len((await pool.analyse(PHOTO)).faces) == 1

    run_with_pool(scenario)


def test_above_the_limit_of_the_line_a_photo_is_refused_at_once() -> None:
    async def scenario(pool: InferencePool) -> None:
        analyses = [asyncio.ensure_future(pool.analyse(PHOTO)) for _ in range(3)]
        await asyncio.sleep(0)
        assert pool.waiting == 2
        with pytest.raises(BusyError, match="overloaded"):
            await pool.analyse(PHOTO)
        with pytest.raises(BusyError):
            pool.check_room()
        assert [len((await analysis).faces) for analysis in analyses] == [1, 1, 1]
        pool.check_room()
        assert pool.waiting == 0

    run_with_pool(scenario, max_waiting=2)


def test_who_leaves_the_line_makes_room() -> None:
    async def scenario(pool: InferencePool) -> None:
        first = asyncio.ensure_future(pool.analyse(PHOTO))
        second = asyncio.ensure_future(pool.analyse(PHOTO))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            pool.check_room()
        second.cancel()
        await asyncio.wait([second])
        pool.check_room()
        assert len((await first).faces) == 1

    run_with_pool(scenario, max_waiting=1)


def test_a_photo_that_takes_too_long_costs_its_worker_and_the_next_one_is_analysed() -> None:
    async def scenario(pool: InferencePool) -> None:
        with pytest.raises(AnalysisTooLongError):
            await pool.analyse(jpeg(portrait("obama.jpg", height=2_000)))
        # The next one waits for the new worker's networks; a photo without room for a face takes next to nothing.
        assert (await pool.analyse(NO_PHOTO_OF_ANYBODY)).faces == ()
        assert pool.ready_workers == 1

    run_with_pool(scenario, limit_s=5.0)


def test_a_photo_that_came_while_the_networks_were_loading_is_not_waited_for_longer() -> None:
    async def scenario(pool: InferencePool) -> None:
        kill_a_worker()
        with pytest.raises(AnalysisTooLongError):
            await pool.analyse(jpeg(portrait("obama.jpg", height=2_000)))

    run_with_pool(scenario, limit_s=0.01)


def test_a_worker_that_died_is_not_ready_until_another_one_is() -> None:
    async def scenario(pool: InferencePool) -> None:
        assert pool.ready_workers == 1
        kill_a_worker()
        assert pool.ready_workers == 0
        assert len((await pool.analyse(PHOTO)).faces) == 1
        assert pool.ready_workers == 1

    run_with_pool(scenario)


def test_a_device_that_is_not_there_is_said_so() -> None:
    if device_status("reference", "cuda").available:
        pytest.skip("this dlib has CUDA and a GPU")

    async def scenario() -> None:
        pool = InferencePool(EngineConfig("reference", "cuda", 0, 1_200_000, 25_000_000), 1, 8, 600.0)
        with pytest.raises(DeviceUnavailableError, match="compiled without CUDA"):
            await pool.start()

    asyncio.run(scenario())


def test_each_worker_is_held_to_the_gpu_memory_of_the_setting() -> None:
    assert EngineConfig.from_settings(Settings(device="cuda", gpu_memory_mb=2048)).gpu_memory_mb == 2048
    assert EngineConfig.from_settings(Settings(device="cuda")).gpu_memory_mb is None
