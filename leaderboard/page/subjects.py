"""The rows that a page is about, and what is known of their inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from bench.store.results import Store
from leaderboard import seed_groups
from leaderboard.board.inputs import input_frame
from leaderboard.row import Row
from leaderboard.rows import Judged, judged_cell, read_table
from relu.threat import format_eps


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A row of the page.

    number: its place among the rows; label: what tells it from the others; panel: the place of its
    data set and threat among those of the page; judged: None where nothing is known of its inputs;
    store: the first folder that has its network, None where none has.
    """

    number: int
    row: Row
    label: str
    panel: int
    judged: Judged | None
    store: Store | None

    @cached_property
    def inputs(self) -> pd.DataFrame:
        """What is known of each of its inputs (`input_frame`); none where it is not judged."""
        return pd.DataFrame() if self.judged is None else input_frame(self.judged, self.row.eps)

    @cached_property
    def history(self) -> pd.DataFrame:
        """What was followed while it was trained, a line per epoch."""
        return pd.DataFrame(self.store.load_history(self.row.network) if self.store else [])

    @property
    def contradicted(self) -> frozenset[int]:
        """The inputs about which evidence conflicts."""
        known = () if self.judged is None else self.judged.verdict.contradictions
        return frozenset(contradiction.index for contradiction in known)


Place = tuple[str, str, float | str, str]


def place(row: Row) -> Place:
    """What rows share that stand in one picture: data set and threat."""
    return row.dataset, row.norm, row.printed_eps, row.box


def panel_title(row: Row) -> str:
    """What the picture of a row's data set and threat is called."""
    return f"{row.dataset}, {row.threat}"


def printed_eps(row: Row) -> str:
    """The radius as people write it."""
    return format_eps(row.eps)


def read_subjects(stores: Sequence[Store]) -> list[Subject]:
    """The rows of all runs, each once, in order. Raises InputError for folders without a run."""
    table = read_table(stores)
    rows = [row for _, row in table]
    labels = seed_groups.labels(rows)
    seeds = {row.group: {other.seed for other in rows if other.group == row.group} for row in rows}
    panels = list(dict.fromkeys(place(row) for row in rows))
    subjects = []
    for number, (cell, row) in enumerate(table):
        seed = f", seed {row.seed}" if len(seeds[row.group]) > 1 else ""
        subjects.append(
            Subject(
                number=number,
                row=row,
                label=f"{labels[row.group]}{seed}",
                panel=panels.index(place(row)),
                judged=judged_cell(stores, cell),
                store=_home(stores, row),
            )
        )
    return subjects


def _home(stores: Sequence[Store], row: Row) -> Store | None:
    """The first store that has the network with the row's weights."""
    for store in stores:
        if store.has("networks", row.network) and store.weights_digest(row.network) == row.weights:
            return store
    return None
