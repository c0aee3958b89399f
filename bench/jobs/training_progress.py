"""How far a training is: weights, optimiser, averages, and the best weights so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bench.jobs.optimisation import Average, Optimisation
from bench.jobs.watched import attacked_errors, uncertified_error
from bench.plugins.training import Training
from relu.threat import Threat


@dataclass(frozen=True, eq=False)
class _Best:
    """Weights, and their errors on held-out inputs: uncertified, under attack, clean."""

    errors: tuple[float, float, float]
    weights: Mapping[str, Tensor]


class Progress:
    """A training between two epochs: all that a checkpoint keeps, and which weights count."""

    def __init__(self, net: nn.Module, training: Training, threat: Threat, seed: int) -> None:
        self.net = net
        self.training = training
        self.threat = threat
        self.seed = seed
        self.optimisation = Optimisation(net, training)
        self.mean = Average(net) if training.averaging is not None else None
        self.best: _Best | None = None
        self.history: list[dict[str, Any]] = []

    def state(self) -> dict[str, Any]:
        """What `load` goes on from."""
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimisation.optimizer.state_dict(),
            "mean": self.mean and self.mean.state(),
            "best": self.best and {"errors": self.best.errors, "weights": self.best.weights},
            "history": self.history,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state."""
        self.net.load_state_dict(state["net"])
        self.optimisation.optimizer.load_state_dict(state["optimizer"])
        if self.mean is not None:
            self.mean.load(state["mean"])
        if state["best"] is not None:
            self.best = _Best(tuple(state["best"]["errors"]), state["best"]["weights"])
        self.history = state["history"]

    def average(self, epochs: int) -> None:
        """After so many epochs: takes the weights into the mean, from its share on."""
        share = self.training.averaging
        if self.mean is not None and share is not None and epochs > share * self.training.epochs:
            self.mean.add(self.net)

    def judge(self, x: Tensor, held_x: Tensor, held_y: Tensor) -> dict[str, float]:
        """Errors on held-out inputs, by which the best weights are kept. x: training inputs."""
        net = self._counting(x)
        clean, attacked = attacked_errors(net, held_x, held_y, self.threat, self.seed)
        uncertified = max(attacked, uncertified_error(net, held_x, held_y, self.threat))
        errors = (uncertified, attacked, clean)
        if self.best is None or errors <= self.best.errors:
            weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            self.best = _Best(errors, weights)
        return {
            "held_out_clean": clean,
            "held_out_pgd": attacked,
            "held_out_uncertified": uncertified,
        }

    def finish(self, x: Tensor) -> None:
        """Puts the weights that count into the network. x: training inputs."""
        if self.best is not None:
            self.net.load_state_dict(self.best.weights)
        else:
            self.net.load_state_dict(self._counting(x).state_dict())

    def _counting(self, x: Tensor) -> nn.Module:
        """The network whose weights count now."""
        if self.mean is None or not self.mean.count:
            return self.net
        self.mean.measure(x, self.training.batch)
        return self.mean.net
