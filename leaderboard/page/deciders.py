"""Who decided what, and at what cost, as segments of bars and as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leaderboard.attribution import COUNTS
from leaderboard.board.inputs import CERTIFIED, CLEAN, FOOLED, NOBODY, UNDECIDED
from leaderboard.page.subjects import Subject
from leaderboard.page.table import judge_seconds
from leaderboard.seed_groups import DASH

ORDER = (CLEAN, FOOLED, UNDECIDED, CERTIFIED)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a bar. kind: clean, fooled, undecided, certified, train or judge; shade: 0 to 3."""

    kind: str
    text: str
    percent: float
    shade: int = 0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar beside a row, and what it says in words."""

    number: int
    label: str
    segments: tuple[Segment, ...]
    cells: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return "; ".join(segment.text for segment in self.segments)


def decided(subjects: Sequence[Subject]) -> list[Bar]:
    """For each judged row: the inputs that are misclassified, fooled by whom, certified by whom."""
    return [
        Bar(
            number=subject.number,
            label=subject.label,
            segments=tuple(_segments(subject)),
            cells=(str(len(subject.inputs)),),
        )
        for subject in subjects
        if subject.judged is not None
    ]


def _segments(subject: Subject) -> Iterator[Segment]:
    frame = subject.inputs
    kinds = frame["verdict"].mask(frame["decided_by"] == CLEAN, CLEAN)
    counts = frame.groupby([kinds, "decided_by"]).size()
    names = [CLEAN, *subject.row.evaluator_labels, NOBODY]
    for kind in ORDER:
        shade = 0
        for name in names:
            count = int(counts.get((kind, name), 0))
            if count:
                label = subject.row.evaluator_labels.get(name, name)
                yield Segment(
                    kind=kind,
                    text=f"{_words(kind, label)}: {count}",
                    percent=round(100 * count / len(frame), 3),
                    shade=shade % 4,
                )
                shade += 1


def _words(kind: str, label: str) -> str:
    if kind == CLEAN:
        return "misclassified"
    return kind if kind == UNDECIDED else f"{kind} by {label}"


def costs(subjects: Sequence[Subject]) -> list[Bar]:
    """Seconds of training and judging of each row, their bars as long as the dearest row's."""
    spent = {s.number: (s.row.train_seconds or 0.0, judge_seconds(s.row) or 0.0) for s in subjects}
    most = max((sum(pair) for pair in spent.values()), default=0.0) or 1.0
    bars = []
    for subject in subjects:
        trained, judged = spent[subject.number]
        segments = (
            Segment(kind="train", text=f"trained {trained:.1f} s", percent=100 * trained / most),
            Segment(kind="judge", text=f"judged {judged:.1f} s", percent=100 * judged / most),
        )
        each = 1000 * judged / subject.row.points if subject.row.points else 0.0
        cells = (f"{trained:.1f}", f"{judged:.1f}", f"{each:.1f}")
        if trained or judged:
            bars.append(
                Bar(number=subject.number, label=subject.label, segments=segments, cells=cells)
            )
    return bars


def attribution(subjects: Sequence[Subject]) -> list[tuple[int, list[str]]]:
    """A line for each row and evaluator, with the row's number: see `ATTRIBUTED`."""
    return [
        (
            subject.number,
            [
                subject.label,
                subject.row.evaluator_labels[name],
                *(str(getattr(part, key)) for key in COUNTS),
                DASH if part.radius_low is None else f"{part.radius_low:.4f}",
                DASH if part.excess is None else f"{100 * part.excess:.2f}",
                f"{subject.row.seconds[name]:.1f}",
            ],
        )
        for subject in subjects
        for name, part in subject.row.contributions.items()
    ]


ATTRIBUTED = ["method", "evaluator", *COUNTS.values(), "own radius ≥", "excess (%)", "s"]
