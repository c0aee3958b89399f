"""Batch norm with fixed statistics: torch's in evaluation mode, differentiable in all it has."""

import pytest
import torch
from torch import Tensor, nn

from relu.network.batch_norm import FixedBatchNorm, scale_and_shift
from relu.network.layers import to_vectors
from relu.network.reader import in_float64, read_layers


def drawn(kind: type[nn.BatchNorm1d | nn.BatchNorm2d], *, affine: bool = True) -> FixedBatchNorm:
    norm = kind(3, eps=1e-2, affine=affine).double()
    norm.running_mean = torch.randn(3).double()
    norm.running_var = torch.rand(3).double() + 0.1
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return FixedBatchNorm(norm)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_it_is_torchs_in_evaluation_mode(
    kind: type[nn.BatchNorm1d | nn.BatchNorm2d], affine: bool
) -> None:
    fixed = drawn(kind, affine=affine)
    theirs = kind(3, eps=1e-2, affine=affine).double().eval()
    theirs.load_state_dict(fixed.state_dict(), strict=False)
    z = torch.randn(4, 3, *([5, 2] if kind is nn.BatchNorm2d else [])).double()
    assert torch.allclose(fixed.train()(z), theirs(z), rtol=1e-12, atol=1e-12)
    scale, shift = scale_and_shift(theirs)
    wide = (3, 1, 1) if z.ndim == 4 else (3,)
    assert torch.allclose(z * scale.view(wide) + shift.view(wide), theirs(z), atol=1e-12)


def test_gradients_flow_to_input_weights_and_statistics() -> None:
    fixed = drawn(nn.BatchNorm2d)

    names = list(fixed.state_dict())
    assert names == ["weight", "bias", "running_mean", "running_var"]

    def forward(z: Tensor, *values: Tensor) -> Tensor:
        tensors = dict(zip(names, values, strict=True))
        result: Tensor = torch.func.functional_call(fixed, tensors, (z,))
        return result

    values = [torch.randn(2, 3, 2, 2).double(), *fixed.state_dict().values()]
    assert torch.autograd.gradcheck(forward, [value.clone().requires_grad_() for value in values])


@pytest.mark.parametrize("training", [True, False])
def test_it_is_read_in_any_mode_and_joins_the_layer_before(training: bool) -> None:
    fixed = drawn(nn.BatchNorm2d)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), fixed, nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)
    )
    net = net.double().train(training)
    layers = read_layers(net, (1, 4, 4))
    assert [layer.size for layer in layers] == [48, 2]
    x = torch.rand(3, 1, 4, 4).double()
    z = layers[1].forward(layers[0].forward(to_vectors(layers, x)).relu())
    assert torch.allclose(z, net(x))


def test_a_copy_in_float64_leads_nowhere() -> None:
    fixed = FixedBatchNorm(nn.BatchNorm1d(3))
    fixed.running_mean = torch.rand(3).requires_grad_()
    net = nn.Sequential(nn.Linear(2, 3), fixed)
    x = torch.rand(4, 2)
    exact = in_float64(net)
    assert not exact(x.double()).requires_grad
    assert torch.allclose(exact(x.double()).float(), net(x), atol=1e-6)
    assert net(x).requires_grad
