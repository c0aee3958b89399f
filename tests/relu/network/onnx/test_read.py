"""Every operation that is read, in every opset that changed it, beside onnxruntime."""

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relu.network.onnx import read_onnx
from relu.network.reader import read_layers
from tests.relu.network.onnx.models import NEWEST, OPSETS, File, assert_read, onnx

SHARED = os.environ.get("BENCH_SHARED", "")
IMAGE = (2, 6, 5)


def image(opset: int = 17, **options: Any) -> File:
    """A convolution and a ReLU, for what comes after them."""
    file = File(IMAGE, opset=opset, **options)
    file.add("Conv", file.random(3, 2, 2, 2), file.random(3))
    file.add("Relu")
    return file


def vector(opset: int = 17, **options: Any) -> File:
    """A matrix and a ReLU, for what comes after them."""
    file = File((4,), opset=opset, **options)
    file.add("Gemm", file.random(4, 6), file.random(6))
    file.add("Relu")
    return file


@pytest.mark.parametrize(
    ("opset", "attributes"),
    [
        *((opset, {"transB": 1}) for opset in OPSETS),
        (11, {"alpha": 0.5, "beta": 0.5}),
        (9, {"alpha": 0.5, "beta": 2.0}),
        (9, {"alpha": 3.0, "beta": 0.0}),
    ],
)
def test_gemm(opset: int, attributes: dict[str, Any]) -> None:
    file = File((4,), opset=opset)
    shape = (3, 4) if attributes.get("transB") else (4, 3)
    file.add("Gemm", file.random(*shape), file.random(3), **attributes)
    assert_read(file)


def test_a_bias_of_gemm_is_as_wide_as_it_has_to_be() -> None:
    file = File((3,))
    for bias in ((), (1,), (1, 1), (1, 3), (3,)):
        file.add("Gemm", file.random(3, 3), file.random(*bias))
        file.add("Relu")
    file.add("Gemm", file.random(3, 3), alpha=0.25)
    assert_read(file)


@pytest.mark.parametrize(
    ("shape", "matrix", "left"),
    [
        ((4,), (4, 3), False),
        ((3, 4), (4, 2), False),
        ((3, 4), (4,), False),
        ((2, 3, 4), (1, 4, 2), False),
        ((1, 1, 4), (4, 2), False),
        ((4, 1), (5, 4), True),
        ((4, 3), (5, 4), True),
        ((2, 4, 3), (1, 1, 5, 4), True),
    ],
)
def test_matmul(shape: tuple[int, ...], matrix: tuple[int, ...], left: bool) -> None:
    file = File(shape)
    file.add("Relu")
    weight = file.random(*matrix)
    if left:
        file.add("MatMul", file.last, first=weight)
    else:
        file.add("MatMul", weight)
    file.add("Add", file.random(1))
    file.add("Relu")
    assert_read(file.head())


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [1, 1, 1, 1]},
        {"pads": [0, 1, 2, 1], "strides": [2, 1]},
        {"pads": [2, 0, 0, 1], "strides": [2, 3]},
        {"dilations": [2, 1], "pads": [1, 1, 0, 0]},
        {"auto_pad": "VALID"},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"auto_pad": "SAME_UPPER", "kernel_shape": [2, 2]},
        {"group": 2},
    ],
)
def test_conv(attributes: dict[str, Any]) -> None:
    file = File((2, 6, 5))
    channels = 2 // attributes.get("group", 1)
    file.add("Conv", file.random(4, channels, 2, 2), file.random(4), **attributes)
    file.add("Relu")
    file.add("Conv", file.random(2, 4, 1, 1))
    assert_read(file.head())


def test_conv_of_signals() -> None:
    file = File((2, 9))
    file.add("Conv", file.random(3, 2, 3), file.random(3), pads=[1, 0], strides=[2])
    file.add("Relu")
    file.add("MaxPool", kernel_shape=[2])
    file.add("AveragePool", kernel_shape=[2], pads=[1, 0])
    file.add("GlobalAveragePool")
    assert_read(file.head())


@pytest.mark.parametrize(("start", "opset"), [(image, 9), (vector, 14), (image, NEWEST)])
def test_batch_norm(start: Callable[[int], File], opset: int) -> None:
    file = start(opset)
    channels = 3 if start is image else 6
    variance = file.weight(np.random.default_rng(1).random(channels) + 0.1)
    norm = [file.random(channels) for _ in range(3)]
    file.add("BatchNormalization", *norm, variance, epsilon=1e-3)
    file.add("Relu")
    assert_read(file.head())


POOLINGS: list[dict[str, Any]] = [
    {"kernel_shape": [2, 2]},
    {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [0, 1, 1, 0]},
    {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "VALID"},
    {"kernel_shape": [2, 2], "strides": [3, 2], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 0, 1], "ceil_mode": 1},
]


@pytest.mark.parametrize("attributes", POOLINGS)
@pytest.mark.parametrize("operation", ["MaxPool", "AveragePool"])
def test_poolings(operation: str, attributes: dict[str, Any]) -> None:
    file = image(10 if operation == "AveragePool" else NEWEST)
    file.add(operation, **attributes)
    assert_read(file.head())


@pytest.mark.parametrize("attributes", POOLINGS[:-1])
def test_means_that_count_padding(attributes: dict[str, Any]) -> None:
    file = image(NEWEST)
    file.add("AveragePool", count_include_pad=1, **attributes)
    assert_read(file.head())


def test_dilated_poolings() -> None:
    for operation in ("MaxPool", "AveragePool"):
        file = image(19)
        file.add(operation, kernel_shape=[2, 2], dilations=[2, 1], pads=[0, 1, 0, 1])
        assert_read(file.head())


@pytest.mark.parametrize(
    ("axes", "keeps", "opset"),
    [([2, 3], 1, 9), ([-1, -2], 0, 18), ([1], 0, 13), ([1, 3], 1, NEWEST), ([1, 2, 3], 1, 11)],
)
def test_means_over_axes(axes: list[int], keeps: int, opset: int) -> None:
    file = image(opset)
    if opset < 18:
        file.add("ReduceMean", axes=axes, keepdims=keeps)
    else:
        file.add("ReduceMean", file.numbers(axes), keepdims=keeps)
    assert_read(file.head())


def test_means_of_channels() -> None:
    file = image()
    file.add("GlobalAveragePool")
    assert_read(file.head())


@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 1), (1, 3, 1, 1), (5, 4), (1, 3, 5, 4), (4,)])
def test_arithmetic_with_constants(shape: tuple[int, ...]) -> None:
    file = image()
    for operation in ("Add", "Sub", "Mul", "Div"):
        file.add(operation, file.weight(0.5 + file.draw.random(shape)))
        if operation != "Div":
            file.add("Relu")
            file.add(operation, file.last, first=file.random(*shape))
    file.add("Relu")
    assert_read(file.head())


@pytest.mark.parametrize("operation", ["Add", "Sub"])
def test_arithmetic_with_values(operation: str) -> None:
    file = image()
    before = file.last
    after = file.add("Conv", file.random(3, 3, 3, 3), pads=[1, 1, 1, 1])
    file.add(operation, after, first=before)
    file.add("Neg")
    file.add("LeakyRelu", alpha=0.25)
    file.add(operation, before)
    assert_read(file.head())


@pytest.mark.parametrize(
    ("low", "high", "opset"),
    [
        (0, 6, 10),
        (None, 0.5, 9),
        (-1, 1, 11),
        (0.1, None, 12),
        (0, 6, NEWEST),
        (None, None, 13),
    ],
)
def test_clip(low: float | None, high: float | None, opset: int) -> None:
    file = image(opset)
    if opset < 11:
        bounds = {"min": low, "max": high}
        attributes: dict[str, Any] = {k: float(v) for k, v in bounds.items() if v is not None}
        file.add("Clip", **attributes)
    else:
        names = ["" if bound is None else file.weight(bound) for bound in (low, high)]
        file.add("Clip", *names)
    assert_read(file.head())


def test_bounds_beyond_every_number_are_none() -> None:
    file = image()
    file.add("Clip", file.weight(0.0), file.weight(np.finfo(np.float32).max))
    assert_read(file.head())


def test_a_slope_that_is_a_weight() -> None:
    file = image()
    file.add("PRelu", file.weight([0.125]))
    assert_read(file.head())


@pytest.mark.parametrize("opset", OPSETS)
def test_shapes(opset: int) -> None:
    file = image(opset)  # 3 x 5 x 4
    file.listed("Unsqueeze", "axes", [1, 5], 13)
    file.add("Relu")
    file.listed("Squeeze", "axes", [1, 5], 13)
    file.add("Reshape", file.numbers([0, 4, -1, 3]))
    file.add("Transpose", perm=[0, 3, 1, 2])
    file.add("Relu")
    file.add("Reshape", file.numbers([-1, 15, 4]))
    file.add("Transpose", perm=[0, 2, 1])
    file.add("Identity")
    file.add("Dropout")
    file.add("Flatten", axis=-2 if opset >= 11 else 1)
    assert_read(file.head())


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concat(axis: int) -> None:
    file = image()
    one = file.last
    two = file.add("Conv", file.random(3, 3, 1, 1))
    file.add("Concat", two, one, first=one, axis=axis)
    file.add("Relu")
    assert_read(file.head())


@pytest.mark.parametrize(
    ("opset", "value"), [(10, 0.0), (10, 0.75), (11, 0.0), (13, -0.5), (NEWEST, 0.75)]
)
def test_pad(opset: int, value: float) -> None:
    file = image(opset)
    pads = [0, 1, 0, 2, 0, 0, 1, 1]
    if opset < 11:
        file.add("Pad", pads=pads, value=value)
    else:
        file.add("Pad", file.numbers(pads), file.weight(value))
    file.add("Conv", file.random(2, 4, 2, 2))
    file.add("Relu")
    assert_read(file.head())


def test_pad_of_some_axes_and_with_numbers_that_never_win() -> None:
    file = image(18)
    file.add("Pad", file.numbers([1, 0, 2, 1]), "", file.numbers([3, -2]))
    assert_read(file.head())
    for least in (-np.inf, np.finfo(np.float32).min):
        file = image()
        file.add("Pad", file.numbers([0, 0, 1, 0, 0, 0, 0, 1]), file.weight(least))
        file.add("MaxPool", kernel_shape=[2, 2])
        assert_read(file.head())


@pytest.mark.parametrize(("opset", "batch"), list(zip(OPSETS, [1, "n", 1, "n", 1], strict=True)))
def test_a_flatten_as_exporters_compute_it(opset: int, batch: int | str) -> None:
    """Shape, Gather, Unsqueeze, Concat, Reshape: constants, once the input's shape is known."""
    file = image(opset, batch=batch)
    values = file.last
    file.add("Shape")
    file.add("Gather", file.weight(0, "int64"), axis=0)
    size = file.listed("Unsqueeze", "axes", [0], 13)
    shape = file.add("Concat", file.numbers([-1]), first=size, axis=0)
    file.add("Reshape", shape, first=values)
    assert_read(file.head())


def test_constants_are_folded() -> None:
    file = image()
    values = file.last
    file.add("Shape")
    file.add("Slice", file.numbers([0]), file.numbers([2]), file.numbers([0]))
    file.add("Cast", to=onnx.TensorProto.FLOAT)
    file.add("Cast", to=onnx.TensorProto.INT64)
    kept = file.last
    file.nodes.append(onnx.helper.make_node("Constant", [], ["twenty"], value_ints=[10]))
    file.add("Mul", file.numbers([2]), first="twenty")
    file.add("Concat", file.last, first=kept, axis=0)
    file.add("Reshape", file.last, first=values)
    flat = file.last
    file.add("ConstantOfShape", first=file.numbers([20, 3]))
    ones = file.add("Add", file.random(3))
    file.add("Transpose", first=ones)
    weight = file.add("Transpose")
    file.add("MatMul", weight, first=flat)
    file.listed("Squeeze", "axes", [1], 13) if file.size() == 3 else None
    assert_read(file.head())


@pytest.mark.parametrize("shape", [(784, 1), (1, 5), (5,), (2, 2, 2, 3), (4, 4, 2)])
def test_inputs_of_any_number_of_axes(shape: tuple[int, ...]) -> None:
    file = File(shape)
    net = assert_read(file.head())
    assert net.shape == shape
    assert net.inputs == ("x",)
    assert net.outputs == (file.last,)


def test_images_with_their_channels_last() -> None:
    file = File((6, 5, 2))
    file.add("Transpose", perm=[0, 3, 1, 2])
    file.add("Conv", file.random(3, 2, 3, 3), file.random(3), pads=[1, 1, 1, 1])
    file.add("Relu")
    file.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    file.add("Transpose", perm=[0, 2, 3, 1])
    file.add("Add", file.random(3))
    file.add("Reshape", file.numbers([1, -1]))
    file.add("MatMul", file.random(file.size(), 4))
    assert_read(file)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_weights_of_other_precisions(dtype: str) -> None:
    file = vector(dtype=dtype)
    net = assert_read(file.head(), tolerance=2e-3 if dtype == "float16" else 1e-6)
    assert {value.dtype for value in net.state_dict().values()} == {torch.float32}


def test_weights_stored_as_numbers_rather_than_bytes() -> None:
    for dtype in ("float32", "float16", "float64"):
        file = File((4,), dtype=dtype)
        model = file.head().model()
        for tensor in model.graph.initializer:
            array = onnx.numpy_helper.to_array(tensor)
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            typed = onnx.helper.make_tensor(tensor.name, kind, array.shape, array.ravel())
            tensor.CopyFrom(typed)
        a = read_onnx(file.content()).state_dict()
        b = read_onnx(model.SerializeToString()).state_dict()
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_outputs_of_one_entry_on_all_axes_but_one_are_logits() -> None:
    file = File((2, 4, 4))
    file.add("Conv", file.random(5, 2, 4, 4))
    assert assert_read(file).classes == 5


def test_a_network_is_an_ordinary_module() -> None:
    file = image()
    file.add("Mul", file.random(3, 1, 1))
    net = assert_read(file.head())
    x = torch.randn(3, *IMAGE)
    other = copy.deepcopy(net)
    assert torch.equal(other(x), net(x))
    assert torch.equal(pickle.loads(pickle.dumps(net))(x), net(x))
    with torch.no_grad():
        for value in other.parameters():
            value.zero_()
    assert not torch.equal(other(x), net(x))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(x), net(x))
    assert other.double()(x.double()).dtype == torch.float64
    net(x).sum().backward()
    assert all(value.grad is not None for value in net.parameters())


def test_weights_named_among_the_inputs_are_weights() -> None:
    file = vector(9).head()
    model = file.model()
    for tensor in model.graph.initializer:
        model.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    assert_read(model.SerializeToString())


def test_without_a_runtime_onnx_itself_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    file = image().head()
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    net = read_onnx(file.content())
    x = torch.randn(2, *IMAGE)
    monkeypatch.undo()
    assert torch.equal(net(x), assert_read(file)(x))


@pytest.mark.skipif(not SHARED, reason="BENCH_SHARED does not name a folder with real networks")
@pytest.mark.parametrize(
    ("path", "shape", "sizes"),
    [
        ("mnist_fc/mnist-net_256x2.onnx", (784, 1), [256] * 2),
        ("mnist_fc/mnist-net_256x4.onnx", (784, 1), [256] * 4),
        ("mnist_fc/mnist-net_256x6.onnx", (784, 1), [256] * 6),
        ("cifar10_resnet/resnet_2b.onnx", (3, 32, 32), [2048, 2048, 1024, 2048, 1024, 100]),
        ("mnist_maxpool/convnet_maxpool.onnx", (1, 28, 28), None),
    ],
)
def test_published_networks_are_read(
    path: str, shape: tuple[int, ...], sizes: list[int] | None
) -> None:
    (file,) = Path(SHARED, "models").rglob(Path(path).name)
    net = assert_read(file.read_bytes())
    assert net.shape == shape
    assert net.classes == 10
    layers = read_layers(net, shape)
    assert sizes is None or [layer.size for layer in layers] == [*sizes, 10]
