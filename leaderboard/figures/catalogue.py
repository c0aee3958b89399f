"""The catalogue of figures: what each is about, and how it is drawn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from leaderboard.figures.curves import curves_figure
from leaderboard.figures.filters import filters_figure
from leaderboard.figures.fronts import fronts_figure
from leaderboard.figures.gradients import gradients_figure
from leaderboard.figures.optional import TOY
from leaderboard.figures.ratios import ratios_of_case
from leaderboard.figures.regions import regions_figure
from leaderboard.figures.runs import Case, Runs, by_network, by_threat
from leaderboard.figures.solving import solving_figure
from leaderboard.figures.style import styled, to_files
from leaderboard.figures.toy import toy_figure
from leaderboard.figures.training import training_figure
from leaderboard.figures.witness import witness_figure
from relu.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of figure. cases: the networks of runs that belong in one figure."""

    cases: Callable[[Runs, Sequence[int]], list[Case]]
    draw: Callable[[Case], Figure]


KINDS: Mapping[str, Kind] = {
    "regions": Kind(cases=by_network, draw=regions_figure),
    "solving": Kind(cases=by_threat, draw=solving_figure),
    "ratios": Kind(cases=by_threat, draw=ratios_of_case),
    "gradients": Kind(cases=by_network, draw=gradients_figure),
    "filters": Kind(cases=by_network, draw=filters_figure),
    "curves": Kind(cases=by_threat, draw=curves_figure),
    "fronts": Kind(cases=by_threat, draw=fronts_figure),
    "witness": Kind(cases=by_threat, draw=witness_figure),
    "training": Kind(cases=by_network, draw=training_figure),
}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Files by name; and of each figure that there is not, why."""

    files: dict[str, bytes] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def drawn(runs: Runs, names: Sequence[str], inputs: Sequence[int]) -> Drawn:
    """The figures of these names, for every case of the runs that has what they show."""
    done = Drawn()
    for name in names:
        for case in KINDS[name].cases(runs, inputs):
            said = f"{name} of {case.name}" if case.name else name
            try:
                with styled():
                    done.files.update(to_files(_stem(name, case), KINDS[name].draw(case)))
            except InputError as error:
                done.left_out[said] = str(error)
    return done


def toy_files() -> dict[str, bytes]:
    """The paper's toy, which needs no run."""
    with styled():
        return to_files(TOY, toy_figure())


def _stem(name: str, case: Case) -> str:
    """The name of a figure's files."""
    return "_".join([name, *_words(case.name)])


def _words(text: str) -> Iterator[str]:
    """What of a text is safe in a file's name, in parts."""
    for word in text.replace("/", "over").split():
        yield "".join(c if c.isalnum() or c in "-._" else "-" for c in word)
