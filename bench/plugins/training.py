"""The training loop's settings: what `--set train.NAME=VALUE` changes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, Predicate

from bench.parsing import MOST
from relu.errors import InputError
from relu.ranges import require_fields

MOST_SHIFT = 16  # pixels
ALWAYS = ("epochs", "batch", "lr")
Optimizer = Literal["adam", "adamw", "radam", "sgd"]
Schedule = Literal["steps", "cosine", "one_cycle", "constant"]


def _are_shares(values: tuple[float, ...]) -> bool:
    """Shares of the training, between 0 and 1, in rising order."""
    return list(values) == sorted(set(values)) and all(0 < value < 1 for value in values)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network is trained, whatever its method [CAH19, Appendix B].

    epochs; batch: inputs per step; optimizer, lr: torch's, and its learning rate, of which
    `schedule` makes that of each step: "steps" multiplies it by `decay` at each of `milestones`,
    shares of the training; "cosine" lets it fall to 0; "one_cycle" lets it rise within the first
    three tenths, and fall from there on. momentum: of "sgd". weight_decay: torch's, l1: weight of
    the sum of all |w| of matrices and kernels, in the loss. clip: the largest l2 length of the
    gradient. averaging: from this share of the training on, the weights that count are the mean of
    those after each epoch [IPGVW18]. held_out: share of the training set on which each epoch is
    judged, the best of which counts; without it, the last. mixed: bfloat16 where a GPU trains.
    shift: how many pixels training images are moved by at most, anew each time (data sets that are
    augmented anyway: 2).
    """

    epochs: Annotated[int, Ge(1), Le(MOST)] = 100
    batch: Annotated[int, Ge(1), Le(MOST)] = 128
    lr: Annotated[float, Gt(0)] = 1e-3
    optimizer: Optimizer = "adam"
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    schedule: Schedule = "steps"
    milestones: Annotated[tuple[float, ...], Predicate(_are_shares)] = (0.9,)
    decay: Annotated[float, Gt(0), Le(1)] = 0.1
    weight_decay: Annotated[float, Ge(0)] = 0.0
    l1: Annotated[float, Ge(0)] = 0.0
    clip: Annotated[float, Gt(0)] | None = None
    averaging: Annotated[float, Ge(0), Lt(1)] | None = None
    held_out: Annotated[float, Ge(0), Lt(1)] = 0.0
    mixed: bool = False
    shift: Annotated[int, Ge(0), Le(MOST_SHIFT)] = 0

    def __post_init__(self) -> None:
        require_fields(self, "train")

    def to_json(self) -> dict[str, Any]:
        """What is always said of a training, and whatever is not as usual.

        Settings that came later are left out where they have their defaults: keys stay the same.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        usual = {field.name: field.default for field in fields(self)}
        said = {n: v for n, v in values.items() if n in ALWAYS or v != usual[n]}
        return {n: list(v) if isinstance(v, tuple) else v for n, v in said.items()}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Training":
        """Settings that were written as JSON, which knows no tuples. Raises InputError."""
        try:
            values: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in said.items()
            }
            return cls(**values)
        except TypeError as error:
            raise InputError(f"settings of a training that this version has not: {error}") from None


def setting(settings: Mapping[str, Any], name: str) -> Any:
    """A setting of a row, of which those of the training are left out that are as usual."""
    if name in settings:
        return settings[name]
    usual = {f"train.{field.name}": field.default for field in fields(Training)}
    return usual[name]
