"""The names of figures, and what is drawn where matplotlib is there; it is imported only then."""

import importlib.util
from collections.abc import Mapping, Sequence

from leaderboard.fronts import Fronts
from leaderboard.ratios import Ratios
from relu.errors import InputError

TOY = "toy"
FIGURES: Mapping[str, tuple[str, ...]] = {
    "regions": ("figure2", "planes"),
    "solving": ("figure3",),
    "ratios": ("figure4",),
    "gradients": ("figure5",),
    "filters": ("figure6",),
    "curves": (),
    "fronts": (),
    "witness": (),
    "training": (),
    TOY: (),
}
"""name -> aliases; the toy needs no run, and is drawn where it is asked for"""
HINT = "a figure needs matplotlib: pip install -e '.[figures]'"


def is_there() -> bool:
    """Whether figures can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def require_matplotlib() -> None:
    """Raises InputError where figures cannot be drawn."""
    if not is_there():
        raise InputError(HINT)


def ratios_to_svg(curves: Sequence[Ratios]) -> str:
    """The sorted ratios as curves, the same text for the same ratios; "" without matplotlib."""
    if not is_there():
        return ""
    from leaderboard.figures.ratios import ratios_figure
    from leaderboard.figures.style import styled, to_svg

    with styled():
        return to_svg(ratios_figure(curves))


def fronts_to_svg(tested: Fronts) -> str:
    """Test error against robust error, a front for each method; "" without matplotlib."""
    if not is_there():
        return ""
    from leaderboard.figures.fronts import fronts_of_trials
    from leaderboard.figures.style import styled, to_svg

    with styled():
        return to_svg(fronts_of_trials(tested))
