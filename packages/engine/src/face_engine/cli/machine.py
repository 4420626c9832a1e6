"""face-engine benchmark and doctor."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from face_engine.cli.common import EXIT_ENVIRONMENT, EXIT_INPUT, fail, message
from face_engine.doctor import examine
from face_engine.errors import FaceEngineError, PhotoFileTooLargeError, RuntimeUnavailableError, WeightsError
from face_engine.files import read_photo
from face_engine.runtimes import DEVICES, RUNTIMES, Device, check_runtime, device_status


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--runtime",
    "runtimes",
    type=click.Choice(RUNTIMES),
    multiple=True,
    help="Measure this one; may be given several times.  [default: every one that runs here]",
)
@click.option("--device", type=click.Choice(DEVICES), default="cpu", show_default=True)
@click.option("--callers", type=click.IntRange(1, 64), help="Callers at a time, beside one.  [default: the cores]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def benchmark(
    images: tuple[str, ...], runtimes: tuple[str, ...], device: Device, callers: int | None, as_json: bool
) -> None:
    """Measure what the IMAGEs cost with each runtime, side by side. The first one must show a face.

    Detection of one megapixel, encoding, and end to end: bytes in, templates out. With the runtime reference, which is
    dlib itself, it takes minutes.
    """
    from face_engine.benchmark import measure, table  # noqa: PLC0415 - it imports what doctor must be able to miss

    photos = []
    for image in images:
        try:
            photos.append(read_photo(Path(image)))
        except (PhotoFileTooLargeError, OSError) as error:
            fail(f"{image}: {message(error)}", EXIT_INPUT)
    names = runtimes or tuple(name for name in RUNTIMES if device_status(name, device).available)
    if not names:
        fail(f"no runtime can use the device {device} here; face-engine doctor tells what is missing", EXIT_ENVIRONMENT)
    try:
        for name in names:
            check_runtime(name, device)
        figures = measure(photos, names, device, callers)
    except (RuntimeUnavailableError, WeightsError) as error:
        fail(str(error), EXIT_ENVIRONMENT)
    except FaceEngineError as error:
        fail(str(error), EXIT_INPUT)
    click.echo(json.dumps(figures) if as_json else "\n".join(table(figures)))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def doctor(as_json: bool) -> None:
    """Show versions, runtimes, devices and weight files, and what is wrong with them.

    The exit status is 3 when what auto stands for cannot run here.
    """
    report = examine()
    click.echo(json.dumps(report) if as_json else "\n".join(_doctor_lines(report)))
    if not report["ok"]:
        sys.exit(EXIT_ENVIRONMENT)


def _doctor_lines(report: dict[str, Any]) -> list[str]:
    lines = ["Versions"]
    lines += [f"  {name:24} {found or 'not installed'}" for name, found in report["versions"].items()]
    lines.append("Runtimes")
    for runtime in report["runtimes"]:
        lines.append(f"  {runtime['name']}")
        for device in runtime["devices"]:
            lines.append(f"    {_mark(device['available'])} {device['device']:4}  {device['detail']}")
    lines += [f"  On {choice['device']}, auto is {choice['runtime']}: {choice['why']}" for choice in report["auto"]]
    lines.append("Weight files")
    for file in report["weights"]:
        detail = file.get("problem") or f"SHA-256 {file['sha256'][:16]}... as published"
        lines.append(f"  {_mark(file['ok'])} {file['file']}: {detail}")
    lines.append(f"Converted networks are kept in {report['cache'] or 'memory alone: this user has no home folder'}")
    lines.append("Ready." if report["ok"] else "Not ready: see what is marked with 'no' above.")
    return lines


def _mark(good: bool) -> str:
    return "yes" if good else "no "
