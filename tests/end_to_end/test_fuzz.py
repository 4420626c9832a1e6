"""Whatever is sent, the answer is one of ours: no 5xx that nobody meant, no traceback, no hang. More: tests/torture."""

from pathlib import Path

import pytest

from face_api.settings import Auth
from support.fuzzing import run_schemathesis, target
from support.raw_fuzz import fuzz

SEED = 1
MESSAGES, MESSAGES_WITH_KEY, MESSAGES_WITHOUT_KEY = 600, 150, 50
EXAMPLES = 5
LEAST_REQUESTS = 500
"""Of Schemathesis; what the document alone leads to are already so many."""


def test_messages_spoilt_in_any_way(tmp_path: Path) -> None:
    with target(tmp_path, "open") as server:
        told = fuzz(server.server, SEED, range(MESSAGES))
    assert sum(told.values()) >= MESSAGES
    # All parts of the service were reached.
    assert {"200 enrolled", "200 compared", "201 enrolled", "200 form_invalid", "400 http_invalid"} <= set(told)


def test_messages_spoilt_in_any_way_with_a_key_and_without(tmp_path: Path) -> None:
    with target(tmp_path, "keys") as server:
        told = fuzz(server.server, SEED, range(MESSAGES_WITH_KEY), server.headers)
        assert "200 enrolled" in told
        refused = fuzz(server.server, SEED, range(MESSAGES_WITHOUT_KEY), [b"X-API-Key: fk_another"], is_let_in=False)
        assert "401 key_invalid" in refused


@pytest.mark.parametrize("auth", ["open", "keys"])
def test_the_document_tells_the_truth(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, auth: Auth) -> None:
    with target(tmp_path_factory.mktemp("data"), auth) as server:
        assert run_schemathesis(server, tmp_path, 0, EXAMPLES) >= LEAST_REQUESTS
