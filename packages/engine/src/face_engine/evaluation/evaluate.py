"""Evaluates an engine on a labelled set, and writes the report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from face_engine.doctor import versions
from face_engine.errors import ReportError
from face_engine.evaluation.accuracy import cross_validate
from face_engine.evaluation.calibrating import calibration_of
from face_engine.evaluation.data_set import DataSetOptions, open_set
from face_engine.evaluation.encodings import (
    ENROLLED,
    Encodings,
    FaceChoice,
    ShardStore,
    encode_photos,
    settings_key,
)
from face_engine.evaluation.generalized import ServiceCount
from face_engine.evaluation.html import html_of
from face_engine.evaluation.intervals import CurveReplicates, IdentityBootstrap
from face_engine.evaluation.labels import LabelledSet, Pairs
from face_engine.evaluation.manifest import data_set_hash_of, manifest_of, source_sha256
from face_engine.evaluation.progress import Progress
from face_engine.evaluation.rates import Tally
from face_engine.evaluation.reports import Report, write_json, write_photos
from face_engine.evaluation.results import Measured, results_of
from face_engine.evaluation.scores import ScoreFiles, scored_blocks, to_step
from face_engine.evaluation.subgroups import SubgroupCount
from face_engine.evaluation.worst import WorstPairs
from face_engine.files import replace_file
from face_engine.pipeline import FaceEngine

DEFAULT_TARGET_FMR = 1e-3
DEFAULT_GALLERY = 12


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is measured, of what.

    Args:
        tolerance: at which subgroups are compared and errors are told.
        target_fmr: for which a tolerance is recommended.
        choice: whose face a photo of several is labelled with.
        gallery: how many of the worst pairs of each kind are shown.
        overwrite: whether the finished report of another set may be replaced.
        keep_encodings: whether the templates stay in the report's folder, so that another run need not make them.
    """

    data: DataSetOptions
    tolerance: float
    target_fmr: float = DEFAULT_TARGET_FMR
    choice: FaceChoice = "centre"
    gallery: int = DEFAULT_GALLERY
    overwrite: bool = False
    keep_encodings: bool = False


def evaluate(
    engine: FaceEngine,
    engine_settings: Mapping[str, Any],
    options: EvaluationOptions,
    report: Report,
    progress: Progress,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure, and write the report. Return what results.json holds.

    A run that is ended at any moment may be started again: it goes on with the photos that were not encoded yet, and
    its results are the same.

    Args:
        engine_settings: what else than the encoder's id determines the engine's answers: runtime, device, search.
        command: for the manifest.

    Raises:
        DataSetError: the set cannot be evaluated.
        ReportError: the report cannot be written.
        InferenceError: the networks failed.
    """
    started = datetime.now(UTC)
    settings = {
        "encoder_id": engine.encoder_id,
        **engine_settings,
        "face": options.choice,
        "tolerance": options.tolerance,
        "target_fmr": options.target_fmr,
        "protocol": options.data.protocol,
        "max_non_mated": options.data.max_non_mated,
        "seed": options.data.seed,
    }
    out, images = report.folder.resolve(), options.data.images.resolve()
    if out.is_relative_to(images) or images.is_relative_to(out):
        raise ReportError(f"{report.folder} lies in the folder of the photos, or they in it: name another one")
    with report.being_written():
        labelled = open_set(options.data, report.work, progress)
        data_set_hash = data_set_hash_of(labelled, options.data)
        if not options.overwrite:
            report.check_replaces(data_set_hash)
        made_with = {
            "source": source_sha256(),
            "encoder_id": engine.encoder_id,
            "face": options.choice,
            **engine_settings,
            **versions(),
        }
        store = ShardStore(report.work / f"encodings-{settings_key(made_with)}")
        encodings = encode_photos(engine, options.data.images, labelled.photos, options.choice, store, progress)
        report.results_path.unlink(missing_ok=True)  # first of all: it must not stand beside other scores
        measured = measure(labelled, data_set_hash, encodings, options, report, settings, progress)
        results = results_of(measured)
        manifest = manifest_of(settings, options.data, measured.data_set_hash, command, started)
        write_photos(report.photos_path, labelled, encodings)
        calibration = calibration_of(measured.tally.curve(), results, manifest)
        if calibration is None:
            report.calibration_path.unlink(missing_ok=True)
        else:
            write_json(report.calibration_path, calibration.to_json())
        write_json(report.manifest_path, manifest)
        replace_file(report.html_path, html_of(results, manifest, options.data.images))
        write_json(report.results_path, results)
        if not options.keep_encodings:
            report.remove_work()
    return results


def measure(
    labelled: LabelledSet,
    data_set_hash: str,
    encodings: Encodings,
    options: EvaluationOptions,
    report: Report,
    settings: Mapping[str, Any],
    progress: Progress,
) -> Measured:
    """Compare every pair of photos that are encoded, and count.

    Args:
        report: where the distances are kept.
        settings: for results.json.
    """
    step = to_step(options.tolerance)
    tally, worst = Tally(), WorstPairs.none(options.gallery)
    pairs = labelled.pairs
    scored = scored_blocks(pairs, encodings.rows, encodings.vectors)
    for block in report.scores.write(scored, pairs.mated + pairs.non_mated, progress):
        tally.add(block)
        worst.add(block)

    bootstrap = IdentityBootstrap(labelled.identities, options.data.seed)
    replicates = CurveReplicates(bootstrap)
    service = ServiceCount(np.array([answer == ENROLLED for answer in encodings.enrollments], bool), step, bootstrap)
    counts = [SubgroupCount(name, values, step, bootstrap) for name, values in labelled.subgroups.items()]
    with progress(title="drawing persons anew", total=pairs.mated + pairs.non_mated, unit="pair") as advance:
        for block in report.scores.blocks():
            replicates.add(block)
            service.add(block)
            for count in counts:
                count.add(block)
            advance(len(block))

    training: Callable[[], Iterator[Pairs]] | None = None
    if labelled.training is not None:
        files = ScoreFiles(report.work / "training")
        total = labelled.training.mated + labelled.training.non_mated
        for _ in files.write(scored_blocks(labelled.training, encodings.rows, encodings.vectors), total, progress):
            pass
        training = files.blocks
    return Measured(
        name=options.data.name,
        labelled=labelled,
        data_set_hash=data_set_hash,
        encodings=encodings,
        tally=tally,
        resampled=replicates.rates(),
        accuracy=cross_validate(report.scores.blocks, labelled.folds, training),
        subgroups=[one for count in counts for one in count.subgroups()],
        worst=worst,
        service=service,
        tolerance=options.tolerance,
        target_fmr=options.target_fmr,
        settings=settings,
    )
