from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from face_engine.evaluation.data_set import DataSetOptions
from face_engine.evaluation.formed import FormedPairs
from face_engine.evaluation.labels import LabelledSet, Problems
from face_engine.evaluation.manifest import data_set_hash_of, manifest_of, source_sha256
from support.labelled import photo

OPTIONS = DataSetOptions(Path("images"))
IDENTITIES = np.array([0, 0, 1, 2], np.int32)


def labelled(seed: int = 0, max_non_mated: int = 100) -> LabelledSet:
    photos = [photo(f"{person}/{number}.jpg", str(person)) for number, person in enumerate(IDENTITIES)]
    pairs = FormedPairs(np.arange(4, dtype=np.int32), IDENTITIES, max_non_mated, seed)
    return LabelledSet(photos, IDENTITIES, {"sex": ["f", "f", "m", ""]}, pairs, 0, Problems(), "a test")


def test_the_same_set_has_the_same_hash() -> None:
    assert data_set_hash_of(labelled(), OPTIONS) == data_set_hash_of(labelled(seed=1), OPTIONS)  # all pairs, no sample


@pytest.mark.parametrize(
    "other",
    [
        replace(labelled(), photos=[*labelled().photos[:-1], photo("2/3.jpg", "2", "other bytes")]),
        replace(labelled(), photos=[*labelled().photos[:-1], photo("2/4.jpg", "2", "2/3.jpg")]),
        replace(labelled(), subgroups={"sex": ["f", "f", "m", "m"]}),
        replace(labelled(), subgroups={"gender": ["f", "f", "m", ""]}),
        labelled(max_non_mated=2),
        replace(labelled(), training=labelled().pairs),
    ],
    ids=["bytes", "name", "subgroup", "column", "pairs", "training"],
)
def test_another_set_has_another_hash(other: LabelledSet) -> None:
    assert data_set_hash_of(other, OPTIONS) != data_set_hash_of(labelled(), OPTIONS)


def test_a_manifest_tells_what_it_takes_to_do_it_again() -> None:
    command = ["face-engine", "evaluate"]
    manifest = manifest_of({"seed": 7}, OPTIONS, "ab", command, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert manifest["started"] == "2026-01-02T03:04:05Z"
    assert manifest["finished"] > manifest["started"]
    assert (manifest["command"], manifest["settings"], manifest["data_set"]["hash"]) == (command, {"seed": 7}, "ab")
    assert manifest["engine"]["source_sha256"] == source_sha256()
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["machine"]["cores"] >= 1
