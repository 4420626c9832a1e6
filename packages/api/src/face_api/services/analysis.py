"""Analyse: compare every face of a photo with the references of a user."""

from dataclasses import dataclass

from anyio.to_thread import run_sync

from face_api.inference import Analyser
from face_api.services.photos import PhotoLimits, RefusalError
from face_api.store import EnrollmentStore
from face_engine.errors import ImageError
from face_engine.matching import Comparison, compare
from face_engine.pipeline import left_to_right
from face_engine.timing import StageTimings, timed


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """One comparison for each face of the photo, from left to right; at least one."""

    comparisons: tuple[Comparison, ...]
    timings_ms: StageTimings


@dataclass(frozen=True, slots=True)
class AnalysisService:
    store: EnrollmentStore
    analyser: Analyser
    photo_limits: PhotoLimits
    tolerance: float

    async def analyse(self, company: str, user: str, image: bytes) -> AnalysisResult:
        """Compare every face of the photo with the user's references.

        Raises:
            RefusalError: the photo is not taken, the user is not registered, or there is no face.
            StoreUnavailableError, InferenceError: no verdict could be reached.
        """
        self.photo_limits.check(image)
        timings_ms: StageTimings = {}
        with timed(timings_ms, "store"):
            enrolled = await run_sync(self.store.references, company, user)
        if not enrolled:
            raise RefusalError("user_unregistered")
        references = [template for template in enrolled if template.encoder_id == self.analyser.encoder_id]
        if not references:
            raise RefusalError("references_outdated")
        try:
            analysis = await self.analyser.analyse(image, "every_face")
        except ImageError as error:
            raise RefusalError(error.reason) from error
        timings_ms.update(analysis.timings_ms)
        if not analysis.faces:
            raise RefusalError("no_face")
        with timed(timings_ms, "match"):
            comparisons = tuple(compare(face.template, references, self.tolerance) for face in left_to_right(analysis))
        return AnalysisResult(comparisons, timings_ms)
