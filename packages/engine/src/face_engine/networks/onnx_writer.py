"""Writes a network as an ONNX model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from face_engine.networks.graph import (
    INPUT,
    PIXEL_SCALE,
    Add,
    AveragePool,
    Convolution,
    FullyConnected,
    GlobalAveragePool,
    MaxPool,
    Network,
    Operation,
    Relu,
)

OPSET = 17
IR_VERSION = 8

INPUT_NAME = "input"
OUTPUT_NAME = "output"

_Shape = tuple[int, int, int]
"""Channels, rows, columns; -1 where they are known only when the model runs."""


def write_chip_model(network: Network, chip_size: int) -> bytes:
    """Return a model from chips (n, size, size, 3) uint8 RGB to the network's output (n, ...) float32."""
    writer = _Writer("chips", (3, chip_size, chip_size))
    writer.node("Cast", [INPUT_NAME], "pixels", to=TensorProto.FLOAT)
    writer.node("Transpose", ["pixels"], "planes", perm=[0, 3, 1, 2])
    mean = np.array(network.mean_rgb, np.float32).reshape(1, 3, 1, 1)
    writer.node("Sub", ["planes", writer.constant("mean", mean)], "centred")
    scale = writer.constant("scale", np.array(1 / PIXEL_SCALE, np.float32))
    writer.node("Mul", ["centred", scale], "normalised")
    shape = writer.network(network, "normalised")
    return writer.model(
        helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["n", chip_size, chip_size, 3]),
        helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["n", shape[0]]),
    )


def write_plane_model(network: Network, channels: int) -> bytes:
    """Return a model from (1, channels, rows, columns) float32, normalised, to the network's output of any size."""
    writer = _Writer("plane", (channels, -1, -1))
    shape = writer.network(network, INPUT_NAME)
    return writer.model(
        helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [1, channels, "rows", "columns"]),
        helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [1, shape[0], "out_rows", "out_columns"]),
    )


class _Writer:
    def __init__(self, name: str, input_shape: _Shape) -> None:
        self._name = name
        self._input_shape = input_shape
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def constant(self, name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    def network(self, network: Network, source: str) -> _Shape:
        """Add the network's nodes, which read `source`; return the output's shape."""
        names, shapes = {INPUT: source}, {INPUT: self._input_shape}
        for index, node in enumerate(network.nodes):
            last = index == len(network.nodes) - 1
            names[index] = OUTPUT_NAME if last else f"node{index}"
            inputs = [node.source, node.operation.other] if isinstance(node.operation, Add) else [node.source]
            shapes[index] = self._operation(
                node.operation, [names[i] for i in inputs], [shapes[i] for i in inputs], names[index]
            )
        return shapes[len(network.nodes) - 1]

    def model(self, model_input: onnx.ValueInfoProto, output: onnx.ValueInfoProto) -> bytes:
        """Return the model, checked: every shape and type in it fits."""
        graph = helper.make_graph(self._nodes, self._name, [model_input], [output], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _operation(self, operation: Operation, inputs: list[str], shapes: list[_Shape], output: str) -> _Shape:
        channels, rows, columns = shapes[0]
        match operation:
            case Convolution(weights, bias, stride, (above, left)):
                parameters = [self.constant(f"{output}.weights", weights), self.constant(f"{output}.bias", bias)]
                kernel = list(weights.shape[2:])
                pads = [above, left, above, left]
                self.node("Conv", inputs + parameters, output, kernel_shape=kernel, strides=[stride] * 2, pads=pads)
                return (
                    weights.shape[0],
                    _output_size(rows, kernel[0], stride, above),
                    _output_size(columns, kernel[1], stride, left),
                )
            case Relu():
                self.node("Relu", inputs, output)
                return shapes[0]
            case MaxPool(size, stride) | AveragePool(size, stride):
                kind = type(operation).__name__
                self.node(kind, inputs, output, kernel_shape=[size] * 2, strides=[stride] * 2)
                return channels, _output_size(rows, size, stride), _output_size(columns, size, stride)
            case GlobalAveragePool():
                self.node("GlobalAveragePool", inputs, output)
                return channels, 1, 1
            case Add():
                return self._add(inputs, shapes, output)
            case FullyConnected(weights):
                self.node("Flatten", inputs, f"{output}.flat")
                self.node("MatMul", [f"{output}.flat", self.constant(f"{output}.weights", weights)], output)
                return weights.shape[1], 1, 1
            case _:
                raise TypeError(f"{type(operation).__name__} must be folded before the network is written")

    def _add(self, inputs: list[str], shapes: list[_Shape], output: str) -> _Shape:
        (c1, r1, w1), (c2, r2, w2) = shapes
        largest = max(c1, c2), max(r1, r2), max(w1, w2)
        padded = []
        for position, (name, shape) in enumerate(zip(inputs, shapes, strict=True)):
            if shape != largest:
                missing = [0] * 5 + [wanted - found for wanted, found in zip(largest, shape, strict=True)]
                pads = self.constant(f"{output}.pads{position}", np.array(missing, np.int64))
                self.node("Pad", [name, pads], f"{output}.padded{position}")
                padded.append(f"{output}.padded{position}")
            else:
                padded.append(name)
        self.node("Add", padded, output)
        return largest


def _output_size(size: int, kernel: int, stride: int, padding: int = 0) -> int:
    return -1 if size < 0 else (size + 2 * padding - kernel) // stride + 1
