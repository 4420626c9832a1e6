import pickle

import pytest

from face_engine import errors

EXAMPLES = [
    errors.UnsupportedImageTypeError(),
    errors.ImageTruncatedError(),
    errors.ImageCorruptError(),
    errors.ImageTooManyPixelsError(10, 20, 100),
    errors.ImageTooManyScansError(100, 64),
    errors.NoFaceFoundError(),
    errors.SeveralFacesError(3),
    errors.EncoderMismatchError("a", "b"),
    errors.WeightsMissingError("file.dat"),
    errors.WeightsCorruptError("file.dat", "aa", "bb"),
    errors.RuntimeUnavailableError("why"),
    errors.DeviceUnavailableError("why"),
    errors.InferenceError("why"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_survive_the_way_between_processes(error: errors.FaceEngineError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy), copy.reason) == (type(error), str(error), error.reason)
    assert str(error)


def test_every_reason_is_told_once() -> None:
    reasons = [error.reason for error in EXAMPLES]
    assert len(set(reasons)) == len(reasons)
