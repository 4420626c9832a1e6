"""What is to be measured: the order of an evaluation, kept beside the reports until the report is done."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from face_dashboard.accuracy.labelled_sets import PhotoSet
from face_dashboard.folders import is_name
from face_engine.evaluation.data_set import Protocol
from face_engine.evaluation.encodings import FaceChoice
from face_engine.files import replace_file

PREFIX, SUFFIX = ".", ".order"


@dataclass(frozen=True, slots=True)
class Order:
    """Which set is evaluated, and the options of `face-engine evaluate`."""

    set_name: str
    target_fmr: float = 1e-3
    tolerance: float = 0.6
    protocol: Protocol = "restricted"
    face: FaceChoice = "centre"
    skip_problems: bool = False


def keep(reports_dir: Path, name: str, order: Order) -> None:
    """Keep the order of a report that is not done. Raises OSError."""
    replace_file(_path(reports_dir, name), json.dumps(asdict(order)).encode())


def forget(reports_dir: Path, name: str) -> None:
    _path(reports_dir, name).unlink(missing_ok=True)


def unfinished(reports_dir: Path) -> dict[str, Order]:
    """Return what was ordered and is not done, by the name of the report: it can go on."""
    found: dict[str, Order] = {}
    for path in sorted(reports_dir.glob(f"{PREFIX}*{SUFFIX}")):
        name = path.name.removeprefix(PREFIX).removesuffix(SUFFIX)
        with suppress(OSError, ValueError, TypeError):  # it is not one of ours
            if is_name(name):
                found[name] = Order(**json.loads(path.read_bytes()))
    return found


def arguments(photos: PhotoSet, order: Order, report: Path) -> Iterator[str]:
    """Yield the arguments of `face-engine` for an order of this set."""
    yield from ("evaluate", "--images", str(photos.images), "--out", str(report), "--name", photos.name)
    for option, path in (("--pairs", photos.pairs), ("--labels", photos.labels)):
        if path is not None:
            yield from (option, str(path))
    if photos.layout == "lfw_pairs":
        yield from ("--protocol", order.protocol)
        if photos.people is not None and order.protocol == "unrestricted":
            yield from ("--people", str(photos.people))
    yield from ("--target-fmr", repr(order.target_fmr), "--tolerance", repr(order.tolerance), "--face", order.face)
    yield from ("--on-problem", "skip" if order.skip_problems else "refuse", "--progress", "json", "--json")


def _path(reports_dir: Path, name: str) -> Path:
    return reports_dir / f"{PREFIX}{name}{SUFFIX}"
