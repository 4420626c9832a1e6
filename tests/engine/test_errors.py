import pickle

import pytest

from face_engine import errors

EXAMPLES = [
    errors.UnsupportedImageTypeError(),
    errors.ImageTruncatedError(),
    errors.ImageCorruptError(),
    errors.PhotoFileTooLargeError(1_000_000),
    errors.ImageTooManyPixelsError(10, 20, 100),
    errors.ImageTooManyScansError(100, 64),
    errors.NoFaceFoundError(),
    errors.SeveralFacesError(3),
    errors.EncoderMismatchError("a", "b"),
    errors.WeightsMissingError("file.dat"),
    errors.WeightsCorruptError("file.dat", "aa", "bb"),
    errors.NetworkFormatError("file.dat", "byte 7, layer 1", "another version"),
    errors.RuntimeUnavailableError("why"),
    errors.DeviceUnavailableError("why"),
    errors.InferenceError("why"),
    errors.OutOfMemoryError("why"),
    errors.CalibrationError("why"),
    errors.DataSetError("why"),
    errors.ProblemsFoundError(2, ("pairs.txt:1: why", "pairs.txt:2: why")),
    errors.ReportError("why"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_survive_the_way_between_processes(error: errors.FaceEngineError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy), copy.reason) == (type(error), str(error), error.reason)
    assert str(error)


def descendants(error: type[errors.FaceEngineError]) -> set[type[errors.FaceEngineError]]:
    children = {child for child in error.__subclasses__() if child.__module__ == errors.__name__}
    return children.union(*map(descendants, children))


def test_there_is_an_example_of_every_error() -> None:
    families = {errors.ImageError, errors.FaceCountError, errors.WeightsError, errors.EvaluationError}
    assert {type(error) for error in EXAMPLES} == descendants(errors.FaceEngineError) - families


def test_every_reason_is_told_once() -> None:
    reasons = [error.reason for error in EXAMPLES]
    assert len(set(reasons)) == len(reasons)
