"""face-engine detect and compare."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from face_engine.cli.common import EXIT_INPUT, engine_options, fail, load_engine, message, tolerance_option
from face_engine.errors import FaceEngineError, PhotoFileTooLargeError
from face_engine.files import read_photo
from face_engine.matching import compare
from face_engine.pipeline import dominant_face
from face_engine.runtimes import Device
from face_engine.types import Analysis

PROGRESS_FROM_IMAGES = 2


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@engine_options
def detect(
    images: tuple[str, ...],
    runtime: str,
    device: Device,
    gpu_memory_mb: int | None,
    exact: bool,
    upsample: int | None,
    as_json: bool,
) -> None:
    """Print the faces of each IMAGE (JPEG or PNG).

    With --json, one line per image: its size, and for each face the box [left, top, right, bottom] (inclusive pixels),
    the confidence, five landmarks, how good a reference it is and why not, and the 128-d template.
    """
    engine = load_engine(runtime, device, gpu_memory_mb, exact, upsample)
    failed = False
    hide_progress = len(images) < PROGRESS_FROM_IMAGES or not sys.stderr.isatty()
    for image in tqdm(images, unit="photo", file=sys.stderr, disable=hide_progress, leave=False):
        try:
            analysis = engine.analyse(read_photo(Path(image)))
        except (FaceEngineError, OSError) as error:
            failed = True
            tqdm.write(f"face-engine: {image}: {message(error)}", file=sys.stderr)
            continue
        tqdm.write(json.dumps(_to_json(image, analysis)) if as_json else _to_text(image, analysis), file=sys.stdout)
        sys.stdout.flush()
    if failed:
        sys.exit(EXIT_INPUT)


@click.command("compare")
@click.argument("image_a", metavar="A")
@click.argument("image_b", metavar="B")
@tolerance_option("The largest distance that is a match.")
@engine_options
def compare_photos(  # the command's name is `compare`, which here is the engine's function
    image_a: str,
    image_b: str,
    tolerance: float,
    runtime: str,
    device: Device,
    gpu_memory_mb: int | None,
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
            photos[image] = read_photo(Path(image))
        except (PhotoFileTooLargeError, OSError) as error:
            fail(f"{image}: {message(error)}", EXIT_INPUT)
    engine = load_engine(runtime, device, gpu_memory_mb, exact, upsample)
    templates = []
    for image in (image_a, image_b):
        try:
            templates.append(dominant_face(engine.analyse(photos[image], "dominant_face")).template)
        except FaceEngineError as error:
            fail(f"{image}: {message(error)}", EXIT_INPUT)
    comparison = compare(templates[0], [templates[1]], tolerance)
    if as_json:
        result = {"distance": comparison.distance, "tolerance": tolerance, "verdict": comparison.verdict}
        click.echo(json.dumps(result))
    else:
        relation = "<=" if comparison.is_match else ">"
        click.echo(f"{comparison.verdict}: distance {comparison.distance:.4f} {relation} tolerance {tolerance:g}")


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
