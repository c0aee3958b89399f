"""What published tables say of a row: the numbers of [CAH19, Tables 1-6] in published.csv."""

import csv
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.parsing import parse_eps
from leaderboard.row import Row
from leaderboard.tables import HEADERS

FILE = Path(__file__).parent / "published.csv"
RADII = Path(__file__).parent / "published_radii.csv"  # whose own radii the tables have columns of


def read_csv(file: Path) -> list[dict[str, str]]:
    """The lines of a table, by the names in its first one."""
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A quantity of published tables: its column's header, and how it is read from a row.

    measure: shares in percent, radii in pixel units, None where unknown. setting, value: what an
    evaluator must have been set to, where the quantity is about that ("": about none).
    """

    header: str
    measure: Callable[[Row], float | None]
    setting: str = ""
    value: str = ""

    def asked(self, row: Row) -> bool:
        """Whether the row is about this quantity."""
        return not self.setting or str(row.settings.get(self.setting)) == self.value


def _percent(key: str) -> Callable[[Row], float | None]:
    return lambda row: None if (value := getattr(row, key)) is None else 100 * value


def _radius(key: str) -> Callable[[Row], float | None]:
    return lambda row: getattr(row, key)


def _own_radius(evaluator: str) -> Callable[[Row], float | None]:
    return lambda row: part.radius_low if (part := row.contributions.get(evaluator)) else None


QUANTITIES: Mapping[str, Quantity] = {
    **{
        name: Quantity(header=HEADERS[name], measure=_percent(name))
        for name in ("test_error", "robust_error_low", "robust_error_high")
    },
    "radius_low": Quantity(header=HEADERS["radius_low"], measure=_radius("radius_low")),
    "radius_high": Quantity(header=HEADERS["radius_high"], measure=_radius("radius_high")),
    "exact_share": Quantity(header=HEADERS["exact_share"], measure=_percent("exact_correct_share")),
    "exact_over_kw": Quantity(header=HEADERS["exact_over_kw"], measure=_percent("exact_over_kw")),
    **{
        line["quantity"]: Quantity(
            header=line["header"],
            measure=_own_radius(line["evaluator"]),
            setting=line["setting"],
            value=line["value"],
        )
        for line in read_csv(RADII)
    },
}


def tables() -> list[str]:
    """Names of the published tables."""
    return list(dict.fromkeys(line["table"] for line in _lines()))


def published(row: Row, table: str) -> dict[str, str]:
    """What a table says of a row: quantity -> number as printed, in percent or pixel units."""
    return {
        line["column"]: line["value"]
        for line in _lines()
        if line["table"] == table
        and all(line[key] == getattr(row, key) for key in ("dataset", "norm", "arch", "method"))
        and (not line["eps"] or parse_eps(line["eps"]) == row.eps)
        and QUANTITIES[line["column"]].asked(row)
    }


@functools.cache
def _lines() -> list[dict[str, str]]:
    return read_csv(FILE)
