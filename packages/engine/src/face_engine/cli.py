"""face-engine: detect | compare | benchmark | doctor.

Results go to stdout, everything else to stderr. Exit status: 0 all was answered, 1 a photo could not be,
2 wrong usage, 3 the runtime, the device or the weights are not to be had here.
"""

import json
import math
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import click
from tqdm import tqdm

from face_engine import __version__
from face_engine.doctor import examine
from face_engine.errors import FaceEngineError, ImageError, RuntimeUnavailableError, WeightsError
from face_engine.matching import DEFAULT_TOLERANCE, MAX_TOLERANCE, compare
from face_engine.pipeline import DEFAULT_EXACT_UPSAMPLE, FaceEngine, dominant_face
from face_engine.runtimes import AUTO, DEVICES, RUNTIMES, Device, check_runtime, create_runtime, device_status
from face_engine.types import Analysis

EXIT_INPUT = 1
EXIT_ENVIRONMENT = 3

MAX_FILE_BYTES = 100_000_000

PROGRESS_FROM_IMAGES = 2


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose how photos are analysed."""
    options = (
        click.option(
            "--runtime",
            type=click.Choice([AUTO, *RUNTIMES]),
            default=AUTO,
            show_default=True,
            help="What executes the networks; `face-engine doctor` tells what auto stands for here.",
        ),
        click.option("--device", type=click.Choice(DEVICES), default="cpu", show_default=True),
        click.option(
            "--exact",
            is_flag=True,
            help="Answer what dlib answers: its search, whatever it costs, and its templates without averaging.",
        ),
        click.option(
            "--upsample",
            type=click.IntRange(0, 2),
            help="With --exact: double the photo's sides N times before the search.  "
            f"[default: {DEFAULT_EXACT_UPSAMPLE}]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs."),
    )
    for option in reversed(options):  # --help shows the last one that is added first
        command = option(command)
    return command


def _not_nan(_context: click.Context, _option: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("not a number")
    return value


def run() -> None:
    """Run the program: what it cannot write, to a full disk for instance, is an error like any other."""
    # dlib works for seconds without giving Python a chance to raise KeyboardInterrupt.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except OSError as error:
        # What is still in the buffer would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"cannot write the result: {_message(error)}", EXIT_INPUT)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="face-engine")
def main() -> None:
    """Find, encode and compare faces with dlib's networks."""


@main.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@engine_options
def detect(
    images: tuple[str, ...], runtime: str, device: Device, exact: bool, upsample: int | None, as_json: bool
) -> None:
    """Print the faces of each IMAGE (JPEG or PNG).

    With --json, one line per image: its size, and for each face the box [left, top, right, bottom] (inclusive pixels),
    the confidence, five landmarks, how good a reference it is and why not, and the 128-d template.
    """
    engine = _load_engine(runtime, device, exact, upsample)
    failed = False
    hide_progress = len(images) < PROGRESS_FROM_IMAGES or not sys.stderr.isatty()
    for image in tqdm(images, unit="photo", file=sys.stderr, disable=hide_progress, leave=False):
        try:
            analysis = engine.analyse(_read(image))
        except (FaceEngineError, OSError) as error:
            failed = True
            tqdm.write(f"face-engine: {image}: {_message(error)}", file=sys.stderr)
            continue
        tqdm.write(json.dumps(_to_json(image, analysis)) if as_json else _to_text(image, analysis), file=sys.stdout)
        sys.stdout.flush()
    if failed:
        sys.exit(EXIT_INPUT)


@main.command("compare")
@click.argument("image_a", metavar="A")
@click.argument("image_b", metavar="B")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, MAX_TOLERANCE),
    callback=_not_nan,
    default=DEFAULT_TOLERANCE,
    show_default=True,
)
@engine_options
def compare_photos(  # the command's name is `compare`, which here is the engine's function
    image_a: str,
    image_b: str,
    tolerance: float,
    runtime: str,
    device: Device,
    exact: bool,
    upsample: int | None,
    as_json: bool,
) -> None:
    """Tell whether A and B, photos of one person each, show the same one.

    A photo may hold other faces that are less than half as large.

    The exit status is 0 whatever the verdict is; 1 means that there is none.
    """
    photos = {}
    for image in (image_a, image_b):  # what cannot be read is said before anything takes long
        try:
            photos[image] = _read(image)
        except (ImageError, OSError) as error:
            _fail(f"{image}: {_message(error)}", EXIT_INPUT)
    engine = _load_engine(runtime, device, exact, upsample)
    templates = []
    for image in (image_a, image_b):
        try:
            templates.append(dominant_face(engine.analyse(photos[image], "dominant_face")).template)
        except FaceEngineError as error:
            _fail(f"{image}: {_message(error)}", EXIT_INPUT)
    comparison = compare(templates[0], [templates[1]], tolerance)
    if as_json:
        result = {"distance": comparison.distance, "tolerance": tolerance, "verdict": comparison.verdict}
        click.echo(json.dumps(result))
    else:
        relation = "<=" if comparison.is_match else ">"
        click.echo(f"{comparison.verdict}: distance {comparison.distance:.4f} {relation} tolerance {tolerance:g}")


@main.command()
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
            photos.append(_read(image))
        except (ImageError, OSError) as error:
            _fail(f"{image}: {_message(error)}", EXIT_INPUT)
    names = runtimes or tuple(name for name in RUNTIMES if device_status(name, device).available)
    if not names:
        _fail(
            f"no runtime can use the device {device} here; face-engine doctor tells what is missing", EXIT_ENVIRONMENT
        )
    try:
        for name in names:
            check_runtime(name, device)
        figures = measure(photos, names, device, callers)
    except (RuntimeUnavailableError, WeightsError) as error:
        _fail(str(error), EXIT_ENVIRONMENT)
    except FaceEngineError as error:
        _fail(str(error), EXIT_INPUT)
    click.echo(json.dumps(figures) if as_json else "\n".join(table(figures)))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def doctor(as_json: bool) -> None:
    """Show versions, runtimes, devices and weight files, and what is wrong with them.

    The exit status is 3 when what auto stands for cannot run here.
    """
    report = examine()
    click.echo(json.dumps(report) if as_json else "\n".join(_doctor_lines(report)))
    if not report["ok"]:
        sys.exit(EXIT_ENVIRONMENT)


def _load_engine(runtime: str, device: Device, exact: bool, upsample: int | None) -> FaceEngine:
    if upsample is not None and not exact:
        raise click.UsageError("--upsample needs --exact: without it the photo's size decides")
    try:
        loaded = create_runtime(runtime, device)
    except (RuntimeUnavailableError, WeightsError) as error:
        _fail(str(error), EXIT_ENVIRONMENT)
    if exact:
        return FaceEngine.exact(loaded, DEFAULT_EXACT_UPSAMPLE if upsample is None else upsample)
    return FaceEngine(loaded)


def _read(image: str) -> bytes:
    with Path(image).open("rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"larger than {MAX_FILE_BYTES // 1_000_000} MB")
    return data


def _to_json(image: str, analysis: Analysis) -> dict[str, Any]:
    return {
        "image": image,
        "width": analysis.width,
        "height": analysis.height,
        "faces": [
            {
                "box": list(face.box.ltrb),
                "confidence": face.confidence,
                "landmarks": face.landmarks.tolist(),
                "quality": asdict(face.quality),
                "template": face.template.vector.tolist(),
            }
            for face in analysis.faces
        ],
    }


def _to_text(image: str, analysis: Analysis) -> str:
    count = len(analysis.faces)
    seconds = sum(analysis.timings_ms.values()) / 1000
    faces = f"{count} face" if count == 1 else f"{count} faces"
    lines = [f"{image}: {analysis.width} x {analysis.height}, {faces}, {seconds:.2f} s"]
    for face in analysis.faces:
        left, top, right, bottom = face.box.ltrb
        lines.append(f"  left {left}, top {top}, right {right}, bottom {bottom}, confidence {face.confidence:.2f}")
    return "\n".join(lines)


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


def _message(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"face-engine: {message}", err=True)
    sys.exit(status)
