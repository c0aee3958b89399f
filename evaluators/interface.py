"""What an evaluator is, what it is told, and the evidence it hands over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from relu.threat import Threat

EXACT = 1e-6
"""an interval at most this wide (pixel units) counts as an exact radius"""


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

    def part(self, some: slice) -> "Interval":
        """What is known of some of the inputs, as a copy."""
        witness = None if self.witness is None else self.witness[some].clone()
        return Interval(low=self.low[some].clone(), high=self.high[some].clone(), witness=witness)

    @property
    def inexact(self) -> Bool[Tensor, " n"]:
        """Inputs without a witness at the radius that is proven (as at inf): attacks' work."""
        return ~(self.high - self.low <= EXACT)

    def straddles(self, eps: float) -> Bool[Tensor, " n"]:
        """Inputs for which it is still open whether they are robust at eps."""
        return (self.low < eps) & (self.high > eps)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What an evaluator found about n inputs; radii in the threat's norm, in pixel units.

    The bench does not believe it: witnesses are replayed in float64, `high` is computed there.
    """

    low: Float[Tensor, " n"]
    """proven: no adversarial input in the closed ball of this radius; 0: nothing proven; float64"""
    witness: Float[Tensor, "n *shape"]
    """an adversarial input in the box, at any distance; NaN where none was found"""
    outcome: Sequence[str]
    """per input: "done", "timeout", "skipped: already decided", ..."""
    seconds: Float[Tensor, " n"] | None = None
    """per input, where the evaluator knows; otherwise the wall time is shared out evenly"""


@runtime_checkable
class Evaluator(Protocol):
    """A frozen, keyword-only dataclass of settings that judges a batch of inputs.

    The file's name is the evaluator's name on the command line. Optional class attributes, read
    where present:

    - `aliases: ClassVar[tuple[str, ...]]`: other names people type.
    - `cost: ClassVar[int] = 100`: cheap evaluators (small numbers) run first, so that dear ones
      see only what those left open.
    - `shard: ClassVar[int] = 500`: inputs per job, which is what a kill may cost; small where an
      input takes long.
    - `step: ClassVar[int]`: where an input takes long, how many `judge` is given at once; what is
      finished outlives a kill, and inputs that end the process are passed over. Default: a shard.
    - `defaults(dataset, arch, threat) -> dict[str, object]` (classmethod): as for methods.
    """

    label: ClassVar[str]
    resource: ClassVar[Literal["gpu", "cpu"]]
    """what one job occupies"""

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        """Why this network or threat is outside the theory (printed as a footnote), else None."""
        ...

    def judge(
        self,
        net: nn.Module,
        x: Float[Tensor, "n *shape"],
        y: Int[Tensor, " n"],
        *,
        threat: Threat,
        known: Interval,
    ) -> Evidence:
        """Evidence about every input, in order; `known` is what earlier evaluators proved.

        `known.high` may spare any work, `known.low` only the work of certifying: an attack that
        skipped certified inputs could not refute a wrong certificate.
        Random draws come from torch's global generator, seeded by the bench for each shard.
        """
        ...
