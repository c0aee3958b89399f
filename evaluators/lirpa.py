"""A second opinion: certificates at eps from the auto_LiRPA library [XSZW20]."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor, nn

from evaluators._auto_lirpa import HINT, auto_lirpa
from evaluators._lirpa_rounding import rounding_errors
from evaluators.interface import DECIDED, Evidence, Interval, Status
from relu.batching import is_out_of_memory
from relu.classes import Images, Labels, others
from relu.network.reader import in_float64
from relu.ranges import checked_dataclass
from relu.threat import Threat

Bound = Literal["IBP", "CROWN-IBP", "CROWN", "CROWN-Optimized"]
# Beyond all rounding, a bound must exceed this part of the largest sum of absolute values that the
# network forms at the input, as lines that the library searches for (those of a sigmoid) are close
# to tangents, not tangents: in float64, and where the library falls back to float32.
MARGIN = 1e-6
FLOAT32_MARGIN = 1e-3


@checked_dataclass
class Lirpa:
    """auto_LiRPA's lower bounds of all margins at eps, in float64, on any network it can trace.

    bound: the library's name of it. box: for linf, whether the ball is cut by the box. batch:
    inputs at a time.
    """

    label: ClassVar[str] = "LiRPA"
    aliases: ClassVar[tuple[str, ...]] = ("auto_lirpa", "auto-lirpa")
    resource: ClassVar[Literal["gpu", "cpu"]] = "gpu"
    cost: ClassVar[int] = 30

    bound: Bound = "CROWN"
    box: bool = True
    batch: Annotated[int, Ge(1)] = 50

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        try:
            auto_lirpa()
        except ImportError:
            return HINT
        except Exception as error:
            return f"auto_LiRPA does not import: {type(error).__name__}: {error}"
        return None

    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        rows = known.straddles(threat.each(x)).nonzero().squeeze(1)
        low = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        outcome = [DECIDED] * len(x)
        status: list[Status] = ["skipped"] * len(x)
        eps = float(threat.eps)
        exact = in_float64(net)
        both = (exact, copy.deepcopy(exact).float())  # of its own, as the library leaves traces
        for part in rows.split(self.batch):
            least, problem = self._least_margins(both, x[part], y[part], threat)
            low[part[least > 0]] = eps
            for row in part.tolist():
                outcome[row] = problem or ("done" if low[row] > 0 else "done: nothing new proven")
                status[row] = "failed" if problem else "done"
        nothing = torch.full_like(x, torch.nan)
        low = threat.saturated(x, low)
        return Evidence(low=low, witness=nothing, outcome=outcome, status=status)

    def _least_margins(
        self, both: tuple[nn.Module, nn.Module], x: Tensor, y: Tensor, threat: Threat
    ) -> tuple[Tensor, str]:
        """Each input's smallest bound, less its rounding; or -inf, and why there is none.

        In float64, or where the library cannot do that, in float32.
        """
        exact, quick = both
        problem = ""
        for net, inputs, margin in ((exact, x.double(), MARGIN), (quick, x, FLOAT32_MARGIN)):
            try:
                bound = self._bounded(net, inputs, y, threat).double()
                error = rounding_errors(exact, x, eps=float(threat.eps), dtype=inputs.dtype)
                return bound - margin * _size(exact, x) - error, ""
            except Exception as error:  # the library raises whatever it runs into
                if is_out_of_memory(error):
                    raise
                problem = f"no bound: {type(error).__name__}: " + str(error).partition("\n")[0]
        return torch.full_like(x.flatten(1)[:, 0], -torch.inf, dtype=torch.float64), problem

    def _bounded(self, net: nn.Module, x: Tensor, y: Tensor, threat: Threat) -> Float[Tensor, " n"]:
        """The library's smallest lower bound of each input."""
        library = auto_lirpa()
        with _quiet(), _default(x.dtype):
            # A module of its own for every batch: CROWN-Optimized spoils it for later ones.
            bounded = library.BoundedModule(net, x[:1], device=x.device)
            lower, _ = bounded.compute_bounds(
                x=(self._inputs(library, x, threat),),
                C=_specification(y, net(x)),
                method=self.bound,
                bound_upper=False,
            )
        least: Tensor = lower.detach().amin(1)
        return least

    def _inputs(self, library: ModuleType, x: Tensor, threat: Threat) -> Tensor:
        low = x - threat.eps
        high = x + threat.eps
        if self.box:
            low = low.clamp_min(threat.box[0])
            high = high.clamp_max(threat.box[1])
        sides = {"x_L": low, "x_U": high} if threat.p_norm.box_shaped else {}
        ball = library.perturbations.PerturbationLpNorm(
            norm=threat.p_norm.p, eps=threat.eps, **sides
        )
        inputs: Tensor = library.BoundedTensor(x, ball)
        return inputs


def _size(exact_net: nn.Module, x: Tensor) -> Float[Tensor, " n"]:
    """The largest sum of absolute values that any layer forms for each input, at least 1."""
    sizes = [torch.ones_like(x.flatten(1)[:, 0], dtype=torch.float64)]

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        values = output.abs()
        if isinstance(module, nn.Linear | nn.Conv2d):
            twin = copy.deepcopy(module)
            for parameter in twin.parameters():
                parameter.data.abs_()
            values = twin.forward(inputs[0].abs())
        sizes.append(values.flatten(1).amax(1))

    hooks = [
        leaf.register_forward_hook(note)
        for leaf in exact_net.modules()
        if not list(leaf.children())
    ]
    try:
        exact_net(x.double())
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(sizes).amax(0)


def _specification(y: Tensor, logits: Tensor) -> Float[Tensor, "n k1 k"]:
    """The rows e_y - e_s, for all classes s but y in order."""
    eye = torch.eye(logits.shape[1], dtype=logits.dtype, device=logits.device)
    return eye[y].unsqueeze(1) - eye[others(y, logits.shape[1])]


@contextlib.contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    """Sets the default for new tensors: that of the tables that the library makes for a sigmoid."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the library prints, logs and warns about."""
    logger = logging.getLogger("auto_LiRPA")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings(record=True), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
