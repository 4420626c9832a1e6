"""Twenty thousand requests that nobody should send, others each time that the seeds are changed."""

from pathlib import Path

import pytest

from face_api.settings import Auth
from support.fuzzing import run_schemathesis, target
from support.raw_fuzz import fuzz

SEEDS = range(100, 105)
MESSAGES = 2_000
EXAMPLES = 260
REQUESTS = 5_000


@pytest.mark.torture
@pytest.mark.parametrize("seed", SEEDS)
def test_thousands_of_messages_spoilt_in_any_way(tmp_path: Path, seed: int) -> None:
    with target(tmp_path, "keys" if seed % 2 else "open") as server:
        told = fuzz(server.server, seed, range(MESSAGES), server.headers)
    print(f"seed {seed}: {sum(told.values())} answers, {dict(told.most_common())}")  # noqa: T201 - for docs/operations.md


@pytest.mark.torture
@pytest.mark.parametrize("auth", ["open", "keys"])
def test_the_document_tells_the_truth_thousands_of_times(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, auth: Auth
) -> None:
    with target(tmp_path_factory.mktemp("data"), auth) as server:
        requests = run_schemathesis(server, tmp_path, SEEDS[0], EXAMPLES)
    print(f"{auth}: {requests} requests")  # noqa: T201 - for docs/operations.md
    assert requests >= REQUESTS
