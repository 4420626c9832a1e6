"""A thousand kills, in databases of twenty."""

from pathlib import Path

import pytest

from support.crash import ROUNDS, survive_crashes

SEEDS = 50


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(100, 100 + SEEDS))
def test_nothing_acknowledged_is_lost_in_a_thousand_kills(tmp_path: Path, seed: int) -> None:
    survive_crashes(tmp_path, seed, ROUNDS)
