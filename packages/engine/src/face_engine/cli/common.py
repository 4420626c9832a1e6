"""What several commands share: the options of the engine, and how they fail."""

import math
import sys
from collections.abc import Callable
from typing import NoReturn

import click

from face_engine.errors import RuntimeUnavailableError, WeightsError
from face_engine.matching import DEFAULT_TOLERANCE, MAX_TOLERANCE
from face_engine.pipeline import DEFAULT_EXACT_UPSAMPLE, FaceEngine
from face_engine.runtimes import AUTO, DEVICES, MIN_GPU_MEMORY_MB, RUNTIMES, Device, create_runtime

EXIT_INPUT = 1
EXIT_ENVIRONMENT = 3


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
            "--gpu-memory",
            "gpu_memory_mb",
            metavar="MB",
            type=click.IntRange(MIN_GPU_MEMORY_MB),
            help="With --device cuda: what the networks may take of the GPU's memory.  [default: what there is]",
        ),
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


def tolerance_option(help_text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add --tolerance, the largest distance that is a match."""
    return click.option(
        "--tolerance",
        type=click.FloatRange(0, MAX_TOLERANCE),
        callback=not_nan,
        default=DEFAULT_TOLERANCE,
        show_default=True,
        help=help_text,
    )


def not_nan(_context: click.Context, _option: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("not a number")
    return value


def load_engine(
    runtime: str, device: Device, gpu_memory_mb: int | None, exact: bool, upsample: int | None
) -> FaceEngine:
    """Return the engine that the options ask for, or end the program and say why there is none."""
    if upsample is not None and not exact:
        raise click.UsageError("--upsample needs --exact: without it the photo's size decides")
    if gpu_memory_mb is not None and device != "cuda":
        raise click.UsageError("--gpu-memory needs --device cuda")
    try:
        loaded = create_runtime(runtime, device, gpu_memory_mb=gpu_memory_mb)
    except (RuntimeUnavailableError, WeightsError) as error:
        fail(str(error), EXIT_ENVIRONMENT)
    if exact:
        return FaceEngine.exact(loaded, DEFAULT_EXACT_UPSAMPLE if upsample is None else upsample)
    return FaceEngine(loaded)


def printable(line: str) -> str:
    """Return a line without what could steer a terminal: names of a set may hold anything."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def message(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def fail(message: str, status: int) -> NoReturn:
    click.echo(f"face-engine: {message}", err=True)
    sys.exit(status)
