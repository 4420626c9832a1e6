"""The ONNX models of dlib's two networks, converted on first use and cached for the user."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from face_engine.networks.dlib_networks import Detector, read_detector, read_encoder
from face_engine.networks.graph import Convolution, Network, fold_affine, separate_rows, split
from face_engine.networks.onnx_writer import write_chip_model, write_plane_model
from face_engine.weights import DETECTOR, ENCODER, WeightFile, verify

CONVERTER_VERSION = 1
"""Part of a cached model's name. Raise it with every change of what is written."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DetectorModels:
    """The detector cut in two.

    The stem is the three layers that stride, without padding: the plane can go through it in strips, which bounds the
    memory. The head scores the stem's features, a hundredth of the plane's size.
    """

    stem: bytes
    head: bytes
    parameters: Detector


def load_detector(cache: Path | None = None) -> DetectorModels:
    """Return the detector's models.

    Args:
        cache: the folder of converted models; by default the user's cache folder.

    Raises:
        WeightsError: its file is missing, or not the published one.
    """
    parameters = read_detector(verify(DETECTOR))
    network = separate_rows(fold_affine(parameters.network))
    stem, head = split(network, _first_padded(network))
    return DetectorModels(
        _cached(DETECTOR, "stem", lambda: write_plane_model(stem, channels=3), cache),
        _cached(DETECTOR, "head", lambda: write_plane_model(head, channels=parameters.feature_channels), cache),
        parameters,
    )


def load_encoder(cache: Path | None = None) -> bytes:
    """Return the encoder's model.

    Raises:
        WeightsError: its file is missing, or not the published one.
    """

    def convert() -> bytes:
        encoder = read_encoder(verify(ENCODER))
        return write_chip_model(fold_affine(encoder.network), encoder.chip_size)

    return _cached(ENCODER, "whole", convert, cache)


def cache_folder() -> Path:
    """Return the user's folder of converted models."""
    return user_cache_path("face-engine") / "networks"


def _first_padded(network: Network) -> int:
    """Return the index of the first node that pads: all before it may be run on a strip of their input."""
    return next(
        index
        for index, node in enumerate(network.nodes)
        if isinstance(node.operation, Convolution) and any(node.operation.padding)
    )


def _cached(weights: WeightFile, part: str, convert: Callable[[], bytes], cache: Path | None) -> bytes:
    """Return a model from the cache, or convert and keep it.

    Beside each model lies its SHA-256: what does not fit it is damaged, or half of what another process is writing, and
    is converted again. Both files are replaced in one step each, and their content is always the same, so it does not
    matter which of several processes comes last.
    """
    folder = cache or cache_folder()
    path = folder / f"{Path(weights.name).stem}-{weights.sha256[:12]}-{part}-v{CONVERTER_VERSION}.onnx"
    digest_path = path.with_suffix(".onnx.sha256")
    try:
        model = path.read_bytes()
        if digest_path.read_text() == hashlib.sha256(model).hexdigest():
            return model
        logger.warning("%s is damaged and is made again", path)
    except (OSError, UnicodeDecodeError):
        pass
    model = convert()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, model)
        _write(digest_path, hashlib.sha256(model).hexdigest().encode())
    except OSError as error:
        logger.warning("%s cannot be kept, and is made again at every start: %s", path, error.strerror)
    return model


def _write(path: Path, data: bytes) -> None:
    """Write a file so that at any time there is the whole old one or the whole new one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
