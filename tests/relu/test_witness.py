import torch
from torch import nn

from relu.threat import Threat
from relu.witness import adversarial, closer, in_float64


def test_a_copy_in_float64_leaves_the_network_alone(digits_net: nn.Sequential) -> None:
    exact = in_float64(digits_net)
    assert next(exact.parameters()).dtype == torch.float64
    assert next(digits_net.parameters()).dtype == torch.float32


def test_closer_never_moves_away_and_stays_adversarial(digits_net: nn.Sequential) -> None:
    exact = in_float64(digits_net)
    x = torch.rand(50, 1, 8, 8)
    y = digits_net(x).argmax(1)
    far = torch.rand(50, 1, 8, 8)
    rows = adversarial(exact, far, y)
    near = closer(exact, x[rows], y[rows], far[rows], steps=12)
    threat = Threat(norm="l2", eps=1.0)
    assert adversarial(exact, near, y[rows]).all()
    assert (threat.distance(x[rows], near) <= threat.distance(x[rows], far[rows])).all()


def test_closer_finds_the_boundary_on_a_line() -> None:
    # f(x) = (0, x - 0.3): class 0 for x < 0.3, so from x = 0 the boundary lies at 0.3.
    layer = nn.Linear(1, 2)
    layer.load_state_dict({"weight": torch.tensor([[0.0], [1.0]]), "bias": torch.tensor([0, -0.3])})
    exact = in_float64(nn.Sequential(nn.Flatten(), layer))
    near = closer(exact, torch.zeros(1, 1), torch.zeros(1, dtype=torch.long), torch.ones(1, 1),
                  steps=20)  # fmt: skip
    assert 0.3 <= near.item() <= 0.3 + 2e-6


def test_a_nan_logit_counts_as_adversarial_never_as_correct() -> None:
    layer = nn.Linear(1, 2)
    layer.load_state_dict({"weight": torch.full((2, 1), torch.nan), "bias": torch.zeros(2)})
    exact = in_float64(nn.Sequential(nn.Flatten(), layer))
    assert adversarial(exact, torch.zeros(1, 1), torch.zeros(1, dtype=torch.long)).all()
