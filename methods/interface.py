"""What a training method is: the loss of a mini-batch."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from relu.classes import Images, Labels
from relu.threat import Threat

TradeOff = Mapping[str, tuple[float, float]]
"""Setting -> the least and the largest value worth trying, both positive."""


@runtime_checkable
class Method(Protocol):
    """A frozen, keyword-only dataclass of hyper-parameters with one function, the loss.

    The file's name is the method's name on the command line; `label` is printed. Ranges are
    declared where settings are, `steps: Annotated[int, Ge(1)] = 40`, and checked on the command
    line and by `build`; `checked_dataclass` (relu/ranges.py) in the place of `dataclass` checks in
    Python, too. What takes several fields `__post_init__` refuses (relu.errors.InputError).
    Optimiser, epochs, schedule and checkpoints are the training loop's (bench/jobs/training.py).

    Optional class attributes, read where present:

    - `aliases: ClassVar[tuple[str, ...]]`: other names people type.
    - `renamed: ClassVar[Mapping[str, str]]`: older spellings of settings -> today's.
    - `uses_threat: ClassVar[bool] = True`: False where the loss never looks at the threat; such
      a network is trained once and judged under every norm and eps.
    - `prepare(net)`: called once, before the first epoch, with the global generator seeded: other
      weights to begin with.
    - `trade_off: ClassVar[TradeOff]`: the settings that trade clean against robust error, which
      `bench front` tries on a logarithmic scale.
    - `defaults(dataset, arch, threat) -> dict[str, object]` (classmethod): field values that
      differ there, a held method's as "mmr.weight"; "train.epochs", "train.batch" and "train.lr"
      are the loop's. What the methods of this folder have on a data set stands beside the data
      sets (bench/data/method_defaults.py) and counts before what their classes say.
    """

    label: ClassVar[str]

    def loss(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, progress: float
    ) -> Float[Tensor, ""]:
        """The mean loss of the batch, differentiable in the network's parameters.

        net: with batch norm, it has the statistics of the clean batch, whatever is put through it.
        x: inputs in the threat's box; y: labels; progress: share of the training done, in
        [0, 1). Random draws come from torch's global generator, which the loop seeds.
        """
        ...
