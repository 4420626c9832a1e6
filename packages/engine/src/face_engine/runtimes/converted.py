"""Runs dlib's networks as they were converted to ONNX; what executes a model is injected.

The photo's pyramid goes through the detector's stem in strips, so memory grows with the photo's pixels, not with the
network's activations on them, and the processor's caches are used well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_engine.detection import (
    PyramidPlane,
    ScoreRules,
    decode_scores,
    lay_out_pyramid,
    undo_upsampling,
)
from face_engine.errors import InferenceError
from face_engine.images import resize_aligned
from face_engine.networks.dlib_networks import Detector
from face_engine.networks.graph import PIXEL_SCALE
from face_engine.runtimes.base import Device
from face_engine.runtimes.dlib_steps import Aligner
from face_engine.runtimes.dlib_steps import upsample as upsample_image
from face_engine.timing import StageTimings, timed
from face_engine.types import TEMPLATE_SIZE, AlignedFace, Box, Chip, Detection, ImageRGB

STRIP_ROWS = 64
"""Rows of features a strip of the plane makes: enough to keep the overlap of two strips below 5 %."""

STEM_STRIDE = 8  # pixels of the plane for each feature
STEM_WINDOW = 29  # pixels of the plane that one feature sees: 1 + 4 (1 + 2 + 4)

MAX_BATCH = 32
"""Chips encoded in one run; more than any group photo's faces, and bounds the memory."""

Model = Callable[[npt.NDArray[np.generic]], npt.NDArray[np.float32]]
"""Runs a model with one input and one output. Safe to call from several threads. Raises InferenceError."""


@dataclass(frozen=True, slots=True)
class Models:
    """The three models, ready to run."""

    stem: Model
    head: Model
    encoder: Model


class ConvertedRuntime:
    """A runtime over the converted networks. Safe to call from several threads."""

    def __init__(
        self, name: str, device: Device, encoder_id: str, models: Models, detector: Detector, aligner: Aligner
    ) -> None:
        self.name = name
        self.device: Device = device
        self.encoder_id = encoder_id
        self._models = models
        self._detector = detector
        self._rules = ScoreRules(detector.window_wh, detector.max_overlap, detector.max_covered)
        self._aligner = aligner

    def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
        return self.timed_detect(image_rgb, upsample, {})

    def timed_detect(self, image_rgb: ImageRGB, upsample: int, timings_ms: StageTimings) -> list[Detection]:
        """Detect, and add the milliseconds within the network and around it to `timings_ms`."""
        try:
            with timed(timings_ms, "around"):
                enlarged = upsample_image(image_rgb, upsample)
                height, width = enlarged.shape[:2]
                layout = lay_out_pyramid(
                    width, height, self._detector.pyramid_padding, self._detector.pyramid_outer_padding
                )
                plane = build_plane(enlarged, layout, self._detector.network.mean_rgb)
            with timed(timings_ms, "network"):
                scores = self._score(plane)
            del plane
            with timed(timings_ms, "around"):
                found = decode_scores(scores, layout, self._rules)
                return [undo_upsampling(detection, upsample) for detection in found]
        except MemoryError as error:
            raise InferenceError("there is not enough memory for a photo of this size") from error

    def align(self, image_rgb: ImageRGB, boxes: Sequence[Box]) -> list[AlignedFace]:
        return self._aligner.align(image_rgb, boxes)

    def encode(self, chips: Sequence[Chip]) -> npt.NDArray[np.float32]:
        if not chips:
            return np.empty((0, TEMPLATE_SIZE), np.float32)
        batches = [np.stack(chips[start : start + MAX_BATCH]) for start in range(0, len(chips), MAX_BATCH)]
        return np.concatenate([self._models.encoder(batch) for batch in batches])

    def _score(self, plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the score map (rows, columns) of a plane (3, height, width)."""
        rows = (plane.shape[1] - STEM_WINDOW) // STEM_STRIDE + 1
        features: npt.NDArray[np.float32] | None = None
        for start in range(0, rows, STRIP_ROWS):
            stop = min(start + STRIP_ROWS, rows)
            strip = plane[None, :, STEM_STRIDE * start : STEM_STRIDE * (stop - 1) + STEM_WINDOW]
            part = self._models.stem(np.ascontiguousarray(strip))
            if features is None:
                features = np.empty((1, part.shape[1], rows, part.shape[3]), np.float32)
            features[:, :, start:stop] = part
        return np.asarray(self._models.head(features)[0, 0])  # type: ignore[arg-type]


def build_plane(
    image_rgb: ImageRGB, layout: PyramidPlane, mean_rgb: tuple[float, float, float]
) -> npt.NDArray[np.float32]:
    """Return the detector's input: the levels of the photo's pyramid, (3, height, width) float32.

    (pixel - mean) / 256, and zeros between the levels: dlib's input_rgb_image_pyramid. Each level is resized from the
    one before.
    """
    plane = np.zeros((3, layout.height, layout.width), np.float32)
    for channel, mean in enumerate(mean_rgb):
        target = _level(plane[channel], layout.levels[0])
        np.subtract(image_rgb[:, :, channel], np.float32(mean), out=target, dtype=np.float32)
        target *= np.float32(1 / PIXEL_SCALE)
        for larger, smaller in zip(layout.levels, layout.levels[1:], strict=False):
            resize_aligned(_level(plane[channel], larger), _level(plane[channel], smaller))
    return plane


def _level(channel: npt.NDArray[np.float32], box: Box) -> npt.NDArray[np.float32]:
    return channel[box.top : box.bottom + 1, box.left : box.right + 1]
