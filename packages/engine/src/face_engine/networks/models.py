"""The ONNX models of dlib's two networks, converted on first use and cached for the user."""

from dataclasses import dataclass
from pathlib import Path

from face_engine.networks.cache import cached
from face_engine.networks.dlib_networks import Detector, read_detector, read_encoder
from face_engine.networks.graph import Convolution, Network, fold_affine, separate_rows, split
from face_engine.networks.onnx_writer import write_chip_model, write_plane_model
from face_engine.weights import DETECTOR, ENCODER, verify


@dataclass(frozen=True, slots=True)
class DetectorModels:
    """The detector cut in two.

    The stem is the three layers that stride, without padding: the plane can go through it in strips, which bounds the
    memory. The head scores the stem's features, one for every 64 pixels of the plane.
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
        cached(DETECTOR, "stem", lambda: write_plane_model(stem, channels=3), cache),
        cached(DETECTOR, "head", lambda: write_plane_model(head, channels=parameters.feature_channels), cache),
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

    return cached(ENCODER, "whole", convert, cache)


def _first_padded(network: Network) -> int:
    """Return the index of the first node that pads: all before it may be run on a strip of their input."""
    return next(
        index
        for index, node in enumerate(network.nodes)
        if isinstance(node.operation, Convolution) and any(node.operation.padding)
    )
