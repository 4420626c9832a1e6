"""The service's own line and worker processes; the engine sees `light_photo`s and takes as long as it is told."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from starlette.applications import Starlette

from face_api.app import create_app
from face_api.inference import EngineConfig, InferencePool
from face_api.settings import Settings
from face_engine.pipeline import FaceEngine
from face_engine.search import Scope
from face_engine.types import Analysis
from support.light_server import ENCODER_ID, light_analysis


class _Runtime:
    name = "light"


class LightEngine:
    """What a worker process needs of FaceEngine."""

    runtime = _Runtime()
    encoder_id = ENCODER_ID

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s

    def warm_up(self) -> None:
        """There is nothing to be warmed up."""

    def analyse(self, image_bytes: bytes, _scope: Scope) -> Analysis:
        time.sleep(self._delay_s)
        return light_analysis(image_bytes)


@dataclass(frozen=True, slots=True)
class LightConfig(EngineConfig):
    delay_s: float = 0.0

    def create_engine(self) -> FaceEngine:
        return cast(FaceEngine, LightEngine(self.delay_s))


def build_with_pool(settings: Settings, delay_s: float) -> Starlette:
    """Return the application with its workers, as `create_app` makes it without an analyser."""
    config = LightConfig("light", "cpu", None, settings.max_image_pixels, 1, delay_s=delay_s)
    pool = InferencePool(config, settings.inference_workers, settings.max_queue, settings.deadline_s)
    app = create_app(settings, pool)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        await pool.start()
        try:
            async with inner(app) as state:
                yield state or {}
        finally:
            pool.close()

    app.router.lifespan_context = lifespan
    return app
