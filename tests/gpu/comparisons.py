"""What must come out the same on every device, and within what it may differ.

Randomness is drawn on the CPU and copied, as cards have generators of their own; all else is done
where the tensors are. In float64 a sum in another order differs by 1e-16 of its terms, which a few
steps of training, attack or search make larger, but not by a million; so what differs by more than
`relative` of the largest entry is another computation. Where rounding may choose (a ReLU, a step's
sign), float64 makes that as rare as exact ties, and float32 is compared before any choice.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bench.data.datasets import DataSet, load
from bench.jobs.isolation import Isolation
from bench.jobs.training import train
from bench.jobs.verdict import joined
from bench.plugins.training import Training
from evaluators.crown import Crown
from evaluators.cw import Cw
from evaluators.ensemble import Ensemble
from evaluators.hull import Hull
from evaluators.ibp import Ibp as IbpBounds
from evaluators.interface import Evaluator, Evidence, Interval
from evaluators.kw import Kw
from evaluators.lipschitz import Lipschitz
from evaluators.pgd import Pgd
from evaluators.region import Region
from evaluators.region_attack import RegionAttack
from methods.at import At
from methods.cross_lipschitz import CrossLipschitz
from methods.crown_ibp import CrownIbp
from methods.edac import Edac
from methods.ibp import Ibp
from methods.interface import Method
from methods.kw import Kw as KwTraining
from methods.mart import Mart
from methods.mmr import Mmr
from methods.mmr_at import MmrAt
from methods.mmr_dd import MmrDd
from methods.mmr_universal import MmrUniversal
from methods.mtl_ibp import MtlIbp
from methods.n_fgsm import NFgsm
from methods.plain import Plain
from methods.relu_stability import ReluStability
from methods.sabr import Sabr
from methods.staps import Staps
from methods.trades import Trades
from relu.attacks.pgd import ascend
from relu.bounds.alpha_crown import tightest_margins
from relu.bounds.ball import ball_of
from relu.bounds.linear import margin_lower_bounds, relax
from relu.bounds.relaxation import Relaxation
from relu.classes import margins as logit_margins
from relu.network.architectures import build
from relu.network.layers import to_vectors
from relu.network.reader import in_float64, read_layers
from relu.regions.hyperplanes import planes_of
from relu.regions.jacobian import norms
from relu.regions.region import region_of
from relu.regions.search import search
from relu.threat import Norm, Threat

Results = Mapping[str, Tensor]
EPS: Mapping[Norm, float] = {"linf": 0.05, "l2": 0.3, "l1": 0.8}
INPUTS = 12
ARCHITECTURES = ("cnn_small", "fc_small")
DISTURBANCE = 1.5  # factor of one weight; a comparison that passes in spite of it sees nothing
TINY = 6  # hidden units: so few that a search through all regions ends at once
DRAWN = (torch.rand, torch.randn, torch.randperm, torch.randint)
TIGHT = 1e-9


@dataclass(frozen=True, kw_only=True)
class Place:
    """A device, and what one weight of every network there is multiplied by."""

    device: torch.device
    factor: float = 1.0

    def net(
        self, arch: str, dtype: torch.dtype = torch.float64, method: Method | None = None
    ) -> nn.Sequential:
        """A network on the device, its parameters with gradients, as `method` begins with it."""
        net = copy.deepcopy(_trained(arch)).to(dtype).to(self.device)
        if (prepare := getattr(method, "prepare", None)) is not None:
            prepare(net)
        second = [layer for layer in net if isinstance(layer, nn.Linear | nn.Conv2d)][1]
        with torch.no_grad():
            second.weight.flatten()[second.weight.abs().argmax()] *= self.factor
        return net

    def batch(self, count: int = INPUTS, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
        """Test images and their labels."""
        data = load("digits")
        x = data.x_test[:count].to(dtype)
        y = data.y_test[:count]
        return x.to(self.device), y.to(self.device)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Something that is computed on one device, and by how much it may differ on another."""

    name: str
    compute: Callable[[Place], Results]
    relative: float = TIGHT

    def at(self, place: Place) -> Results:
        """The results, on the CPU."""
        torch.manual_seed(0)
        with SameDraws():
            results = self.compute(place)
            return {name: value.detach().cpu() for name, value in results.items()}


class SameDraws(TorchFunctionMode):
    """Draws every random number on the CPU, whatever the device it is for."""

    def __init__(self) -> None:
        super().__init__()
        self._generators: dict[int, tuple[torch.Generator, torch.Generator]] = {}

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function not in DRAWN:
            return function(*args, **kwargs)
        device = kwargs.pop("device", None)
        generator = kwargs.pop("generator", None)
        drawn = function(*args, generator=self._here(generator), **kwargs)
        return drawn if device is None else drawn.to(device)

    def _here(self, generator: torch.Generator | None) -> torch.Generator | None:
        """The CPU's generator in place of another device's; both are kept, as ids are reused."""
        if generator is None:
            return None
        if id(generator) not in self._generators:
            own = torch.Generator().manual_seed(generator.initial_seed())
            self._generators[id(generator)] = (generator, own)
        return self._generators[id(generator)][1]


def differences(results: Results, reference: Results, relative: float) -> list[str]:
    """The names of results that are not those of the reference, and by how much they differ."""
    assert results.keys() == reference.keys()
    return [
        f"{name}: {problem}"
        for name, value in results.items()
        if (problem := _difference(value, reference[name], relative))
    ]


def _difference(value: Tensor, reference: Tensor, relative: float) -> str:
    if value.shape != reference.shape or value.dtype != reference.dtype:
        return f"{tuple(value.shape)} {value.dtype}, not {reference.shape} {reference.dtype}"
    if not value.is_floating_point():
        wrong = int((value != reference).sum())
        return f"{wrong} of {value.numel()} differ" if wrong else ""
    finite = reference.isfinite()
    if not torch.equal(value.isfinite(), finite):
        return "other entries are finite"
    if not torch.equal(value[~finite].nan_to_num(), reference[~finite].nan_to_num()):
        return "other entries are infinite or no numbers"
    scale = float(reference[finite].abs().amax()) if bool(finite.any()) else 0.0
    off = float((value - reference)[finite].abs().amax()) if bool(finite.any()) else 0.0
    return "" if off <= relative * scale else f"{off:.2e} off, the largest entry being {scale:.2e}"


@functools.cache
def _trained(arch: str) -> nn.Sequential:
    """A plainly trained network, on the CPU."""
    data = load("digits")
    if arch == "tiny":
        torch.manual_seed(0)
        hidden = nn.Linear(64, TINY)
        last = nn.Linear(TINY, data.classes)
        net = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), last)
    else:
        net = build(arch, data.shape, data.classes)
    before = torch.get_rng_state()
    threat = Threat(norm="linf", eps=0.1)
    training = Training(epochs=4, lr=3e-3)
    train(net, Plain(), data, threat=threat, training=training, seed=0, augmented=False)
    torch.set_rng_state(before)
    return net.eval()


# Training

LINF = Threat(norm="linf", eps=EPS["linf"])
L2 = Threat(norm="l2", eps=EPS["l2"])
TRAININGS: Mapping[str, tuple[Method, str, Threat]] = {
    "plain": (Plain(), "cnn_small", LINF),
    "at linf": (At(steps=3), "cnn_small", LINF),
    "at l2": (At(steps=3), "fc_small", L2),
    "kw linf": (KwTraining(), "cnn_small", LINF),
    "kw l2 in the box": (KwTraining(box=True), "fc_small", L2),
    "kw linf, projected": (KwTraining(wide=1, projections=9), "cnn_small", LINF),
    "kw l2, projected": (KwTraining(wide=1, projections=9), "fc_small", L2),
    "mmr linf": (Mmr(), "cnn_small", LINF),
    "mmr l2": (Mmr(), "fc_small", L2),
    "mmr l1": (Mmr(), "cnn_small", Threat(norm="l1", eps=EPS["l1"])),
    "mmr_at": (MmrAt(at=At(steps=3)), "cnn_small", LINF),
    "mmr_dd": (MmrDd(), "cnn_small", LINF),
    "cross_lipschitz": (CrossLipschitz(), "cnn_small", LINF),
    "ibp linf": (Ibp(weight=0.7), "cnn_small", LINF),
    "ibp l2": (Ibp(), "fc_small", L2),
    "crown_ibp": (CrownIbp(), "cnn_small", LINF),
    "sabr": (Sabr(steps=3), "cnn_small", LINF),
    "mtl_ibp": (MtlIbp(), "cnn_small", L2),
    "staps": (Staps(ramp=0.3, steps=3, attack_steps=3), "cnn_small", LINF),
    "trades": (Trades(steps=3), "cnn_small", LINF),
    "mart": (Mart(steps=3), "cnn_small", LINF),
    "n_fgsm": (NFgsm(), "cnn_small", LINF),
    "edac": (Edac(steps=3), "cnn_small", LINF),
    "relu_stability": (ReluStability(steps=3), "cnn_small", LINF),
    "mmr_universal": (MmrUniversal(), "cnn_small", LINF),
}
SMOOTH = ("plain", "ibp linf", "ibp l2", "kw linf", "kw l2 in the box", "cross_lipschitz")
"""trainings whose gradient no comparison of two nearly equal numbers chooses"""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A method without its preparation, which would undo a disturbance."""

    label: ClassVar[str] = "prepared"
    method: Method

    def loss(
        self, net: nn.Module, x: Tensor, y: Tensor, *, threat: Threat, progress: float
    ) -> Tensor:
        return self.method.loss(net, x, y, threat=threat, progress=progress)


def training(name: str, place: Place) -> Results:
    """Loss, errors and weights after six steps in float64."""
    method, arch, threat = TRAININGS[name]
    whole = load("digits")
    data = DataSet(
        name="digits",
        classes=whole.classes,
        x_train=whole.x_train[:96].double(),
        y_train=whole.y_train[:96],
        x_test=whole.x_test,
        y_test=whole.y_test,
    )
    net = place.net(arch, method=method)
    history = train(
        net,
        Prepared(method=method),
        data,
        threat=threat,
        training=Training(epochs=2, batch=32),
        seed=3,
        augmented=True,
    )
    told = {
        key: torch.tensor([row[key] for row in history])
        for key in ("loss", "clean_error", "pgd_error")
    }
    return {**told, **net.state_dict()}


def first_loss(name: str, place: Place) -> Results:
    """The loss of one batch in float32, and, where it is smooth, its gradient."""
    method, arch, threat = TRAININGS[name]
    net = place.net(arch, torch.float32)
    (x, y) = place.batch(32, torch.float32)
    loss = method.loss(net, x, y, threat=threat, progress=0.5)
    loss.backward()
    gradients = {key: p.grad for key, p in net.named_parameters() if p.grad is not None}
    return {"loss": loss, **(gradients if name in SMOOTH else {})}


# Bounds


def bounds(
    relaxation: Relaxation, arch: str, norm: Norm, box: bool, dtype: torch.dtype, place: Place
) -> Results:
    """Bounds of all hidden units, and of the margins."""
    net = place.net(arch, dtype)
    (x, y) = place.batch(dtype=dtype)
    layers = read_layers(net.requires_grad_(False), tuple(x.shape[1:]))
    threat = Threat(norm=norm, eps=EPS[norm] / 2)
    ball = ball_of(to_vectors(layers, x), threat, box=box)
    relaxed = relax(layers, ball, relaxation)
    return {
        "margins": margin_lower_bounds(relaxed, y),
        "low": torch.cat(relaxed.low, dim=1),
        "high": torch.cat(relaxed.high, dim=1),
    }


def improved(arch: str, norm: Norm, place: Place) -> Results:
    """Margins of alpha-CROWN, after some steps of its ascent."""
    net = place.net(arch).requires_grad_(False)
    (x, y) = place.batch()
    layers = read_layers(net, tuple(x.shape[1:]))
    threat = Threat(norm=norm, eps=EPS[norm])
    ball = ball_of(to_vectors(layers, x), threat)
    return {"margins": tightest_margins(layers, ball, y, iterations=5)}


# Regions


def regions(arch: str, norm: Norm, place: Place) -> Results:
    """Activity, lengths, hyperplanes, and a search through some regions around each input."""
    net = place.net(arch).requires_grad_(False)
    (x, y) = place.batch()
    layers = read_layers(net, tuple(x.shape[1:]))
    threat = Threat(norm=norm, eps=EPS[norm])
    vectors = to_vectors(layers, x)
    region = region_of(layers, vectors)
    planes = planes_of(region, y, threat)
    found = search(layers, vectors, y, threat=threat, neighbours=3)
    return {
        "pattern": region.pattern,
        "norms": norms(region, threat.q),
        "gap": planes.gap,
        "length": planes.length,
        "nearest": planes.low,
        "low": found.low,
        "high": found.high,
    }


# Attacks and evaluators


def attack(arch: str, norm: Norm, place: Place) -> Results:
    """Where PGD ends, and whom it fools on the way."""
    net = place.net(arch).requires_grad_(False)
    (x, y) = place.batch()
    threat = Threat(norm=norm, eps=2 * EPS[norm])
    ended, _ = ascend(net, x, y, threat=threat, steps=10)
    first, fooled = ascend(net, x, y, threat=threat, steps=10, leave_when_fooled=True)
    return {"ended": ended, "logits": net(ended), "first": first, "fooled": fooled}


EVALUATORS: Mapping[str, tuple[Evaluator, str]] = {
    "ibp": (IbpBounds(bisection_steps=40), "cnn_small"),
    "hull": (Hull(), "cnn_small"),
    "kw": (Kw(bisection_steps=40), "cnn_small"),
    "crown": (Crown(iterations=3, bisection_steps=40), "fc_small"),
    "lipschitz": (Lipschitz(), "cnn_small"),
    "region": (Region(), "cnn_small"),
    "region, to the end": (Region(neighbours="unlimited", seconds=600.0), "tiny"),
    "pgd": (Pgd(), "cnn_small"),
    "ensemble": (Ensemble(steps=20, restarts=1, square_steps=20, rounds=1), "cnn_small"),
    "cw": (Cw(preset="fast", steps=50, binary_search_steps=3), "cnn_small"),
    "region_attack": (RegionAttack(walks=2, rounds=3), "cnn_small"),
}
INEXACT = ("ensemble", "cw", "region_attack")  # hundreds of steps, each of which may amplify


def evaluator(name: str, norm: Norm, place: Place) -> Results:
    """What an evaluator proves of a network in float64, and how far its witnesses are."""
    judge, arch = EVALUATORS[name]
    net = place.net(arch).requires_grad_(False)
    (x, y) = place.batch()
    threat = Threat(norm=norm, eps=EPS[norm])
    wrong = logit_margins(in_float64(net)(x), y) <= 0
    high = torch.where(wrong, 0.0, torch.inf).double()
    known = Interval(low=torch.zeros_like(high), high=high)
    evidence = judge.judge(net, x, y, threat=threat, known=known)
    far = threat.distance(x, evidence.witness.to(x.device))
    statuses = ["done", "skipped", "timeout", "undecided", "failed", "refused"]
    status = torch.tensor([statuses.index(status) for status in evidence.statuses])
    return {"low": evidence.low, "high": far, "status": status}


def lost(place: Place) -> Results:
    """What is left where one input of a shard raises, of certificates that are on the device."""
    net = place.net("fc_small").requires_grad_(False)
    (x, y) = place.batch()
    nothing = torch.zeros(INPUTS, dtype=torch.float64, device=place.device)
    known = Interval(low=nothing, high=nothing + torch.inf)

    def judge(start: int, stop: int) -> Evidence:
        if start <= 3 < stop:
            raise ValueError("input 3")
        some = slice(start, stop)
        return Kw(bisection_steps=3).judge(
            net, x[some], y[some], threat=LINF, known=known.part(some)
        )

    evidence = joined(Isolation(judge, x).judge(0, INPUTS))
    return {"low": evidence.low, "witness": evidence.witness}


def _norms(names: Sequence[Norm] = ("linf", "l2", "l1")) -> Iterator[tuple[str, Norm]]:
    return ((arch, norm) for arch in ARCHITECTURES for norm in names)


def _named(name: str, compute: Callable[..., Results], *first: object) -> Comparison:
    return Comparison(name=name, compute=functools.partial(compute, *first))


def comparisons() -> list[Comparison]:
    """All of them."""
    kinds: tuple[Relaxation, ...] = ("kw", "crown")
    double = torch.float64
    single = torch.float32
    return [
        _named("lost", lost),
        # Six steps of Adam, which divides by roots of squares.
        *(
            replace(_named(f"training {name}", training, name), relative=1e-6)
            for name in TRAININGS
            if "projected" not in name
        ),
        # float32 sums of up to some hundred terms, through four layers and back.
        *(
            replace(_named(f"first loss {name}", first_loss, name), relative=1e-4)
            for name in TRAININGS
            if "at" not in name.split()[0]
        ),
        *(
            _named(
                f"{kind} {arch} {norm}{' in the box' * box}", bounds, kind, arch, norm, box, double
            )
            for kind in kinds
            for arch, norm in _norms()
            for box in (False, True)
        ),
        *(
            replace(
                _named(f"{kind} {arch} {norm} in float32", bounds, kind, arch, norm, True, single),
                relative=1e-4,
            )
            for kind in kinds
            for arch, norm in _norms()
        ),
        # Five steps of Adam on slopes.
        *(
            replace(_named(f"alpha {arch} {norm}", improved, arch, norm), relative=1e-6)
            for arch, norm in _norms()
        ),
        *(_named(f"regions {arch} {norm}", regions, arch, norm) for arch, norm in _norms()),
        *(_named(f"attack {arch} {norm}", attack, arch, norm) for arch, norm in _norms()),
        *(
            replace(
                _named(f"evaluator {name} {norm}", evaluator, name, norm),
                relative=1e-6 if name in INEXACT else TIGHT,
            )
            for name in EVALUATORS
            for norm in EPS
            if name != "cw" or norm == "l2"
        ),
    ]


COMPARISONS: Mapping[str, Comparison] = {made.name: made for made in comparisons()}
