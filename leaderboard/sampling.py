"""How far shares of a test set may be from what they estimate: intervals of Clopper and Pearson."""

from collections.abc import Sequence

from scipy.stats import beta
from tabulate import tabulate

from leaderboard import seed_groups
from leaderboard.row import CERTIFIED, FOOLED, Row

LEVEL = 0.95
HEADERS = (*seed_groups.ABOUT, "robust error ≥ (%)", "robust error ≤ (%)")
LEGEND = """\
In brackets: between which two values the share in the whole population lies with 95 % confidence,
were the judged inputs drawn from it independently [CP34]; of several seeds, that of each. It says
nothing of how much another training would differ: for that, train several seeds."""


def clopper_pearson(count: int, total: int, level: float = LEVEL) -> tuple[float, float]:
    """The exact interval of a binomial share at a confidence level [CP34].

    Its ends are quantiles of beta distributions: those of (1 - level) / 2 on either side.
    """
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(beta.ppf(tail, count, total - count + 1))
    high = 1.0 if count == total else float(beta.ppf(1 - tail, count + 1, total - count))
    return low, high


def sampling_to_markdown(rows: Sequence[Row]) -> str:
    """A line for each row that is judged: both ends of its robust error, with their intervals."""
    judged = [row for row in rows if row.verdicts]
    labels = seed_groups.labels(judged)
    lines = []
    for row in judged:
        seed = "" if row.seed is None else f", seed {row.seed}"
        total = len(row.verdicts)
        counts = row.verdicts.count(FOOLED), total - row.verdicts.count(CERTIFIED)
        lines.append(
            [
                *seed_groups.leading_cells([row], f"{labels[row.group]}{seed}"),
                *(_share(count, total) for count in counts),
            ]
        )
    if not lines:
        return ""
    align = ["left"] * 4 + ["right"] * 3
    drawn = tabulate(lines, HEADERS, tablefmt="pipe", colalign=align, disable_numparse=True)
    return f"{drawn}\n\n{LEGEND}\n"


def _share(count: int, total: int) -> str:
    low, high = clopper_pearson(count, total)
    return f"{100 * count / total:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
