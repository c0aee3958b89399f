"""What the page gives away: rows as CSV, JSON and LaTeX, and how to cite."""

import re
from collections.abc import Sequence
from typing import Any

from leaderboard.latex import escaped
from leaderboard.page.subjects import Subject
from leaderboard.page.table import COLUMNS
from leaderboard.tables import timeless_json, to_csv

PRINTED = ("dataset", "arch", "norm", "eps", "test_error", "robust_error", "radius")
BIBTEX = """\
@software{relu_bench,
  title  = {relu-bench: a bench for provably robust {ReLU} networks},
  author = {{The authors of relu-bench}},
  note   = {version VERSION}
}

@inproceedings{croce2019provable,
  title     = {Provable Robustness of {ReLU} networks via Maximization of Linear Regions},
  author    = {Croce, Francesco and Andriushchenko, Maksym and Hein, Matthias},
  booktitle = {International Conference on Artificial Intelligence and Statistics (AISTATS)},
  year      = {2019}
}
"""


def downloads(subjects: Sequence[Subject]) -> dict[str, Any]:
    """Heads, a part for each row, and feet, so that the page can give those that it shows."""
    rows = [subject.row for subject in subjects]
    return {
        "csv": csv_records(to_csv(rows)),
        "json": [timeless_json(row) for row in rows],
        "latex": {
            "head": _latex_head(),
            "lines": [_latex_line(subject) for subject in subjects],
            "foot": "\\bottomrule\n\\end{tabular}\n",
        },
    }


def csv_records(text: str) -> list[str]:
    """The records of a CSV, its header first: a quoted field may have line breaks of its own."""
    return re.findall(r'(?:[^"\n]|"[^"]*")+\n', text)


def bibtex(version: str) -> str:
    """Entries for the bench, in this version, and for the paper that it starts from."""
    return BIBTEX.replace("VERSION", version)


def _latex_head() -> str:
    headers = ["method", *(column.header for column in COLUMNS if column.key in PRINTED)]
    align = "lllll" + "r" * (len(headers) - 5)
    names = " & ".join(escaped(header) for header in headers)
    begin = f"% needs the package booktabs\n\\begin{{tabular}}{{{align}}}\n\\toprule\n"
    return f"{begin}{names} \\\\\n\\midrule\n"


def _latex_line(subject: Subject) -> str:
    texts = [column.text(subject.row) for column in COLUMNS if column.key in PRINTED]
    return " & ".join(escaped(text) for text in [subject.label, *texts]) + " \\\\\n"
