"""What each kind of job is about, typed; as plain JSON it is what the job's key digests.

code: what `code_of` says of it, digested and compared as a whole. arch_code: a digest of the
architecture's code, "" where it is the bench's own. mean, std: of the images that the network was
trained on, () where these were pixels in [0, 1].
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.plugins.settings import Training
from bench.store.records import make_record
from relu.threat import Threat

JobKind = Literal["train", "import", "clean", "judge"]
UNSAID: Mapping[str, object] = {
    "arch_code": "",
    "held_out": None,
    "mean": (),
    "std": (),
    "reproducible": False,
    "withdrawn": None,
}
"""Fields that the JSON leaves out at this value: keys stay what they were before there were any."""


@dataclass(frozen=True, kw_only=True)
class TrainPayload:
    """A training. data: fingerprint of the training set; held_out: share of it that is left out.

    fields: the method's settings by dotted name. threat: None where the method never looks at it.
    """

    arch: str
    arch_code: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    shape: tuple[int, ...]
    classes: int
    held_out: float | None = None
    dataset: str
    data: str
    method: str
    fields: Mapping[str, Any]
    code: object
    training: Training
    threat: Threat | None
    reproducible: bool = False
    seed: int

    def to_json(self) -> dict[str, Any]:
        return _to_json(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "TrainPayload":
        """Raises InputError for a field that is unknown or missing."""
        return make_record(cls, _typed(said), "a training")


@dataclass(frozen=True, kw_only=True)
class ImportPayload:
    """A network from a file. checkpoint: the digest of its weights."""

    arch: str
    arch_code: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    shape: tuple[int, ...]
    classes: int
    held_out: float | None = None
    checkpoint: str
    code: object

    def to_json(self) -> dict[str, Any]:
        return _to_json(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "ImportPayload":
        """Raises InputError for a field that is unknown or missing."""
        return make_record(cls, _typed(said), "an import")


@dataclass(frozen=True, kw_only=True)
class CleanPayload:
    """Predictions of the whole test set. data: its fingerprint. network: the key of its job."""

    arch: str
    arch_code: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    shape: tuple[int, ...]
    classes: int
    held_out: float | None = None
    dataset: str
    data: str
    code: object
    network: str

    def to_json(self) -> dict[str, Any]:
        return _to_json(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "CleanPayload":
        """Raises InputError for a field that is unknown or missing."""
        return make_record(cls, _typed(said), "a prediction")


@dataclass(frozen=True, kw_only=True)
class JudgePayload:
    """A shard of a judging: test inputs start to stop - 1.

    fields: the evaluator's settings by dotted name. known: keys of the evidence it hears of;
    withdrawn: those whose lows it must not believe, None in a cell's first round.
    """

    arch: str
    arch_code: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    shape: tuple[int, ...]
    classes: int
    held_out: float | None = None
    dataset: str
    data: str
    evaluator: str
    fields: Mapping[str, Any]
    threat: Threat
    code: object
    network: str
    start: int
    stop: int
    known: tuple[str, ...]
    withdrawn: tuple[str, ...] | None = None

    @property
    def part(self) -> slice:
        """Which test inputs."""
        return slice(self.start, self.stop)

    @property
    def believed(self) -> set[str]:
        """Keys of the evidence whose lows it is told."""
        return set(self.known) - set(self.withdrawn or ())

    def to_json(self) -> dict[str, Any]:
        return _to_json(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "JudgePayload":
        """Raises InputError for a field that is unknown or missing."""
        return make_record(cls, _typed(said), "a judging")


Payload = TrainPayload | ImportPayload | CleanPayload | JudgePayload
PAYLOADS: Mapping[JobKind, type[Payload]] = {
    "train": TrainPayload,
    "import": ImportPayload,
    "clean": CleanPayload,
    "judge": JudgePayload,
}


def but_for(payload: Payload, names: Sequence[str]) -> dict[str, Any]:
    """The JSON of a payload without some fields: what jobs share that differ in these alone."""
    return {name: value for name, value in payload.to_json().items() if name not in names}


def _to_json(payload: Payload) -> dict[str, Any]:
    said = {field.name: getattr(payload, field.name) for field in dataclasses.fields(payload)}
    return {
        name: _plain(value)
        for name, value in said.items()
        if name not in UNSAID or value != UNSAID[name]
    }


def _plain(value: object) -> object:
    """Mappings stay the very objects that they are: many jobs share them."""
    if isinstance(value, Threat):
        return value.to_json()
    if isinstance(value, Training):
        return dataclasses.asdict(value)
    return list(value) if isinstance(value, tuple) else value


def _typed(said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a payload's JSON as the payload has them."""
    typed = {name: tuple(v) if isinstance(v, list) else v for name, v in said.items()}
    if said.get("threat") is not None:
        typed["threat"] = Threat.from_json(said["threat"])
    if "training" in said:
        typed["training"] = Training(**said["training"])
    return typed
