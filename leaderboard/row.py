"""A row of the leaderboard, and what each evaluator contributed to it, as typed records."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.parsing import parse_box
from bench.store.records import make_record, plain
from relu.threat import GIVEN, Norm, Radii, Threat

FOOLED, CERTIFIED, OPEN = "x.?"
LISTS = ("published", "contradictions", "left_out", "eps")


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """Of one evaluator, about correctly classified inputs.

    worked: inputs left to it. fooled: its own witness is within eps. certified: its own low is eps
    or more. alone: decided by it and by no other. exact: its low or its witness is at the exact
    radius. radius_low: mean of its own low over all points, 0 where it proved nothing, None where
    one is infinite. excess: mean of its witness's radius over the exact one, minus 1; None where
    no exact radius is known.
    """

    worked: int
    fooled: int
    certified: int
    alone: int
    exact: int
    radius_low: float | None
    excess: float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network under one threat; the fields in the order of leaderboard.json.

    What it is about: box (its edges as text), dataset to points, with eps of all inputs or of each;
    group: what rows share that differ in nothing but their seed. Its numbers, None where unknown or
    infinite: shares in [0, 1] from test_error to exact_over_kw, radii in pixel units;
    train_seconds. trained: the threat that it was trained against; union: norm -> eps of all that
    it was judged under together. verdicts: a letter for each input, FOOLED, CERTIFIED or OPEN at
    eps. By evaluator: seconds, outcomes and statuses (which -> inputs), unfinished (the outcomes of
    inputs that it began and did not end), contributions, evaluator_labels. published: names of a
    paper's tables. What it was computed with: network (the key of its job), weights
    (their digest, None where there are none), data (part -> fingerprint), code ("network", "clean"
    or evaluator -> its digests and versions), cascade. What went wrong: refusals and failures (by
    evaluator), contradictions, left_out (folders that hold other weights of the same training).
    """

    box: str
    published: tuple[str, ...] = ()
    data: Mapping[str, str | None] = field(default_factory=dict)
    code: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cascade: bool = True
    dataset: str
    arch: str
    norm: Norm
    eps: Radii
    method: str
    label: str
    settings: Mapping[str, Any]
    group: str
    seed: int | None
    points: int
    network: str
    evaluator_labels: Mapping[str, str]
    refusals: Mapping[str, str] = field(default_factory=dict)
    test_error: float | None = None
    robust_error_low: float | None = None
    robust_error_high: float | None = None
    radius_low: float | None = None
    radius_high: float | None = None
    exact_share: float | None = None
    undecided: float | None = None
    exact_correct_share: float | None = None
    exact_over_kw: float | None = None
    train_seconds: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    outcomes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()
    statuses: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    unfinished: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    contributions: Mapping[str, Contribution] = field(default_factory=dict)
    verdicts: str = ""
    trained: Mapping[str, Any] | None = None
    union: Mapping[Norm, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    weights: str | None = None
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def threat(self) -> Threat:
        said = {"norm": self.norm, "eps": self.eps, "box": parse_box(self.box)}
        return Threat.from_json(said)

    @property
    def printed_eps(self) -> float | str:
        """The radius of all inputs, or that each has its own."""
        return GIVEN if isinstance(self.eps, tuple) else self.eps

    def columns(self, names: Iterable[str]) -> dict[str, Any]:
        """These fields, by name, as tables have them."""
        printed = {"eps": self.printed_eps}
        return {name: printed.get(name, getattr(self, name)) for name in names}

    def to_json(self) -> dict[str, Any]:
        return dict(plain(self))

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Row":
        """Raises InputError for a field that is unknown or missing."""
        lists = {name: tuple(said[name]) for name in LISTS if isinstance(said.get(name), list)}
        parts = {
            name: make_record(Contribution, part, f"what {name} contributed to a row")
            for name, part in said.get("contributions", {}).items()
        }
        return make_record(cls, {**said, **lists, "contributions": parts}, "a row")
