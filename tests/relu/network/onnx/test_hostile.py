"""Files that are none, are cut off, lie about themselves, or hold what is not supported."""

import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from relu.errors import InputError
from relu.network.onnx import comparison, read_onnx
from tests.relu.network.onnx.models import NEWEST, File, assert_read, onnx


def vector() -> File:
    """A matrix and a ReLU, for what comes after them."""
    file = File((4,))
    file.add("Gemm", file.random(4, 6), file.random(6))
    file.add("Relu")
    return file


def image() -> File:
    """A convolution and a ReLU, for what comes after them."""
    file = File((2, 6, 5))
    file.add("Conv", file.random(3, 2, 2, 2), file.random(3))
    file.add("Relu")
    return file


def refused(content: bytes, reason: str) -> None:
    """One line."""
    with pytest.raises(InputError, match=reason) as raised:
        read_onnx(content)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it has no version, or no operations"),
        (b"an image, perhaps", "is no ONNX network, or is cut off"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS pointer"),
        (b"\x80\x02}q\x00.", "is no ONNX network"),
        (b"PK\x03\x04" + bytes(100), "is no ONNX network"),
        (b"\x08\x08", "it has no version, or no operations"),
    ],
)
def test_what_is_no_network_is_refused(content: bytes, reason: str) -> None:
    refused(content, reason)


def test_every_beginning_of_a_file_is_refused() -> None:
    content = image().head().content()
    for length in range(0, len(content), 97):
        refused(content[:length], ".")


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = vector().content()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"onnx: pip install 'relu-bench\[onnx\]'"):
        read_onnx(content)


UNSUPPORTED: dict[str, tuple[Callable[[File], Any], str]] = {
    "softmax": (lambda f: f.add("Softmax"), r"node 'z2' \(Softmax\) is not supported"),
    "sigmoid": (lambda f: f.add("Sigmoid", name="end"), r"node 'end' \(Sigmoid\) is not supported"),
    "log": (lambda f: f.add("LogSoftmax"), r"\(LogSoftmax\) is not supported"),
    "product": (lambda f: f.add("Mul", f.last), "takes two values of the network"),
    "quotient": (lambda f: f.add("Div", f.last, first=f.random(6)), "takes a value of the network"),
    "zero": (lambda f: f.add("Div", f.weight(np.zeros(6))), "divides by zero"),
    "steep": (lambda f: f.add("LeakyRelu", alpha=1.5), "has slope 1.5, expected one from 0 to 1"),
    "falling": (lambda f: f.add("LeakyRelu", alpha=-0.5), "has slope -0.5"),
    "slopes": (lambda f: f.add("PRelu", f.random(6)), "has more than one slope"),
    "crossed": (lambda f: f.add("Clip", f.weight(1.0), f.weight(0.0)), "expected them in order"),
    "nan": (lambda f: f.add("Clip", f.weight(np.nan)), "expected a finite number"),
    "bounds": (lambda f: f.add("Clip", f.random(2)), "needs one number as its min"),
    "computed": (lambda f: f.add("Clip", f.last), "takes a value of the network as its input 2"),
    "weights": (lambda f: f.add("Gemm", f.last), "takes a value of the network as its input 2"),
    "integers": (lambda f: f.add("Add", f.numbers([1] * 6)), "has weights of type int64"),
    "infinite": (lambda f: f.add("Add", f.weight(np.inf)), "no finite numbers"),
    "larger": (lambda f: f.add("Add", f.random(1, 5, 6)), "which would become larger"),
    "unequal": (lambda f: f.add("Add", f.random(5)), "which would become larger"),
    "columns": (lambda f: f.add("Gemm", f.random(1, 3), transA=1), "the axis of the inputs"),
    "matrix": (lambda f: f.add("Gemm", f.random(5, 3)), "has a matrix of shape"),
    "left": (lambda f: f.add("MatMul", f.last, first=f.random(3, 1)), "the axis of the inputs"),
    "rows": (lambda f: f.add("Reshape", f.numbers([2, 3])), "changes the axis of the inputs"),
    "column": (lambda f: f.add("Reshape", f.numbers([-1, 1])), "changes the axis of the inputs"),
    "flat": (lambda f: f.add("Reshape", f.numbers([6])), "changes the axis of the inputs"),
    "more": (lambda f: f.add("Reshape", f.numbers([1, 7])), "makes"),
    "unknowns": (lambda f: f.add("Reshape", f.numbers([-1, -1])), "makes"),
    "vast": (lambda f: f.add("Reshape", f.numbers([1, 10**12])), "makes"),
    "third": (lambda f: f.add("Reshape", f.numbers([1, 6, 0])), "keeps an axis that is not there"),
    "transposed": (lambda f: f.add("Transpose"), "changes the axis of the inputs"),
    "flattened": (lambda f: f.add("Flatten", axis=0), "changes the axis of the inputs"),
    "squeezed": (lambda f: f.add("Squeeze"), "the inputs' too"),
    "first": (lambda f: f.add("Unsqueeze", f.numbers([0])), "changes the axis of the inputs"),
    "joined": (lambda f: f.add("Concat", f.last, axis=0), "changes the axis of the inputs"),
    "constant": (lambda f: f.add("Concat", f.random(1, 6), axis=1), "joins a constant"),
    "mean": (lambda f: f.add("ReduceMean", axes=[0, 1]), "changes the axis of the inputs"),
    "means": (lambda f: f.add("ReduceMean"), "is the mean over all axes"),
    "padded": (lambda f: f.add("Pad", f.numbers([1, 0, 0, 0])), "changes the axis of the inputs"),
    "cropped": (lambda f: f.add("Pad", f.numbers([0, -1, 0, 0])), "takes something away"),
    "reflected": (lambda f: f.add("Pad", f.numbers([0, 1, 0, 1]), mode="reflect"), "'reflect'"),
    "endless": (lambda f: f.add("Pad", f.numbers([0, 10**12, 0, 0])), "too many values"),
    "images": (lambda f: f.add("MaxPool", kernel_shape=[2, 2]), "needs images or signals"),
    "random": (lambda f: f.add("Dropout", "", f.weight(True, "bool")), "training mode"),
    "training": (
        lambda f: f.add("BatchNormalization", *[f.random(6)] * 4, training_mode=1),
        "is in training mode",
    ),
    "variance": (
        lambda f: f.add("BatchNormalization", *[f.weight(-np.ones(6))] * 4),
        "negative variances",
    ),
    "statistics": (
        lambda f: f.add("BatchNormalization", *[f.random(5)] * 4),
        "statistics that do not fit",
    ),
    "attribute": (lambda f: f.add("Relu", slope=2.0), "has the attribute 'slope'"),
    "type": (lambda f: f.add("Flatten", axis=1.5), "has an attribute axis that is no int"),
    "arguments": (lambda f: f.add("Relu", f.last), "has 2 inputs"),
    "domain": (lambda f: f.add("Relu", domain="my.own"), "is of the domain 'my.own'"),
    "function": (lambda f: f.add("MyOwn"), r"\(MyOwn\) is not supported"),
    "unknown": (lambda f: f.add("Add", "nowhere"), "takes 'nowhere', which no operation"),
    "itself": (lambda f: f.add("Add", "z2"), "takes 'z2', which no operation before it gives"),
    "end": (lambda f: f.add("Identity", first=f.random(1, 6)), "does not depend on the input"),
    "one": (lambda f: f.add("Gemm", f.random(6, 1)), "numbers for two classes or more"),
    "name": (lambda f: f.add("Softmax", name="a\nb" * 1000), r"'a\\nba"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_its_node(name: str) -> None:
    change, reason = UNSUPPORTED[name]
    file = vector()
    change(file)
    refused(file.content(), reason)


IMAGES: dict[str, tuple[Callable[[File], Any], str]] = {
    "volume": (lambda f: f.add("Conv", f.random(1, 3, 1, 1, 1)), "has a kernel of shape"),
    "channels": (lambda f: f.add("Conv", f.random(1, 2, 1, 1)), "has a kernel of shape"),
    "groups": (lambda f: f.add("Conv", f.random(2, 1, 1, 1), group=3), "in 3 groups"),
    "kernel": (lambda f: f.add("Conv", f.random(2, 3, 9, 9)), "not supported"),
    "bias": (lambda f: f.add("Conv", f.random(2, 3, 1, 1), f.random(3)), "has a bias of shape"),
    "pads": (lambda f: f.add("Conv", f.random(2, 3, 1, 1), pads=[1]), "has pads"),
    "negative": (lambda f: f.add("Conv", f.random(2, 3, 1, 1), pads=[0, 0, -1, 0]), "has pads"),
    "still": (lambda f: f.add("Conv", f.random(2, 3, 1, 1), strides=[0, 1]), "has strides"),
    "both": (
        lambda f: f.add("Conv", f.random(2, 3, 1, 1), auto_pad="VALID", pads=[1, 1, 1, 1]),
        "has pads beside auto_pad",
    ),
    "auto": (lambda f: f.add("MaxPool", kernel_shape=[2, 2], auto_pad="ANY"), "auto_pad 'ANY'"),
    "vast": (
        lambda f: f.add("AveragePool", kernel_shape=[2, 2], pads=[2**40] * 4),
        "has pads",
    ),
    "huge": (
        lambda f: f.add("MaxPool", kernel_shape=[2**20] * 2, pads=[2**20 - 1] * 4),
        "too many values",
    ),
    "border": (
        lambda f: f.add("MaxPool", kernel_shape=[2, 2], pads=[2, 0, 0, 0]),
        "nothing but padding",
    ),
    "columns": (lambda f: f.add("MaxPool", kernel_shape=[2, 2], storage_order=1), "by columns"),
    "logits": (lambda f: f.add("Relu"), "numbers for two classes or more"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_that_do_not_fit_are_refused_by_their_node(name: str) -> None:
    change, reason = IMAGES[name]
    file = image()
    change(file)
    refused(file.content(), reason)


def test_indices_of_a_pooling_are_not_there() -> None:
    file = image()
    pool = onnx.helper.make_node("MaxPool", [file.last], ["a", "b"], kernel_shape=[2, 2])
    file.nodes.append(pool)
    file.add("Add", "b", first="a")
    refused(file.content(), "takes 'b', which no operation before it gives")


def test_numbers_that_never_win_are_for_poolings_alone() -> None:
    file = image()
    file.add("Pad", file.numbers([0, 0, 1, 1, 0, 0, 1, 1]), file.weight(-np.inf))
    file.add("Relu")
    refused(file.head().content(), "which only a max-pooling may take")


def test_control_flow_is_refused() -> None:
    file = vector()
    file.nodes.append(onnx.helper.make_node("Identity", [file.last], ["inner"]))
    branch = onnx.helper.make_graph(
        file.nodes[-1:], "branch", [], [onnx.helper.make_tensor_value_info("inner", 1, None)]
    )
    condition = file.weight(True, "bool")
    file.add("If", first=condition, then_branch=branch, else_branch=branch)
    refused(file.content(), r"\(If\) is not supported")


def changed(change: Callable[[Any], Any]) -> bytes:
    model = vector().model()
    change(model)
    return bytes(model.SerializeToString())


def _external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _two_inputs(model: Any) -> None:
    model.graph.input.add().CopyFrom(onnx.helper.make_tensor_value_info("y", 1, [1, 4]))


def _shape(*sizes: Any) -> Callable[[Any], Any]:
    value = onnx.helper.make_tensor_value_info("x", 1, list(sizes))
    return lambda model: model.graph.input[0].CopyFrom(value)


CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "external": (_external, "lies in another file, which is never opened"),
    "dims": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 5), "24 entries, expected 30"),
    "vast": (
        lambda m: m.graph.initializer[0].dims.__setitem__(slice(None), [10**6, 10**6]),
        "too many weights",
    ),
    "negative": (lambda m: m.graph.initializer[0].dims.__setitem__(0, -4), "negative size"),
    "raw": (lambda m: setattr(m.graph.initializer[0], "raw_data", b"123"), "0.75 entries"),
    "type": (lambda m: setattr(m.graph.initializer[0], "data_type", 8), "has type 8"),
    "newest": (lambda m: setattr(m.opset_import[0], "version", NEWEST + 1), f"to {NEWEST}"),
    "oldest": (lambda m: setattr(m.opset_import[0], "version", 8), "of opset 8, expected"),
    "opset": (lambda m: m.opset_import.pop(), "of opset none"),
    "inputs": (_two_inputs, "one input and one output, got 2 and 1"),
    "outputs": (lambda m: m.graph.output.add(name="z0"), "one input and one output, got 1 and 2"),
    "input": (lambda m: m.graph.input.pop(), "got 0 and 1"),
    "output": (lambda m: setattr(m.graph.output[0], "name", "z9"), "'z9' does not depend"),
    "whole": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 7),
        "must be of type float32",
    ),
    "untyped": (lambda m: m.graph.input[0].ClearField("type"), "must be of type float32"),
    "many": (_shape(5, 4), "expected the number of inputs"),
    "open": (_shape("n", "m"), "expected the number of inputs"),
    "scalar": (_shape(1), "expected the number of inputs"),
    "wide": (_shape(1, 10**12), "too many values"),
    "twice": (lambda m: m.graph.node[1].output.__setitem__(0, "z0"), "which is there already"),
    "shadow": (lambda m: m.graph.node[1].output.__setitem__(0, "x"), "which is there already"),
    "unsorted": (
        lambda m: m.graph.node.extend([m.graph.node[0], m.graph.node.pop(0)][1:]),
        "which no operation before it gives",
    ),
    "named": (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "of one name"),
    "sparse": (lambda m: m.graph.sparse_initializer.add(), "has sparse weights"),
    "functions": (lambda m: m.functions.add(name="f", domain="d"), "functions of its own"),
    "attributes": (
        lambda m: m.graph.node[0].attribute.extend(
            [onnx.helper.make_attribute("alpha", value) for value in (1.0, 2.0)]
        ),
        "two attributes of one name",
    ),
    "outputless": (lambda m: m.graph.node[1].ClearField("output"), "has no output"),
    "nodes": (lambda m: m.graph.node.extend([m.graph.node[1]] * 10_000), "more than 10,000"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_files_that_lie_about_themselves_are_refused(name: str) -> None:
    change, reason = CHANGES[name]
    refused(changed(change), reason)


@pytest.mark.parametrize("size", [10**12, 2**62, 2**29])
def test_constants_that_no_memory_holds_are_refused_before_they_are_made(size: int) -> None:
    file = vector()
    kept = file.last
    file.add("ConstantOfShape", first=file.numbers([size, 2]))
    file.add("Add", file.last, first=kept)
    refused(file.content(), "too many weights")


def test_names_that_are_no_text_are_refused() -> None:
    content = vector().content().replace(b"Relu", b"\xff\xfe\xfd\xfc")
    refused(content, "has a name that is no text")


def test_another_function_than_the_runtimes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison sees one weight of a hundred that is a thousandth off."""
    file = vector().head()
    assert_read(file)
    runtime = comparison._runtime

    def other(content: bytes, output: str) -> Any:
        model = onnx.ModelProto.FromString(content)
        tensor = model.graph.initializer[0]
        array = onnx.numpy_helper.to_array(tensor).copy()
        array[0, 0] *= 1.001
        tensor.raw_data = array.tobytes()
        return runtime(model.SerializeToString(), output)

    monkeypatch.setattr(comparison, "_runtime", other)
    with pytest.raises(InputError, match="gives other outputs than the file does elsewhere"):
        read_onnx(file.content())


def test_what_a_file_stores_beside_its_network_changes_nothing() -> None:
    model = vector().head().model()
    model.producer_name = "somebody"
    model.metadata_props.add(key="a", value="b")
    model.opset_import.add(domain="ai.onnx.ml", version=3)
    model.graph.value_info.add(name="z0")
    assert_read(bytes(model.SerializeToString()))


def test_flipped_bits_give_a_network_that_is_the_files_or_one_line() -> None:
    draw = random.Random(0)
    content = image().head().content()
    x = torch.randn(2, 2, 6, 5)
    for _ in range(20):
        flipped = bytearray(content)
        place = draw.randrange(len(content))
        flipped[place] ^= 1 << draw.randrange(8)
        try:
            net = read_onnx(bytes(flipped))
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert net.shape != (2, 6, 5) or net(x).shape == (2, net.classes)
