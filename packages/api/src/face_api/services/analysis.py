"""Analyse: compare every face of a photo with the references of a user."""

import time
from dataclasses import dataclass, replace
from functools import partial

from anyio.to_thread import run_sync

from face_api.inference import Analyser
from face_api.services.photos import PhotoLimits, RefusalError
from face_api.services.recording import recorded, with_total
from face_api.store import Caller, Outcome, References, Store
from face_engine.errors import ImageError
from face_engine.matching import Comparison, compare
from face_engine.pipeline import left_to_right
from face_engine.timing import StageTimings, timed
from face_engine.types import Template


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """One comparison for each face of the photo, from left to right; at least one."""

    comparisons: tuple[Comparison, ...]
    timings_ms: StageTimings


@dataclass(frozen=True, slots=True)
class AnalysisService:
    store: Store
    analyser: Analyser
    photo_limits: PhotoLimits
    tolerance: float

    async def analyse(self, caller: Caller, company: str, user: str, image: bytes) -> AnalysisResult:
        """Compare every face of the photo with the user's references. When this returns, the verdict is on record.

        Raises:
            RefusalError: the photo is not taken, the user is not registered, or there is no face.
            StoreError, InferenceError: no verdict could be reached, or recorded.
        """
        self.photo_limits.check(image)
        start = time.perf_counter()
        timings_ms: StageTimings = {}
        async with recorded(self.store, caller, "analyse", company, user, timings_ms):
            references = await self._references(company, user, timings_ms)
            faces = await self._faces(image, timings_ms)
            while True:
                with timed(timings_ms, "match"):
                    comparisons = tuple(compare(face, references.templates, self.tolerance) for face in faces)
                outcome = Outcome("analyse", "compared", with_total(timings_ms, start), comparisons)
                with timed(timings_ms, "store"):
                    record = partial(self.store.events.record_verdict, caller, company, references, outcome)
                    if await run_sync(record):
                        return AnalysisResult(comparisons, timings_ms)
                # Erased while the photo was analysed, and perhaps enrolled again.
                references = await self._references(company, user, timings_ms)

    async def _references(self, company: str, user: str, timings_ms: StageTimings) -> References:
        with timed(timings_ms, "store"):
            references = await run_sync(self.store.enrollments.references, company, user)
        if references is None:
            raise RefusalError("user_unregistered")
        comparable = tuple(each for each in references.templates if each.encoder_id == self.analyser.encoder_id)
        if not comparable:
            raise RefusalError("references_outdated")
        return replace(references, templates=comparable)

    async def _faces(self, image: bytes, timings_ms: StageTimings) -> list[Template]:
        try:
            analysis = await self.analyser.analyse(image, "every_face")
        except ImageError as error:
            raise RefusalError(error.reason) from error
        timings_ms.update(analysis.timings_ms)
        if not analysis.faces:
            raise RefusalError("no_face")
        return [face.template for face in left_to_right(analysis)]
