"""What several runs say of one network becomes one row."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.store.run_record import CellRecord
from leaderboard.row import Row
from relu.threat import Radii


def case(row: CellRecord | Row) -> tuple[str, str, str, Radii, str, int]:
    """What a row is about, but for the network."""
    return row.dataset, row.arch, row.norm, row.eps, row.box, row.points


def identity(row: CellRecord | Row) -> tuple[Any, ...]:
    """What no two rows of a leaderboard share."""
    return (row.group, row.network, *case(row))


def once(cells: Iterable[CellRecord]) -> list[CellRecord]:
    """Each network in each group once, with all published tables and all reasons of refusals."""
    by_network: dict[tuple[Any, ...], list[CellRecord]] = {}
    for cell in cells:
        by_network.setdefault(identity(cell), []).append(cell)
    return [_merged(same_network) for same_network in by_network.values()]


def _merged(same_network: Sequence[CellRecord]) -> CellRecord:
    reasons: dict[str, dict[str, None]] = {}
    for cell in same_network:
        for name, why in cell.refusals.items():
            reasons.setdefault(name, {})[why] = None
    refusals = {name: "; in another run: ".join(texts) for name, texts in reasons.items()}
    tables = dict.fromkeys(table for cell in same_network for table in cell.published)
    union = next((cell.union for cell in same_network if cell.union), {})
    first = dataclasses.replace(same_network[0], refusals=refusals, union=union)
    return dataclasses.replace(first, published=tuple(tables))


def answered(rows: Sequence[Row]) -> list[Row]:
    """Rows without those in which an evaluator refuses what it answers in another run."""
    kept: dict[int, Row] = {}
    for row in rows:
        better = [other for other in rows if _answers(other, row)]
        best = min([row, *better], key=lambda other: len(other.refusals))
        shown = kept.setdefault(id(best), best)
        tables = dict.fromkeys((*shown.published, *row.published))
        kept[id(best)] = dataclasses.replace(shown, published=tuple(tables))
    return list(kept.values())


def _answers(better: Row, row: Row) -> bool:
    """Whether a row shows the same network judged as another, by evaluators that refused there."""
    same = (
        set(better.refusals) < set(row.refusals)
        and case(better) == case(row)
        and (better.network, better.weights) == (row.network, row.weights)
        and better.cascade == row.cascade
        and set(better.evaluator_labels) == set(row.evaluator_labels)
        and _within(row.settings, better.settings)
        and _within(row.code, better.code)
    )
    return same and (not better.failures or bool(row.failures))


def _within(part: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    return all(name in whole and whole[name] == value for name, value in part.items())
