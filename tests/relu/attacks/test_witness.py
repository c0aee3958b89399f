import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from relu.attacks.witness import LAST, adversarial, closer, outward
from relu.classes import margins
from relu.network.reader import in_float64
from relu.threat import Threat


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
    near = closer(
        exact, torch.zeros(1, 1), torch.zeros(1, dtype=torch.long), torch.ones(1, 1), steps=20
    )
    assert 0.3 <= near.item() <= 0.3 + 2e-6


def test_a_nan_logit_counts_as_adversarial_never_as_correct() -> None:
    layer = nn.Linear(1, 2)
    layer.load_state_dict({"weight": torch.full((2, 1), torch.nan), "bias": torch.zeros(2)})
    exact = in_float64(nn.Sequential(nn.Flatten(), layer))
    assert adversarial(exact, torch.zeros(1, 1), torch.zeros(1, dtype=torch.long)).all()


def sloping(linear_net: Callable[[Tensor, Tensor], nn.Sequential]) -> nn.Sequential:
    """f(x) = (0.3, x): class 0 for x < 0.3, to which float32 is nearest from above."""
    return linear_net(torch.tensor([[0.0], [1.0]]), torch.tensor([0.3, 0.0]))


def test_a_point_that_only_float32_takes_for_adversarial_is_moved(
    linear_net: Callable[[Tensor, Tensor], nn.Sequential],
) -> None:
    # f = (64.5, relu(x + 64)): the boundary is at 1/2, and float32 has steps of 2^-17 beyond 64
    first = nn.Linear(1, 1)
    last = nn.Linear(1, 2)
    first.load_state_dict({"weight": torch.tensor([[1.0]]), "bias": torch.tensor([64.0])})
    last.load_state_dict(
        {"weight": torch.tensor([[0.0], [1.0]]), "bias": torch.tensor([64.5, 0.0])}
    )
    net = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last).requires_grad_(False)
    exact = in_float64(net)
    y = torch.zeros(2, dtype=torch.long)
    x = torch.tensor([[0.0], [1.0]]).double()
    z = torch.tensor([[0.5 - 1e-6], [0.75]]).double()
    assert (margins(net(z.float()), y) <= 0).all()
    assert adversarial(exact, z, y).tolist() == [False, True]
    moved = outward(exact, x, y, z, (0.0, 1.0))
    assert adversarial(exact, moved, y).all()
    assert 0.5 <= moved[0].item() <= 0.5 + 2e-6
    assert torch.equal(moved[1], z[1])


def test_what_cannot_be_mended_is_nan_and_the_rest_stays_bit_for_bit(
    digits_net: nn.Sequential,
) -> None:
    exact = in_float64(digits_net)
    x, z = torch.rand(2, 50, 1, 8, 8).double()
    y = exact(x).argmax(1)
    good = adversarial(exact, z, y)
    given = torch.where(good.view(-1, 1, 1, 1), z, x)  # x itself leads nowhere
    kept = outward(exact, x, y, given, (0.0, 1.0))
    before = given.clone()
    assert 0 < good.sum() < 50
    assert torch.equal(kept[good], z[good])
    assert kept[~good].isnan().all()
    assert torch.equal(given, before)


def test_moves_end_at_the_box_and_at_a_small_part_of_the_way(
    linear_net: Callable[[Tensor, Tensor], nn.Sequential],
) -> None:
    exact = in_float64(sloping(linear_net))
    y = torch.zeros(3, dtype=torch.long)
    edge = float(torch.tensor(0.3).double())  # more than 0.3
    z = torch.tensor([[edge - 1e-7], [edge * (1 - LAST / 2)], [edge * (1 - 2 * LAST)]]).double()
    near, far, beyond = outward(exact, torch.zeros_like(z), y, z, (0.0, 1.0)).flatten().tolist()
    assert edge <= near <= edge + 1e-6
    assert edge <= far <= edge * (1 + LAST)
    assert math.isnan(beyond)
    assert outward(exact, torch.zeros_like(z), y, z, (0.0, 0.3)).isnan().all()


def test_a_point_that_float32_rounded_out_of_the_box_is_put_back(
    linear_net: Callable[[Tensor, Tensor], nn.Sequential],
) -> None:
    exact = in_float64(sloping(linear_net))
    y = torch.zeros(1, dtype=torch.long)
    z = torch.tensor([[1.1]]).double()  # as float32 has it: more than 1.1
    threat = Threat(norm="l2", eps=1.0, box=(0.0, 1.1))
    assert not threat.in_box(z).any()
    assert outward(exact, torch.zeros_like(z), y, z, threat.box).tolist() == [[1.1]]


def test_nan_and_no_points_at_all_are_left_alone(digits_net: nn.Sequential) -> None:
    exact = in_float64(digits_net)
    y = torch.zeros(2, dtype=torch.long)
    x = torch.rand(2, 1, 8, 8).double()
    nothing = torch.full((2, 1, 8, 8), torch.nan).double()
    assert outward(exact, x, y, nothing, (0.0, 1.0)).isnan().all()
    assert outward(exact, x[:0], y[:0], nothing[:0], (0.0, 1.0)).shape == (0, 1, 8, 8)
