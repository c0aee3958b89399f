"""Dual bounds: against other libraries, enumeration, sampling, and the same done otherwise."""

import warnings
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from bench.parsing import NORMS
from evaluators._auto_lirpa import auto_lirpa
from relu.bounds.alpha_crown import _tilted, _with_slopes, improved_margins, tightest_margins
from relu.bounds.ball import Ball, ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.relaxation import Relaxation, lines_of
from relu.classes import others
from relu.network.activation import crossing
from relu.network.architectures import build
from relu.network.layers import Conv, Dense, Layer, to_vectors
from relu.network.reader import in_float64, read_layers
from relu.threat import Norm, Threat
from tests import oracles
from tests.strategies import seeds, tiny_nets

CASES = [
    ("fc_small", (1, 8, 8)),
    ("fc10", (1, 4, 4)),
    ("cnn_small", (1, 8, 8)),
    ("cnn", (2, 8, 12)),
]
EPS = {"linf": 0.02, "l2": 0.1, "l1": 0.3}


def network(arch: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    net = build(arch, shape, 10)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.to(dtype).requires_grad_(False)


def three_convolutions() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(3, 4, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(4, 4, 2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 5 * 5, 3),
    )
    return net.double().requires_grad_(False)


def images(net: nn.Sequential, shape: tuple[int, ...], n: int) -> Tensor:
    x = torch.rand(n, *shape, generator=torch.Generator().manual_seed(1))
    return x.to(next(net.parameters()).dtype)


def problem(
    net: nn.Sequential, shape: tuple[int, ...], norm: Norm, *, n: int = 4, box: bool = True
) -> tuple[tuple[Layer, ...], Ball, Tensor]:
    x = images(net, shape, n)
    layers = read_layers(net, shape)
    y = net(x).argmax(1)
    y[0] = (y[0] + 1) % 3
    ball = ball_of(to_vectors(layers, x), Threat(norm=norm, eps=EPS[norm]), box=box)
    return layers, ball, y


def as_dense(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The same network with its convolutions written out as matrices."""
    dense: list[Layer] = []
    width = layers[0].transposed(torch.zeros(1, layers[0].size).double()).shape[1]
    for layer in layers:
        eye = torch.eye(width, dtype=torch.float64)
        bias = layer.forward(torch.zeros(1, width).double())[0]
        dense.append(Dense(layer.linear(eye).T.contiguous(), bias))
        width = layer.size
    return tuple(dense)


def as_modules(layers: tuple[Layer, ...]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in layers:
        assert isinstance(layer, Dense)
        dense = nn.Linear(layer.weight.shape[1], layer.size).double()
        dense.weight.data = layer.weight
        dense.bias.data = layer.bias
        modules += [dense, nn.ReLU()]
    return nn.Sequential(*modules[:-1]).requires_grad_(False)


@pytest.mark.oracle
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(("arch", "shape"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kw_margins_are_those_of_convex_adversarial(
    arch: str, shape: tuple[int, ...], norm: Norm, dtype: torch.dtype
) -> None:
    dual_network = pytest.importorskip("convex_adversarial.dual_network")
    net = network(arch, shape, dtype)
    layers, ball, y = problem(net, shape, norm, box=False)
    x = images(net, shape, len(y))
    kind = {"linf": "l1", "l2": "l2"}[norm]  # they name the dual norm
    with torch.no_grad():
        bounds = dual_network.RobustBounds(net, EPS[norm], norm_type=kind)(x, y)
    expected = -bounds.gather(1, others(y, 10))
    found = margin_lower_bounds(relax(layers, ball, "kw"), y)
    scale = 1 if arch != "fc10" else float(expected.abs().max())
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-4 * scale)
    if dtype == torch.float64:
        assert torch.allclose(found, expected, rtol=1e-9, atol=1e-7 * scale)


@pytest.mark.oracle
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize(("arch", "shape"), CASES)
def test_crown_margins_are_those_of_auto_lirpa(
    arch: str, shape: tuple[int, ...], norm: Norm
) -> None:
    try:
        library = auto_lirpa()
    except ImportError:
        pytest.skip("auto_LiRPA is not installed")
    net = network(arch, shape)
    layers, ball, y = problem(net, shape, norm, box=False)
    x = images(net, shape, len(y))
    if norm != "linf" and isinstance(layers[0], Conv):
        # Its bounds of the first convolution are looser there; it is asked about the matrices.
        net = as_modules(as_dense(layers))
        x = ball.center
    p = {"linf": float("inf"), "l2": 2.0, "l1": 1.0}[norm]
    rows = torch.eye(10).double()[y].unsqueeze(1) - torch.eye(10).double()[others(y, 10)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bounded = library.BoundedModule(net, x[:1], device="cpu")
        inputs = library.BoundedTensor(
            x, library.perturbations.PerturbationLpNorm(norm=p, eps=EPS[norm])
        )
        expected, _ = bounded.compute_bounds(x=(inputs,), C=rows, method="CROWN", bound_upper=False)
    expected = expected.detach()
    found = margin_lower_bounds(relax(layers, ball, "crown"), y)
    scale = max(1.0, float(expected.abs().max()))
    assert torch.allclose(found, expected, atol=1e-6 * scale)


@pytest.mark.parametrize("box", [True, False])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("relaxation", ["kw", "crown"])
def test_convolutions_have_the_bounds_of_their_matrices(
    relaxation: Relaxation, norm: Norm, box: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = three_convolutions()
    shape = (1, 7, 8)
    net[7] = nn.Linear(4 * 4 * 4, 3).double().requires_grad_(False)
    layers, ball, y = problem(net, shape, norm, box=box)
    plain = relax(as_dense(layers), ball, relaxation, every=True)
    for few, part in ((0.0, 2**20), (1.1, 2**20), (0.0, 1), (1.1, 1000)):
        monkeypatch.setattr(
            "relu.bounds.next_layer.FEW", few
        )  # 0: by position, above 1: unit by unit
        monkeypatch.setattr("relu.batching.PART", part)
        found = relax(layers, ball, relaxation, every=True)
        for one, other in zip(found.bounds, plain.bounds, strict=True):
            assert torch.allclose(one[0], other[0], atol=1e-8)
            assert torch.allclose(one[1], other[1], atol=1e-8)
        assert torch.allclose(
            margin_lower_bounds(found, y), margin_lower_bounds(plain, y), atol=1e-8
        )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("arch", "shape"), CASES)
@pytest.mark.parametrize("relaxation", ["kw", "crown"])
def test_units_settled_by_intervals_change_nothing(
    relaxation: Relaxation, arch: str, shape: tuple[int, ...], norm: Norm
) -> None:
    layers, ball, y = problem(network(arch, shape), shape, norm)
    every, some = (relax(layers, ball, relaxation, every=every) for every in (True, False))
    scale = float(margin_lower_bounds(every, y).abs().max())
    assert torch.allclose(
        margin_lower_bounds(every, y), margin_lower_bounds(some, y), atol=1e-6 * scale
    )
    settled = 0
    for (low, high), (rough_low, rough_high) in zip(every.bounds, some.bounds, strict=True):
        assert (rough_low <= low + 1e-6 * scale).all()
        assert (rough_high >= high - 1e-6 * scale).all()
        settled += int((low - rough_low > 1e-6 * scale).sum())
    assert settled or arch == "fc10"


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("arch", "shape"), CASES)
def test_crown_is_at_least_its_parts_and_alpha_at_least_crown(
    arch: str, shape: tuple[int, ...], norm: Norm
) -> None:
    layers, ball, y = problem(network(arch, shape), shape, norm)
    kw, crown = (margin_lower_bounds(relax(layers, ball, kind), y) for kind in ("kw", "crown"))
    tight = tightest_margins(layers, ball, y, iterations=0)
    assert (tight >= kw.maximum(crown)).all()
    alpha = tightest_margins(layers, ball, y, iterations=5)
    assert (alpha >= tight).all()
    relaxed = relax(layers, ball, "crown")
    improved = improved_margins(relaxed, y, iterations=5)
    assert (improved >= crown).all()
    assert (improved > crown + 1e-9).any()


@pytest.mark.parametrize("norm", NORMS)
def test_the_box_only_helps(norm: Norm) -> None:
    net = network("cnn_small", (1, 8, 8))
    shape = (1, 8, 8)
    layers, ball, y = problem(net, shape, norm)
    _, free, _ = problem(net, shape, norm, box=False)
    inside, outside = (tightest_margins(layers, b, y, iterations=0) for b in (ball, free))
    assert (inside >= outside - 1e-9).all()
    assert (inside > outside + 1e-6).any()


@settings(max_examples=40, deadline=None)
@given(drawn=tiny_nets(), seed=seeds)
def test_no_bound_exceeds_the_exact_minimum(drawn: tuple[nn.Sequential, int], seed: int) -> None:
    # Nearer than eps, no point has a margin below the bound: all activation patterns are tried.
    net, d = drawn
    net = net.double()
    draw = torch.Generator().manual_seed(seed)
    x = torch.rand(1, d, generator=draw).double()
    y = net(x).argmax(1)
    layers = read_layers(net, (d,))
    plain = [(m.weight.numpy(), m.bias.numpy()) for m in net if isinstance(m, nn.Linear)]
    eps = 0.05 + 0.5 * float(torch.rand((), generator=draw))
    for norm in NORMS:
        for box, walls in ((True, (0.0, 1.0)), (False, (-9.0, 9.0))):
            ball = ball_of(x, Threat(norm=norm, eps=eps), box=box)
            found = tightest_margins(layers, ball, y, iterations=3)
            parts = [margin_lower_bounds(relax(layers, ball, kind), y) for kind in ("kw", "crown")]
            for margin in (*parts, found):
                nearest = oracles.exact_radius(
                    plain, x[0].numpy(), int(y), norm, walls, lead=1e-5 - float(margin.min())
                )
                assert nearest >= eps - 1e-5


def corners_and_points(ball: Ball, threat: Threat, i: int, count: int) -> Tensor:
    """Random points of a ball, half of them on its surface, the linf ones at its corners."""
    x = ball.center[i]
    d = ball.center.shape[1]
    step = torch.randn(count, d).double()
    step[: count // 2] = step[: count // 2].sign() * (torch.rand(count // 2, d) < 0.3)
    length = {"linf": step.abs().amax(1), "l2": step.norm(dim=1), "l1": step.abs().sum(1)}
    scale = torch.rand(count).double()
    scale[: count // 2] = 1.0
    share = (scale / length[threat.norm].clamp_min(1e-9)).unsqueeze(1)
    return (x + step * share * threat.eps).clamp(*threat.box)


@pytest.mark.parametrize("norm", NORMS)
def test_points_of_certified_balls_keep_their_class(norm: Norm, digits_net: nn.Sequential) -> None:
    torch.manual_seed(0)
    net = in_float64(digits_net)
    x = torch.rand(40, 1, 8, 8).double()
    y = net(x).argmax(1)
    layers = read_layers(net, (1, 8, 8))
    threat = Threat(norm=norm, eps={"linf": 0.02, "l2": 0.08, "l1": 0.3}[norm])
    ball = ball_of(to_vectors(layers, x), threat)
    relaxed = relax(layers, ball, "crown", every=True)
    sure = (tightest_margins(layers, ball, y, iterations=3).amin(1) > 0).nonzero().squeeze(1)
    assert len(sure) > 5
    each = -(-10_000 // len(sure))
    middle = ball_of(to_vectors(layers, x), threat, box=False)
    for i in sure.tolist():
        points = corners_and_points(middle, threat, i, each)
        assert (net(points.view(-1, 1, 8, 8)).argmax(1) == y[i]).all()
        g = points
        for layer, (low, high) in zip(layers[:-1], relaxed.bounds, strict=True):
            z = layer.forward(g)
            assert (z >= low[i]).all()
            assert (z <= high[i]).all()
            g = z.clamp_min(0)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("relaxation", ["kw", "crown"])
@pytest.mark.parametrize(("arch", "shape"), CASES[:1] + CASES[2:])
def test_gradients_are_those_of_finite_differences(
    arch: str, shape: tuple[int, ...], relaxation: Relaxation, norm: Norm
) -> None:
    net = network(arch, shape)
    _, ball, y = problem(net, shape, norm, n=2, box=False)

    def value() -> Tensor:
        return margin_lower_bounds(relax(read_layers(net, shape), ball, relaxation), y).tanh().sum()

    net.requires_grad_(True)
    grads = torch.autograd.grad(value(), list(net.parameters()))
    net.requires_grad_(False)
    for parameter, grad in zip(net.parameters(), grads, strict=True):
        step = torch.randn_like(parameter) * 1e-7
        parameter.add_(step)
        above = value()
        parameter.sub_(2 * step)
        below = value()
        parameter.add_(step)
        expected = float((grad * step).sum()) * 2
        assert float(above - below) == pytest.approx(expected, rel=2e-2, abs=2e-9)


@pytest.mark.parametrize("seed", range(20))
def test_rounding_never_makes_a_bound_too_large(seed: int) -> None:
    # Weights that cancel: float64 alone is off by far more than the true margin.
    torch.manual_seed(seed)
    first = nn.Linear(6, 40).double()
    last = nn.Linear(40, 3).double()
    first.bias.data += 60  # every unit stays active: the network is one affine map
    last.weight.data *= 1e9
    last.weight.data[1] = last.weight.data[0] + torch.randn(40).double() / 1e3
    x = torch.rand(1, 6).double()
    eps = 0.125
    layers = read_layers(nn.Sequential(first, nn.ReLU(), last).requires_grad_(False), (6,))
    ball = ball_of(x, Threat(norm="linf", eps=eps), box=False)
    for relaxation in ("kw", "crown"):
        found = margin_lower_bounds(relax(layers, ball, relaxation), torch.tensor([0]))
        for value, s in zip(found[0].tolist(), (1, 2), strict=True):
            true = exact_margin(first, last, x[0], (0, s), eps)
            assert Fraction(value) <= true
            assert float(true) - value <= 1.0


COARSE = 2.0**-7  # a relative rounding error that shows


def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if float64 had seven bits."""
    monkeypatch.setattr("relu.bounds.linear.gamma", lambda layers, d: COARSE)


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("relaxation", ["kw", "crown"])
@pytest.mark.parametrize("seed", range(20))
def test_no_rounding_term_is_left_out(
    seed: int, relaxation: Relaxation, every: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse(monkeypatch)
    torch.manual_seed(seed)
    net = build("fc_small", (5,), 3).double().requires_grad_(False)
    for parameter in net.parameters():
        parameter.add_(torch.randn_like(parameter) / 20)
    net = nn.Sequential(*list(net)[:4], nn.ReLU(), nn.Linear(32, 9), *list(net)[4:]).double()
    net[-1] = nn.Linear(9, 3).double()
    layers = read_layers(net.requires_grad_(False), (5,))
    plain = [(m.weight.numpy(), m.bias.numpy()) for m in layers if isinstance(m, Dense)]
    x = torch.rand(3, 5).double()
    y = torch.tensor([0, 1, 2])
    ball = ball_of(x, Threat(norm="linf", eps=0.02), box=bool(seed % 2))
    relaxed = relax(layers, ball, relaxation, every=every)
    found = margin_lower_bounds(relaxed, y)
    for i in range(3):
        center = ball.center[i].numpy()
        room = ball.deltas.up[i].numpy()
        bounds, least = oracles.stated_bounds(plain, center, room, relaxation, COARSE, every=every)
        for (low, high), (stated_low, stated_high) in zip(relaxed.bounds, bounds, strict=True):
            assert (low[i].numpy() <= stated_low + 1e-9).all()
            assert (high[i].numpy() >= stated_high - 1e-9).all()
        for value, s in zip(found[i].tolist(), others(y[i : i + 1], 3)[0].tolist(), strict=True):
            assert value <= least[i, s] + 1e-9 * abs(least[i, s])


def test_bounds_with_gradients_have_the_same_rounding_terms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coarse(monkeypatch)
    net = network("fc_small", (1, 8, 8))
    layers, ball, y = problem(net, (1, 8, 8), "l2")
    expected = relax(layers, ball, "crown")
    learning = read_layers(net.requires_grad_(True), (1, 8, 8))
    found = relax(learning, ball, "crown")
    for one, other in zip(found.bounds, expected.bounds, strict=True):
        assert torch.allclose(one[0], other[0])
        assert torch.allclose(one[1], other[1])
    assert torch.allclose(margin_lower_bounds(found, y), margin_lower_bounds(expected, y))


@pytest.mark.parametrize("seed", range(20))
def test_the_relu_lies_above_lower_lines_of_any_slope(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    low, high = torch.randn(2, 1, 40, generator=draw).double().sort(0).values
    z = low + (high - low) * torch.rand(1, 40, generator=draw).double()
    lines, middle = lines_of(z, low, high, "crown")
    slope = torch.rand(1, 3, 40, generator=draw).double()
    tilted = _tilted(lines, slope, z, crossing(low, high), 0.0)
    for share in torch.linspace(0, 1, 33).tolist():
        at = low + (high - low) * share
        least = middle - tilted.below + tilted.lower * (at - z)
        assert (least <= at.clamp_min(0) + 1e-12).all()


def test_lines_with_other_slopes_are_moved_apart_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coarse(monkeypatch)
    layers, ball, _ = problem(network("fc_small", (1, 8, 8)), (1, 8, 8), "linf")
    relaxed = relax(layers, ball, "crown")
    slopes = [torch.full((4, 1, line.lower.shape[1]), 0.25).double() for line in relaxed.lines]
    tilted = _with_slopes(relaxed, slopes)
    for old, new, z, (low, high) in zip(
        relaxed.lines, tilted.lines, relaxed.reference, relaxed.bounds, strict=False
    ):
        open_ = (low < 0) & (high > 0)
        assert open_.any()
        below = old.below + (old.lower - 0.25) * z
        assert (new.below[:, 0] >= below * (1 + COARSE) - 1e-12)[open_].all()
        assert torch.equal(new.lower[:, 0][~open_], old.lower[~open_])


@pytest.mark.parametrize(("factor", "least"), [(-2.0, -1.0), (2.0, -2.0)])
def test_slopes_that_would_prove_too_much_are_not_gone_to(factor: float, least: float) -> None:
    # relu(z) + factor z on [-1, 1]: a line of slope -factor through 0 would say 0
    first = nn.Linear(1, 2)
    last = nn.Linear(2, 2)
    first.load_state_dict(
        {"weight": torch.tensor([[2.0], [2.0]]), "bias": torch.tensor([-1.0, 1.0])}
    )
    last.load_state_dict(
        {
            "weight": torch.tensor([[1.0, factor], [0.0, 0.0]]),
            "bias": torch.tensor([-2 * factor, 0.0]),
        }
    )
    net = nn.Sequential(first, nn.ReLU(), last).double().requires_grad_(False)
    layers = read_layers(net, (1,))
    y = torch.tensor([0])
    ball = ball_of(torch.full((1, 1), 0.5).double(), Threat(norm="linf", eps=0.5))
    found = improved_margins(relax(layers, ball, "crown"), y, iterations=60)
    assert least - 0.1 <= found.item() <= least


def exact_margin(
    first: nn.Linear, last: nn.Linear, x: Tensor, pair: tuple[int, int], eps: float
) -> Fraction:
    """Min of f_y - f_s over the linf ball, for a network whose units are all active."""

    def exact(values: Tensor) -> list[Fraction]:
        return [Fraction(v) for v in values.tolist()]

    y, s = pair
    row = [a - b for a, b in zip(exact(last.weight[y]), exact(last.weight[s]), strict=True)]
    columns = [exact(first.weight[:, j]) for j in range(len(x))]
    normal = [
        sum((r * w for r, w in zip(row, column, strict=True)), Fraction(0)) for column in columns
    ]
    offset = sum((r * b for r, b in zip(row, exact(first.bias), strict=True)), Fraction(0))
    offset += Fraction(float(last.bias[y])) - Fraction(float(last.bias[s]))
    at_x = sum((n * v for n, v in zip(normal, exact(x), strict=True)), offset)
    return at_x - Fraction(eps) * sum((abs(n) for n in normal), Fraction(0))


def test_a_network_without_hidden_layers_has_exact_margins(
    linear_net: Callable[[Tensor, Tensor], nn.Sequential],
) -> None:
    weight = torch.tensor([[1.0, -2.0], [0.5, 1.0]])
    bias = torch.tensor([3.0, 0.0])
    layers = read_layers(linear_net(weight, bias).double(), (2,))
    x = torch.tensor([[0.5, 0.5]]).double()
    y = torch.tensor([0])
    ball = ball_of(x, Threat(norm="linf", eps=0.1), box=False)
    expected = torch.tensor([[3 + 0.5 * 0.5 - 3 * 0.5 - 0.1 * 3.5]]).double()
    for relaxation in ("kw", "crown"):
        assert torch.allclose(margin_lower_bounds(relax(layers, ball, relaxation), y), expected)
    assert torch.allclose(tightest_margins(layers, ball, y, iterations=2), expected)


def test_weights_that_are_no_numbers_certify_nothing() -> None:
    net = network("fc_small", (1, 8, 8))
    net.get_parameter("3.weight")[0, 0] = torch.nan
    layers, ball, y = problem(net, (1, 8, 8), "linf")
    assert not (tightest_margins(layers, ball, y, iterations=1) > 0).any()


def test_a_part_of_the_inputs_has_the_margins_of_the_whole() -> None:
    layers, ball, y = problem(network("cnn_small", (1, 8, 8)), (1, 8, 8), "l2")
    relaxed = relax(layers, ball, "crown")
    assert torch.allclose(
        margin_lower_bounds(relaxed.at(slice(1, 3)), y[1:3]), margin_lower_bounds(relaxed, y)[1:3]
    )
    which = torch.tensor([3, 0])
    assert torch.allclose(
        margin_lower_bounds(relaxed.at(which), y[which]), margin_lower_bounds(relaxed, y)[which]
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (3, 3, 2), (1, 1, 0), (2, 2, 3)]
)
def test_odd_convolutions_train_and_are_bounded(
    kernel: int, stride: int, padding: int, norm: Norm
) -> None:
    # Kernel and stride may be equal, and some positions may see nothing but padding.
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, kernel, stride, padding),
        nn.ReLU(),
        nn.Conv2d(2, 2, kernel, stride, padding),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(3),
    )
    net(torch.rand(1, 1, 4, 4))
    layers = read_layers(net, (1, 4, 4))
    x = torch.rand(3, 1, 4, 4)
    y = torch.tensor([0, 1, 2])
    for box in (True, False):
        ball = ball_of(to_vectors(layers, x), Threat(norm=norm, eps=0.2), box=box)
        for relaxation in ("kw", "crown"):
            net.zero_grad()
            margin_lower_bounds(relax(layers, ball, relaxation), y).sum().backward()
            assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
        assert tightest_margins(layers, ball, y, iterations=2).isfinite().all()


def test_no_inputs_have_no_margins() -> None:
    layers, ball, y = problem(network("cnn_small", (1, 8, 8)), (1, 8, 8), "linf")
    nobody = torch.tensor([], dtype=torch.long)
    empty = Ball(ball.center[nobody], ball.deltas.at(nobody))
    assert margin_lower_bounds(relax(layers, empty, "kw"), y[nobody]).shape == (0, 9)
