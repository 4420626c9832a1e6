"""Runs dlib's networks as they were converted to ONNX; what executes a model is injected.

The photo's pyramid goes through the detector's stem in strips, so memory grows with the photo's pixels, not with the
network's activations on them, and the processor's caches are used well.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_engine.detection import (
    PyramidPlane,
    decode_scores,
    lay_out_pyramid,
    undo_upsampling,
)
from face_engine.images import look_up, regions, resize_aligned
from face_engine.memory import trim
from face_engine.networks.dlib_networks import Detector
from face_engine.networks.graph import PIXEL_SCALE
from face_engine.runtimes.base import Device
from face_engine.runtimes.dlib_steps import Aligner
from face_engine.runtimes.dlib_steps import upsample as upsample_image
from face_engine.timing import StageTimings, timed
from face_engine.types import TEMPLATE_SIZE, AlignedFace, Box, Chip, Detection, ImageRGB

STRIP_ROWS = 16
"""Rows of features that a strip of the plane makes; two strips share 21 rows of pixels out of 149."""

STEM_STRIDE = 8  # pixels of the plane for each feature
STEM_WINDOW = 29  # pixels of the plane that one feature sees: 1 + 4 (1 + 2 + 4)

TRIM_PIXELS = 250_000
"""Pixels searched, after which freed memory is worth giving back: those of one photo, or of several small ones."""

MAX_BATCH = 32
"""Chips encoded in one run: eight faces with four views each. More take memory, and no less time."""

Model = Callable[[npt.NDArray[np.generic]], npt.NDArray[np.float32]]
"""Runs a model with one input and one output. Raises InferenceError."""


PROPOSAL_MARGIN = 0.1
"""How far below 0 a score of reduced precision may lie where the exact one is above.

Measured: 0.014 on photos, 0.034 on photos spoilt by noise and contrast."""

MAX_WINDOWS_SHARE = 0.5
"""Of the score map: where the windows around the candidates are more, the whole map is scored sooner."""

Region = tuple[slice, slice]
"""Rows and columns of a score map."""

HEAD_REACH = 10
"""Features in each direction that the head looks at around the one that it scores: 2 + 2 + 2 + 4."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """The two parts of the detector's network, ready to run."""

    stem: Model
    head: Model


class ConvertedRuntime:
    """A runtime over the converted networks. Safe to call from several threads.

    Args:
        scorer: the detector's network in float32, whose scores decide.
        proposer: the same in a reduced precision, if that is faster. It scores the whole photo, and where a face may be
            the scorer decides: so the answer is the scorer's own, as long as they differ by less than PROPOSAL_MARGIN.
    """

    def __init__(
        self,
        name: str,
        device: Device,
        encoder_id: str,
        detector: Detector,
        scorer: Scorer,
        encoder: Model,
        aligner: Aligner,
        proposer: Scorer | None = None,
    ) -> None:
        self.name = name
        self.device: Device = device
        self.encoder_id = encoder_id
        self._detector = detector
        self._scorer = scorer
        self._proposer = proposer
        self._encoder = encoder
        self._channels = detector.feature_channels
        self._aligner = aligner
        # A photo uses all cores; two at a time would only wait for each other's threads.
        self._turn = threading.Lock()
        self._searched = 0
        """Pixels, since memory was given back."""

    def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
        return self.timed_detect(image_rgb, upsample, {})

    def timed_detect(self, image_rgb: ImageRGB, upsample: int, timings_ms: StageTimings) -> list[Detection]:
        """Detect, and add the milliseconds within the network and around it to `timings_ms`."""
        with self._turn:
            found = self._detect(image_rgb, upsample, timings_ms)
            self._searched += image_rgb.shape[0] * image_rgb.shape[1] << (2 * upsample)
            if self._searched >= TRIM_PIXELS:
                trim()
                self._searched = 0
        return found

    def _detect(self, image_rgb: ImageRGB, upsample: int, timings_ms: StageTimings) -> list[Detection]:
        with timed(timings_ms, "around"):
            enlarged = upsample_image(image_rgb, upsample)
            height, width = enlarged.shape[:2]
            layout = lay_out_pyramid(
                width, height, self._detector.pyramid_padding, self._detector.pyramid_outer_padding
            )
            plane = build_plane(enlarged, layout, self._detector.network.mean_rgb)
        with timed(timings_ms, "network"):
            if self._proposer is None:
                features = self._features(plane, self._scorer.stem)
                del plane  # the largest thing by far, and the head takes memory too
                scores = self._scorer.head(features)[0, 0]
            else:
                proposed = self._proposer.head(self._features(plane, self._proposer.stem))[0, 0]
                scores = self._decide(plane, proposed > -PROPOSAL_MARGIN)
                del plane
        with timed(timings_ms, "around"):
            found = decode_scores(scores, layout, self._detector.rules)
            return [undo_upsampling(detection, upsample) for detection in found]

    def align(self, image_rgb: ImageRGB, boxes: Sequence[Box]) -> list[AlignedFace]:
        return self._aligner.align(image_rgb, boxes)

    def encode(self, chips: Sequence[Chip]) -> npt.NDArray[np.float32]:
        if not chips:
            return np.empty((0, TEMPLATE_SIZE), np.float32)
        batches = [np.stack(chips[start : start + MAX_BATCH]) for start in range(0, len(chips), MAX_BATCH)]
        vectors = []
        for batch in batches:
            with self._turn:
                vectors.append(self._encoder(batch))
        return np.concatenate(vectors)

    def _decide(self, plane: npt.NDArray[np.float32], candidates: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """Return the exact score map where `candidates` (rows, columns) is true, and below 0 elsewhere."""
        found = [(region, _around(region, candidates.shape)) for region in regions(candidates)]
        if sum(_cells(window) for _, window in found) > MAX_WINDOWS_SHARE * candidates.size:
            return np.asarray(self._scorer.head(self._features(plane, self._scorer.stem))[0, 0])
        scores = np.full(candidates.shape, -1, np.float32)
        for region, window in found:
            rows, columns = (
                slice(STEM_STRIDE * side.start, STEM_STRIDE * (side.stop - 1) + STEM_WINDOW) for side in window
            )
            features = self._scorer.stem(np.ascontiguousarray(plane[None, :, rows, columns]))
            inside = tuple(
                slice(side.start - outer.start, side.stop - outer.start)
                for side, outer in zip(region, window, strict=True)
            )
            scores[region] = self._scorer.head(features)[0, 0][inside]
        return scores

    def _features(self, plane: npt.NDArray[np.float32], stem: Model) -> npt.NDArray[np.float32]:
        """Return the stem's features (1, channels, rows, columns) of a plane (3, height, width)."""
        rows = (plane.shape[1] - STEM_WINDOW) // STEM_STRIDE + 1
        columns = (plane.shape[2] - STEM_WINDOW) // STEM_STRIDE + 1
        features = np.empty((1, self._channels, rows, columns), np.float32)
        for start in range(0, rows, STRIP_ROWS):
            stop = min(start + STRIP_ROWS, rows)
            strip = plane[None, :, STEM_STRIDE * start : STEM_STRIDE * (stop - 1) + STEM_WINDOW]
            features[:, :, start:stop] = stem(np.ascontiguousarray(strip))
        return features


def _around(region: Region, shape: tuple[int, ...]) -> Region:
    """Return the cells that the head must see to score a region. Beyond the map's edge it sees zeros by itself."""
    rows, columns = (
        slice(max(side.start - HEAD_REACH, 0), min(side.stop + HEAD_REACH, size))
        for side, size in zip(region, shape, strict=True)
    )
    return rows, columns


def _cells(region: Region) -> int:
    rows, columns = region
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def build_plane(
    image_rgb: ImageRGB, layout: PyramidPlane, mean_rgb: tuple[float, float, float]
) -> npt.NDArray[np.float32]:
    """Return the detector's input: the levels of the photo's pyramid, (3, height, width) float32.

    (pixel - mean) / 256, and zeros between the levels: dlib's input_rgb_image_pyramid. Each level is resized from the
    one before.
    """
    plane = np.zeros((3, layout.height, layout.width), np.float32)
    for channel, mean in enumerate(mean_rgb):
        values = (np.arange(256, dtype=np.float32) - np.float32(mean)) / np.float32(PIXEL_SCALE)
        look_up(image_rgb, channel, values, _level(plane[channel], layout.levels[0]))
        for larger, smaller in zip(layout.levels, layout.levels[1:], strict=False):
            resize_aligned(_level(plane[channel], larger), _level(plane[channel], smaller))
    return plane


def _level(channel: npt.NDArray[np.float32], box: Box) -> npt.NDArray[np.float32]:
    return channel[box.top : box.bottom + 1, box.left : box.right + 1]
