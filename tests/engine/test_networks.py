import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.errors import NetworkFormatError
from face_engine.networks.dlib_format import write_integer
from face_engine.networks.dlib_networks import Detector, Encoder, read_detector, read_encoder
from face_engine.networks.graph import (
    INPUT,
    PIXEL_SCALE,
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
    fold_affine,
    separate_rows,
    split,
)
from face_engine.networks.onnx_writer import INPUT_NAME, write_chip_model, write_plane_model
from face_engine.weights import DETECTOR, ENCODER, verify
from support.photos import noise

Array = npt.NDArray[np.float64]

NO_MEAN = (0.0, 0.0, 0.0)
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return read_detector(verify(DETECTOR))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return read_encoder(verify(ENCODER))


# A slow interpreter of networks: the oracle. One loop for each output pixel, in float64.


def evaluate(network: Network, values: npt.NDArray[np.floating]) -> list[Array]:
    """Return what each node computes of the network's input (n, channels, rows, columns)."""
    results: dict[int, Array] = {INPUT: values.astype(np.float64)}
    for index, node in enumerate(network.nodes):
        results[index] = compute(node.operation, results[node.source], results)
    return [results[index] for index in range(len(network.nodes))]


def compute(operation: Operation, values: Array, results: dict[int, Array]) -> Array:
    match operation:
        case Convolution(weights, bias, stride, (above, left)):
            padded = np.pad(values, ((0, 0), (0, 0), (above, above), (left, left)))
            columns = weights.reshape(len(weights), -1).astype(np.float64).T
            return windows(
                padded, weights.shape[2:], stride, lambda window: window.reshape(len(window), -1) @ columns + bias
            )
        case MaxPool(size, stride):
            return windows(values, (size, size), stride, lambda window: window.max(axis=(2, 3)))
        case AveragePool(size, stride):
            return windows(values, (size, size), stride, lambda window: window.mean(axis=(2, 3)))
        case GlobalAveragePool():
            return np.asarray(values.mean(axis=(2, 3), keepdims=True))
        case Affine(gamma, beta):
            return values * gamma[:, None, None].astype(np.float64) + beta[:, None, None]
        case Relu():
            return np.maximum(values, 0)
        case FullyConnected(weights):
            return np.array([sample.ravel() @ weights.astype(np.float64) for sample in values])
        case Add(other):
            larger = [max(sizes) for sizes in zip(values.shape, results[other].shape, strict=True)]
            total = np.zeros(larger)
            for term in (values, results[other]):
                total[tuple(slice(size) for size in term.shape)] += term
            return total


def windows(values: Array, size: tuple[int, ...], stride: int, function: Callable[[Array], Array]) -> Array:
    rows, columns = ((whole - part) // stride + 1 for whole, part in zip(values.shape[2:], size, strict=True))
    results = [
        [
            function(values[:, :, row * stride : row * stride + size[0], column * stride : column * stride + size[1]])
            for column in range(columns)
        ]
        for row in range(rows)
    ]
    return np.array(results).transpose(2, 3, 0, 1)


def random_convolution(
    rng: np.random.Generator, channels: int, rows: int, columns: int, filters: int | None = None
) -> Convolution:
    """Return a convolution that fits on an input of this size."""
    filters = filters or int(rng.integers(1, 4))
    kernel = int(rng.integers(1, min(rows, 4) + 1)), int(rng.integers(1, min(columns, 4) + 1))
    padding = int(rng.integers(0, 3)), int(rng.integers(0, 3))
    return Convolution(
        rng.normal(size=(filters, channels, *kernel)).astype(np.float32),
        rng.normal(size=filters).astype(np.float32),
        int(rng.integers(1, 3)),
        padding,
    )


def random_affine(rng: np.random.Generator, channels: int) -> Affine:
    gamma, beta = rng.normal(size=(2, channels)).astype(np.float32)
    return Affine(gamma, beta)


def random_network(rng: np.random.Generator, side: int, *, shape_known: bool, length: int = 9) -> Network:
    """Return a network of all kinds of operations but FullyConnected, on an input of 3 x side x side.

    It has branches. Without `shape_known`, it adds only what is equally high and wide.
    """
    values: dict[int, Array] = {INPUT: np.zeros((1, 3, side, side))}
    nodes: list[Node] = []
    while len(nodes) < length:
        last = len(nodes) - 1
        source = last if rng.random() < 0.7 else int(rng.integers(INPUT, len(nodes)))
        _, channels, rows, columns = values[source].shape
        operation: Operation
        match rng.choice(["convolution", "affine", "relu", "max", "average", "add"], p=[0.3, 0.3, 0.1, 0.1, 0.1, 0.1]):
            case "convolution":
                operation = random_convolution(rng, channels, rows, columns)
            case "affine":
                operation = random_affine(rng, channels)
            case "relu":
                operation = Relu()
            case "add":
                others = [i for i, v in values.items() if shape_known or v.shape[2:] == values[source].shape[2:]]
                operation = Add(int(rng.choice(others)))
            case kind:
                size, stride = int(rng.integers(1, min(rows, columns, 3) + 1)), int(rng.integers(1, 3))
                operation = MaxPool(size, stride) if kind == "max" else AveragePool(size, stride)
        nodes.append(Node(operation, source))
        values[len(nodes) - 1] = compute(operation, values[source], values)
    return Network(tuple(without_unused(nodes)), NO_MEAN)


def without_unused(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes on which the last one depends."""
    used = {len(nodes) - 1}
    for index in reversed(range(len(nodes))):
        if index in used:
            used |= set(read_by(nodes[index]))
    moved = {old: new for new, old in enumerate(sorted(used - {INPUT}))} | {INPUT: INPUT}

    def renumbered(node: Node) -> Node:
        operation = Add(moved[node.operation.other]) if isinstance(node.operation, Add) else node.operation
        return Node(operation, moved[node.source])

    return [renumbered(nodes[index]) for index in sorted(used - {INPUT})]


def read_by(node: Node) -> list[int]:
    return [node.source, *([node.operation.other] if isinstance(node.operation, Add) else [])]


def random_chain(rng: np.random.Generator, size: int, length: int = 7) -> Network:
    """Return a chain of convolutions, affines and relus."""
    nodes: list[Node] = []
    values: Array = np.zeros((1, 3, size, size))
    for index in range(length):
        operation: Operation = Relu()
        match int(rng.integers(3)):
            case 0:
                operation = random_convolution(rng, *values.shape[1:])
            case 1:
                operation = random_affine(rng, values.shape[1])
        nodes.append(Node(operation, index - 1))
        values = compute(operation, values, {})
    return Network(tuple(nodes), NO_MEAN)


def run_onnx(model: bytes, values: npt.NDArray[np.generic]) -> Array:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {INPUT_NAME: values})[0], np.float64)


def assert_equal(found: Array, expected: Array) -> None:
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert np.abs(found - expected).max(initial=0) <= 2e-5 * scale


def kinds(network: Network) -> list[str]:
    return [type(node.operation).__name__ for node in network.nodes]


# Reading the published files.


def test_the_published_detector_is_read(detector: Detector) -> None:
    assert kinds(detector.network) == ["Convolution", "Affine", "Relu"] * 6 + ["Convolution"]
    assert [node.source for node in detector.network.nodes] == list(range(-1, 18))
    convolutions = [node.operation for node in detector.network.nodes if isinstance(node.operation, Convolution)]
    assert [(c.weights.shape, c.stride, c.padding) for c in convolutions] == [
        ((16, 3, 5, 5), 2, (0, 0)),
        ((32, 16, 5, 5), 2, (0, 0)),
        ((32, 32, 5, 5), 2, (0, 0)),
        ((45, 32, 5, 5), 1, (2, 2)),
        ((45, 45, 5, 5), 1, (2, 2)),
        ((45, 45, 5, 5), 1, (2, 2)),
        ((1, 45, 9, 9), 1, (4, 4)),
    ]
    assert [c.bias.shape for c in convolutions] == [(16,), (32,), (32,), (45,), (45,), (45,), (1,)]
    assert detector.feature_channels == 32


def test_the_published_detectors_rules_are_read(detector: Detector) -> None:
    assert detector.rules.window_wh == (80, 80)
    assert (detector.pyramid_padding, detector.pyramid_outer_padding) == (10, 11)
    assert detector.rules.max_overlap == pytest.approx(0.338, abs=5e-4)
    assert detector.rules.max_covered == 1
    assert detector.network.mean_rgb == pytest.approx((122.782, 117.001, 104.298))


def test_the_published_encoder_is_read(encoder: Encoder) -> None:
    assert Counter(kinds(encoder.network)) == {
        "Convolution": 29,
        "Affine": 29,
        "Relu": 29,
        "Add": 14,
        "AveragePool": 4,
        "MaxPool": 1,
        "GlobalAveragePool": 1,
        "FullyConnected": 1,
    }
    assert encoder.chip_size == 150
    assert encoder.network.mean_rgb == pytest.approx((122.782, 117.001, 104.298))
    first, last = encoder.network.nodes[0].operation, encoder.network.nodes[-1].operation
    assert isinstance(first, Convolution)
    assert first.weights.shape == (32, 3, 7, 7)
    assert isinstance(last, FullyConnected)
    assert last.weights.shape == (256, 128)


def test_every_parameter_is_a_finite_float32(detector: Detector, encoder: Encoder) -> None:
    for node in (*detector.network.nodes, *encoder.network.nodes):
        match node.operation:
            case Convolution(weights, bias):
                parameters = [weights, bias]
            case Affine(gamma, beta):
                parameters = [gamma, beta]
            case FullyConnected(weights):
                parameters = [weights]
            case _:
                continue
        for values in parameters:
            assert values.dtype == np.float32
            assert np.isfinite(values).all()
            assert values.any()


def test_the_encoders_blocks_add_what_went_into_them(encoder: Encoder) -> None:
    results = evaluate(encoder.network, np.zeros((1, 3, 150, 150)))
    added = [
        (results[node.operation.other].shape[1:], results[node.source].shape[1:])
        for node in encoder.network.nodes
        if isinstance(node.operation, Add)
    ]
    assert added == [
        *[((32, 35, 35), (32, 35, 35))] * 3,
        ((64, 17, 17), (32, 17, 17)),
        *[((64, 17, 17), (64, 17, 17))] * 3,
        ((128, 8, 8), (64, 8, 8)),
        *[((128, 8, 8), (128, 8, 8))] * 2,
        ((256, 3, 3), (128, 4, 4)),  # neither is the larger one
        *[((256, 4, 4), (256, 4, 4))] * 2,
        ((256, 1, 1), (256, 2, 2)),
    ]
    assert results[-1].shape == (1, 128)


# Refusing what is something else.

READERS: dict[str, tuple[Path, Callable[[Path], object]]] = {
    "detector": (verify(DETECTOR), read_detector),
    "encoder": (verify(ENCODER), read_encoder),
}


def refusal(read: Callable[[Path], object], folder: Path, data: bytes) -> NetworkFormatError:
    path = folder / "altered.dat"
    path.write_bytes(data)
    with pytest.raises(NetworkFormatError) as caught:
        read(path)
    assert str(caught.value).startswith("altered.dat, byte ")
    return caught.value


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_cut_off_is_refused_where_it_ends(name: str, tmp_path: Path) -> None:
    path, read = READERS[name]
    data = path.read_bytes()
    for size in (*range(0, 400, 7), 5000, len(data) // 3, len(data) // 2, len(data) - 2000, len(data) - 1):
        error = refusal(read, tmp_path, data[:size])
        assert error.problem == "the file ends here"
        assert int(re.findall(r"byte (\d+)", error.place)[0]) <= size


@pytest.mark.parametrize("name", READERS)
def test_what_follows_the_network_is_refused(name: str, tmp_path: Path) -> None:
    path, read = READERS[name]
    data = path.read_bytes()
    error = refusal(read, tmp_path, data + b"xyz")
    assert error.problem == "3 bytes follow the network"
    assert f"byte {len(data)}" in error.place


def test_the_other_network_is_refused() -> None:
    with pytest.raises(NetworkFormatError, match="the loss is 'loss_metric_2', not 'loss_mmod_'"):
        read_detector(verify(ENCODER))
    with pytest.raises(NetworkFormatError, match="the loss is 'loss_mmod_', not 'loss_metric_' or 'loss_metric_2'"):
        read_encoder(verify(DETECTOR))


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\x89PNG\r\n", b"version https://git-lfs.github.com/spec/v1\n", bytes(999)]
)
@pytest.mark.parametrize("name", READERS)
def test_another_file_is_refused(name: str, data: bytes, tmp_path: Path) -> None:
    assert "loss layer" in refusal(READERS[name][1], tmp_path, data).place


def test_a_file_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_detector(tmp_path / "absent.dat")


@pytest.mark.parametrize(
    ("name", "found", "altered", "problem", "place"),
    [
        ("detector", b"\x0aloss_mmod_", b"\x0aloss_mmod2", "the loss is 'loss_mmod2', not 'loss_mmod_'", "loss layer"),
        ("detector", b"\x01\x01\x01P", b"\x01\x05\x01P", "the version of the detector's options is 5", "loss layer"),
        (
            "detector",
            b"\x01\x02" * 18 + b"\x01\x03",
            b"\x01\x09" + b"\x01\x02" * 17 + b"\x01\x03",
            "the version of the layer is 9, not 1 or 2",
            "layer 19 from the input, con",
        ),
        (
            "detector",
            b"\x01\x02\x01\x03\x01\x17input",
            b"\x01\x02\x01\x01\x01\x17input",
            "the version of the layer is 1, not 2 or 3",
            "layer 1 from the input, con",
        ),
        (
            "detector",
            b"input_rgb_image_pyramid",
            b"input_rgb_image_pyramib",
            "the input is 'input_rgb_image_pyramib'",
            "input layer",
        ),
        ("detector", b"con_4", b"con_3", "the layer is 'con_3', not 'con_4' or 'con_5'", "layer 1 from the input, con"),
        ("detector", b"bn_con2", b"bn_con3", "the layer is 'bn_con3'", "layer 2 from the input, affine"),
        ("encoder", b"affine_", b"affinf_", "the layer is 'affinf_'", "layer 2 from the input, affine"),
        ("detector", b"relu_", b"rely_", "the layer is 'rely_', not 'relu_'", "layer 3 from the input, relu"),
        ("encoder", b"input_rgb_image_sized", b"input_rgb_image_siced", "the input is 'input_rgb", "input layer"),
        (
            "encoder",
            b"\x01\x96\x01\x96",
            b"\x01\x96\x01\x95",
            "the input's size is (150, 149), not (150, 150)",
            "input layer",
        ),
        ("encoder", b"max_pool_2", b"max_pool_1", "the layer is 'max_pool_1'", "layer 4 from the input, pool"),
        ("encoder", b"add_prev_", b"mul_prev_", "the layer is 'mul_prev_'", "layer 11 from the input, addprev"),
        ("encoder", b"fc_2", b"fc_1", "the layer is 'fc_1', not 'fc_2'", "layer 130 from the input, fc"),
    ],
)
def test_another_version_is_refused_by_name_and_place(
    name: str, found: bytes, altered: bytes, problem: str, place: str, tmp_path: Path
) -> None:
    path, read = READERS[name]
    data = path.read_bytes()
    assert found in data
    error = refusal(read, tmp_path, data.replace(found, altered, 1))
    assert problem in error.problem
    assert place in error.place


def structure(data: bytes) -> list[int]:
    """Return the places of a detector file that are not weights."""
    names = re.finditer(rb"con_4|bn_con2|relu_", data)
    near = {name.start() + i for name in names for i in range(-70, 40)}
    return sorted(i for i in near | set(range(200)) if 0 <= i < len(data))


DETECTOR_BYTES = verify(DETECTOR).read_bytes()
STRUCTURE = structure(DETECTOR_BYTES)


@given(st.sampled_from(STRUCTURE), st.binary(min_size=1, max_size=3), st.sampled_from([0, 1, 2, 3]))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, at: int, inserted: bytes, removed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.dat"
    path.write_bytes(DETECTOR_BYTES[:at] + inserted + DETECTOR_BYTES[at + removed :])
    try:
        read_detector(path)
    except NetworkFormatError as error:
        assert str(error).startswith("damaged.dat, byte ")


# What today's dlib writes when it saves the same detector: every layer in a newer version of the format.


def numbers(*values: int) -> bytes:
    return b"".join(map(write_integer, values))


def text(value: bytes) -> bytes:
    return write_integer(len(value)) + value


def real(value: float) -> bytes:
    fraction, exponent = math.frexp(value)
    return numbers(int(fraction * 2**53), exponent - 53)


def parameters(*parts: Weights) -> bytes:
    values = np.concatenate([part.ravel() for part in parts]).astype("<f4")
    return numbers(2, values.size, 1, 1, 1) + values.tobytes()


LEARNING_RATES = real(1) + real(1) + real(1) + real(0)
EMPTY_TENSOR = numbers(2, 0, 0, 0, 0)


def newest_layer(operation: Operation) -> bytes:
    match operation:
        case Convolution(weights, bias, stride, padding):
            filters, _, rows, columns = weights.shape
            return b"".join(
                [
                    text(b"con_6") + parameters(weights, bias),
                    numbers(filters, rows, columns, stride, stride, *padding),
                    numbers(1, *weights.shape) + numbers(1, 1, filters, 1, 1),
                    LEARNING_RATES + b"10",  # with a bias, without a fused relu
                ]
            )
        case Affine(gamma, beta):
            shape = numbers(1, 1, gamma.size, 1, 1)
            return text(b"affine_2") + parameters(gamma, beta) + shape * 2 + numbers(0) + b"0"
        case _:
            return text(b"relu_2") + b"0"


def newest_file(detector: Detector) -> bytes:
    """Return the detector as dlib 20.0.1 saves it; dlib reads these bytes."""
    nodes = detector.network.nodes
    layers = [newest_layer(node.operation) + b"000" + EMPTY_TENSOR * 3 for node in nodes]
    layers[0] += numbers(1)
    overlaps = 0.5, detector.rules.max_overlap, detector.rules.max_covered, 0.5, 0.95
    return b"".join(
        [
            numbers(1) + text(b"loss_mmod_"),
            numbers(4, 1, 2, *detector.rules.window_wh) + text(b"") + real(1) + real(1) + b"".join(map(real, overlaps)),
            b"\x01" + b"0" + real(100),  # an image pyramid, and no regression of boxes
            numbers(2) * (len(nodes) - 1) + numbers(3),
            text(b"input_rgb_image_pyramid2") + b"".join(map(real, detector.network.mean_rgb)),
            numbers(detector.pyramid_padding, detector.pyramid_outer_padding),
            *layers,
        ]
    )


def test_the_newest_version_of_the_format_is_read(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "newest.dat"
    path.write_bytes(
        newest_file(
            replace(
                detector,
                rules=replace(detector.rules, window_wh=(70, 90)),
                pyramid_padding=12,
                pyramid_outer_padding=14,
            )
        )
    )
    found = read_detector(path)
    assert found.rules.window_wh == (70, 90)
    assert (found.pyramid_padding, found.pyramid_outer_padding) == (12, 14)
    assert (found.rules.max_overlap, found.rules.max_covered) == (
        detector.rules.max_overlap,
        detector.rules.max_covered,
    )
    assert found.network.mean_rgb == detector.network.mean_rgb
    for ours, theirs in zip(found.network.nodes, detector.network.nodes, strict=True):
        assert ours.source == theirs.source
        assert newest_layer(ours.operation) == newest_layer(theirs.operation)


@pytest.mark.parametrize(
    ("found", "altered", "problem"),
    [
        (b"relu_20", b"relu_21", "a disabled layer is True"),
        (LEARNING_RATES + b"10", LEARNING_RATES + b"00", "the use of a bias is False"),
        (LEARNING_RATES + b"10", LEARNING_RATES + b"11", "a fused relu is True"),
        (numbers(0) + b"0000", numbers(1) + b"0000", "the mode is 1, not 0"),
        (b"\x010" + real(100), b"\x000" + real(100), "the use of an image pyramid is 0"),
        (b"\x010" + real(100), b"\x011" + real(100), "bounding box regression is True"),
        (numbers(4, 1, 2, 80, 80), numbers(4, 0), "the number of detector windows is 0"),
        (numbers(4, 1, 2, 80, 80), numbers(4, 1, 3, 80, 80), "the version of a detector window is 3"),
        (numbers(16, 5, 5, 2, 2, 0, 0), numbers(16, 5, 5, 2, 2, 2, 2), "(16, 5, 5, 2, 2, 2, 2), not (16, 5, 5, 2, 2"),
        (numbers(1, 16, 3, 5, 5), numbers(1, 16, 5, 5, 3), "the shape of the filters is (16, 5, 5, 3)"),
    ],
)
def test_what_our_graph_does_not_do_is_refused(
    found: bytes, altered: bytes, problem: str, detector: Detector, tmp_path: Path
) -> None:
    data = newest_file(detector)
    assert found in data
    assert problem in refusal(read_detector, tmp_path, data.replace(found, altered, 1)).problem


BATCH_NORMALISATION = DETECTOR_BYTES.index(b"bn_con2")
"""Of the first layer, 16 channels: parameters, means and deviations of a batch, running means, running variances."""

STATISTICS = [
    match.end() + BATCH_NORMALISATION
    for match in re.finditer(re.escape(numbers(2, 1, 16, 1, 1)), DETECTOR_BYTES[BATCH_NORMALISATION:])
]
"""Where in the file the last four begin."""


def test_a_batch_normalisation_is_read_as_the_affine_that_it_is(detector: Detector) -> None:
    start = BATCH_NORMALISATION + len(b"bn_con2" + numbers(2, 32, 1, 1, 1))
    gamma, beta = np.frombuffer(DETECTOR_BYTES, "<f4", 32, start).reshape(2, 16).astype(np.float64)
    assert len(STATISTICS) == 4
    mean, variance = (np.frombuffer(DETECTOR_BYTES, "<f4", 16, start).astype(np.float64) for start in STATISTICS[2:])
    values = np.linspace(-3, 3, 16)
    expected = gamma * (values - mean) / np.sqrt(variance + 1e-4) + beta
    affine = detector.network.nodes[1].operation
    assert isinstance(affine, Affine)
    assert np.allclose(affine.gamma * values + affine.beta, expected, rtol=1e-5, atol=1e-5)


def test_a_variance_below_zero_is_refused(tmp_path: Path) -> None:
    start = STATISTICS[3]
    altered = DETECTOR_BYTES[:start] + np.float32(-1).tobytes() + DETECTOR_BYTES[start + 4 :]
    assert refusal(read_detector, tmp_path, altered).problem == "a variance is negative"


# The graph's functions: what they return computes the same.


@given(SEEDS)
def test_folding_computes_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, 8, shape_known=True)
    image = rng.normal(size=(2, 3, 8, 8)).astype(np.float32)
    folded = fold_affine(network)
    assert len(folded.nodes) <= len(network.nodes)
    assert_equal(evaluate(folded, image)[-1], evaluate(network, image)[-1])


@given(SEEDS)
def test_separating_rows_computes_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, 8, shape_known=True)
    image = rng.normal(size=(2, 3, 8, 8)).astype(np.float32)
    separated = separate_rows(network)
    assert_equal(evaluate(separated, image)[-1], evaluate(network, image)[-1])
    single = [
        node
        for node in network.nodes
        if isinstance(node.operation, Convolution) and len(node.operation.weights) == node.operation.stride == 1
    ]
    assert len(separated.nodes) == len(network.nodes) + len(single)


@given(SEEDS)
def test_the_halves_of_a_chain_compute_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_chain(rng, 9)
    image = rng.normal(size=(2, 3, 9, 9)).astype(np.float32)
    expected = evaluate(network, image)[-1]
    for at in range(1, len(network.nodes)):
        stem, head = split(network, at)
        assert (len(stem.nodes), len(head.nodes)) == (at, len(network.nodes) - at)
        assert_equal(evaluate(head, evaluate(stem, image)[-1])[-1], expected)


@given(SEEDS)
def test_a_network_with_branches_is_cut_where_one_value_goes_on_or_not_at_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, 8, shape_known=True)
    image = rng.normal(size=(1, 3, 8, 8)).astype(np.float32)
    results = evaluate(network, image)
    for at in range(1, len(network.nodes)):
        if min(index for node in network.nodes[at:] for index in read_by(node)) < at - 1:
            with pytest.raises(ValueError, match=f"cannot be cut at node {at}"):
                split(network, at)
            continue
        stem, head = split(network, at)
        assert_equal(evaluate(stem, image)[-1], results[at - 1])
        assert_equal(evaluate(head, results[at - 1])[-1], results[-1])


def chain(*operations: Operation) -> Network:
    return Network(tuple(Node(operation, index - 1) for index, operation in enumerate(operations)), NO_MEAN)


def test_an_affine_is_folded_into_the_convolution_before_it() -> None:
    rng = np.random.default_rng(2)
    convolution = random_convolution(rng, 3, 8, 8, filters=2)
    network = chain(convolution, random_affine(rng, 2), Relu())
    assert kinds(fold_affine(network)) == ["Convolution", "Relu"]
    operation = fold_affine(network).nodes[0].operation
    assert isinstance(operation, Convolution)
    assert operation.weights.dtype == operation.bias.dtype == np.float32
    assert (operation.stride, operation.padding) == (convolution.stride, convolution.padding)


def test_an_affine_is_kept_where_there_is_nothing_to_fold_it_into() -> None:
    rng = np.random.default_rng(3)
    convolution = random_convolution(rng, 3, 8, 8, filters=3)
    affine = random_affine(rng, 3)
    assert kinds(fold_affine(chain(affine, convolution))) == ["Affine", "Convolution"]
    assert kinds(fold_affine(chain(convolution, Relu(), affine))) == ["Convolution", "Relu", "Affine"]
    twice = Network((Node(convolution, INPUT), Node(affine, 0), Node(Add(0), 1)), NO_MEAN)
    assert kinds(fold_affine(twice)) == ["Convolution", "Affine", "Add"]


def test_two_affines_are_folded_one_after_the_other() -> None:
    rng = np.random.default_rng(4)
    network = chain(random_convolution(rng, 3, 8, 8, filters=2), random_affine(rng, 2), random_affine(rng, 2))
    image = rng.normal(size=(1, 3, 8, 8)).astype(np.float32)
    folded = fold_affine(network)
    assert_equal(evaluate(folded, image)[-1], evaluate(network, image)[-1])


def test_the_graphs_functions_leave_the_network_as_it_was() -> None:
    rng = np.random.default_rng(5)
    convolution = random_convolution(rng, 3, 8, 8, filters=1)
    before = convolution.weights.copy()
    network = chain(replace(convolution, stride=1), random_affine(rng, 1))
    separate_rows(fold_affine(network))
    assert kinds(network) == ["Convolution", "Affine"]
    assert np.array_equal(convolution.weights, before)


def test_the_detectors_last_layer_becomes_two(detector: Detector) -> None:
    network = separate_rows(fold_affine(detector.network))
    assert kinds(network) == ["Convolution", "Relu"] * 6 + ["Convolution"] * 2
    shapes = [node.operation.weights.shape for node in network.nodes[-2:] if isinstance(node.operation, Convolution)]
    assert shapes == [(9, 45, 1, 9), (1, 9, 9, 1)]


def test_the_prepared_detector_scores_as_the_published_one(detector: Detector) -> None:
    image = np.random.default_rng(6).uniform(-0.5, 0.5, size=(1, 3, 93, 110)).astype(np.float32)
    expected = evaluate(detector.network, image)[-1]
    stem, head = split(separate_rows(fold_affine(detector.network)), 6)
    features = run_onnx(write_plane_model(stem, channels=3), image).astype(np.float32)
    assert features.shape == (1, 32, 9, 11)
    scores = run_onnx(write_plane_model(head, channels=32), features)
    assert_equal(scores, expected)


def test_the_prepared_encoder_encodes_as_the_published_one(encoder: Encoder) -> None:
    chips = noise(150, 150)[None]
    normalised = (chips.transpose(0, 3, 1, 2) - np.array(encoder.network.mean_rgb)[:, None, None]) / PIXEL_SCALE
    expected = evaluate(encoder.network, normalised)[-1]
    assert_equal(run_onnx(write_chip_model(fold_affine(encoder.network), 150), chips), expected)


# Counting operations.


def brute_force_operations(network: Network, rows: int, columns: int) -> int:
    total = 0
    values: Array = np.zeros((1, 3, rows, columns))
    for node in network.nodes:
        if isinstance(node.operation, Convolution):
            values = compute(node.operation, values, {})
            for output_channel in node.operation.weights:
                total += 2 * output_channel.size * values.shape[2] * values.shape[3]
    return total


@given(SEEDS, st.integers(20, 40), st.integers(20, 40))
def test_operations_are_counted_as_by_hand(seed: int, rows: int, columns: int) -> None:
    network = random_chain(np.random.default_rng(seed), 20)
    assert network.operations(rows, columns) == brute_force_operations(network, rows, columns)


def test_a_convolution_of_one_pixel_is_one_multiplication_and_one_addition_a_weight() -> None:
    convolution = Convolution(np.ones((2, 3, 4, 5), np.float32), np.zeros(2, np.float32), 1, (0, 0))
    assert chain(convolution).operations(4, 5) == 2 * 2 * 3 * 4 * 5
    assert chain(Relu()).operations(4, 5) == 0


# ONNX models.


@given(SEEDS)
def test_a_plane_model_computes_what_the_network_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = fold_affine(random_network(rng, 8, shape_known=False))
    network = Network(tuple(without_affine(network.nodes)), NO_MEAN)
    image = rng.normal(size=(1, 3, 8, 8)).astype(np.float32)
    assert_equal(run_onnx(write_plane_model(network, channels=3), image), evaluate(network, image)[-1])


@given(SEEDS)
def test_a_chip_model_computes_what_the_network_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(5, 9))
    nodes = without_affine(fold_affine(random_network(rng, size, shape_known=True)).nodes)
    chips = rng.integers(0, 256, size=(int(rng.integers(1, 4)), size, size, 3)).astype(np.uint8)
    normalised = chips.transpose(0, 3, 1, 2).astype(np.float64)
    mean_rgb = (120.5, 100.25, 3.0)
    normalised = (normalised - np.array(mean_rgb)[:, None, None]) / PIXEL_SCALE
    # The last two see every pixel, each with a weight of its own, so each has to be in its place.
    shape = evaluate(Network(tuple(nodes), mean_rgb), normalised)[-1].shape
    whole = Convolution(
        rng.normal(size=(4, *shape[1:])).astype(np.float32), rng.normal(size=4).astype(np.float32), 1, (0, 0)
    )
    fully_connected = FullyConnected(rng.normal(size=(4, 5)).astype(np.float32))
    last = len(nodes)
    network = Network((*nodes, Node(whole, last - 1), Node(fully_connected, last)), mean_rgb)
    found = run_onnx(write_chip_model(network, size), chips)
    assert found.shape == (len(chips), 5)
    assert_equal(found, evaluate(network, normalised)[-1])


def without_affine(nodes: Iterable[Node]) -> list[Node]:
    """Return the nodes with each affine written as the convolution that it is."""

    def as_convolution(affine: Affine) -> Convolution:
        return Convolution(np.diag(affine.gamma)[:, :, None, None], affine.beta, 1, (0, 0))

    return [
        Node(as_convolution(node.operation), node.source) if isinstance(node.operation, Affine) else node
        for node in nodes
    ]


@pytest.mark.parametrize(
    ("size", "stride", "filters"), [(1, 1, 5), (1, 1, 2), (3, 1, 3), (3, 2, 3), (2, 2, 7), (3, 2, 1)]
)
@pytest.mark.parametrize("smaller_first", [False, True])
def test_the_smaller_operand_of_an_addition_is_continued_with_zeros_at_its_end(
    size: int, stride: int, filters: int, smaller_first: bool
) -> None:
    rng = np.random.default_rng(7)
    weights = rng.normal(size=(filters, 3, size, size)).astype(np.float32)
    smaller = Convolution(weights, np.ones(filters, np.float32), stride, (0, 0))
    first = (
        (Node(smaller, INPUT), Node(Add(INPUT), 0)) if smaller_first else (Node(smaller, INPUT), Node(Add(0), INPUT))
    )
    chips = rng.integers(0, 256, size=(1, 7, 7, 3)).astype(np.uint8)
    normalised = chips.transpose(0, 3, 1, 2) / PIXEL_SCALE
    added = evaluate(Network(first, NO_MEAN), normalised)[-1]
    assert added.shape[1:] == (max(3, filters), 7, 7)
    flat = FullyConnected(np.eye(added[0].size, dtype=np.float32))
    network = Network((*first, Node(flat, 1)), NO_MEAN)
    assert_equal(run_onnx(write_chip_model(network, 7), chips), added.reshape(1, -1))


@pytest.mark.parametrize("operation", [MaxPool(3, 2), MaxPool(2, 1), AveragePool(2, 2), AveragePool(3, 1)])
def test_pools_leave_out_what_does_not_fill_a_window(operation: MaxPool | AveragePool) -> None:
    image = np.random.default_rng(8).normal(size=(1, 2, 8, 9)).astype(np.float32)
    network = chain(operation)
    found = run_onnx(write_plane_model(network, channels=2), image)
    assert_equal(found, evaluate(network, image)[-1])
    size, stride = operation.size, operation.stride
    assert found.shape[2:] == ((8 - size) // stride + 1, (9 - size) // stride + 1)


def test_the_global_average_and_the_fully_connected_layer_have_no_bias() -> None:
    rng = np.random.default_rng(9)
    weights = rng.normal(size=(3, 4)).astype(np.float32)
    network = chain(GlobalAveragePool(), FullyConnected(weights))
    chips = rng.integers(0, 256, size=(2, 6, 6, 3)).astype(np.uint8)
    expected = (chips / PIXEL_SCALE).mean(axis=(1, 2)) @ weights
    assert_equal(run_onnx(write_chip_model(network, 6), chips), expected)


def test_no_chips_are_no_answers() -> None:
    network = chain(GlobalAveragePool(), FullyConnected(np.ones((3, 4), np.float32)))
    assert run_onnx(write_chip_model(network, 6), np.empty((0, 6, 6, 3), np.uint8)).shape == (0, 4)


def test_a_model_is_the_same_bytes_every_time() -> None:
    network = random_chain(np.random.default_rng(10), 9)
    network = Network(tuple(without_affine(network.nodes)), NO_MEAN)
    assert write_plane_model(network, channels=3) == write_plane_model(network, channels=3)


def test_an_affine_that_was_not_folded_is_not_written() -> None:
    with pytest.raises(TypeError, match="Affine must be folded"):
        write_plane_model(chain(random_affine(np.random.default_rng(11), 3)), channels=3)
