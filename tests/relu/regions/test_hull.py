"""The hull of an l1 and an linf ball: the paper's numbers, and no point outside is nearer."""

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from bench.parsing import NORMS
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import read_layers
from relu.regions.hull import hull_certificates, hull_radius
from relu.regions.hyperplanes import planes_of
from relu.regions.region import region_of
from relu.threat import Norm, Threat


def number(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


@pytest.mark.parametrize(
    ("l1", "linf", "d", "expected"),  # [CH20b, Table 1]
    [(1.0, 0.1, 784, 0.3162), (3.0, 4 / 255, 3072, 0.2170), (2.0, 2 / 255, 3072, 0.1252)],
)
def test_radii_are_the_papers(l1: float, linf: float, d: int, expected: float) -> None:
    found = hull_radius(number(l1), number(linf), d)
    assert found.item() == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("ratio", [1.0, 1.3, 2.0, 2.7, 3.999, 4.0, 5.0])
def test_it_is_the_distance_of_the_hulls_faces(ratio: float) -> None:
    """The support function of the hull is the larger of both; the radius is its least value."""
    d = 4
    eps1, epsinf = ratio, 1.0

    def support(direction: np.ndarray) -> float:
        unit = direction / np.linalg.norm(direction)
        return max(eps1 * np.abs(unit).max(), epsinf * np.abs(unit).sum())

    random = np.random.default_rng(0)
    starts = random.normal(size=(60, d))
    least = min(
        scipy.optimize.minimize(support, start, method="Nelder-Mead", tol=1e-10).fun
        for start in starts
    )
    found = hull_radius(number(eps1), number(epsinf), d).item()
    assert found <= least * (1 + 1e-9)
    assert found == pytest.approx(least, rel=1e-3)


def test_one_ball_alone_holds_one_of_the_other_norm() -> None:
    nothing = torch.zeros(1).double()
    some = torch.ones(1).double()
    endless = torch.full((1,), torch.inf).double()
    assert hull_radius(some, nothing, 5).item() == pytest.approx(5**-0.5)
    assert hull_radius(nothing, some, 5).item() == pytest.approx(1)
    assert hull_radius(nothing, nothing, 5).item() == 0
    assert hull_radius(endless, some, 5).item() == torch.inf
    assert hull_radius(endless, endless, 5).item() == torch.inf


@pytest.mark.parametrize("norm", sorted(NORMS))
@pytest.mark.parametrize("arch", ["fc_small", "cnn_leaky", "cnn_pool", "resnet"])
def test_certificates_are_never_above_the_regions_own_distances(arch: str, norm: Norm) -> None:
    torch.manual_seed(0)
    net = build(arch, (1, 8, 8), 10).double().requires_grad_(False)
    x = torch.rand(40, 1, 8, 8, dtype=torch.float64)
    y = net(x).argmax(1)
    y[0] = (y[0] + 1) % 10
    layers = read_layers(net, (1, 8, 8))
    vectors = to_vectors(layers, x)
    threat = Threat(norm=norm, eps=0.1)
    found = hull_certificates(layers, vectors, y, threat)
    own = planes_of(region_of(layers, vectors), y, threat).low.amin(1)
    assert found[0] == 0
    assert (found[1:] > 0).all()
    assert (found[1:] <= own[1:] * (1 + 1e-8)).all()
