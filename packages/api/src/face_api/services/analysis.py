"""Analyse: compare every face of a photo with the references of a user."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from anyio.to_thread import run_sync

from face_api.errors import RefusalError
from face_api.inference import Analyser
from face_api.limits import AttemptLimits
from face_api.services.decision import Decision, Decisions
from face_api.services.photos import PhotoLimits
from face_api.services.recording import recorded, with_total
from face_api.store import Caller, Outcome, References, Store
from face_engine.calibration import Calibration
from face_engine.errors import ImageError
from face_engine.matching import Comparison, compare
from face_engine.pipeline import left_to_right
from face_engine.timing import StageTimings, timed
from face_engine.types import Analysis, Face


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A face of the photo, and how it compares. `reference_id`: the user's reference that is nearest."""

    face: Face
    comparison: Comparison
    reference_id: int


@dataclass(frozen=True, slots=True, eq=False)
class AnalysisResult:
    """Every face of the photo, from left to right; at least one.

    Args:
        width: the photo's, in pixels; and so its height.
        calibration: what tells an estimated false match rate; None where this encoder was not measured.
    """

    width: int
    height: int
    encoder_id: str
    calibration: Calibration | None
    persons: tuple[Person, ...]
    timings_ms: StageTimings


@dataclass(frozen=True, slots=True)
class AnalysisService:
    store: Store
    analyser: Analyser
    limits: AttemptLimits
    decisions: Decisions
    observe: Callable[[Outcome], None]

    async def analyse(
        self, caller: Caller, company: str, user: str, image: bytes, photo_limits: PhotoLimits
    ) -> AnalysisResult:
        """Compare every face of the photo with the user's references. When this returns, the verdict is on record.

        Raises:
            RefusalError: the photo is not taken, the user is not registered, or there is no face.
            TooManyError: too many faces were compared with this user.
            BusyError, StoreError, InferenceError: no verdict could be reached, or recorded.
        """
        photo_limits.check(image)
        start = time.perf_counter()
        timings_ms: StageTimings = {}
        async with recorded(self.store, caller, "analyse", company, user, timings_ms):
            references, decision = await self._references(company, user, timings_ms)
            self.analyser.check_room()  # before the attempt is counted
            await self.limits.count_attempt(company, user)
            analysis = await self._analyse(image, timings_ms)
            faces = left_to_right(analysis)
            await self.limits.count_more_attempts(company, user, len(faces) - 1)
            while True:
                with timed(timings_ms, "match"):
                    tolerance = decision.tolerance
                    comparisons = tuple(compare(face.template, references.templates, tolerance) for face in faces)
                outcome = Outcome("analyse", "compared", with_total(timings_ms, start), comparisons)
                with timed(timings_ms, "store"):
                    is_recorded = await run_sync(self.store.events.record_verdict, caller, company, references, outcome)
                if is_recorded:
                    self.observe(outcome)
                    persons = tuple(
                        Person(face, comparison, references.ids[comparison.nearest])
                        for face, comparison in zip(faces, comparisons, strict=True)
                    )
                    return AnalysisResult(
                        analysis.width,
                        analysis.height,
                        self.analyser.encoder_id,
                        decision.calibration(self.analyser.encoder_id),
                        persons,
                        with_total(timings_ms, start),
                    )
                # Erased while the photo was analysed, and perhaps enrolled again.
                references, decision = await self._references(company, user, timings_ms)

    async def _references(self, company: str, user: str, timings_ms: StageTimings) -> tuple[References, Decision]:
        """Return with what the photo is compared, and how: what was applied is read in the same transaction."""
        with timed(timings_ms, "store"):
            references = await run_sync(self.store.enrollments.references, company, user)
            if references is None:
                raise RefusalError("user_unregistered")
            comparable = references.made_by(self.analyser.encoder_id)
            if not comparable.ids:
                raise RefusalError("references_outdated")
            decision = await self.decisions.of(references.decision_tokens[self.analyser.encoder_id])
        return comparable, decision

    async def _analyse(self, image: bytes, timings_ms: StageTimings) -> Analysis:
        try:
            analysis = await self.analyser.analyse(image, "every_face")
        except ImageError as error:
            raise RefusalError(error.reason) from error
        timings_ms.update(analysis.timings_ms)
        if not analysis.faces:
            raise RefusalError("no_face")
        return analysis
