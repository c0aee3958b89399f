"""Figures of matplotlib as SVG that takes its colours from the page and can be pointed at."""

import importlib.util
import io
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from markupsafe import Markup

from relu.errors import InputError

HINT = "the page needs matplotlib: pip install -e '.[page]'"
INK, LINE = "#5b6470", "#d9dde3"
METHODS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#a6761d",
    "#56b4e9",
    "#7a68c0",
    "#e69f00",
)
"""Colours that the colour-blind can tell apart, after Okabe and Ito."""
MARKERS = "osD^vPX*"
SIGNS = "●■◆▲▼✚✖★"  # the same in a text
LINES = ("-", "--", "-.", ":")
SIZE = (4.6, 3.1)  # inches: as wide as a phone, so that letters stay as large as the page's
NAMES = {INK: "ink-2", LINE: "line", **{colour: f"m{i}" for i, colour in enumerate(METHODS)}}
SPARED = [
    (re.compile(pattern, re.DOTALL), plain)
    for pattern, plain in (
        (r"^.*?(?=<svg)", ""),
        (r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", ""),
        (r' (?:width|height)="[^"]*pt"', ""),  # as wide as its place on the page
        (r" font-family: [^;\"]*;", ""),  # the page's own
        (r' transform="rotate\(-0 [^"]*"', ""),
        (r'<g id="(?:figure|axes|text|xtick|ytick|line2d|patch|matplotlib)[^"]*">', "<g>"),
        (r"(\.\d\d)\d+", r"\1"),  # a hundredth of a point
        (r"\n\s*", "\n"),
    )
]
"""What of matplotlib's SVG an element of a page does without."""
STYLE: Mapping[str, Any] = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "path.simplify": False,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def require_drawing() -> None:
    """Raises InputError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(HINT)


def new_figure() -> tuple[Any, Any]:
    """A figure and its axes, in the page's style; to be drawn within `style()`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def style() -> Any:
    """The context in which the page's figures are made."""
    from matplotlib import rc_context

    settings: Any = dict(STYLE)  # whose keys are names that matplotlib lists
    return rc_context(settings)


def to_svg(figure: Any, name: str, title: str, said: Mapping[str, str]) -> Markup:
    """The figure as an element of the page.

    name: tells its ids from other figures'; title: what it shows; said: gid -> what is said of the
    part of that gid, which becomes a title that browsers show and screen readers read.
    """
    from matplotlib import rc_context

    drawn = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    svg = drawn.getvalue()
    for pattern, plain in SPARED:
        svg = pattern.sub(plain, svg)
    for colour, variable in NAMES.items():
        svg = svg.replace(colour, f"var(--{variable}, {colour})")
    head = f'<svg role="group" aria-label="{escape(title)}"'
    return Markup(head + _with_titles(svg, said).removeprefix("<svg"))


def _with_titles(svg: str, said: Mapping[str, str]) -> str:
    """With a title in each of the parts that something is said of, which takes the focus."""

    def titled(found: re.Match[str]) -> str:
        text = said.get(found[1])
        if text is None:
            return found[0]
        shown = escape(text)
        return (
            f'<g id="{found[1]}" class="mark" tabindex="0" role="img" aria-label="{shown}">'
            f"<title>{shown}</title>"
        )

    return re.sub(r'<g id="([^"]+)">', titled, svg)
