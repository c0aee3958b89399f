"""A ReLU network around an input as the constraints of a mixed-integer program [TXT19].

Variables are the perturbation and, for each hidden unit that may switch, its positive part a, its
negative part b, and a binary s that says which of the two is not 0:

    a - b = z,    0 <= a <= high s,    0 <= b <= -low (1 - s)

with z affine in the variables before it and low <= z <= high on the ball; the unit gives a, less
its leak times b. Units that cannot switch are substituted away: they are affine, or 0.

Perturbations are measured in radii and every unit in max(high, -low), so that all variables lie
in [-1, 1]. In these units every constraint has a slack of SLACK, which is ten times what solvers
are told to allow themselves, and more where the rounding of the substitution may be larger, or
where small coefficients are left out. So the point of the program that belongs to an input of the
ball is never on the edge of what is allowed, and what a solver cuts off within its tolerance is
not the network's. The price is that a point of the program is not quite one of the network:
witnesses are replayed. Radii are at most the size of the box, or all variables would be tiny.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor

from relu.milp.forms import Forms, Units, activated_forms, without_small
from relu.milp.program import Program, stacked
from relu.network.activation import activated, crossing
from relu.network.blocks import Blocks
from relu.network.layers import Layer
from relu.rounding import UNDERFLOW, gamma
from relu.threat import Threat

SLACK = 1e-8
LEAST_VARIATION = 1e-280  # a margin that varies by less is a constant


@dataclass(frozen=True, eq=False)
class Encoding:
    """The first layers of a network over a ball, as constraints.

    alive: which of the last of these layers' outputs (at first, of the inputs) are not 0 all over
    the ball, and outputs: what these are. blocks: rows with their lower and upper ends.
    """

    layers: Sequence[Layer]
    x: Float[Tensor, " d"]
    threat: Threat
    radius: float
    unit: float
    slack: float
    alive: Int[Tensor, " k"]
    outputs: Forms
    hidden: tuple[Units, ...]
    blocks: tuple[tuple[sparse.sparray, Tensor, Tensor], ...]
    low: Float[Tensor, " v"]
    high: Float[Tensor, " v"]
    whole: Float[Tensor, " v"]

    @property
    def split(self) -> bool:
        """Whether how far a pixel goes up and how far it goes down are two variables."""
        return self.threat.p_norm.objective == "sum"

    @property
    def next(self) -> Layer:
        """The first layer that is not encoded yet."""
        return self.layers[len(self.hidden)]

    def forms(self, which: Int[Tensor, " m"]) -> Forms:
        """Pre-activations of these units of the next layer."""
        layer = self.next
        chosen = torch.zeros(len(which), layer.size, dtype=self.x.dtype)
        chosen[torch.arange(len(which)), which] = 1
        weight = layer.transposed(chosen)
        bias = layer.forward(weight.new_zeros(1, weight.shape[1]))[0, which]
        most = weight.abs()
        most_bias = bias.abs()
        if isinstance(layer, Blocks):  # whose terms may have cancelled in these sums
            absolute = layer.absolute()
            most = absolute.transposed(chosen)
            most_bias = absolute.forward(weight.new_zeros(1, weight.shape[1]))[0, which]
        weight = weight[:, self.alive]
        size = most[:, self.alive] @ self.outputs.size + most_bias + UNDERFLOW
        return Forms(weight @ self.outputs.rows, weight @ self.outputs.offset + bias, size)

    def beyond(self, low: Float[Tensor, " size"], high: Float[Tensor, " size"]) -> "Encoding":
        """With the next layer and its ReLUs, whose inputs lie between these proven bounds."""
        layer = self.next
        open_ = crossing(low, high, layer.leak)
        leak = torch.zeros_like(low) if layer.leak is None else layer.leak
        alive = (open_ | (low >= 0) | (leak > 0)).nonzero().squeeze(1)
        slope = torch.where(low >= 0, torch.ones_like(low), leak)[alive]
        forms = self.forms(alive)
        open_ = open_[alive].nonzero().squeeze(1)
        units = Units(alive[open_], high[alive[open_]].maximum(-low[alive[open_]]), len(self.low))
        top = high[units.which] / units.scale
        bottom = -low[units.which] / units.scale
        m = len(open_)
        return replace(
            self,
            alive=alive,
            outputs=activated_forms(forms.scaled(slope), open_, units, top, bottom, leak),
            hidden=(*self.hidden, units),
            blocks=(*self.blocks, *self._rows(forms.at(open_), units, top, bottom)),
            low=torch.cat([self.low, self.low.new_full((3 * m,), -self.slack)]),
            high=torch.cat(
                [self.high, top + self.slack, bottom + self.slack, torch.ones_like(top)]
            ),
            whole=torch.cat([self.whole, torch.zeros(2 * m), torch.ones(m)]),
        )

    def program(self) -> Program:
        """The constraints, without an objective."""
        low = torch.where(self.whole > 0, self.low.clamp_min(0), self.low)
        program = Program(
            cost=np.zeros(len(self.low)),
            rows=stacked([rows for rows, _, _ in self.blocks], len(self.low)),
            row_low=_joined([low for _, low, _ in self.blocks]),
            row_high=_joined([high for _, _, high in self.blocks]),
            low=low.numpy(),
            high=self.high.numpy(),
            whole=self.whole.numpy() > 0,
        )
        if not self.split:
            return program
        total = sparse.csr_array(self._moves().reshape(1, -1))
        return program.with_rows(total, np.array([-np.inf]), np.array([1 + self.slack]))

    def margin(self, y: int, s: int) -> tuple[np.ndarray, float, float]:
        """f_y - f_s, or a little less, as coefficients and a constant; and what both are in.

        That unit is all that the margin can vary by.
        """
        logits = self.forms(torch.tensor([y, s]))
        row = logits.rows[0] - logits.rows[1]
        offset = logits.offset[0] - logits.offset[1]
        reach = row.abs() @ (self.high - self.low) + self.unit / SLACK * logits.size.sum()
        scale = max(float(reach), LEAST_VARIATION)
        kept, lost = without_small(row.unsqueeze(0) / scale)
        return kept[0].numpy(), float(offset) / scale - float(lost), scale

    def nearest(self, y: int, s: int) -> Program:
        """The smallest norm (l2: its square), in radii, at which class s ties with y or wins."""
        cost, offset, _ = self.margin(y, s)
        program = self.program()
        moves = self._moves()
        won = sparse.csr_array(cost.reshape(1, -1))
        program = program.with_rows(won, np.array([-np.inf]), np.array([2 * self.slack - offset]))
        objective = self.threat.p_norm.objective
        if objective == "squares":
            return program.asking(np.zeros_like(cost), square=moves)
        if objective == "sum":
            return program.asking(moves)
        return _with_largest(program, len(self.x), self.slack)

    def point(self, v: np.ndarray) -> Float[Tensor, " d"]:
        """The input that belongs to a point of the program, inside the box."""
        d = len(self.x)
        moves = torch.tensor(v[:d])
        if self.split:
            moves = moves - torch.tensor(v[d : 2 * d])
        return self.threat.clamped(self.x + self.radius * moves)

    def variables(self, z: Float[Tensor, " d"]) -> np.ndarray:
        """The point of the program that belongs to an input of the ball."""
        moves = (z - self.x) / self.radius
        if self.split:
            moves = torch.cat([moves.clamp_min(0), (-moves).clamp_min(0)])
        values = [moves]
        given = z.unsqueeze(0)
        for layer, units in zip(self.layers, self.hidden, strict=False):
            pre = layer.forward(given)
            part = pre[0, units.which] / units.scale
            values += [part.clamp_min(0), (-part).clamp_min(0), (part > 0).to(part.dtype)]
            given = activated(layer, pre)
        return torch.cat(values).numpy()

    def _rows(
        self, forms: Forms, units: Units, top: Tensor, bottom: Tensor
    ) -> list[tuple[sparse.sparray, Tensor, Tensor]]:
        """The rows a - b = z, a <= top s, b <= bottom (1 - s), each with its slack."""
        m = len(top)
        one = sparse.eye_array(m)
        none = sparse.csr_array((m, m))
        before = sparse.csr_array((m, units.start))
        free = torch.full_like(top, -torch.inf)
        kept, lost = without_small(forms.rows / -units.scale.unsqueeze(1))
        scaled = sparse.csr_array(kept.numpy())
        z = forms.offset / units.scale
        lost += self.unit * forms.size / units.scale
        slack = self.slack + (lost if self.slack else 0.0)
        up, down = (sparse.diags_array(part.numpy()) for part in (-top, bottom))
        return [
            (sparse.hstack([scaled, one, -one, none]), z - slack, z + slack),
            (sparse.hstack([before, one, none, up]), free, torch.full_like(top, self.slack)),
            (sparse.hstack([before, none, one, down]), free, bottom + self.slack),
        ]

    def _moves(self) -> np.ndarray:
        """1 for variables of the perturbation, 0 for others."""
        count = len(self.x) * (2 if self.split else 1)
        return (np.arange(len(self.low)) < count).astype(float)


def encoding(
    layers: Sequence[Layer],
    x: Float[Tensor, " d"],
    threat: Threat,
    radius: float,
    *,
    slack: float = SLACK,
) -> Encoding:
    """The ball of this radius around x, inside the box, before any layer. float64.

    For l1, how far a pixel goes up and how far it goes down are two variables. Without slack, the
    constraints are the network itself, and prove nothing.
    """
    assert x.dtype == torch.float64
    low, high = threat.box
    down, up = ((room / radius).clamp_max(1) for room in (x - low, high - x))
    rows = radius * torch.eye(len(x), dtype=x.dtype)
    if threat.p_norm.objective == "sum":
        rows, down, up = torch.cat([rows, -rows], 1), torch.zeros(2 * len(x)), torch.cat([up, down])
    outputs = Forms(rows, x, x.abs() + radius)
    return Encoding(
        layers=layers,
        x=x,
        threat=threat,
        radius=radius,
        unit=gamma(layers, len(x)),
        slack=slack,
        alive=torch.arange(len(x)),
        outputs=outputs,
        hidden=(),
        blocks=(),
        low=-down.double() - slack,
        high=up + slack,
        whole=torch.zeros_like(up),
    )


def _with_largest(program: Program, d: int, slack: float) -> Program:
    """The program with one variable more, at least as large as each of the first d, to minimise."""
    moves = sparse.eye_array(d, len(program.low))
    column = sparse.csr_array(np.ones((d, 1)))
    wider = program.rows.copy()
    wider.resize((wider.shape[0], len(program.low) + 1))
    program = Program(
        cost=np.append(np.zeros_like(program.cost), 1.0),
        rows=wider,
        row_low=program.row_low,
        row_high=program.row_high,
        low=np.append(program.low, 0.0),
        high=np.append(program.high, 1 + slack),
        whole=np.append(program.whole, False),
    )
    both = sparse.vstack([sparse.hstack([sign * moves, -column]) for sign in (1, -1)])
    return program.with_rows(both, np.full(2 * d, -np.inf), np.full(2 * d, slack))


def _joined(parts: Sequence[Tensor]) -> np.ndarray:
    return torch.cat([torch.zeros(0), *parts]).double().numpy()
