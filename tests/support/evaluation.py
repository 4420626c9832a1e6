"""Made-up templates, evaluated: the documents that a report shows, without a photo or a network."""

import copy
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face_engine.evaluation.data_set import DataSetOptions
from face_engine.evaluation.encodings import ENCODED, ENROLLED, NO_FACE, STAGES, Encodings
from face_engine.evaluation.evaluate import EvaluationOptions, measure
from face_engine.evaluation.formed import FormedPairs
from face_engine.evaluation.labels import LabelledSet, Problems
from face_engine.evaluation.manifest import data_set_hash_of, manifest_of
from face_engine.evaluation.progress import silent
from face_engine.evaluation.reports import Report
from face_engine.evaluation.results import results_of
from face_engine.types import TEMPLATE_SIZE
from support.labelled import photo

NAMES = tuple(f"person {number}" for number in range(12))

FOLDS = 3
SIDE_BY_SIDE = 0.6
"""Distance of two persons, before their photos vary."""

WITHIN = 0.45
"""Distance of two photos of a person, on the average: the two kinds overlap around the tolerance of 0.6."""

Documents = tuple[dict[str, Any], dict[str, Any]]
"""Results and manifest."""


def documents(
    *,
    names: Sequence[str] = NAMES,
    photos_each: int = 3,
    within: float = WITHIN,
    subgroups: Mapping[str, Sequence[str]] | None = None,
    without_face: Sequence[int] = (),
    problems: Sequence[str] = (),
    target_fmr: float = 0.01,
) -> Documents:
    """Evaluate a set of made-up templates; every pair of photos is compared.

    Args:
        names: of the persons; a photo's file is `NAME/NUMBER.jpg`.
        within: how far the photos of a person differ; little of it keeps the two kinds of pairs apart.
        subgroups: for each column a value for each person.
        without_face: numbers of the photos that have no template.
    """
    columns = tuple((column, tuple(values)) for column, values in (subgroups or {}).items())
    made = _made(tuple(names), photos_each, within, columns, tuple(without_face), tuple(problems), target_fmr)
    return copy.deepcopy(made)


def results(**options: Any) -> dict[str, Any]:
    """Return the results alone; `options` as of `documents`."""
    return documents(**options)[0]


def with_tolerance(report: Path, copy: Path, tolerance: float) -> None:
    """Write a finished report once more, as if errors were told at another tolerance; its rates stay as they were."""
    shutil.copytree(report, copy)
    path = Report(copy).results_path
    document = json.loads(path.read_text())
    document["settings"]["tolerance"] = document["at_tolerance"]["tolerance"] = tolerance
    path.write_text(json.dumps(document))


@cache
def _made(
    names: tuple[str, ...],
    photos_each: int,
    within: float,
    subgroups: tuple[tuple[str, tuple[str, ...]], ...],
    without_face: tuple[int, ...],
    problems: tuple[str, ...],
    target_fmr: float,
) -> Documents:
    persons = np.repeat(np.arange(len(names), dtype=np.int32), photos_each)
    photos = [photo(f"{names[one]}/{number}.jpg", names[one]) for number, one in enumerate(persons)]
    pairs = FormedPairs(
        np.arange(len(photos), dtype=np.int32),
        persons,
        max_non_mated=1_000_000,
        seed=0,
        folds=(np.arange(len(names)) % FOLDS).astype(np.int16),
    )
    found = Problems()
    for text in problems:
        found.add("a list:1", text)
    by_photo = {column: [values[one] for one in persons] for column, values in subgroups}
    labelled = LabelledSet(photos, persons, by_photo, pairs, FOLDS, found, "made-up templates")
    data = DataSetOptions(Path("images"))
    options = EvaluationOptions(data, tolerance=0.6, target_fmr=target_fmr, gallery=4)
    settings = {
        "encoder_id": "fake/1",
        "runtime": "fake",
        "device": "cpu",
        "tolerance": options.tolerance,
        "target_fmr": target_fmr,
        "protocol": data.protocol,
        "seed": data.seed,
    }
    encodings = _encodings(persons, within, without_face)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(
            labelled, data_set_hash_of(labelled, data), encodings, options, Report(Path(folder)), settings, silent
        )
    manifest = manifest_of(settings, data, measured.data_set_hash, ["face-engine", "evaluate"], datetime.now(UTC))
    # As they are read again: what JSON has no word for would fail here.
    made: Documents = json.loads(json.dumps([results_of(measured), manifest], allow_nan=False))
    return made


def _encodings(persons: npt.NDArray[np.int32], within: float, without_face: Sequence[int]) -> Encodings:
    rng = np.random.default_rng(11)
    count, side = len(persons), np.sqrt(2 * TEMPLATE_SIZE)
    centres = rng.normal(0, SIDE_BY_SIDE / side, (int(persons.max()) + 1, TEMPLATE_SIZE))
    # Some photos are poorer than others.
    noise = rng.normal(0, within / side, (count, TEMPLATE_SIZE)) * rng.uniform(0.5, 1.5, (count, 1))
    seen = np.array([number not in without_face for number in range(count)])
    return Encodings(
        outcomes=[ENCODED if one else NO_FACE for one in seen],
        enrollments=[ENROLLED if one else NO_FACE for one in seen],
        rows=np.where(seen, np.arange(count), -1).astype(np.int32),
        vectors=(centres[persons] + noise).astype(np.float32),
        boxes=np.tile(np.array([40, 30, 79, 69], np.int32), (count, 1)),
        timings_ms=rng.uniform(1, 5, (count, len(STAGES))) * seen[:, None],
        seconds=1.5,
        encoded=count,
    )
