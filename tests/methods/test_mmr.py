"""MMR: its schedule, its parts, and its sum by hand on a linear network."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.plan.networks import usual_settings
from bench.plugins.catalogue import Catalogue
from methods.at import At
from methods.mmr import Mmr, warm
from methods.mmr_at import MmrAt
from methods.mmr_dd import MmrDd
from relu.errors import InputError
from relu.network.architectures import build
from relu.threat import Threat
from tests.oracles import dense_distances

LINF = Threat(norm="linf", eps=0.1)


def batch() -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    return build("cnn_small", (1, 8, 8), 10), torch.rand(6, 1, 8, 8), torch.arange(6)


def test_the_loss_is_equation_7() -> None:
    net, x, y = batch()
    method = Mmr(weight=0.7, gamma=0.2, gamma_d=0.4)
    d_b, d_d = dense_distances(net.double(), x.double(), y, 1.0)
    clean = F.cross_entropy(net(x.double()), y)
    units = d_b.shape[1]
    for progress, share, factor in ((0.0, 0.1, 0.1), (0.5, 0.06, 1.0), (0.05, 0.096, 0.6)):
        k = round(share * units)
        boundary = (1 - d_b.topk(k, dim=1, largest=False).values / 0.2).relu().mean()
        decision = (1 - d_d / 0.4).relu().mean()
        expected = clean + 0.7 * factor * (boundary + decision)
        found = method.loss(net.float(), x, y, threat=LINF, progress=progress)
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_weight_rises_by_a_tenth_per_epoch_of_the_first_ten_of_a_hundred() -> None:
    for epoch in range(1, 101):
        assert warm((epoch - 1) / 100, 0.1) == pytest.approx(min(epoch / 10, 1))
    assert warm(0.0, 0.0) == 1


def test_mmr_dd_is_the_decision_term_alone() -> None:
    net, x, y = batch()
    _, d_d = dense_distances(net.double(), x.double(), y, 1.0)
    expected = F.cross_entropy(net(x.double()), y) + 2 * (1 - d_d / 0.3).relu().mean()
    method = MmrDd(weight=2.0, gamma=0.3)
    found = method.loss(net.float(), x, y, threat=LINF, progress=0.9)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_mmr_at_is_mmr_on_a_batch_whose_first_half_is_attacked() -> None:
    net, x, y = batch()
    method = MmrAt(at=At(steps=3))
    torch.manual_seed(1)
    attacked = method.at.attacked(net, x, y, threat=LINF)
    assert torch.equal(attacked[3:], x[3:])
    assert not torch.equal(attacked[:3], x[:3])
    assert LINF.contains(x, LINF.inside(x, attacked)).all()
    expected = method.mmr.loss(net, attacked, y, threat=LINF, progress=0.3)
    torch.manual_seed(1)
    found = method.loss(net, x, y, threat=LINF, progress=0.3)
    assert torch.equal(found, expected)


def test_a_network_without_hidden_units_and_a_batch_of_one_train() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    loss = Mmr().loss(net, torch.rand(1, 1, 8, 8), torch.tensor([1]), threat=LINF, progress=0.0)
    loss.backward()
    assert loss.isfinite()


def test_a_sigmoid_is_refused_by_its_layers_name() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Sigmoid(), nn.Linear(3, 3))
    with pytest.raises(InputError, match=r"layer 2 \(Sigmoid\)"):
        Mmr().loss(net, torch.rand(2, 1, 8, 8), torch.arange(2), threat=LINF, progress=0.0)


def test_defaults_are_the_papers(catalogue: Catalogue) -> None:
    l2 = Threat(norm="l2", eps=0.3)
    mmr = catalogue.methods["mmr"]
    mmr_at = catalogue.methods["mmr_at"]
    gamma = pytest.approx(0.45)
    assert usual_settings(mmr, "mnist", "fc1", l2) == {"gamma": gamma, "train.lr": 1e-4}
    assert usual_settings(mmr_at, "fashion_mnist", "fc1", l2)["train.lr"] == 5e-5
    assert usual_settings(mmr_at, "gts", "fc1", LINF)["at.steps"] == 7
    published = usual_settings(mmr_at, "mnist", "cnn", LINF)
    assert (published["mmr.weight"], published["mmr.gamma"]) == (0.5, 0.2)
    assert usual_settings(mmr, "mnist", "cnn", LINF) == {"gamma": pytest.approx(0.15)}


@pytest.mark.parametrize("field", ["gamma_b", "gamma_d"])
def test_gammas_apart_must_be_positive(field: str) -> None:
    with pytest.raises(InputError, match=rf"mmr\.{field} must be a positive number, got 0"):
        Mmr(**{field: 0.0})
