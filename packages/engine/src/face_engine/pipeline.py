"""FaceEngine: detect, align, encode. The engine's public door."""

from collections.abc import Sequence

import numpy as np

from face_engine.detection import is_searchable
from face_engine.encoding import DEFAULT_VIEWS, Views, encode_views, encoder_id
from face_engine.images import MAX_PIXELS, decode, resize
from face_engine.quality import assess
from face_engine.runtimes import Runtime
from face_engine.runtimes.failures import let_go
from face_engine.search import (
    BudgetedSearch,
    ExactSearch,
    Pass,
    Scope,
    Search,
    confirming,
    dominant_face,
    is_enough,
    to_photo,
)
from face_engine.timing import StageTimings, timed
from face_engine.types import Analysis, Box, Chip, Detection, Face, ImageRGB, Template

__all__ = ["DEFAULT_EXACT_UPSAMPLE", "FaceEngine", "dominant_face", "left_to_right"]

DEFAULT_EXACT_UPSAMPLE = 1
"""face_recognition's default for face_locations."""


class FaceEngine:
    """Finds and encodes the faces of a photo with an injected runtime. Safe to call from several threads.

    Args:
        search: at which sizes a photo is searched (see face_engine.search).
        views: how many encodings are averaged into a template (see face_engine.encoding).
        max_pixels: photos with more are refused before they are decoded.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        search: Search | None = None,
        views: Views = DEFAULT_VIEWS,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.runtime = runtime
        self.encoder_id = encoder_id(runtime.encoder_id, views)
        self._search = search or BudgetedSearch()
        self._views = views
        self._max_pixels = min(max_pixels, self._search.max_pixels)

    @classmethod
    def exact(cls, runtime: Runtime, upsample: int, max_pixels: int = MAX_PIXELS) -> "FaceEngine":
        """Return an engine that answers what dlib answers: its search, upsampled so many times, and plain templates."""
        return cls(runtime, search=ExactSearch(upsample), views="plain", max_pixels=max_pixels)

    def analyse(self, image_bytes: bytes, scope: Scope = "every_face") -> Analysis:
        """Find, align and encode the faces of a JPEG or PNG file.

        With the scope "dominant_face" the search may end before small faces are found; `dominant_face` then tells
        whether there is one.

        Raises:
            ImageError: the bytes are no photo that can be analysed.
            InferenceError: a network failed; OutOfMemoryError where there was not enough memory for it.
        """
        return let_go(self._analyse, image_bytes, scope)

    def _analyse(self, image_bytes: bytes, scope: Scope) -> Analysis:
        timings_ms: StageTimings = {}
        with timed(timings_ms, "decode"):
            image_rgb = decode(image_bytes, max_pixels=self._max_pixels)
        height, width = image_rgb.shape[:2]
        with timed(timings_ms, "detect"):
            detections = self._detect(image_rgb, scope)
        with timed(timings_ms, "align"):
            aligned = self.runtime.align(image_rgb, [detection.box for detection in detections])
            qualities = [assess(face.landmarks, face.chip, width, height) for face in aligned]
        with timed(timings_ms, "encode"):
            templates = self._encode([face.chip for face in aligned])
        faces = tuple(
            Face(detection.box, detection.confidence, face.landmarks, face.chip, template, quality)
            for detection, face, template, quality in zip(detections, aligned, templates, qualities, strict=True)
        )
        return Analysis(width, height, faces, timings_ms)

    def encode(self, chips: Sequence[Chip]) -> list[Template]:
        """Return the template of each chip, as `analyse` makes it. Raises InferenceError."""
        return let_go(self._encode, chips)

    def warm_up(self) -> None:
        """Run the networks once, so that the first photo takes no longer than the tenth."""
        image_rgb = np.zeros((240, 320, 3), np.uint8)
        self.runtime.detect(image_rgb, 0)
        (face,) = self.runtime.align(image_rgb, [Box(100, 60, 219, 179)])
        self.encode([face.chip])

    def _encode(self, chips: Sequence[Chip]) -> list[Template]:
        return [Template(vector, self.encoder_id) for vector in encode_views(self.runtime.encode, chips, self._views)]

    def _detect(self, image_rgb: ImageRGB, scope: Scope) -> list[Detection]:
        height, width = image_rgb.shape[:2]
        found: list[Detection] = []
        remaining = self._search.passes(width, height, scope)
        while remaining:
            step = remaining.pop(0)
            found = self._run(image_rgb, step) or found
            if is_enough(found, step):
                break
            if found:
                remaining = confirming(found, step, width * height)
        return found

    def _run(self, image_rgb: ImageRGB, step: Pass) -> list[Detection]:
        image_rgb = resize(image_rgb, step.scale)
        height, width = image_rgb.shape[:2]
        if not is_searchable(width, height, step.upsample):
            return []
        return [to_photo(detection, step.scale) for detection in self.runtime.detect(image_rgb, step.upsample)]


def left_to_right(analysis: Analysis) -> list[Face]:
    """Return the faces by the left edge of their box, the upper one first where that is equal."""
    return sorted(analysis.faces, key=lambda face: (face.box.left, face.box.top))
