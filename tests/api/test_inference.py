"""The pool of worker processes with the real engine."""

import asyncio
import multiprocessing
import os
import signal

import pytest

from face_api.inference import EngineConfig, InferencePool, WorkerLostError
from face_engine.errors import DeviceUnavailableError, ImageCorruptError
from face_engine.runtimes import device_status
from support.photos import jpeg, portrait

CONFIG = EngineConfig("reference", "cpu", upsample=0, max_detection_pixels=1_200_000, max_pixels=25_000_000)


def test_photos_are_analysed_while_the_event_loop_runs() -> None:
    async def scenario() -> None:
        pool = InferencePool(CONFIG, workers=1)
        await pool.start()
        try:
            analysis = asyncio.ensure_future(pool.analyse(jpeg(portrait("obama.jpg"))))
            turns = 0
            while not analysis.done():
                await asyncio.sleep(0.01)
                turns += 1
            assert len(analysis.result().faces) == 1
            assert analysis.result().faces[0].template.encoder_id == pool.encoder_id
            # The search takes tenths of a second: a loop that is held up turns once or twice.
            assert turns > 5
        finally:
            pool.close()

    asyncio.run(scenario())


def test_the_engines_errors_come_back_as_they_are() -> None:
    async def scenario() -> None:
        pool = InferencePool(CONFIG, workers=1)
        await pool.start()
        try:
            with pytest.raises(ImageCorruptError):
                await pool.analyse(b"\xff\xd8\xff\xd9")
        finally:
            pool.close()

    asyncio.run(scenario())


def test_a_worker_that_dies_is_an_error_and_is_replaced() -> None:
    async def scenario() -> None:
        pool = InferencePool(CONFIG, workers=1)
        await pool.start()
        try:
            photo = jpeg(portrait("obama.jpg", height=600))
            doomed = asyncio.ensure_future(pool.analyse(photo))
            await asyncio.sleep(0.3)
            (worker,) = multiprocessing.active_children()
            assert worker.pid
            os.kill(worker.pid, signal.SIGKILL)
            with pytest.raises(WorkerLostError):
                await doomed
            assert len((await pool.analyse(photo)).faces) == 1
        finally:
            pool.close()
        assert multiprocessing.active_children() == []

    asyncio.run(scenario())


def test_a_worker_that_dies_costs_nobody_elses_photo() -> None:
    async def scenario() -> None:
        pool = InferencePool(CONFIG, workers=2)
        await pool.start()
        try:
            photo = jpeg(portrait("obama.jpg", height=600))
            analyses = [asyncio.ensure_future(pool.analyse(photo)) for _ in range(5)]
            await asyncio.sleep(0.3)
            worker = multiprocessing.active_children()[0]
            assert worker.pid
            os.kill(worker.pid, signal.SIGKILL)
            answers = await asyncio.gather(*analyses, return_exceptions=True)
            assert [isinstance(answer, WorkerLostError) for answer in answers].count(True) == 1
        finally:
            pool.close()

    asyncio.run(scenario())


def test_a_worker_that_dies_while_idle_costs_nothing() -> None:
    async def scenario() -> None:
        pool = InferencePool(CONFIG, workers=1)
        await pool.start()
        try:
            (worker,) = multiprocessing.active_children()
            assert worker.pid
            os.kill(worker.pid, signal.SIGKILL)
            await asyncio.sleep(1)
            assert len((await pool.analyse(jpeg(portrait("obama.jpg")))).faces) == 1
        finally:
            pool.close()

    asyncio.run(scenario())


def test_a_caller_who_leaves_the_line_is_not_served() -> None:
    async def scenario() -> None:
        pool = InferencePool(CONFIG, workers=1)
        await pool.start()
        try:
            photo = jpeg(portrait("obama.jpg"))
            analyses = [asyncio.ensure_future(pool.analyse(photo)) for _ in range(20)]
            await asyncio.sleep(0.1)
            for analysis in analyses[:-1]:  # the first has its worker, the others wait
                analysis.cancel()
            assert len((await asyncio.wait_for(analyses[-1], 10)).faces) == 1
        finally:
            pool.close()

    asyncio.run(scenario())


def test_a_device_that_is_not_there_is_said_so() -> None:
    if device_status("reference", "cuda").available:
        pytest.skip("this dlib has CUDA and a GPU")

    async def scenario() -> None:
        pool = InferencePool(EngineConfig("reference", "cuda", 0, 1_200_000, 25_000_000), workers=1)
        with pytest.raises(DeviceUnavailableError, match="compiled without CUDA"):
            await pool.start()

    asyncio.run(scenario())
