"""Where an adversary can move an input: a ball of its own radius, cut by the box.

How far a linear form can fall on that set is all that bounds by linear relaxation need to know of
it. Without a box that is the radius times the form's dual norm; inside the box it is less.
"""

from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor

from relu.norms.interface import PNorm
from relu.threat import Threat


@dataclass(frozen=True, eq=False)
class Perturbations:
    """Perturbations delta of a center: -down <= delta <= up, and ||delta|| <= eps.

    For linf up = down say it all. even: there is no box, so that eps says it all. A pixel with
    up = down = 0 does not move.
    """

    norm: PNorm
    eps: Float[Tensor, " n"]
    up: Float[Tensor, "n d"]
    down: Float[Tensor, "n d"]
    even: bool

    @property
    def symmetric(self) -> bool:
        """Whether forms rise as much as they fall."""
        return self.even or self.norm.box_shaped

    def at(self, which: Int[Tensor, " m"] | slice) -> "Perturbations":
        """That of the inputs `which`."""
        up = self.up[which]
        down = up if self.symmetric else self.down[which]
        return replace(self, eps=self.eps[which], up=up, down=down)

    def seen(self, pixels: Int[Tensor, " s"]) -> "Perturbations":
        """That of some pixels alone."""
        up = self.up[:, pixels]
        return replace(self, up=up, down=up if self.symmetric else self.down[:, pixels])

    def support_below(self, rows: Float[Tensor, "n k d"]) -> Float[Tensor, "n k"]:
        """Max -rows . delta: how far rows . z can fall from the center. Differentiable in the rows.

        Never less than that; more only for l2 and l1 inside a box, by what a few steps of an
        iteration leave.
        """
        if not rows.shape[-1]:  # a unit may see nothing but padding
            return rows.new_zeros(rows.shape[:-1])
        if self.even:
            return self.norm.dual_length(rows) * self.eps.unsqueeze(1)
        return self.norm.support(rows, self.up, self.down, self.eps)

    def support_above(self, rows: Float[Tensor, "n k d"]) -> Float[Tensor, "n k"]:
        """Max rows . delta: how far rows . z can rise from the center (the support function)."""
        return self.support_below(rows if self.symmetric else -rows)


@dataclass(frozen=True, eq=False)
class Ball:
    """Where each input can be moved to: how far around a center.

    The center is the input itself, but for linf inside the box the middle of what ball and box
    leave of each pixel.
    """

    center: Float[Tensor, "n d"]
    deltas: Perturbations


def ball_of(
    x: Float[Tensor, "n d"],
    threat: Threat,
    *,
    eps: Float[Tensor, " n"] | None = None,
    box: bool = True,
) -> Ball:
    """The balls around x in the threat's norm, with radius eps (default: the threat's)."""
    eps = (threat.each(x) if eps is None else eps).to(x.dtype)
    up = down = eps.unsqueeze(1).expand_as(x)
    if not box:
        return Ball(x, Perturbations(threat.p_norm, eps, up, down, even=True))
    low, high = threat.box
    down = (x - low).minimum(down)
    up = (high - x).minimum(up)
    assert not ((down < 0) | (up < 0)).any(), "inputs must lie in the box"
    if threat.p_norm.box_shaped:
        x = x + (up - down) / 2
        up = (up + down) / 2
        down = up
    return Ball(x, Perturbations(threat.p_norm, eps, up, down, even=False))
