"""MMR-Universal: its definition in numpy on a small network, and what counts in the union."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from methods.mmr_universal import MmrUniversal, union
from relu.network.architectures import dense_architecture
from relu.threat import Threat

LINF = Threat(norm="linf", eps=0.1)


def dense_network(name: str, shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    architecture = dense_architecture(name)
    assert architecture is not None
    net = architecture.build(shape, classes, seed=0).double()
    assert isinstance(net, nn.Sequential)
    return net


def weights_of(net: nn.Sequential) -> list[tuple[np.ndarray, np.ndarray]]:
    modules = [module for module in net if isinstance(module, nn.Linear)]
    return [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in modules]


def test_it_is_its_definition() -> None:
    torch.manual_seed(0)
    net = dense_network("fc:12-9", (1, 3, 3), 4)
    x = torch.rand(5, 1, 3, 3, dtype=torch.float64)
    y = torch.arange(5) % 4
    method = MmrUniversal(
        l1_weight=2.0,
        linf_weight=5.0,
        l1_gamma=3.0,
        linf_gamma=0.6,
        first_share=0.3,
        last_share=0.3,
    )
    k = round(0.3 * 21)
    (w1, b1), (w2, b2), (w3, b3) = weights_of(net)
    total = 0.0
    for point, label in zip(x.flatten(1).numpy(), y.tolist(), strict=True):
        first = w1 @ point + b1
        rows = (first > 0)[:, None] * w1
        second = w2 @ np.maximum(first, 0) + b2
        v2 = w2 @ rows
        v3 = w3 @ ((second > 0)[:, None] * v2)
        logits = w3 @ np.maximum(second, 0) + b3
        values = np.abs(np.concatenate([first, second]))
        normals = np.concatenate([w1, v2])
        gap = np.delete(logits[label] - logits, label)
        sides = np.delete(v3[label] - v3, label, axis=0)
        units = {"l1": values / np.abs(normals).max(1), "linf": values / np.abs(normals).sum(1)}
        near = {name: set(np.argsort(d)[:k]) for name, d in units.items()}
        both = sorted(near["l1"] | near["linf"])
        classes = {"l1": gap / np.abs(sides).max(1), "linf": gap / np.abs(sides).sum(1)}
        for name, weight, gamma in (("l1", 2.0, 3.0), ("linf", 5.0, 0.6)):
            hinges = np.maximum(0, 1 - units[name][both] / gamma)
            total += weight * hinges.sum() / k
            total += weight * np.maximum(0, 1 - classes[name] / gamma).mean()
    expected = F.cross_entropy(net(x), y).item() + total / 5
    found = method.loss(net, x, y, threat=LINF, progress=0.9)
    assert found.item() == pytest.approx(expected)
    early = method.loss(net, x, y, threat=LINF, progress=0.0)
    clean = F.cross_entropy(net(x), y).item()
    assert early.item() == pytest.approx(clean + 0.1 * (expected - clean))


def test_a_unit_in_both_sets_counts_once() -> None:
    units, counts = union(torch.tensor([[1, 4]]), torch.tensor([[4, 7]]))
    assert units.tolist() == [[1, 4, 4, 7]]
    assert counts.tolist() == [[True, True, False, True]]


def test_its_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    net = dense_network("fc:6-5", (1, 2, 2), 3)
    x = torch.rand(4, 1, 2, 2, dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 0])
    method = MmrUniversal()
    weight = next(net.parameters())
    loss = method.loss(net, x, y, threat=LINF, progress=0.7)
    gradient = torch.autograd.grad(loss, weight)[0]
    with torch.no_grad():
        for place in ((0, 0), (2, 3), (5, 1)):
            values = []
            for step in (1e-6, -1e-6):
                weight[place] += step
                values.append(method.loss(net, x, y, threat=LINF, progress=0.7).item())
                weight[place] -= step
            slope = (values[0] - values[1]) / 2e-6
            assert gradient[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-7)
