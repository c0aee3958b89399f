"""Reports of other tools: rows of a results file, and which inputs of a network each is about."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from relu.classes import Images, Labels
from relu.errors import InputError
from relu.network.onnx import read_onnx
from relu.network.property.case import Case, Row
from relu.network.property.vnnlib import read_property, unzipped
from relu.network.property.vnnlib.assignments import read_inputs
from relu.network.property.vnnlib.results import Result, read_results
from relu.threat import Threat

SAME_BOX = 1e-6  # how far the edges of a question may be from those of ball and box
SAME_LOGITS = 1e-4  # of the largest logit: how far two computations of one network may differ


@dataclass(frozen=True)
class Report:
    """A verdict, its seconds, the files of its question, and the file of its counterexample."""

    verdict: str
    seconds: float
    network: Path
    query: Path
    counterexample: Path | None

    @property
    def inputs(self) -> list[float] | None:
        """The counterexample, entry by entry; None where there is none that can be read."""
        if self.counterexample is None:
            return None
        return read_inputs(unzipped(_content(self.counterexample)).decode("utf-8", "replace"))

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        last = () if self.counterexample is None else (self.counterexample,)
        return self.network, self.query, *last


@dataclass(frozen=True, eq=False)
class Question:
    """A box of inputs, and the class that may not be attained or beaten by another in it."""

    low: Float[Tensor, " d"]
    high: Float[Tensor, " d"]
    label: int
    classes: int


def read_reports(file: Path, questions: Path) -> list[Report]:
    """The rows of a results file whose questions lie in a folder.

    Raises InputError for a file that is not there, or is none; and for questions that are missing.
    """
    text = _content(file).decode("utf-8", "replace")
    return [_report(row, file.parent, questions) for row in read_results(text, str(file))]


def _report(row: Result, folder: Path, questions: Path) -> Report:
    places = [place for place in row.counterexamples(folder) if place.is_file()]
    return Report(
        verdict=row.verdict,
        seconds=row.seconds,
        network=_there(row.network, questions),
        query=_there(row.query, questions),
        counterexample=places[0] if places else None,
    )


def _there(name: str, folder: Path) -> Path:
    """The file of that name in the folder, in a folder of it or right there, gzipped or not."""
    for place in (folder / name, folder / Path(name).name):
        for file in (place, place.with_name(f"{place.name}.gz")):
            if file.is_file():
                return file
    raise InputError(f"expected the file {name} of a results file in {str(folder)!r}: not there")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from error


def digest_of(reports: Sequence[Report]) -> str:
    """Of what they say, and of the content of all their files."""
    digest = hashlib.sha256()
    contents = {file: hashlib.sha256(_content(file)).digest() for r in reports for file in r.files}
    for report in reports:
        digest.update(f"{report.verdict} {report.seconds}\n".encode())
        for file in report.files:
            digest.update(contents[file])
    return digest.hexdigest()


def matching(
    reports: Sequence[Report], net: nn.Module, x: Images, y: Labels, threat: Threat
) -> Iterator[tuple[int, Report]]:
    """Inputs and reports that are about them: this network, this label, this ball and box."""
    if not len(x):
        return
    eps = threat.each(x).unsqueeze(1)
    flat = x.double().flatten(1)
    low = (flat - eps).clamp_min(threat.box[0])
    high = (flat + eps).clamp_max(threat.box[1])
    logits = net(x)
    same: dict[Path, bool] = {}
    for report in reports:
        if report.network not in same:
            same[report.network] = _computes(report.network, x, logits)
        question = _question(report.query) if same[report.network] else None
        if question is None or question.low.shape != low.shape[1:]:
            continue
        far = (low - question.low.to(x.device)).abs().amax(1)
        far = far.maximum((high - question.high.to(x.device)).abs().amax(1))
        about = (far <= SAME_BOX) & (y == question.label) & (question.classes == logits.shape[1])
        for row in about.nonzero().squeeze(1).tolist():
            yield row, report


def _computes(network: Path, x: Images, logits: Tensor) -> bool:
    """Whether the network in a file gives the same logits."""
    other = read_onnx(unzipped(_content(network))).to(x.device)
    if torch.Size(other.shape).numel() != x[0].numel():
        return False
    inputs = x.reshape(-1, *other.shape)
    theirs = other(inputs.double() if other.dtype == "float64" else inputs)
    if theirs.shape != logits.shape:
        return False
    difference = (theirs.double() - logits.double()).abs().amax()
    return bool(difference <= SAME_LOGITS * logits.double().abs().amax())


def _question(path: Path) -> Question | None:
    """What a property asks, if that is whether inputs of a box are misclassified."""
    asked = read_property(_content(path))
    if len(asked.cases) != 1:
        return None
    case = asked.cases[0]
    label = _label(case, asked.output.size)
    if label is None or case.open_lower or case.open_upper:
        return None
    low = torch.tensor([float(edge) for edge in case.lower], dtype=torch.float64)
    high = torch.tensor([float(edge) for edge in case.upper], dtype=torch.float64)
    return Question(low, high, label, asked.output.size)


def _label(case: Case, classes: int) -> int | None:
    """The class y of disjuncts y_s >= y_y, one for each other class s."""
    if any(len(rows) != 1 for rows in case.disjuncts):
        return None
    pairs = [_pair(rows[0]) for rows in case.disjuncts]
    labels = {pair[0] for pair in pairs if pair is not None}
    rivals = {pair[1] for pair in pairs if pair is not None}
    if None in pairs or len(labels) != 1 or len(rivals) != classes - 1:
        return None
    return labels.pop()


def _pair(row: Row) -> tuple[int, int] | None:
    """(y, s) of a row that says y_y - s_s <= 0."""
    if row.strict or row.bound != 0 or len(row.coefficients) != 2:
        return None
    (first, second) = sorted(row.coefficients, key=lambda pair: pair[1], reverse=True)
    return (first[0], second[0]) if first[1] == -second[1] > 0 else None
