"""How many strangers come as near, told by a calibration."""

import math
from collections.abc import Sequence

import numpy as np

from face_dashboard.models import Decision
from face_dashboard.translations import Say
from face_dashboard.words import number, percent
from face_engine.calibration import RULE_OF_THREE, Calibration

COMMON = 0.1
"""From this share on, percents read better than one in so many."""


def calibration_of(decision: Decision) -> Calibration | None:
    """Return what the service tells false match rates by; None where it tells none."""
    known = decision.calibration
    if known is None:
        return None
    return Calibration(
        encoder_id=decision.encoder_id,
        distances=tuple(known.distances),
        false_match_rates=tuple(known.false_match_rates),
        comparisons=known.comparisons,
        persons=known.persons,
        source=known.source,
        target_fmr=known.target_fmr,
        tolerance=known.tolerance,
        tolerance_interval=known.tolerance_interval,
    )


def strangers(rate: float | None, calibration: Calibration | None, _: Say) -> str:
    """Return an estimated false match rate as a sentence."""
    if rate is None:
        return _("How many strangers come as near is not known: the service has no calibration for its encoder.")
    if rate >= COMMON:
        return _("About {share} of strangers come as near.", share=percent(rate, 0))
    if calibration is not None and rate <= RULE_OF_THREE / calibration.comparisons:
        return _("Fewer than 1 in {count} strangers comes as near.", count=number(one_in(rate)))
    return _("About 1 in {count} strangers comes as near.", count=number(one_in(rate)))


def one_in(rate: float) -> int:
    """Return in how many a rate (0 to 1, not 0) is one, to two digits."""
    count = 1 / rate
    digits = int(10 ** max(0, math.floor(math.log10(count)) - 1))
    return round(count / digits) * digits


def distances_of(calibration: Calibration, rates: Sequence[float]) -> list[tuple[float, float]]:
    """Return (distance, rate) where the estimated rate reaches each of the ascending `rates` that it does reach."""
    distances = np.linspace(0.0, calibration.distances[-1], 2000)
    estimated = np.array([calibration.false_match_rate(float(distance)) for distance in distances])
    places = np.searchsorted(estimated, rates)
    return [
        (float(distances[place]), rate) for place, rate in zip(places, rates, strict=True) if 0 < place < len(distances)
    ]
