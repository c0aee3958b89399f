"""An ONNX file that grows: operations and weights, by name."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from relu.network.layers import Shape
from relu.network.onnx.network import Symbol, float32
from relu.network.onnx.parsing import library

OPSET = 13  # what other verifiers read; newer ones add nothing that is needed
IR_VERSION = 8
INPUT = "input"
OUTPUT = "logits"
BATCH = "n"  # the axis of the inputs, of any length


class FileBuilder:
    """Operations in order, and the weights that they take. Values have one name each."""

    def __init__(self) -> None:
        self._onnx = library("onnx")
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def add(
        self, operation: str, name: str, inputs: Sequence[str], shape: Shape, **attributes: Any
    ) -> Symbol:
        """One more operation, called `name`; `shape`: of what it gives, for each input."""
        result = f"{name}.out"
        node = self._onnx.helper.make_node(operation, inputs, [result], name=name, **attributes)
        self._nodes.append(node)
        return Symbol(result, shape)

    def numbers(self, name: str, values: Any) -> str:
        """A weight in float32; its name. Raises InputError where one is no finite number."""
        return self._stored(name, float32(values).cpu().numpy())

    def fill(self, name: str, value: float) -> str:
        """A number in float32 that may be infinite; its name."""
        return self._stored(name, np.array(value, dtype=np.float32))

    def sizes(self, name: str, values: Sequence[int]) -> str:
        """A list of whole numbers; its name."""
        return self._stored(name, np.array(values, dtype=np.int64))

    def _stored(self, name: str, values: np.ndarray) -> str:
        self._weights.append(self._onnx.numpy_helper.from_array(values, name))
        return name

    def content(self, shape: Shape, logits: Symbol) -> bytes:
        """The file whose inputs have `shape` and whose output is `logits`, called OUTPUT in it."""
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [OUTPUT if name == logits.name else name for name in names]
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes,
            "network",
            [self._entry(INPUT, shape)],
            [self._entry(OUTPUT, logits.shape)],
            self._weights,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="relu-bench")
        model.ir_version = IR_VERSION
        return bytes(model.SerializeToString())

    def _entry(self, name: str, shape: Shape) -> Any:
        kind = self._onnx.TensorProto.FLOAT
        return self._onnx.helper.make_tensor_value_info(name, kind, [BATCH, *shape])
