"""What an evaluator is, what it is told, and the evidence it hands over.

What a low and a high mean is said here, once, for tensors and arrays alike: a low certifies the
closed ball, ties count as adversarial, so no low can be a high or more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.classes import Images, Labels
from relu.threat import Threat

EXACT = 1e-6
"""an interval at most this wide (pixel units) counts as an exact radius"""

DECIDED = "skipped: already decided"
"""the outcome of an input that is left alone, as others have decided it"""

Status = Literal["done", "skipped", "timeout", "undecided", "failed", "refused"]
"""What became of an input: judged to the evaluator's end; left alone, as others have decided it;
out of time; beyond the evaluator's means; lost by an error; its witness refused by the bench."""


def certified_at(low: Any, eps: Any) -> Any:
    """Where no adversarial input lies within eps: the closed ball of a radius >= eps has none."""
    return low >= eps


def fooled_at(high: Any, eps: Any) -> Any:
    """Where an adversarial input lies within eps."""
    return high <= eps


def contradictory(low: Any, high: Any) -> Any:
    """Where a witness at `high` refutes that the closed ball of radius `low` has none.

    low = 0 claims nothing; high = inf is no witness.
    """
    return (low > 0) & (high < float("inf")) & fooled_at(high, low)


def exact_at(low: Any, high: Any) -> Any:
    """Where both bounds are one radius up to EXACT, which may be inf: nothing is adversarial."""
    return high <= low + EXACT


@dataclass(frozen=True, kw_only=True)
class Interval:
    """What is proven of r(x), the norm of the smallest perturbation that changes the class.

    low: no adversarial input in the closed ball of this radius (0: nothing proven). high: the
    norm of a replayed witness (inf: none known; 0: x itself is misclassified). witness: that
    witness, where an evaluator found it; NaN elsewhere (None: nowhere). float64.
    """

    low: Float[Tensor, " n"]
    high: Float[Tensor, " n"]
    witness: Float[Tensor, "n *shape"] | None = None

    def part(self, rows: slice | Int[Tensor, " m"]) -> "Interval":
        """What is known of some of the inputs, as a copy."""
        witness = None if self.witness is None else self.witness[rows].clone()
        return Interval(low=self.low[rows].clone(), high=self.high[rows].clone(), witness=witness)

    @property
    def inexact(self) -> Bool[Tensor, " n"]:
        """Inputs without a witness at the radius that is proven (as at inf): attacks' work."""
        inexact: Tensor = ~exact_at(self.low, self.high) | self.low.isinf()
        return inexact

    @property
    def unsettled(self) -> Bool[Tensor, " n"]:
        """Inputs whose radius is not known: work for what certifies."""
        unsettled: Tensor = ~exact_at(self.low, self.high)
        return unsettled

    def straddles(self, eps: float | Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Inputs for which it is still open whether they are robust at eps, or each at its own."""
        open_: Tensor = ~certified_at(self.low, eps) & ~fooled_at(self.high, eps)
        return open_


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What an evaluator found about n inputs; radii in the threat's norm, in pixel units.

    The bench does not believe it: witnesses are replayed in float64, `high` is computed there.
    """

    low: Float[Tensor, " n"]
    """proven in this call: no adversarial input in the closed ball of this radius, float64; 0:
    nothing proven; inf: none in the whole box, as for any radius that reaches its farthest point"""
    witness: Float[Tensor, "n *shape"]
    """an adversarial input in the box, at any distance; NaN where none was found"""
    outcome: Sequence[str]
    """per input, for people: "done: exact", "timeout", "skipped: already decided", ..."""
    seconds: Float[Tensor, " n"] | None = None
    """per input, where the evaluator knows; otherwise the wall time is shared out evenly"""
    status: Sequence[Status] | None = None
    """per input, for programs; without it each outcome's first word says so (`status_of`)"""

    @property
    def statuses(self) -> list[Status]:
        """The status of each input."""
        return list(self.status or map(status_of, self.outcome))


def status_of(outcome: str) -> Status:
    """What the first word of an outcome says, for evidence and results without a status."""
    first = outcome.partition(":")[0].partition(",")[0]
    named: dict[str, Status] = {status: status for status in get_args(Status)}
    return named.get(first, "failed")


@runtime_checkable
class Evaluator(Protocol):
    """A frozen, keyword-only dataclass of settings that judges a batch of inputs.

    The file's name is the evaluator's name on the command line. Settings declare their ranges as
    methods' do (methods/interface.py). Optional class attributes, read where present:

    - `aliases: ClassVar[tuple[str, ...]]`: other names people type.
    - `cost: ClassVar[int] = 100`: cheap evaluators (small numbers) run first, so that dear ones
      see only what those left open.
    - `shard: ClassVar[int] = 500`: inputs per job, which is what a kill may cost; small where an
      input takes long.
    - `step: ClassVar[int]`: where an input takes long, how many `judge` is given at once; what is
      finished outlives a kill, and inputs that end the process are passed over. Default: a shard.
    - `eps_per_input: ClassVar[bool] = False`: whether `judge` takes a threat whose `eps` is a
      tensor, a radius for each input (`threat.each(x)`, `threat.at(rows)`). The others, to whom
      `eps` is a number, are called for the inputs of each radius apart.
    - `on_request: ClassVar[bool] = False`: whether `--eval all` leaves it out.
    - `renamed: ClassVar[Mapping[str, str]]`: older spellings of settings -> today's.
    - `defaults(dataset, arch, threat) -> dict[str, object]` (classmethod): as for methods.
    """

    label: ClassVar[str]
    resource: ClassVar[Literal["gpu", "cpu"]]
    """what one job occupies"""

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        """Why this network or threat is outside the theory (printed as a footnote), else None."""
        ...

    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        """Evidence about every input, in order; `known` is what earlier evaluators proved.

        `known.high` may spare any work, `known.low` only the work of certifying, and of repeating
        an attack: one that skipped certified inputs could not refute a wrong certificate.
        Random draws come from torch's global generator, seeded by the bench for each shard.
        """
        ...
