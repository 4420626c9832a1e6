import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.errors import EncoderMismatchError
from face_engine.matching import Comparison, compare, distances
from face_engine.types import Template

SEEDS = st.integers(0, 2**32 - 1)


def template(*start: float, encoder_id: str = "a") -> Template:
    vector = np.zeros(128, np.float32)
    vector[: len(start)] = start
    return Template(vector, encoder_id)


@given(SEEDS, st.integers(0, 5))
def test_distances_match_brute_force(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    probe = random.normal(size=128).astype(np.float32)
    references = random.normal(size=(count, 128)).astype(np.float32)
    expected = [
        math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(probe, row, strict=True))) for row in references
    ]
    assert distances(probe, references) == pytest.approx(expected, abs=1e-9)
    assert distances(probe, references).shape == (count,)


def test_the_nearest_reference_decides() -> None:
    comparison = compare(template(0.0), [template(0.9), template(0.25), template(0.5)])
    assert comparison == Comparison(0.25, 0.6, nearest=1)
    assert comparison.verdict == "match"


@pytest.mark.parametrize(
    ("distance", "verdict"), [(0.0, "match"), (0.5, "match"), (math.nextafter(0.5, 1), "dismatch"), (2.0, "dismatch")]
)
def test_the_tolerance_itself_is_a_match(distance: float, verdict: str) -> None:
    assert Comparison(distance, tolerance=0.5, nearest=0).verdict == verdict


def test_templates_of_another_encoder_are_never_compared() -> None:
    with pytest.raises(EncoderMismatchError, match="encoded by a, the reference by b"):
        compare(template(0.0), [template(0.0), template(0.0, encoder_id="b")])


def test_no_reference_is_no_verdict() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        compare(template(0.0), [])
