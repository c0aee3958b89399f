"""What figures are drawn from: the rows of runs, and the evidence and networks behind them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from bench.data.datasets import DataSet
from bench.parsing import resolve
from bench.store.results import Store
from leaderboard import seed_groups
from leaderboard.board.data import RowData, network_of, subject_of
from leaderboard.board.inputs import NOBODY, input_frame
from leaderboard.merge import case, identity
from leaderboard.row import Row
from leaderboard.rows import Judged, judged_cell, read_table
from relu.errors import InputError
from relu.network.layers import Shape
from relu.network.reader import in_float64


class Runs:
    """The rows of finished runs, those of some methods or all, and what is behind each.

    rows: those that are judged; missing: the others.
    """

    def __init__(self, stores: Sequence[Store], data: RowData, methods: Sequence[str] = ()) -> None:
        self._stores = list(stores)
        self._data = data
        table = read_table(self._stores)
        labels = {row.method: (row.label,) for _, row in table}
        wanted = [resolve(name, labels, "method of these runs") for name in methods]
        kept = [(cell, row) for cell, row in table if not wanted or row.method in wanted]
        self.rows = [row for _, row in kept if row.test_error is not None]
        self.missing = [row for _, row in kept if row.test_error is None]
        self._cells = {identity(row): cell for cell, row in kept}
        self._judged: dict[object, Judged | None] = {}

    def judged(self, row: Row) -> Judged:
        """What is known of the row's network. Raises InputError where nothing is."""
        key = identity(row)
        if key not in self._judged:
            self._judged[key] = judged_cell(self._stores, self._cells[key])
        if (judged := self._judged[key]) is None:
            raise InputError(f"{row.label} on {row.dataset} is not judged yet")
        return judged

    def network(self, row: Row) -> nn.Module:
        """The row's network in float64, its parameters without gradients."""
        clean = self._cells[identity(row)].clean
        return in_float64(network_of(self.judged(row).held[clean], clean, self._data.catalogue))

    def images(self, row: Row, numbers: Sequence[int]) -> Tensor:
        """These of the images that the row's network was tested on, in float64."""
        return self._data_of(row).x_test[list(numbers)].double()

    def shape(self, row: Row) -> Shape:
        """The shape of one image."""
        return self._data_of(row).shape

    def _data_of(self, row: Row) -> DataSet:
        clean = self._cells[identity(row)].clean
        subject = subject_of(self.judged(row).held[clean], clean)
        return self._data.of(row, subject.held_out)

    def inputs(self, row: Row) -> pd.DataFrame:
        """A line per judged input (`input_frame`), by its number."""
        return input_frame(self.judged(row), row.eps).set_index("index", drop=False)

    def witness(self, row: Row, index: int) -> Tensor | None:
        """The nearest adversarial input that was found for a test input, if one was."""
        key = str(self.inputs(row).loc[index, "high_key"])
        if key == NOBODY:
            return None
        indices, witnesses = self.judged(row).held[key].load_witnesses(key)
        (position,) = (torch.as_tensor(indices) == index).nonzero(as_tuple=True)[0]
        return witnesses[int(position)].double()

    def history(self, row: Row) -> pd.DataFrame:
        """What was followed while the network was trained, a line per epoch."""
        key = self._cells[identity(row)].network
        return pd.DataFrame(self.judged(row).held[key].load_history(key))

    def require_inputs(self, numbers: Sequence[int]) -> None:
        """Raises InputError for a number that no network was judged on."""
        there = {int(i) for row in self.rows for i in self.judged(row).clean["index"]}
        for number in numbers:
            if number not in there:
                raise InputError(
                    f"--input {number}: these runs judged inputs {min(there)} to {max(there)}"
                )


@dataclass(frozen=True, kw_only=True)
class Case:
    """Networks that belong in one figure.

    name: of the case, for people and files; "" where there is but one. groups: those that differ
    in their seed alone, with what to call each. inputs: the test inputs that were asked for.
    """

    name: str
    runs: Runs
    groups: Sequence[Sequence[Row]]
    labels: Sequence[str]
    inputs: Sequence[int] = ()

    @property
    def rows(self) -> list[Row]:
        """One network of each group."""
        return [group[0] for group in self.groups]


def by_threat(runs: Runs, inputs: Sequence[int]) -> list[Case]:
    """Networks of one data set, architecture, threat, box and number of points together."""
    return _cases(runs, inputs, runs.rows, case, _threat)


def by_network(runs: Runs, inputs: Sequence[int]) -> list[Case]:
    """Networks of one data set and architecture together, whatever they are judged under."""
    once = list({row.network: row for row in reversed(runs.rows)}.values())[::-1]
    return _cases(runs, inputs, once, lambda row: (row.dataset, row.arch), _network)


def _threat(row: Row) -> str:
    return f"{row.dataset} {row.arch} {row.threat}"


def _network(row: Row) -> str:
    return f"{row.dataset} {row.arch}"


def _cases(
    runs: Runs,
    inputs: Sequence[int],
    rows: Sequence[Row],
    key: Callable[[Row], object],
    name: Callable[[Row], str],
) -> list[Case]:
    """The rows with one key together; cases of the same name are counted."""
    cases: dict[object, list[Row]] = {}
    for row in rows:
        cases.setdefault(key(row), []).append(row)
    names = [name(together[0]) for together in cases.values()]
    counted = [
        f"{n} {names[:i].count(n) + 1}" if names.count(n) > 1 else n for i, n in enumerate(names)
    ]
    return [
        _case(runs, inputs, together, said if len(names) > 1 else "")
        for together, said in zip(cases.values(), counted, strict=True)
    ]


def _case(runs: Runs, inputs: Sequence[int], rows: Sequence[Row], name: str) -> Case:
    groups = seed_groups.groups(rows)
    labels = seed_groups.labels(rows)
    called = [labels[group[0].group] for group in groups]
    several = [label for label in called if called.count(label) > 1]
    threats = [
        f", {group[0].threat}" if label in several else ""
        for group, label in zip(groups, called, strict=True)
    ]
    whole = [label + threat for label, threat in zip(called, threats, strict=True)]
    return Case(name=name, runs=runs, groups=groups, labels=whole, inputs=tuple(inputs))
