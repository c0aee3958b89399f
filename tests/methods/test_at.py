import torch
import torch.nn.functional as F
from torch import nn

from bench.data.method_defaults import method_defaults
from methods.at import At
from methods.plain import Plain
from relu.threat import Threat

THREAT = Threat(norm="linf", eps=0.1)


def test_adversarial_training_sees_a_higher_loss_than_plain(digits_net: nn.Sequential) -> None:
    x = torch.rand(64, 1, 8, 8)
    y = digits_net(x).argmax(1)
    plain = Plain().loss(digits_net, x, y, threat=THREAT, progress=0.0)
    attacked = At(steps=10).loss(digits_net, x, y, threat=THREAT, progress=0.0)
    assert attacked > plain


def test_the_second_half_of_the_batch_stays_clean() -> None:
    seen: list[torch.Tensor] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.detach().clone())
            out: torch.Tensor = self.layer(x)
            return out

    x = torch.rand(8, 4)
    y = torch.zeros(8, dtype=torch.long)
    loss = At(steps=3).loss(Spy(), x, y, threat=THREAT, progress=0.0)
    batch = seen[-1]
    assert torch.equal(batch[4:], x[4:])
    assert not torch.equal(batch[:4], x[:4])
    assert (batch[:4] - x[:4]).abs().max() <= 0.1 * (1 + 3e-6)
    assert loss.shape == ()


def test_colour_data_sets_take_the_papers_seven_steps() -> None:
    for dataset, changes in (("gts", {"steps": 7}), ("cifar10", {"steps": 7}), ("mnist", {})):
        assert method_defaults("at", dataset, "cnn", THREAT) == changes


def test_the_threat_decides_how_far_the_examples_go(digits_net: nn.Sequential) -> None:
    x = torch.rand(64, 1, 8, 8)
    y = digits_net(x).argmax(1)
    losses = [
        At(steps=10)
        .loss(digits_net, x, y, threat=Threat(norm="linf", eps=eps), progress=0.0)
        .item()
        for eps in (1e-4, 0.05, 0.2)
    ]
    assert losses == sorted(losses)
    assert losses[0] - F.cross_entropy(digits_net(x), y).item() < 0.01
