"""Distances that are never less than exact ones, against rational arithmetic."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from bench.parsing import NORMS
from relu.threat import Norm, Threat


def no_nearer(norm: Norm, x: Tensor, z: Tensor, distance: float) -> bool:
    """Whether a float64 is at least the exact distance of two float64 points."""
    pairs = zip(x.double().tolist(), z.double().tolist(), strict=True)
    moved = [abs(Fraction(b) - Fraction(a)) for a, b in pairs]
    given = Fraction(distance)
    if norm == "linf":
        return given >= max(moved)
    return given >= sum(moved) if norm == "l1" else given**2 >= sum(m**2 for m in moved)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-160, 1e-300])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(20))
def test_no_distance_is_below_the_exact_one_nor_far_above(
    norm: Norm, seed: int, scale: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    threat = Threat(norm=norm, eps=1.0)
    x = torch.rand(10, 7, generator=generator, dtype=torch.float64)
    z = x + scale * torch.randn(10, 7, generator=generator, dtype=torch.float64)
    if scale < 1e-100:
        x, z = torch.zeros_like(x), (z - x) + scale * x
    distance = threat.distance(x, z)
    assert all(map(no_nearer, [norm] * 10, x, z, distance.tolist()))
    assert (distance <= threat.length((z - x) / scale) * scale * (1 + 1e-14)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_one_moved_pixel_has_an_exact_distance(norm: Norm) -> None:
    x = torch.tensor([[0.5, 0.25, 0.0], [0.1, 0.2, 0.3]])
    z = x.clone()
    z[:, 1] = 1.0
    found = Threat(norm=norm, eps=1.0).distance(x, z)
    assert found[0] == 0.75
    assert Fraction(float(found[1])) >= 1 - Fraction(float(x[1, 1].double()))
    assert Threat(norm=norm, eps=1.0).distance(x, x).tolist() == [0.0, 0.0]


def test_a_difference_that_is_no_float64_is_rounded_up() -> None:
    x = torch.tensor([[2.0**-60]]).double()
    z = torch.tensor([[1.0]]).double()
    threat = Threat(norm="linf", eps=1.0)
    assert threat.distance(-x, z).item() == 1 + 2.0**-52  # of 1 + 2^-60
    assert threat.distance(x, z).item() == 1.0  # of 1 - 2^-60


@pytest.mark.parametrize(("norm", "far"), [("linf", 0.9), ("l2", 1.0), ("l1", 1.4)])
def test_the_farthest_point_is_a_corner_and_claims_from_there_on_are_infinite(
    norm: Norm, far: float
) -> None:
    x = torch.tensor([[0.1, 0.5]]).double()
    threat = Threat(norm=norm, eps=0.1)
    found = threat.farthest(x)
    assert found.item() == pytest.approx({"l2": (0.81 + 0.25) ** 0.5}.get(norm, far))
    below = torch.nextafter(found, torch.zeros(1).double())
    assert threat.saturated(x, found).isinf().all()
    assert threat.saturated(x, torch.tensor([50.0]).double()).isinf().all()
    assert below * (1 - 1e-9) < threat.saturated(x, below) < below  # of which is not known
    assert torch.equal(threat.saturated(x, below / 2), below / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("box", [(-0.1, 1.1), (0.0, 1.0), (-1 / 3, 1 + 1e-12)])
def test_edges_are_the_outermost_numbers_of_a_precision_inside_the_box(
    box: tuple[float, float], dtype: torch.dtype
) -> None:
    threat = Threat(norm="linf", eps=0.1, box=box)
    low, high = (torch.tensor([[edge]], dtype=dtype) for edge in threat.edges(dtype))
    beyond = (torch.nextafter(low, low - 1), torch.nextafter(high, high + 1))
    for edge, out in zip((low, high), beyond, strict=True):
        assert box[0] <= float(edge.double()) <= box[1]
        assert not box[0] <= float(out.double()) <= box[1]
        assert threat.in_box(edge)
        assert not threat.in_box(out)
        assert torch.equal(threat.clamped(out), edge)
    z = threat.project(torch.zeros(1, 1, dtype=dtype), torch.full((1, 1), 9.0, dtype=dtype))
    assert threat.in_box(z)
