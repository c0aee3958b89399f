"""What one command asks for, checked."""

from dataclasses import dataclass
from typing import Literal

from bench.plugins.settings import Overrides
from relu.threat import Norm

FIRST = 1000  # test inputs that are judged, where nothing is said
TRAIN = ("train", "")  # the training loop, among overrides


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network trained elsewhere: its file, the digest of its weights, its name in the table."""

    path: str
    digest: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one command asks for, or a part of it: everything listed is crossed with all the rest.

    An empty `archs` or `eps` means each data set's own. `points`: None for the first 1000.
    held_out: the share of the training set that is judged in the test set's place, None for none;
    on_test: whether the test set is judged all the same, by networks trained without that share.
    judged: norms and radii under which each network is judged, whatever it was trained for; empty:
    its own. inputs: a file of inputs that are, "" for none.
    overrides: one for each point of the grid. cascade: whether evaluators hear of earlier ones.
    published: the table of a paper that the rows are set beside. suite: the file it is from;
    settings_place, points_place: what errors call the place of its settings and of `points`.
    reproducible: whether trainings on the CPU use only what all x86-64 machines have.
    """

    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    evaluators: tuple[str, ...]
    archs: tuple[str, ...] = ()
    norms: tuple[Norm, ...] = ("linf",)
    eps: tuple[float, ...] = ()
    box: tuple[float, float] = (0.0, 1.0)
    seeds: tuple[int, ...] = (0,)
    points: int | Literal["all"] | None = None
    epochs: int | None = None
    overrides: tuple[Overrides, ...] = ({},)
    cascade: bool = True
    checkpoint: Checkpoint | None = None
    published: str | None = None
    held_out: float | None = None
    on_test: bool = False
    judged: tuple[tuple[Norm, float], ...] = ()
    inputs: str = ""
    reproducible: bool = False
    suite: str = ""
    settings_place: str = ""
    points_place: str = "--points"

    def count(self, available: int) -> int:
        """How many of so many test inputs are judged."""
        if self.points is None:
            return available if self.inputs else min(FIRST, available)
        return available if self.points == "all" else self.points
