"""Enroll: register the dominant face of a photo as a reference of a user."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

from anyio.to_thread import run_sync

from face_api.errors import RefusalError
from face_api.inference import Analyser
from face_api.services.photos import PhotoLimits
from face_api.services.recording import recorded, with_total
from face_api.settings import KeepImages
from face_api.store import Added, Caller, Enrolled, Enrollment, Outcome, Profile, Store, Via
from face_engine.errors import FaceCountError, ImageError
from face_engine.images import encode_png
from face_engine.pipeline import dominant_face
from face_engine.timing import StageTimings, timed
from face_engine.types import Face


@dataclass(frozen=True, slots=True, eq=False)
class EnrollmentResult:
    """The photo is a reference of the user: newly, or it was before; then nothing was analysed, and `face` is None."""

    reason: Enrolled
    reference_id: int
    face: Face | None
    timings_ms: StageTimings


@dataclass(frozen=True, slots=True)
class EnrollmentService:
    """Args:
    quality_gate: whether a face that makes a poor reference is refused (see face_engine.quality).
    """

    store: Store
    analyser: Analyser
    references_per_user: int
    keep_images: KeepImages
    quality_gate: bool
    observe: Callable[[Outcome], None]

    async def enroll(
        self,
        caller: Caller,
        company: str,
        user: str,
        profile: Profile,
        image: bytes,
        photo_limits: PhotoLimits,
        via: Via,
    ) -> EnrollmentResult:
        """Register the photo. When this returns, the enrollment is on disk.

        Raises:
            RefusalError: the photo is not taken, or shows no face, several of about the same size, or a poor one.
            BusyError, StoreError, InferenceError: nothing is said of the photo, and it may be sent again.
        """
        photo_limits.check(image)
        start = time.perf_counter()
        timings_ms: StageTimings = {}
        enrollment = Enrollment(company, user, profile, hashlib.sha256(image).digest(), via)
        with timed(timings_ms, "store"):
            known = await run_sync(self.store.enrollments.note_repetition, caller, enrollment, self.analyser.encoder_id)
        if known is not None:
            return EnrollmentResult("already_enrolled", known, None, with_total(timings_ms, start))
        async with recorded(self.store, caller, "enroll", company, user, timings_ms):
            face = await self._face(image, timings_ms)
        total_ms = with_total(timings_ms, start)
        with timed(timings_ms, "store"):
            added = await run_sync(partial(self._add, caller, enrollment, face, total_ms))
        self.observe(Outcome("enroll", added.outcome, total_ms))
        return EnrollmentResult(added.outcome, added.reference_id, face, with_total(timings_ms, start))

    async def _face(self, image: bytes, timings_ms: StageTimings) -> Face:
        try:
            analysis = await self.analyser.analyse(image, "dominant_face")
            timings_ms.update(analysis.timings_ms)
            face = dominant_face(analysis)
        except (ImageError, FaceCountError) as error:
            raise RefusalError(error.reason) from error
        if self.quality_gate and face.quality.reasons:
            raise RefusalError(face.quality.reasons[0], {"quality": asdict(face.quality)})
        return face

    def _add(self, caller: Caller, enrollment: Enrollment, face: Face, timings_ms: StageTimings) -> Added:
        chip_png = encode_png(face.chip) if self.keep_images == "chip" else None
        return self.store.enrollments.add(
            caller, enrollment, face.template, chip_png, face.quality, self.references_per_user, timings_ms
        )
