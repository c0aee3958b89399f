"""ONNX files for tests, and what their runtime makes of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relu.network.activation import logits_of
from relu.network.layers import to_vectors
from relu.network.onnx import OnnxNetwork, read_onnx
from relu.network.reader import in_float64, read_layers

onnx: Any = pytest.importorskip("onnx")
ort: Any = pytest.importorskip("onnxruntime")

NEWEST = onnx.defs.onnx_opset_version()
OPSETS = (9, 11, 13, 17, NEWEST)


class File:
    """A file that grows: operations one after another, each on the value before it.

    shape: of one input. Weights are random, from a seed.
    """

    def __init__(
        self, shape: Sequence[int], *, opset: int = 17, batch: int | str = 1, dtype: str = "float32"
    ) -> None:
        self.shape = tuple(shape)
        self.opset = opset
        self.batch = batch
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.weights: dict[str, np.ndarray] = {}
        self.last = "x"
        self.draw = np.random.default_rng(0)

    def weight(self, values: Any, dtype: str | None = None) -> str:
        """The name of one more weight."""
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(values, dtype=dtype or self.dtype)
        return name

    def random(self, *shape: int, scale: float = 1.0) -> str:
        return self.weight(scale * self.draw.standard_normal(shape))

    def numbers(self, values: Sequence[int]) -> str:
        return self.weight(np.array(values), "int64")

    def add(self, operation: str, *inputs: str, first: str | None = None, **attributes: Any) -> str:
        """One more operation; its first input is the last value, or the one named."""
        name = f"z{len(self.nodes)}"
        names = [self.last if first is None else first, *inputs]
        self.nodes.append(onnx.helper.make_node(operation, names, [name], **attributes))
        self.last = name
        return name

    def listed(self, operation: str, name: str, values: Sequence[int], since: int) -> str:
        """An operation whose list is an attribute, and from an opset on an input."""
        if self.opset < since:
            attributes: dict[str, Any] = {name: list(values)}
            return self.add(operation, **attributes)
        return self.add(operation, self.numbers(values))

    def head(self, classes: int = 3) -> "File":
        """Flatten and a matrix, for logits of the size that it takes."""
        self.add("Flatten", axis=1)
        size = self.size()
        self.add(
            "Gemm", self.random(classes, size, scale=size**-0.5), self.random(classes), transB=1
        )
        return self

    def size(self) -> int:
        """Of the last value."""
        content = self.content()
        session = _session(content)
        x = np.zeros((1, *self.shape), dtype=self.dtype)
        return int(session.run(None, {"x": x})[0].size)

    def model(self, outputs: Sequence[str] | None = None) -> Any:
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        graph = onnx.helper.make_graph(
            self.nodes,
            "network",
            [onnx.helper.make_tensor_value_info("x", kind, [self.batch, *self.shape])],
            [
                onnx.helper.make_tensor_value_info(name, kind, None)
                for name in outputs or [self.last]
            ],
            [onnx.numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )
        opset = onnx.helper.make_opsetid("", self.opset)
        model = onnx.helper.make_model(graph, opset_imports=[opset])
        model.ir_version = min(model.ir_version, 10)
        return model

    def content(self) -> bytes:
        return bytes(self.model().SerializeToString())


def _session(content: bytes) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def runtime_outputs(content: bytes, x: Tensor, dtype: str = "float32") -> Tensor:
    """Of each input, one by one."""
    session = _session(content)
    (name,) = [entry.name for entry in session.get_inputs()]
    rows = [session.run(None, {name: x[i : i + 1].numpy().astype(dtype)})[0] for i in range(len(x))]
    return torch.from_numpy(np.stack(rows).reshape(len(x), -1).astype(np.float64))


def assert_read(file: File | bytes, tolerance: float = 1e-5) -> OnnxNetwork:
    """The module of many inputs, its layers, and the runtime of single inputs agree."""
    content = file if isinstance(file, bytes) else file.content()
    dtype = "float32" if isinstance(file, bytes) else file.dtype
    net = read_onnx(content)
    exact = in_float64(net)
    layers = read_layers(exact, net.shape)
    x = torch.cat([scale * torch.randn(3, *net.shape) for scale in (0.1, 1.0, 5.0)])
    x = torch.from_numpy(x.numpy().astype(dtype)).float()
    theirs = runtime_outputs(content, x, dtype)
    room = tolerance * (1 + theirs.abs().amax(1, keepdim=True))
    with torch.no_grad():
        ours = net(x)
        logits = logits_of(layers, to_vectors(layers, x.double()))
        assert ours.shape == (len(x), net.classes)
        assert ours.dtype == torch.float32
        assert bool(((ours - theirs).abs() <= room).all())
        assert bool(((logits - theirs).abs() <= room).all())
        assert torch.allclose(logits, exact(x.double()), atol=1e-9, rtol=1e-9)
    return net
