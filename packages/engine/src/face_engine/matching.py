"""Distances between templates, and the verdict.

A distance is Euclidean and lower is more alike. `is_match = distance <= tolerance`: the tie is a match, as in
face_recognition.compare_faces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from face_engine.errors import EncoderMismatchError
from face_engine.types import Template, Vector

DEFAULT_TOLERANCE = 0.6
"""face_recognition's default, and the threshold that dlib's author publishes for this network."""

MAX_TOLERANCE = 2.0
"""Beyond any distance this network makes; more is a slip of the hand, and would make everybody match."""

Verdict = Literal["match", "dismatch"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A probe against a user's references: the smallest distance decides."""

    distance: float
    tolerance: float
    nearest: int
    """Index of the reference at that distance; the first of several equals."""

    @property
    def is_match(self) -> bool:
        return self.distance <= self.tolerance

    @property
    def verdict(self) -> Verdict:
        return "match" if self.is_match else "dismatch"


def distances(probe: Vector, references: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the Euclidean distances (n,) float64 of `probe` (128,) to each of `references` (n, 128), n >= 0."""
    difference = references.astype(np.float64) - probe.astype(np.float64)
    return np.asarray(np.linalg.norm(difference, axis=1), dtype=np.float64)


def compare(probe: Template, references: Sequence[Template], tolerance: float = DEFAULT_TOLERANCE) -> Comparison:
    """Compare a probe with the references of one user.

    Raises:
        EncoderMismatchError: a reference was made by another encoder than the probe.
        ValueError: there is no reference.
    """
    if not references:
        raise ValueError("a comparison needs at least one reference")
    for reference in references:
        if reference.encoder_id != probe.encoder_id:
            raise EncoderMismatchError(probe.encoder_id, reference.encoder_id)
    all_distances = distances(probe.vector, np.stack([reference.vector for reference in references]))
    nearest = int(np.argmin(all_distances))
    return Comparison(float(all_distances[nearest]), tolerance, nearest)
