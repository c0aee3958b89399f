"""What a run folder says of its run: the cells of a table, the jobs behind them, what failed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.store.records import make_record, plain
from relu.errors import InputError
from relu.threat import Norm, Radii

VERSION = 2
"""Of run folders: what run.json and tune.json say, as numbers of `version` in them.

1: folders that say none. 2: the version is said; what version 1 may lack is always there.
"""


@dataclass(frozen=True, kw_only=True)
class CellRecord:
    """One network under one threat, a row of the leaderboard, and the keys of its jobs.

    eps: of all inputs, or of each. box: its edges as text. settings: everything that was chosen, by
    dotted name. group: what cells share that differ in nothing but their seed. network, clean: keys
    of jobs; evidence: evaluator -> keys. refusals: evaluator -> why it does not judge. published:
    tables of a paper. trained: what the network was trained against; union: norm -> eps of all that
    it is judged under together. data: part -> fingerprint, None for a network from a file. code:
    "network", "clean" or evaluator -> its digests and versions. What has a default is not in the
    records of all versions.
    """

    dataset: str
    arch: str
    norm: Norm
    eps: Radii
    box: str = "0.0,1.0"
    method: str
    label: str
    settings: Mapping[str, Any]
    group: str
    seed: int | None
    points: int
    network: str
    clean: str
    evaluator_labels: Mapping[str, str]
    refusals: Mapping[str, str]
    cascade: bool = True
    published: tuple[str, ...] = ()
    trained: Mapping[str, Any] | None = None
    union: Mapping[Norm, float] = field(default_factory=dict)
    evidence: Mapping[str, tuple[str, ...]]
    data: Mapping[str, str | None] = field(default_factory=dict)
    code: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return dict(plain(self))

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "CellRecord":
        """Raises InputError for a field that is unknown or missing."""
        parts = {**said, "published": tuple(said.get("published", ()))}
        if isinstance(parts.get("eps"), list):
            parts["eps"] = tuple(parts["eps"])
        if "evidence" in parts:
            parts["evidence"] = {name: tuple(keys) for name, keys in said["evidence"].items()}
        return make_record(cls, parts, "a cell of a run")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a command asked for, and what failed (job key -> why).

    provenance: where and with what it was computed, {} where a record does not say.
    """

    cells: tuple[CellRecord, ...]
    failures: Mapping[str, str]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, **plain(self)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "RunRecord":
        """What a file says of its run; what else it says is left.

        Raises InputError for a version that this bench does not know.
        """
        version = said.get("version", 1)
        if version not in range(1, VERSION + 1):
            raise InputError(
                f"expected a run folder of version 1 to {VERSION}, got version {version!r}: "
                "read it with the bench that wrote it, or a newer one"
            )
        cells = tuple(CellRecord.from_json(cell) for cell in said["cells"])
        return cls(
            cells=cells,
            failures=dict(said["failures"]),
            provenance=dict(said.get("provenance", {})),
        )
