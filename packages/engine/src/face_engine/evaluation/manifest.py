"""What a report was made with and of: enough to make it again, and to tell whether two reports can be compared."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import face_engine
from face_engine.benchmark import processor_name
from face_engine.doctor import versions
from face_engine.evaluation.data_set import DataSetOptions
from face_engine.evaluation.labels import LabelledSet
from face_engine.runtimes import usable_cores

SCHEMA = "face-engine-manifest/1"


def manifest_of(
    settings: Mapping[str, Any], options: DataSetOptions, data_set_hash: str, command: Sequence[str], started: datetime
) -> dict[str, Any]:
    """Return the manifest of a report that is being written."""
    return {
        "schema": SCHEMA,
        "started": _utc(started),
        "finished": _utc(datetime.now(UTC)),
        "command": list(command),
        "engine": {"version": face_engine.__version__, "source_sha256": source_sha256()},
        "settings": dict(settings),
        "data_set": {
            "hash": data_set_hash,
            "images": str(options.images),
            "pairs": None if options.pairs is None else str(options.pairs),
            "labels": None if options.labels is None else str(options.labels),
            "people": None if options.people is None else str(options.people),
        },
        "machine": {"processor": processor_name(), "cores": usable_cores()},
        "versions": versions(),
    }


def source_sha256() -> str:
    """Return the SHA-256 of the engine's own source files: a version that is being worked on has one for each state."""
    digest = hashlib.sha256()
    folder = Path(face_engine.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def data_set_hash_of(labelled: LabelledSet, options: DataSetOptions) -> str:
    """Return the SHA-256 of all that is compared: photos, persons, subgroups, and the pairs in their order.

    Two reports with the same hash have the same pairs.
    """
    digest = hashlib.sha256()
    for index, photo in enumerate(labelled.photos):
        values = [column[index] for column in labelled.subgroups.values()]
        digest.update("\0".join([photo.file, photo.sha256, photo.person, *values]).encode() + b"\n")
    digest.update("\0".join(labelled.subgroups).encode())
    for block in labelled.pairs.blocks():
        digest.update(block.tobytes())
    digest.update(repr((options.protocol, labelled.training is not None)).encode())
    return digest.hexdigest()


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
