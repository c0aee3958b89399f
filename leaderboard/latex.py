"""Tables in LaTeX."""

from collections.abc import Sequence

from leaderboard.seed_groups import DASH

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "≥": r"$\ge$",
    "≤": r"$\le$",
    "±": r"$\pm$",
    DASH: "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
WORDS = 4  # first columns, which are no numbers


def escaped(text: str) -> str:
    """The text as LaTeX prints it."""
    return "".join(SPECIAL.get(sign, sign) for sign in text)


def to_latex(
    headers: Sequence[str], lines: Sequence[Sequence[str]], footnotes: Sequence[str]
) -> str:
    """A tabular for the package booktabs; footnotes are comments below it."""
    align = "l" * WORDS + "r" * (len(headers) - WORDS)
    rows = [" & ".join(map(escaped, line)) + r" \\" for line in (headers, *lines)]
    notes = [f"% [{i}] {' '.join(note.split())}" for i, note in enumerate(footnotes, 1)]
    parts = [
        "% needs the package booktabs",
        f"\\begin{{tabular}}{{{align}}}",
        r"\toprule",
        rows[0],
        r"\midrule",
        *rows[1:],
        r"\bottomrule",
        r"\end{tabular}",
        *notes,
    ]
    return "\n".join(parts) + "\n"
