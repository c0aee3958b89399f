"""What several runs say of one network becomes one row."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Cell = Mapping[str, Any]
CASE = (
    "dataset",
    "arch",
    "norm",
    "eps",
    "box",
    "points",
)  # what a row is about, but for the network


def case(row: Cell) -> tuple[Any, ...]:
    """What a row is about, but for the network; the usual box where its run does not say."""
    return tuple(row.get(name, "0.0,1.0" if name == "box" else None) for name in CASE)


def once(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Each network in each group once, with all published tables and all reasons of refusals."""
    found: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell["group"], cell["network"], *case(cell)), []).append(cell)
    return [_merged(same_network) for same_network in found.values()]


def _merged(same_network: Sequence[Cell]) -> dict[str, Any]:
    first = same_network[0]
    reasons: dict[str, dict[str, None]] = {}
    for cell in same_network:
        for name, why in cell["refusals"].items():
            reasons.setdefault(name, {})[why] = None
    refusals = {name: "; in another run: ".join(texts) for name, texts in reasons.items()}
    tables = dict.fromkeys(table for cell in same_network for table in cell.get("published", ()))
    return {**first, "refusals": refusals, "published": list(tables)}


def answered(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without those in which an evaluator refuses what it answers in another run."""
    kept: dict[int, dict[str, Any]] = {}
    for row in rows:
        better = [other for other in rows if _answers(other, row)]
        best = min([row, *better], key=lambda other: len(other["refusals"]))
        shown = kept.setdefault(id(best), best)
        tables = dict.fromkeys((*shown["published"], *row["published"]))
        kept[id(best)] = {**shown, "published": list(tables)}
    return list(kept.values())


def _answers(better: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a row shows the same network judged as another, by evaluators that refused there."""
    refused = set(row["refusals"])
    same = (
        set(better["refusals"]) < refused
        and case(better) == case(row)
        and all(better[name] == row[name] for name in ("network", "weights", "cascade"))
        and set(better["evaluator_labels"]) == set(row["evaluator_labels"])
        and _within(row["settings"], better["settings"])
        and _within(row["code"], better["code"])
    )
    return same and (not better["failures"] or bool(row["failures"]))


def _within(part: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    return all(name in whole and whole[name] == value for name, value in part.items())
