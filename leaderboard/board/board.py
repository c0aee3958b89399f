"""A board: what finished runs say, for people who go on in Python."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import pandas as pd
from torch import Tensor, nn

from bench.parsing import resolve, suggestion
from bench.store.results import Store
from leaderboard.board.curves import curve_frame
from leaderboard.board.data import RowData, network_of, subject_of
from leaderboard.board.inputs import NOBODY, input_frame
from leaderboard.merge import case
from leaderboard.page.page import page_html
from leaderboard.row import Row
from leaderboard.rows import Judged, judged_cell, read_table
from leaderboard.tables import csv_line
from relu.errors import InputError

SUBJECT = ("dataset", "arch", "norm", "method", "label", "seed", "network")
"""of the row that an input is about, in front of the input's own"""
NAMES = ("dataset", "arch", "norm", "eps", "box", "method", "label", "seed", "points", "network")
"""columns of `rows` that choose networks, beside those of settings"""


class Board:
    """The rows of finished runs and what is behind them; nothing is computed anew.

    Networks are named by their method, or by its label, and by any columns of `rows`:
    `board.network("mmr", seed=1)`, `board.curve("at", eps=0.1, weight=0.5)`. Names that are none,
    and those of several networks where one is wanted, raise InputError.
    """

    def __init__(self, stores: Sequence[Store], data: RowData) -> None:
        self._stores = list(stores)
        self._data = data
        self._table = read_table(self._stores)
        self._judged: dict[int, Judged | None] = {}
        self._frames: dict[int, pd.DataFrame] = {}

    def __repr__(self) -> str:
        folders = ", ".join(str(store.root) for store in self._stores)
        return f"<Board of {folders}: {len(self._table)} networks>"

    @cached_property
    def rows(self) -> pd.DataFrame:
        """A line per network: what leaderboard.csv says of it, and seconds of each part of it.

        Shares are in [0, 1], radii in pixel units; settings by their dotted names; seconds.train,
        seconds.pgd, ...: wall time.
        """
        frame = pd.DataFrame([{**csv_line(row), **_seconds(row)} for _, row in self._table])
        return frame.astype({"seed": "Int64"}) if len(frame) else frame

    @cached_property
    def inputs(self) -> pd.DataFrame:
        """A line per network and judged input.

        Of the network dataset, arch, norm, method, label, seed and network (the key of its job); of
        the input what `input_frame` says.
        """
        frames = []
        for i, (_, row) in enumerate(self._table):
            if self._evidence(i) is not None:
                about = pd.DataFrame([row.columns(SUBJECT)]).astype({"seed": "Int64"})
                frames.append(about.merge(self._inputs_of(i), how="cross"))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def curve(
        self, method: str | None = None, *, at: Sequence[float] | None = None, **where: Any
    ) -> pd.DataFrame:
        """Robust error between two bounds at every eps (`curve_frame`), a mean over seeds.

        at: the radii; None for all where a share changes.
        """
        chosen = self._find(method, where)
        groups = {(self._table[i][1].group, *case(self._table[i][1])) for i in chosen}
        if len(groups) > 1:
            raise InputError(self._several(chosen, but="seed"))
        tables = [self._of(i).verdict.table for i in chosen]
        return curve_frame([(t["low"].to_numpy(), t["high"].to_numpy()) for t in tables], at)

    def witness(self, method: str | None, index: int, **where: Any) -> Tensor | None:
        """The nearest adversarial input that was found for a test input, None where there is none.

        Shape as the input's. Of an input that is misclassified it is the input itself.
        """
        i = self._one(method, where)
        judged = self._of(i)
        line = self._line(i, index)
        if not line["correct"]:
            return self.image(method, index, **where)
        if line["high_key"] == NOBODY:
            return None
        key = str(line["high_key"])
        indices, witnesses = judged.held[key].load_witnesses(key)
        (position,) = (indices == index).nonzero()[0]
        return witnesses[position]

    def image(self, method: str | None, index: int, **where: Any) -> Tensor:
        """The test input itself, pixels in [0, 1]."""
        i = self._one(method, where)
        self._line(i, index)
        cell, row = self._table[i]
        subject = subject_of(self._of(i).held[cell.clean], cell.clean)
        return self._data.of(row, subject.held_out).x_test[index].clone()

    def line(self, method: str | None, index: int, **where: Any) -> dict[str, Any]:
        """What `input_frame` says of one test input."""
        return dict(self._line(self._one(method, where), index))

    def evidence(self, method: str | None, index: int, **where: Any) -> pd.DataFrame:
        """What each evaluator said of a test input, each time that it was asked.

        evaluator, low, high, seconds, status, outcome, key (of the evidence).
        """
        i = self._one(method, where)
        self._line(i, index)
        lines = [
            table[table["index"] == index].assign(evaluator=name, key=key)
            for name, parts in self._of(i).parts.items()
            for key, table in parts.items()
        ]
        columns = ["evaluator", "low", "high", "seconds", "status", "outcome", "key"]
        if not lines:
            return pd.DataFrame(columns=columns)
        return pd.concat(lines)[columns].reset_index(drop=True)

    def row(self, method: str | None = None, **where: Any) -> Row:
        """The row of the leaderboard, as a record."""
        return self._table[self._one(method, where)][1]

    def provenance(self, method: str | None = None, **where: Any) -> dict[str, Any]:
        """With what the network was made: commit, versions, device; {} where nothing says so."""
        i = self._one(method, where)
        cell, _ = self._table[i]
        settings = self._of(i).held[cell.network].settings("networks", cell.network)
        return dict(settings.get("provenance", {}))

    def network(self, method: str | None = None, **where: Any) -> nn.Module:
        """The network, for evaluation, on the CPU."""
        i = self._one(method, where)
        cell, _ = self._table[i]
        return network_of(self._of(i).held[cell.clean], cell.clean, self._data.catalogue)

    def history(self, method: str | None = None, **where: Any) -> pd.DataFrame:
        """What was followed while the network was trained, a line per epoch; empty if it was not.

        epoch (from 1), loss, clean_error and pgd_error (on training inputs), lr, seconds.
        """
        i = self._one(method, where)
        cell, _ = self._table[i]
        return pd.DataFrame(self._of(i).held[cell.network].load_history(cell.network))

    def page(self) -> str:
        """All of it as one HTML file (`python -m bench page`). Raises InputError."""
        return page_html(self._stores, self._data)

    def _inputs_of(self, i: int) -> pd.DataFrame:
        if i not in self._frames:
            self._frames[i] = input_frame(self._of(i), self._table[i][1].eps)
        return self._frames[i]

    def _evidence(self, i: int) -> Judged | None:
        if i not in self._judged:
            self._judged[i] = judged_cell(self._stores, self._table[i][0])
        return self._judged[i]

    def _of(self, i: int) -> Judged:
        """What is known of a network. Raises InputError where nothing is."""
        judged = self._evidence(i)
        if judged is None:
            row = self._table[i][1]
            raise InputError(f"{row.label} on {row.dataset} is not judged yet: {_why(row)}")
        return judged

    def _line(self, i: int, index: int) -> Mapping[str, Any]:
        """What is known of one input. Raises InputError for one that was not judged."""
        _, row = self._table[i]
        judged = self._of(i)
        there = judged.clean["index"]
        if not (there == index).any():
            raise InputError(
                f"{row.label} on {row.dataset} was judged on inputs {there.min()} to "
                f"{there.max()}, got {index}"
            )
        frame = self._inputs_of(i)
        return dict(frame[frame["index"] == index].iloc[0])

    def _one(self, method: str | None, where: Mapping[str, Any]) -> int:
        """The network of that name. Raises InputError where there is another number of them."""
        chosen = self._find(method, where)
        if len(chosen) > 1:
            raise InputError(self._several(chosen))
        return chosen[0]

    def _find(self, method: str | None, where: Mapping[str, Any]) -> list[int]:
        """Places of the networks of that name. Raises InputError where there are none."""
        names = {row.method: (row.label,) for _, row in self._table}
        if not names:
            raise InputError("the board has no rows")
        wanted = dict(where)
        if method is not None:
            wanted["method"] = resolve(method, names, "method of this board")
        chosen = self.rows
        for column, value in wanted.items():
            if column not in self._names:
                raise InputError(
                    f"networks are chosen by {', '.join(NAMES)} or a setting, got {column!r}"
                    f"{suggestion(column, self._names)}"
                )
            there = chosen[column]
            chosen = chosen[(there == value).fillna(False).astype(bool)]
            if chosen.empty:
                values = ", ".join(there.astype(str).drop_duplicates())
                raise InputError(f"no network with {column}={value!r}: there is {values}")
        return [int(i) for i in chosen.index]

    @property
    def _names(self) -> list[str]:
        """Columns that choose networks."""
        settings = {name: None for _, row in self._table for name in row.settings}
        return [*NAMES, *settings]

    def _several(self, chosen: Sequence[int], but: str = "") -> str:
        """Which columns tell networks apart."""
        lines = self.rows.loc[list(chosen)]
        telling = [
            f"{name}={' or '.join(lines[name].astype(str).drop_duplicates())}"
            for name in self._names
            if name not in ("label", "network", but) and lines[name].astype(str).nunique() > 1
        ]
        return f"{len(chosen)} networks have that name: say which, by {'; '.join(telling[:3])}"


def _seconds(row: Row) -> dict[str, float | None]:
    judging = {f"seconds.{name}": seconds for name, seconds in row.seconds.items()}
    return {"seconds.train": row.train_seconds, **judging}


def _why(row: Row) -> str:
    return "; ".join(row.failures.values()) or "its run has not ended"
