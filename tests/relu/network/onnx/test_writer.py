"""Networks that are written as ONNX files are the same there."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relu.errors import InputError
from relu.network.architecture import Architecture, Normalised
from relu.network.architectures import ARCHITECTURES
from relu.network.batch_norm import FixedBatchNorm
from relu.network.onnx import comparison, read_onnx
from relu.network.onnx.network import OnnxNetwork
from relu.network.onnx.writer import write_onnx
from relu.network.onnx.writer.file import FileBuilder
from relu.network.onnx.writer.rules import RULES
from relu.network.operations import OPERATIONS
from tests.relu.network.onnx.models import _session, onnx

SHAPE = (2, 6, 7)
CLASSES = 3


class Body(nn.Module):
    """Whatever a function does, and a matrix behind it. modules: what the function may call."""

    def __init__(self, function: Callable[[Any, Any], Any], **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleDict(modules)
        self.register_buffer("channels", torch.tensor([0.5, -2.0]).view(1, 2, 1, 1))
        self.register_buffer("kernel", torch.randn(4, 2, 3, 3))
        self.register_buffer("matrix", torch.randn(5, math.prod(SHAPE)))
        size = self.hidden(torch.zeros(2, *SHAPE)).shape[1]
        self.head = nn.Linear(size, CLASSES)

    def hidden(self, x: Any) -> Any:
        return torch.flatten(self.function(self, x), 1)

    def forward(self, x: Any) -> Any:
        return self.head(self.hidden(x))


def with_statistics(norm: Any) -> Any:
    """Batch norm as a training leaves it."""
    for part in (norm.running_mean, norm.bias):
        if part is not None:
            nn.init.normal_(part)
    for part in (norm.running_var, norm.weight):
        if part is not None:
            nn.init.uniform_(part, 0.5, 2.0)
    return norm


def layer(module: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: Body(lambda self, x: self.parts["it"](x), it=module())


def function(code: Callable[[Any, Any], Any]) -> Callable[[], nn.Module]:
    return lambda: Body(code)


def flat(code: Callable[[Any, Any], Any]) -> Callable[[], nn.Module]:
    return lambda: Body(lambda self, x: code(self, torch.flatten(x, 1)))


NETS: dict[str, Callable[[], nn.Module]] = {
    "linear": flat(lambda self, x: F.linear(x, self.matrix, self.matrix[:, 0])),
    "linear without bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(84, 3, bias=False)),
    "conv": layer(lambda: nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))),
    "conv in groups": layer(lambda: nn.Conv2d(2, 4, 3, groups=2, bias=False)),
    "conv same": layer(lambda: nn.Conv2d(2, 3, (2, 4), padding="same")),
    "conv valid": layer(lambda: nn.Conv2d(2, 3, 3, padding="valid")),
    "function conv": function(lambda self, x: F.conv2d(x, self.kernel, None, 2, 1)),
    "batch norm": layer(lambda: with_statistics(nn.BatchNorm2d(2))),
    "plain batch norm": layer(lambda: with_statistics(nn.BatchNorm2d(2, affine=False, eps=0.1))),
    "fixed batch norm": layer(lambda: FixedBatchNorm(with_statistics(nn.BatchNorm2d(2)))),
    "batch norm of vectors": lambda: nn.Sequential(
        nn.Flatten(), with_statistics(nn.BatchNorm1d(84)), nn.ReLU(), nn.Linear(84, 3)
    ),
    "relu": layer(nn.ReLU),
    "relu in place": function(lambda self, x: F.relu(x + 0.5, inplace=True)),
    "method relu": function(lambda self, x: x.relu()),
    "leaky": layer(lambda: nn.LeakyReLU(0.3)),
    "function leaky": function(lambda self, x: F.leaky_relu(x)),
    "relu6": layer(nn.ReLU6),
    "clamp": function(lambda self, x: x.clamp(-0.5, 0.25)),
    "clamp above": function(lambda self, x: torch.clip(x, max=0.25)),
    "clamp below": function(lambda self, x: x.clamp(min=0)),
    "max pool": layer(lambda: nn.MaxPool2d(2)),
    "max pool with all": layer(lambda: nn.MaxPool2d(3, (2, 1), 1, (1, 2))),
    "max pool rounded up": layer(lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
    "function max pool": function(lambda self, x: F.max_pool2d(x, 2, 1)),
    "max pool padded": function(
        lambda self, x: F.max_pool2d(F.pad(x, (1, 0, 2, 1), value=-math.inf), 3)
    ),
    "average pool": layer(lambda: nn.AvgPool2d(2)),
    "average pool padded": layer(lambda: nn.AvgPool2d(3, 2, 1)),
    "average pool of what is there": layer(lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "average pool rounded up": layer(lambda: nn.AvgPool2d(2, 2, ceil_mode=True)),
    "global pool": layer(lambda: nn.AdaptiveAvgPool2d(1)),
    "function global pool": function(lambda self, x: F.adaptive_avg_pool2d(x, (1, 1))),
    "add": function(lambda self, x: x + x.relu()),
    "add a number": function(lambda self, x: 2 + x),
    "add channels": function(lambda self, x: x + self.channels),
    "sub": function(lambda self, x: x.relu() - x),
    "sub from a number": function(lambda self, x: 1 - x),
    "mul": function(lambda self, x: self.channels * x),
    "div": function(lambda self, x: x / self.channels / 3),
    "neg": function(lambda self, x: -x),
    "cat": function(lambda self, x: torch.cat([x, x.relu(), x], dim=1)),
    "cat of columns": function(lambda self, x: torch.cat((x, -x), -1)),
    "view": function(lambda self, x: x.view(x.size(0), -1)),
    "reshape": function(lambda self, x: x.reshape(-1, 3, 4, 7).permute(0, 2, 1, 3)),
    "shape": function(lambda self, x: torch.reshape(x, (x.shape[0], 7, 12))),
    "permute": function(lambda self, x: torch.permute(x, (0, 3, 1, -2))),
    "transpose": function(lambda self, x: x.transpose(1, -1)),
    "squeeze": function(lambda self, x: x.unsqueeze(1).relu().squeeze(1)),
    "pad": function(lambda self, x: F.pad(x, (1, 2, 0, 3))),
    "pad with a number": function(lambda self, x: F.pad(x, (1, 0), value=0.5)),
    "identity": layer(nn.Identity),
    "dropout": layer(nn.Dropout),
    "normalised": lambda: Normalised(
        nn.Sequential(nn.Flatten(), nn.Linear(84, 3)), (0.1, 0.2), (0.5, 0.6), SHAPE
    ),
}


def assert_written(net: nn.Module, shape: tuple[int, ...]) -> bytes:
    """Whatever the number of inputs, the runtime gives its logits."""
    content = write_onnx(net, torch.rand(3, *shape))
    net.eval()
    session = _session(content)
    for n in (1, 5):
        x = torch.rand(n, *shape) - 0.25
        with torch.no_grad():
            ours = net(x)
        (theirs,) = session.run(None, {"input": x.numpy()})
        room = 1e-5 * float(ours.abs().max())
        assert theirs.shape == ours.shape
        assert np.abs(theirs - ours.numpy()).max() <= room
    return content


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", NETS)
def test_every_operation_is_written(name: str) -> None:
    assert_written(NETS[name](), SHAPE)


def test_every_operation_that_is_read_has_a_rule() -> None:
    no_values = {key for key in OPERATIONS if key not in RULES}
    assert {getattr(key, "__name__", key) for key in no_values} == {"size", "getattr", "getitem"}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_is_written(arch: str) -> None:
    net = ARCHITECTURES[arch].build((3, 8, 8), 10)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            with_statistics(module)
    content = assert_written(net, (3, 8, 8))
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.data_type for entry in model.graph.initializer} <= {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT64,
    }
    assert [entry.version for entry in model.opset_import] == [13]
    ends = [*model.graph.input, *model.graph.output]
    assert [entry.type.tensor_type.shape.dim[0].dim_param for entry in ends] == ["n", "n"]


def test_the_same_network_is_the_same_file_and_stays_as_it_is() -> None:
    net = NETS["batch norm"]().train().double()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    x = torch.rand(2, *SHAPE)
    assert write_onnx(net, x) == write_onnx(net, x)
    assert net.training
    assert all(torch.equal(before[name], t) for name, t in net.state_dict().items())


@pytest.mark.parametrize(
    ("net", "complaint"),
    [
        (layer(nn.Sigmoid), r"layer parts\.it \(Sigmoid\) cannot be written"),
        (layer(lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")), "pads with reflect"),
        (layer(lambda: nn.AdaptiveAvgPool2d(2)), "output size 2"),
        (layer(lambda: nn.BatchNorm2d(2, track_running_stats=False)), "no fixed statistics"),
        (layer(lambda: nn.AvgPool2d(2, divisor_override=3)), "divisor"),
        (function(lambda self, x: F.dropout(x)), "random"),
        (function(lambda self, x: torch.add(x, x, alpha=2)), "has alpha"),
        (function(lambda self, x: F.pad(x, (1, 1, 1, 1), "circular")), "pads"),
        (function(lambda self, x: torch.mul(x, x, out=None)), "has out"),
        (function(lambda self, x: x.relu() * x), "network"),
        (function(lambda self, x: x.flip(1)), "flip"),
        (function(lambda self, x: x.chunk(2, 1)[0]), "chunk"),
        (function(lambda self, x: x.reshape(x.shape[0], -1).permute(1, 0).permute(1, 0)), "inputs"),
        (lambda: nn.Conv2d(2, 3, 3), "vector of logits"),
        (lambda: nn.Linear(7, 3), "vectors"),
    ],
)
def test_what_cannot_be_written_is_named(net: Callable[[], nn.Module], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        write_onnx(net(), torch.rand(1, *SHAPE))
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_numbers_are_refused() -> None:
    net = NETS["relu"]()
    for weights in net.parameters():
        nn.init.constant_(weights, math.nan)
    with pytest.raises(InputError, match="no finite numbers"):
        write_onnx(net, torch.rand(1, *SHAPE))


@pytest.mark.parametrize("part", ["bias", "weight"])
def test_a_file_that_is_another_network_is_refused(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that is wrong by 1 in 10,000 is seen."""
    right = FileBuilder.numbers

    def wrong(file: Any, name: str, values: Any) -> str:
        values = values * 1.0001 if name == f"head.{part}" else values
        return right(file, name, values)

    monkeypatch.setattr(FileBuilder, "numbers", wrong)
    with pytest.raises(InputError, match="other outputs than the network"):
        write_onnx(NETS["relu"](), torch.rand(1, *SHAPE))


def test_a_reader_that_errs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    net = NETS["relu"]()
    content = write_onnx(net, torch.rand(1, *SHAPE))
    read = read_onnx(content)
    x = torch.rand(1, *SHAPE)
    comparison.require_same(net, read, content, x)
    forward = OnnxNetwork.forward
    monkeypatch.setattr(OnnxNetwork, "forward", lambda self, x: forward(self, x) + 1e-3)
    with pytest.raises(InputError, match="other outputs"):
        comparison.require_same(net, read, content, x)


def test_images_count_too() -> None:
    """A difference that only one image shows: a ReLU behind logits that are above 0 elsewhere."""
    last = nn.Linear(84, 3)
    nn.init.constant_(last.bias, 100.0)
    eye = nn.Linear(3, 3, bias=False)
    eye.weight = nn.Parameter(torch.eye(3))
    net = nn.Sequential(nn.Flatten(), last)
    other = nn.Sequential(nn.Flatten(), last, nn.ReLU(), eye)
    content = write_onnx(net, torch.rand(1, *SHAPE))
    read = read_onnx(content)
    comparison.require_same(other, read, content, torch.rand(1, *SHAPE))
    far = -1000 * last.weight[0].view(1, *SHAPE).sign().detach()
    with pytest.raises(InputError, match="other outputs"):
        comparison.require_same(other, read, content, far)


def test_rounding_alone_refuses_no_file() -> None:
    """Logits that are small differences of large numbers, which no two programs round alike."""
    first = nn.Linear(84, 400)
    last = nn.Linear(800, 3, bias=False)
    with torch.no_grad():
        last.weight.copy_(1e4 * torch.randn(3, 400).repeat(1, 2))
        last.weight[:, 400:] *= -1 + 1e-6
    net = Body(lambda self, x: self.parts["both"](torch.flatten(x, 1)), both=Twice(first))
    net.head = last
    x = torch.rand(3, *SHAPE)
    content = write_onnx(net, x)
    (theirs,) = _session(content).run(None, {"input": x.numpy()})
    with torch.no_grad():
        assert np.abs(theirs - net(x).numpy()).max() > 1e-5 * float(net(x).abs().max())


class Twice(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return torch.cat([self.layer(x).relu(), self.layer(x).relu()], 1)


def test_an_architecture_of_ones_own_is_written() -> None:
    def make(shape: tuple[int, ...], classes: int) -> nn.Module:
        return NETS["add"]()

    arch = Architecture(name="own", summary="", make=make).normalised((0.5,), (0.25,))
    assert_written(arch.build(SHAPE, CLASSES), SHAPE)
