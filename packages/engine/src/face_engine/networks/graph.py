"""A small graph of the operations that dlib's two face networks are made of.

Tensors are (samples, channels, rows, columns) float32. A node reads the node at index `source`; INPUT is the network's
own input, already normalised: (pixel - mean) / 256.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]

INPUT = -1
PIXEL_SCALE = 256.0  # dlib's input_rgb_image*: (pixel - mean) / 256


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """Cross-correlation, as every framework's convolution. `weights` (out, in, rows, columns), `bias` (out,)."""

    weights: Weights
    bias: Weights
    stride: int
    padding: tuple[int, int]
    """Zeros above and below, and to the left and right."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """gamma * x + beta for each channel: a trained batch normalisation. Both (channels,)."""

    gamma: Weights
    beta: Weights


@dataclass(frozen=True, slots=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The largest of size x size, without padding."""

    size: int
    stride: int


@dataclass(frozen=True, slots=True)
class AveragePool:
    """The mean of size x size, without padding."""

    size: int
    stride: int


@dataclass(frozen=True, slots=True)
class GlobalAveragePool:
    """The mean over all rows and columns: (samples, channels, 1, 1)."""


@dataclass(frozen=True, slots=True)
class Add:
    """x + the node at index `other`. In each axis the smaller one is continued with zeros, at its end, as dlib does."""

    other: int


@dataclass(frozen=True, slots=True, eq=False)
class FullyConnected:
    """x @ weights, without bias: (samples, channels, 1, 1) to (samples, outputs). `weights` (channels, outputs)."""

    weights: Weights


Operation = Convolution | Affine | Relu | MaxPool | AveragePool | GlobalAveragePool | Add | FullyConnected


@dataclass(frozen=True, slots=True)
class Node:
    operation: Operation
    source: int


@dataclass(frozen=True, slots=True)
class Network:
    """Nodes in an order in which they can be computed; the last one is the output."""

    nodes: tuple[Node, ...]
    mean_rgb: tuple[float, float, float]
    """What is subtracted from the pixels, 0 to 255."""

    def operations(self, rows: int, columns: int) -> int:
        """Return the multiplications and additions that the convolutions do on an input of this size.

        Every node must read the one before, and only convolutions may change the size, as in the detector.
        """
        total = 0
        for convolution in (node.operation for node in self.nodes if isinstance(node.operation, Convolution)):
            kernel = convolution.weights.shape[2:]
            rows, columns = (
                (size + 2 * padding - reach) // convolution.stride + 1
                for size, padding, reach in zip((rows, columns), convolution.padding, kernel, strict=True)
            )
            total += 2 * rows * columns * convolution.weights.size
        return total


def fold_affine(network: Network) -> Network:
    """Return the same function with each affine that directly follows a convolution folded into it.

    gamma * (w * x + b) + beta = (gamma w) * x + (gamma b + beta), computed in float64 and rounded once.
    """
    readers = Counter[int]()
    for node in network.nodes:
        for index in _sources(node):
            readers[index] += 1
    nodes: list[Node] = []
    moved = {INPUT: INPUT}
    for index, node in enumerate(network.nodes):
        operation = _renumber(node.operation, moved)
        source = moved[node.source]
        if isinstance(operation, Affine) and node.source != INPUT and readers[node.source] == 1:
            previous = nodes[source]
            if isinstance(previous.operation, Convolution):
                nodes[source] = replace(previous, operation=_folded(previous.operation, operation))
                moved[index] = source
                continue
        nodes.append(Node(operation, source))
        moved[index] = len(nodes) - 1
    return replace(network, nodes=tuple(nodes))


def separate_rows(network: Network) -> Network:
    """Return the same function with each large convolution to one channel written as two small ones.

    CPUs compute the channels of a convolution 16 at a time, so one channel costs as much as 16. A k x k convolution to
    one channel is k convolutions of one row each, their results added with a shift: 1 x k to k channels, and k x 1 that
    picks row i of channel i. For dlib's 9 x 9 that is a quarter of the detector's time saved.
    """
    nodes: list[Node] = []
    moved = {INPUT: INPUT}
    for index, node in enumerate(network.nodes):
        operation = _renumber(node.operation, moved)
        source = moved[node.source]
        if isinstance(operation, Convolution) and operation.weights.shape[0] == 1 and operation.stride == 1:
            rows = operation.weights.shape[2]
            by_row = np.ascontiguousarray(operation.weights[0].transpose(1, 0, 2)[:, :, None, :])
            pick = np.eye(rows, dtype=np.float32)[None, :, :, None]
            above, left = operation.padding
            nodes.append(Node(Convolution(by_row, np.zeros(rows, np.float32), 1, (0, left)), source))
            operation, source = Convolution(pick, operation.bias, 1, (above, 0)), len(nodes) - 1
        nodes.append(Node(operation, source))
        moved[index] = len(nodes) - 1
    return replace(network, nodes=tuple(nodes))


def split(network: Network, at: int) -> tuple[Network, Network]:
    """Cut a network whose nodes form a chain into its first `at` nodes and the rest.

    Raises:
        ValueError: a node of the rest reads one of the first but the last of them.
    """
    head = []
    for node in network.nodes[at:]:
        if min(_sources(node)) < at - 1:
            raise ValueError(f"the network cannot be cut at node {at}")
        operation = Add(node.operation.other - at) if isinstance(node.operation, Add) else node.operation
        head.append(Node(operation, node.source - at))
    return replace(network, nodes=network.nodes[:at]), replace(network, nodes=tuple(head))


def _sources(node: Node) -> list[int]:
    return [node.source, node.operation.other] if isinstance(node.operation, Add) else [node.source]


def _renumber(operation: Operation, moved: dict[int, int]) -> Operation:
    return Add(moved[operation.other]) if isinstance(operation, Add) else operation


def _folded(convolution: Convolution, affine: Affine) -> Convolution:
    gamma, beta = affine.gamma.astype(np.float64), affine.beta.astype(np.float64)
    weights = convolution.weights * gamma[:, None, None, None]
    bias = convolution.bias * gamma + beta
    return replace(convolution, weights=weights.astype(np.float32), bias=bias.astype(np.float32))
