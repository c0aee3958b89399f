"""Cross-Lipschitz: its penalty and its gradient by a plain double loop, and what it is for."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.jobs.training import train
from bench.plugins.training import Training
from methods.cross_lipschitz import CrossLipschitz, cross_lipschitz
from methods.plain import Plain
from relu.errors import InputError
from relu.network.architectures import build
from relu.threat import Threat

L2 = Threat(norm="l2", eps=0.3)
CLASSES = 4


def double_loop(net: nn.Module, x: Tensor) -> Tensor:
    """The mean over inputs and pairs of ||grad f_l - grad f_k||_2^2, gradient by gradient."""
    free = x.clone().requires_grad_()
    logits = net(free)
    gradients = [
        torch.autograd.grad(logits[:, k].sum(), free, create_graph=True)[0].flatten(1)
        for k in range(logits.shape[1])
    ]
    pairs = itertools.product(gradients, repeat=2)
    return torch.stack([(a - b).square().sum(1).mean() for a, b in pairs]).mean()


def penalty(net: nn.Module, x: Tensor) -> Tensor:
    """The method's own loss without its cross-entropy."""
    y = torch.zeros(len(x), dtype=torch.long)
    whole = CrossLipschitz(weight=1.0).loss(net, x, y, threat=L2, progress=0.5)
    return whole - F.cross_entropy(net(x), y)


@pytest.fixture(params=["fc_small", "cnn_small"])
def problem(request: pytest.FixtureRequest) -> tuple[nn.Sequential, Tensor]:
    return build(request.param, (1, 8, 8), CLASSES).double(), torch.rand(5, 1, 8, 8).double()


def test_the_penalty_is_the_double_loop_over_pairs_of_classes(
    problem: tuple[nn.Sequential, Tensor],
) -> None:
    net, x = problem
    expected = double_loop(net, x).item()
    assert expected > 0
    assert penalty(net, x).item() == pytest.approx(expected, rel=1e-9)


def test_its_gradient_is_that_of_the_double_loop(problem: tuple[nn.Sequential, Tensor]) -> None:
    net, x = problem
    parameters = list(net.parameters())
    ours = torch.autograd.grad(penalty(net, x), parameters)
    theirs = torch.autograd.grad(
        double_loop(net, x), parameters, allow_unused=True, materialize_grads=True
    )
    assert any(gradient.abs().max() > 1e-6 for gradient in theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-12)


def test_equal_rows_cost_nothing_and_two_rows_half_their_squared_distance() -> None:
    assert cross_lipschitz(torch.ones(3, 4, 5)) == 0
    rows = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])  # pairs: 0, 25, 25, 0
    assert cross_lipschitz(rows).item() == pytest.approx(12.5)


def test_without_a_weight_it_is_plain_cross_entropy() -> None:
    net = build("cnn_small", (1, 8, 8), 10)
    x = torch.rand(6, 1, 8, 8)
    y = torch.arange(6)
    found = CrossLipschitz(weight=0.0).loss(net, x, y, threat=L2, progress=0.3)
    assert found.item() == pytest.approx(F.cross_entropy(net(x), y).item(), rel=1e-6)


def test_the_threat_and_the_progress_play_no_part() -> None:
    net = build("fc_small", (1, 8, 8), 10)
    x = torch.rand(6, 1, 8, 8)
    y = torch.arange(6)
    losses = [
        CrossLipschitz().loss(net, x, y, threat=threat, progress=progress)
        for threat, progress in ((L2, 0.0), (Threat(norm="linf", eps=0.1), 0.9))
    ]
    assert torch.equal(*losses)


def test_training_with_it_makes_the_penalty_smaller(digits: DataSet) -> None:
    sizes = []
    for method in (Plain(), CrossLipschitz(weight=0.05)):
        net = build("fc_small", digits.shape, digits.classes)
        train(net, method, digits, threat=L2, training=Training(epochs=20), seed=0, augmented=False)
        sizes.append(penalty(net.double(), digits.x_test.double()).item())
        with torch.no_grad():
            right = (net(digits.x_test.double()).argmax(1) == digits.y_test).double().mean()
        assert right > 0.8
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(InputError, match=rf"cross_lipschitz\.weight must be .*, got {weight}"):
        CrossLipschitz(weight=weight)
