"""Enroll: register the dominant face of a photo as a reference of a user."""

import hashlib
import time
from dataclasses import dataclass
from functools import partial

from anyio.to_thread import run_sync

from face_api.inference import Analyser
from face_api.services.photos import PhotoLimits, RefusalError
from face_api.services.recording import recorded, with_total
from face_api.settings import KeepImages
from face_api.store import Caller, Enrolled, Enrollment, Profile, Store
from face_engine.errors import FaceCountError, ImageError
from face_engine.images import encode_png
from face_engine.pipeline import dominant_face
from face_engine.timing import StageTimings, timed
from face_engine.types import Face


@dataclass(frozen=True, slots=True)
class EnrollmentResult:
    """The photo is a reference of the user: newly, or it was before."""

    reason: Enrolled
    timings_ms: StageTimings


@dataclass(frozen=True, slots=True)
class EnrollmentService:
    store: Store
    analyser: Analyser
    photo_limits: PhotoLimits
    references_per_user: int
    keep_images: KeepImages

    async def enroll(self, caller: Caller, company: str, user: str, profile: Profile, image: bytes) -> EnrollmentResult:
        """Register the photo. When this returns, the enrollment is on disk.

        Raises:
            RefusalError: the photo is not taken, or shows no face, or several of about the same size.
            StoreError, InferenceError: nothing is said of the photo, and it may be sent again.
        """
        self.photo_limits.check(image)
        start = time.perf_counter()
        timings_ms: StageTimings = {}
        enrollment = Enrollment(company, user, profile, hashlib.sha256(image).digest())
        with timed(timings_ms, "store"):
            known = await run_sync(self.store.enrollments.note_repetition, caller, enrollment, self.analyser.encoder_id)
        if known:
            return EnrollmentResult("already_enrolled", timings_ms)
        async with recorded(self.store, caller, "enroll", company, user, timings_ms):
            try:
                analysis = await self.analyser.analyse(image, "dominant_face")
                timings_ms.update(analysis.timings_ms)
                face = dominant_face(analysis)
            except (ImageError, FaceCountError) as error:
                raise RefusalError(error.reason) from error
        with timed(timings_ms, "store"):
            reason = await run_sync(partial(self._add, caller, enrollment, face, with_total(timings_ms, start)))
        return EnrollmentResult(reason, timings_ms)

    def _add(self, caller: Caller, enrollment: Enrollment, face: Face, timings_ms: StageTimings) -> Enrolled:
        chip_png = encode_png(face.chip) if self.keep_images == "chip" else None
        return self.store.enrollments.add(
            caller, enrollment, face.template, chip_png, self.references_per_user, timings_ms
        )
