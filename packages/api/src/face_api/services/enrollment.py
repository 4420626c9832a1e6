"""Enroll: register the dominant face of a photo as a reference of a user."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from anyio.to_thread import run_sync

from face_api.inference import Analyser
from face_api.services.photos import PhotoLimits, RefusalError
from face_api.store import Enrollment, EnrollmentStore, Profile
from face_engine.errors import FaceCountError, ImageError
from face_engine.pipeline import dominant_face
from face_engine.timing import StageTimings, timed


@dataclass(frozen=True, slots=True)
class EnrollmentResult:
    """The photo is a reference of the user: newly, or it was before."""

    reason: Literal["enrolled", "already_enrolled"]
    timings_ms: StageTimings


@dataclass(frozen=True, slots=True)
class EnrollmentService:
    store: EnrollmentStore
    analyser: Analyser
    photo_limits: PhotoLimits
    references_per_user: int

    async def enroll(self, company: str, user: str, profile: Profile, image: bytes) -> EnrollmentResult:
        """Register the photo. When this returns, the enrollment is on disk.

        Raises:
            RefusalError: the photo is not taken, or shows no face, or several of about the same size.
            StoreUnavailableError, InferenceError: nothing was changed, and nothing is said of the photo.
        """
        self.photo_limits.check(image)
        timings_ms: StageTimings = {}
        enrollment = Enrollment(company, user, profile, hashlib.sha256(image).digest())
        with timed(timings_ms, "store"):
            known = await run_sync(self.store.note_repetition, enrollment, self.analyser.encoder_id)
        if known:
            return EnrollmentResult("already_enrolled", timings_ms)
        try:
            analysis = await self.analyser.analyse(image, "dominant_face")
            face = dominant_face(analysis)
        except (ImageError, FaceCountError) as error:
            raise RefusalError(error.reason) from error
        timings_ms.update(analysis.timings_ms)
        with timed(timings_ms, "store"):
            added = await run_sync(self.store.add_reference, enrollment, face.template, self.references_per_user)
        return EnrollmentResult("enrolled" if added else "already_enrolled", timings_ms)
