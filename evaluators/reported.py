"""What other tools say of exported questions, from a results file: their word beside our proofs."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from evaluators._reports import Report, digest_of, matching, read_reports
from evaluators.interface import Evidence, Interval, Status
from relu.classes import Images, Labels
from relu.errors import InputError
from relu.ranges import checked_dataclass
from relu.threat import Threat

SAID: tuple[Status, str] = ("undecided", "undecided: unsat, their word")


@checked_dataclass
class Reported:
    """Verdicts of another tool on the questions that `export` writes; nothing of them is believed.

    Their witnesses are replayed, like everybody's. Their `unsat` certifies nothing here: it stands
    in the outcome as their word, refused where a witness is known. results: a file in VNN-COMP's
    format, with counterexamples beside it. questions: the folder of the networks and properties
    that it names (default: that of the file). digest: of all these files, computed.

    A verdict counts for an input where its network computes what this one does there, and its
    property is that the input is misclassified within eps and the box.
    """

    label: ClassVar[str] = "Reported"
    aliases: ClassVar[tuple[str, ...]] = ("results",)
    resource: ClassVar[Literal["gpu", "cpu"]] = "cpu"
    cost: ClassVar[int] = 28
    shard: ClassVar[int] = 2000
    eps_per_input: ClassVar[bool] = True
    on_request: ClassVar[bool] = True

    results: str = ""
    questions: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        if not self.results:
            return
        digest = digest_of(self._reports())
        if self.digest not in ("", digest):
            raise InputError(f"{self.results!r}, or a file that it names, has changed")
        object.__setattr__(self, "digest", digest)

    def _reports(self) -> list[Report]:
        file = Path(self.results)
        return read_reports(file, Path(self.questions) if self.questions else file.parent)

    def refusal(self, net: nn.Module, threat: Threat) -> str | None:
        if not self.results:
            return "no results of others: give reported.results, a file in VNN-COMP's format"
        if threat.norm != "linf":
            return f"balls of {threat.norm} are no boxes: no question is about them"
        return None

    @torch.no_grad()
    def judge(
        self, net: nn.Module, x: Images, y: Labels, *, threat: Threat, known: Interval
    ) -> Evidence:
        witness = torch.full_like(x, torch.nan)
        outcome = ["skipped: not asked"] * len(x)
        status: list[Status] = ["skipped"] * len(x)
        seconds = torch.zeros(len(x), dtype=torch.float64)
        eps = threat.each(x)
        for row, report in self._matching(net, x, y, threat):
            seconds[row] += report.seconds
            point = _point(report, x[row : row + 1], threat.at(slice(row, row + 1)))
            if point is not None:
                witness[row] = point
            one = known.part(slice(row, row + 1))
            status[row], outcome[row] = _ending(report.verdict, point, one, eps[row])
        low = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        return Evidence(low=low, witness=witness, outcome=outcome, status=status, seconds=seconds)

    def _matching(
        self, net: nn.Module, x: Images, y: Labels, threat: Threat
    ) -> Iterator[tuple[int, Report]]:
        return matching(self._reports() if self.results else [], net, x, y, threat)


def _point(report: Report, x: Tensor, threat: Threat) -> Tensor | None:
    """Their counterexample, moved into ball and box by as little as decimals may need."""
    inputs = report.inputs if report.verdict == "sat" else None
    if inputs is None or len(inputs) != x[0].numel():
        return None
    z = torch.tensor(inputs, dtype=torch.float64, device=x.device).view_as(x)
    if not bool(z.isfinite().all()):
        return None
    return threat.inside(x, z)[0].to(x.dtype)


def _ending(verdict: str, point: Tensor | None, known: Interval, eps: Tensor) -> tuple[Status, str]:
    """Status and outcome of an input that is asked about."""
    if verdict == "sat":
        missing = "undecided: sat, their word: no counterexample"
        return ("undecided", missing) if point is None else ("done", "done: sat")
    if verdict != "unsat":
        return "undecided", f"undecided: they say {verdict}"
    if bool((known.high <= eps).all()):
        return "refused", "refused: unsat, but a witness is known"
    certified = bool((known.low >= eps).all())
    return ("done", "done: unsat, certified here, too") if certified else SAID
