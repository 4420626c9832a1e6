"""A face's views: small variations of its chip, whose encodings are averaged into one template.

dlib's own remedy against the accidents of one crop is to average 100 random jitters of it. Four chosen views do better
for a twenty-fifth of the cost; docs/accuracy.md has the measurement.
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from face_engine.types import Chip

Encode = Callable[[Sequence[Chip]], npt.NDArray[np.float32]]
"""A runtime's `encode`: n chips to (n, 128) float32."""

Views = Literal["plain", "diagonal4"]
"""plain: the chip as it is, dlib's encoding without jitter. diagonal4: see `views_of`."""

VIEWS: tuple[Views, ...] = get_args(Views)
DEFAULT_VIEWS: Views = "diagonal4"

SHIFT = 3  # pixels of the chip; 2 to 5 were tried


def views_of(chip: Chip, views: Views) -> list[Chip]:
    """Return the chips to encode for one face.

    diagonal4: the chip moved by 3 pixels towards each of its corners, two of the four mirrored; the edge is repeated
    where nothing was.
    """
    if views == "plain":
        return [chip]
    size = chip.shape[0]
    padded = np.pad(chip, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
    near, far = slice(0, size), slice(2 * SHIFT, 2 * SHIFT + size)
    moved = padded[far, far], padded[near, near], padded[near, far][:, ::-1], padded[far, near][:, ::-1]
    return [np.ascontiguousarray(view) for view in moved]


def average(vectors: npt.NDArray[np.float32], faces: int) -> npt.NDArray[np.float32]:
    """Return the mean vector of each face: (faces * views, 128) float32, face by face, to (faces, 128)."""
    if faces == 0:
        return vectors.reshape(0, vectors.shape[-1])
    means = vectors.reshape(faces, -1, vectors.shape[-1]).mean(axis=1, dtype=np.float64)
    return np.asarray(means, dtype=np.float32)


def encoder_id(plain_id: str, views: Views) -> str:
    """Return the id of templates made with these views, from the id of plain ones."""
    if views == "plain":
        return plain_id
    encoder, precision = plain_id.rsplit("/", 1)
    return f"{encoder}/{views}/{precision}"


def encode_views(encode: Encode, chips: Sequence[Chip], views: Views) -> npt.NDArray[np.float32]:
    """Return a template's vector for each chip: (n, 128) float32; all views of all chips in one call of `encode`."""
    return average(encode([view for chip in chips for view in views_of(chip, views)]), len(chips))
