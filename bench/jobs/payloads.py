"""What each kind of job is about, typed; as plain JSON it is what the job's key digests.

code: what `code_of` says of it, digested and compared as a whole. arch_code: a digest of the
architecture's code, "" where it is the bench's own. mean, std: of the images that the network was
trained on, () where these were pixels in [0, 1].
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from bench.plugins.training import Training
from bench.store.records import make_record
from relu.threat import Threat

S = TypeVar("S", bound="Said")
JobKind = Literal["train", "import", "clean", "judge", "verify"]
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
class Said:
    """What plain JSON says of a job. called: what messages call such a job."""

    called: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON, without those of `UNSAID`."""
        said = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: _plain(value)
            for name, value in said.items()
            if name not in UNSAID or value != UNSAID[name]
        }

    @classmethod
    def from_json(cls: type[S], said: Mapping[str, Any]) -> S:
        """Raises InputError for a field that is unknown or missing."""
        return make_record(cls, _typed(said), cls.called)


@dataclass(frozen=True, kw_only=True)
class Subject(Said):
    """The network that a job is about.

    held_out: the share of the training set that is left out of it.
    """

    arch: str
    arch_code: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    shape: tuple[int, ...]
    classes: int
    held_out: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrainPayload(Subject):
    """A training. data: fingerprint of the training set.

    fields: the method's settings by dotted name. threat: None where the method never looks at it.
    """

    called: ClassVar[str] = "a training"

    dataset: str
    data: str
    method: str
    fields: Mapping[str, Any]
    code: object
    training: Training
    threat: Threat | None
    reproducible: bool = False
    seed: int


@dataclass(frozen=True, kw_only=True)
class ImportPayload(Subject):
    """A network from a file. checkpoint: the digest of its weights."""

    called: ClassVar[str] = "an import"

    checkpoint: str
    code: object


@dataclass(frozen=True, kw_only=True)
class CleanPayload(Subject):
    """Predictions of the whole test set. data: its fingerprint. network: the key of its job."""

    called: ClassVar[str] = "a prediction"

    dataset: str
    data: str
    code: object
    network: str


@dataclass(frozen=True, kw_only=True)
class JudgePayload(Subject):
    """A shard of a judging: test inputs start to stop - 1.

    fields: the evaluator's settings by dotted name. known: keys of the evidence it hears of;
    withdrawn: those whose lows it must not believe, None in a cell's first round.
    """

    called: ClassVar[str] = "a judging"

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


@dataclass(frozen=True, kw_only=True)
class VerifyPayload(Said):
    """A property of a network, both in files of the folder that the job's path is.

    onnx, vnnlib: their names; digests: of what is in them. evaluators: who is asked -> the settings
    that are not as usual. seconds: the time limit, None where there is none. code: of each
    evaluator.
    """

    called: ClassVar[str] = "a verification"

    onnx: str
    vnnlib: str
    digests: tuple[str, ...]
    evaluators: Mapping[str, Mapping[str, Any]]
    seconds: float | None
    code: Mapping[str, Any]


Payload = TrainPayload | ImportPayload | CleanPayload | JudgePayload | VerifyPayload
PAYLOADS: Mapping[JobKind, type[Payload]] = {
    "train": TrainPayload,
    "import": ImportPayload,
    "clean": CleanPayload,
    "judge": JudgePayload,
    "verify": VerifyPayload,
}


def but_for(payload: Payload, names: Sequence[str]) -> dict[str, Any]:
    """The JSON of a payload without some fields: what jobs share that differ in these alone."""
    return {name: value for name, value in payload.to_json().items() if name not in names}


def _plain(value: object) -> object:
    """Mappings stay the very objects that they are: many jobs share them."""
    if isinstance(value, Threat):
        return value.to_json()
    if isinstance(value, Training):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value


def _typed(said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a payload's JSON as the payload has them."""
    typed = {name: tuple(v) if isinstance(v, list) else v for name, v in said.items()}
    if said.get("threat") is not None:
        typed["threat"] = Threat.from_json(said["threat"])
    if "training" in said:
        typed["training"] = Training.from_json(said["training"])
    return typed
