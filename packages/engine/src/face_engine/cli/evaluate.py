"""face-engine evaluate: quality assurance on a labelled set, and the comparison of two reports."""

import json
import sys
from pathlib import Path
from typing import get_args

import click

from face_engine.cli.common import (
    EXIT_ENVIRONMENT,
    EXIT_INPUT,
    engine_options,
    fail,
    load_engine,
    not_nan,
    printable,
    tolerance_option,
)
from face_engine.cli.progress import ProgressForm, progress_in
from face_engine.errors import EvaluationError, InferenceError, ProblemsFoundError
from face_engine.evaluation.data_set import DataSetOptions, OnProblem, Protocol
from face_engine.evaluation.encodings import FaceChoice
from face_engine.pipeline import DEFAULT_EXACT_UPSAMPLE
from face_engine.runtimes import Device

EXIT_USAGE = 2
EXIT_REGRESSION = 1

PROBLEMS_SHOWN = 40

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(invoke_without_command=True)
@click.option("--images", type=_FOLDER, help="The folder of the photos.")
@click.option("--pairs", type=_FILE, help="LFW's pairs.txt, or a CSV with file_x, file_y and Decision (Yes or No).")
@click.option("--labels", type=_FILE, help="A CSV with file, person, and any columns of subgroups.")
@click.option("--people", type=_FILE, help="LFW's people.txt: with --protocol unrestricted, whose pairs are formed.")
@click.option(
    "--protocol",
    type=click.Choice(get_args(Protocol)),
    default="restricted",
    show_default=True,
    help="LFW's: choose a fold's tolerance on the listed pairs of the other folds, or on all pairs of their persons.",
)
@click.option("--name", default="", help="What the set is called in the report.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The folder of the report.")
@click.option(
    "--on-problem",
    type=click.Choice(get_args(OnProblem)),
    default="refuse",
    show_default=True,
    help="What to do about missing files, repeated or contradictory labels, and the like.",
)
@tolerance_option("At which errors are told and subgroups compared.")
@click.option(
    "--target-fmr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    callback=not_nan,
    default=0.001,
    show_default=True,
    help="The false match rate for which a tolerance is recommended.",
)
@click.option(
    "--face",
    type=click.Choice(get_args(FaceChoice)),
    default="centre",
    show_default=True,
    help="Which face of a photo of several is the labelled one.",
)
@click.option(
    "--max-non-mated",
    type=click.IntRange(0),
    default=1_000_000,
    show_default=True,
    help="Where pairs are formed of persons' photos: of more non-mated ones a random sample of so many.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of whatever is random.")
@click.option(
    "--gallery", type=click.IntRange(0, 100), default=12, show_default=True, help="Worst pairs of each kind to show."
)
@click.option(
    "--progress",
    type=click.Choice(get_args(ProgressForm)),
    default="bar",
    show_default=True,
    help="On standard error: a bar where that is a terminal, or lines of JSON for the program that started this one.",
)
@click.option("--overwrite", is_flag=True, help="Replace the finished report of another set, if --out holds one.")
@click.option("--keep-encodings", is_flag=True, help="Leave the templates in the report's folder, for another run.")
@engine_options
@click.pass_context
def evaluate(
    context: click.Context,
    images: Path | None,
    pairs: Path | None,
    labels: Path | None,
    people: Path | None,
    protocol: Protocol,
    name: str,
    out: Path | None,
    on_problem: OnProblem,
    tolerance: float,
    target_fmr: float,
    face: FaceChoice,
    max_non_mated: int,
    seed: int,
    gallery: int,
    progress: ProgressForm,
    overwrite: bool,
    keep_encodings: bool,
    runtime: str,
    device: Device,
    gpu_memory_mb: int | None,
    exact: bool,
    upsample: int | None,
    as_json: bool,
) -> None:
    """Measure how often strangers match and users are refused, on a labelled set of photos.

    \b
    --images FOLDER --pairs pairs.txt   LFW, or a set in its form
    --images FOLDER --pairs pairs.csv   a list of pairs
    --images FOLDER --labels labels.csv photos with persons and subgroups
    --images FOLDER                     a folder for each person

    The report's folder holds results.json, report.html, manifest.json, calibration.json, photos.csv and scores/. A run
    that was ended goes on where it was when it is started again.

    The exit status is 1 where the set has problems that are not to be skipped.
    """
    if context.invoked_subcommand is not None:
        if images is not None or out is not None:
            raise click.UsageError(f"{context.invoked_subcommand} takes its own arguments alone")
        return
    if images is None or out is None:
        raise click.UsageError("--images and --out are needed")
    try:
        from face_engine.evaluation.evaluate import EvaluationOptions  # noqa: PLC0415 - others must be able to miss it
        from face_engine.evaluation.evaluate import evaluate as evaluate_set  # noqa: PLC0415
        from face_engine.evaluation.reports import Report  # noqa: PLC0415
        from face_engine.evaluation.summary import headline, table  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; the reports need face-engine[evaluation]", EXIT_ENVIRONMENT)

    data = DataSetOptions(images, pairs, labels, people, protocol, on_problem, max_non_mated, seed, name)
    options = EvaluationOptions(data, tolerance, target_fmr, face, gallery, overwrite, keep_encodings)
    engine = load_engine(runtime, device, gpu_memory_mb, exact, upsample)
    settings = {
        "runtime": engine.runtime.name,
        "device": device,
        "exact_upsample": (DEFAULT_EXACT_UPSAMPLE if upsample is None else upsample) if exact else None,
    }
    try:
        results = evaluate_set(
            engine, settings, options, Report(out), progress_in(progress), ["face-engine", *sys.argv[1:]]
        )
    except ProblemsFoundError as error:
        for problem in error.listed[:PROBLEMS_SHOWN]:
            click.echo(printable(problem), err=True)
        if error.count > PROBLEMS_SHOWN:
            click.echo(f"... and {error.count - PROBLEMS_SHOWN:,} more", err=True)
        fail(f"{error}; correct it, or leave out what is wrong: --on-problem skip", EXIT_INPUT)
    except (EvaluationError, InferenceError) as error:
        fail(str(error), EXIT_INPUT)
    click.echo(
        json.dumps(headline(results, str(out))) if as_json else "\n".join(map(printable, table(results, str(out))))
    )


@evaluate.command("compare")
@click.argument("old", type=_FOLDER)
@click.argument("new", type=_FOLDER)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="How improbable a difference must be by chance to count.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def compare_reports(old: Path, new: Path, alpha: float, as_json: bool) -> None:
    """Tell what changed between the reports OLD and NEW, and whether it is beyond chance.

    Both must be of the same pairs. A difference counts where McNemar's exact test, of the pairs that only one of the
    two got right, and draws of the persons both see it.

    The exit status is 1 where NEW is worse than OLD beyond chance, and 2 where the two cannot be compared.
    """
    from face_engine.evaluation.comparison import compare  # noqa: PLC0415 - as above
    from face_engine.evaluation.reports import Report  # noqa: PLC0415
    from face_engine.evaluation.summary import comparison_table  # noqa: PLC0415

    try:
        comparison = compare(Report(old), Report(new), alpha)
    except EvaluationError as error:
        fail(str(error), EXIT_USAGE)
    click.echo(json.dumps(comparison) if as_json else "\n".join(map(printable, comparison_table(comparison))))
    if comparison["regression"]:
        sys.exit(EXIT_REGRESSION)
