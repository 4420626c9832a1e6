"""FaceEngine: detect, align, encode. The engine's public door."""

from face_engine.detection import is_searchable, plan_working_size, to_photo
from face_engine.errors import NoFaceFoundError, SeveralFacesError
from face_engine.images import MAX_PIXELS, decode, resize
from face_engine.runtimes import Runtime
from face_engine.timing import StageTimings, timed
from face_engine.types import Analysis, Detection, Face, ImageRGB, Template

DEFAULT_UPSAMPLE = 1
"""face_recognition's default for face_locations."""


class FaceEngine:
    """Finds and encodes the faces of a photo with an injected runtime. Safe to call from several threads.

    Args:
        upsample: how many times dlib doubles the photo's sides before the search (0, 1, 2); each time finds faces
            half as large, at four times the cost.
        max_detection_pixels: pixels that the detector is given at most, after upsampling; beyond it the photo is
            resized to fit (see face_engine.detection). None: never, the search is exactly dlib's.
        max_pixels: photos with more are refused before they are decoded.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        upsample: int = DEFAULT_UPSAMPLE,
        max_detection_pixels: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.runtime = runtime
        self._upsample = upsample
        self._max_detection_pixels = max_detection_pixels
        self._max_pixels = max_pixels

    def analyse(self, image_bytes: bytes) -> Analysis:
        """Find, align and encode every face of a JPEG or PNG file.

        Raises:
            ImageError: the bytes are no photo that can be analysed.
            InferenceError: a network failed.
        """
        timings_ms: StageTimings = {}
        with timed(timings_ms, "decode"):
            image_rgb = decode(image_bytes, max_pixels=self._max_pixels)
        with timed(timings_ms, "detect"):
            detections = self._detect(image_rgb)
        with timed(timings_ms, "align"):
            aligned = self.runtime.align(image_rgb, [detection.box for detection in detections])
        with timed(timings_ms, "encode"):
            vectors = self.runtime.encode([face.chip for face in aligned])
        faces = tuple(
            Face(
                detection.box,
                detection.confidence,
                face.landmarks,
                face.chip,
                Template(vector, self.runtime.encoder_id),
            )
            for detection, face, vector in zip(detections, aligned, vectors, strict=True)
        )
        height, width = image_rgb.shape[:2]
        return Analysis(width, height, faces, timings_ms)

    def _detect(self, image_rgb: ImageRGB) -> list[Detection]:
        height, width = image_rgb.shape[:2]
        size = plan_working_size(width, height, self._upsample, self._max_detection_pixels)
        working_image = resize(image_rgb, size.scale)
        working_height, working_width = working_image.shape[:2]
        if not is_searchable(working_width, working_height, size.upsample):
            return []
        return [to_photo(detection, size.scale) for detection in self.runtime.detect(working_image, size.upsample)]


def only_face(analysis: Analysis) -> Face:
    """Return the face of a photo that must show exactly one.

    Raises:
        NoFaceFoundError: it shows none.
        SeveralFacesError: it shows more than one.
    """
    if not analysis.faces:
        raise NoFaceFoundError
    if len(analysis.faces) > 1:
        raise SeveralFacesError(len(analysis.faces))
    return analysis.faces[0]


def left_to_right(analysis: Analysis) -> list[Face]:
    """Return the faces by the left edge of their box, the upper one first where that is equal."""
    return sorted(analysis.faces, key=lambda face: (face.box.left, face.box.top))
