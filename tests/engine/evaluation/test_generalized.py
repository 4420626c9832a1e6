import numpy as np

from face_engine.evaluation.generalized import ServiceCount
from face_engine.evaluation.intervals import IdentityBootstrap, wilson
from face_engine.evaluation.labels import NO_FOLD
from support.oracles import Pair, block


def test_who_is_not_enrolled_matches_nobody() -> None:
    pairs = [
        Pair(0, 1, True, NO_FOLD, 100),
        Pair(1, 0, True, NO_FOLD, 100),
        Pair(0, 2, True, NO_FOLD, 900),
        Pair(0, 3, True, NO_FOLD, None),
        Pair(0, 4, False, NO_FOLD, 100),
        Pair(1, 4, False, NO_FOLD, 100),
        Pair(0, 5, False, NO_FOLD, None),
    ]
    bootstrap = IdentityBootstrap(np.array([0, 0, 0, 0, 1, 2], np.int32), 0)
    count = ServiceCount(np.array([True, False, True, True, True, True]), 500, bootstrap)
    for one in pairs:
        count.add(block([one]))
    rates = count.rates()
    assert (rates["gfrr"]["count"], rates["gfrr"]["of"]) == (3, 4)  # not enrolled, too far, not compared
    assert (rates["gfar"]["count"], rates["gfar"]["of"]) == (1, 3)
    assert (rates["fnmr_compared"]["count"], rates["fnmr_compared"]["of"]) == (1, 3)
    for rate in rates.values():
        by_pairs = wilson(rate["count"], rate["of"])
        assert by_pairs
        assert rate["low"] <= by_pairs[0] < by_pairs[1] <= rate["high"]
