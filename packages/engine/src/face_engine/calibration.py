"""What a distance is worth: the share of strangers who come as near.

It was measured once, and belongs to one encoder's templates; docs/accuracy.md has the figures and what they rest on.
"""

from dataclasses import dataclass

import numpy as np

RULE_OF_THREE = 3
"""Where none of n independent trials succeeded, the rate is below 3/n with 95 % confidence (Hanley and Lippman-Hand,
1983)."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """False match rates measured on non-mated pairs.

    All pairs of a set's photos are compared, so those of one photo are not independent. A rate is an estimate for
    strangers like those of the set, and no bound: between people of one family, or one part of the world, it can be
    many times as high.
    """

    encoder_id: str
    """Of the templates that were compared: the rates hold for no other ones."""

    distances: tuple[float, ...]
    """Ascending."""

    false_match_rates: tuple[float, ...]
    """The share of the comparisons up to each distance, 0 to 1; 1 at the last one."""

    comparisons: int
    """Number of non-mated pairs."""

    source: str
    """What was compared, and when."""

    def false_match_rate(self, distance: float) -> float:
        """Return the estimated share of strangers at a distance of 0 and more, or nearer.

        In (0, 1], growing: log-linear between the measured points, 1 from the last one on, and never below what so many
        comparisons can tell.
        """
        floor = RULE_OF_THREE / self.comparisons
        rates = np.maximum(self.false_match_rates, floor)
        return float(np.exp(np.interp(distance, self.distances, np.log(rates))))


def published(encoder_id: str) -> Calibration | None:
    """Return the measured rates of an encoder's templates, or None where they were not measured."""
    return _LFW_DEVELOPMENT if encoder_id == _LFW_DEVELOPMENT.encoder_id else None


_COMPARISONS = 443_145
_FALSE_MATCHES = {
    0.375: 0,
    0.400: 1,
    0.425: 8,
    0.450: 33,
    0.475: 94,
    0.500: 238,
    0.525: 585,
    0.550: 1_287,
    0.575: 2_910,
    0.600: 6_186,
    0.625: 12_407,
    0.650: 23_234,
    0.675: 40_425,
    0.700: 65_235,
    0.725: 97_417,
    0.750: 136_345,
    0.775: 179_699,
    0.800: 224_589,
    0.825: 268_865,
    0.850: 310_374,
    0.875: 347_885,
    0.900: 379_287,
    0.925: 403_930,
    0.950: 421_188,
    0.975: 431_983,
    1.000: 438_131,
    1.025: 441_105,
    1.050: 442_409,
    1.075: 442_889,
    1.100: 443_068,
    1.125: 443_123,
    1.150: 443_140,
    1.175: 443_145,
}
"""By distance: what scripts/calibration.py counted."""

_LFW_DEVELOPMENT = Calibration(
    encoder_id="dlib-resnet-v1:55533b28a958/5pt-150px-pad0.25/diagonal4/float32",
    distances=tuple(_FALSE_MATCHES),
    false_match_rates=tuple(matches / _COMPARISONS for matches in _FALSE_MATCHES.values()),
    comparisons=_COMPARISONS,
    source="943 photos of 379 persons of LFW (funneled) that its View 2 does not use; 2026-11-23",
)
