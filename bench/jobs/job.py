"""One unit of work, and the key that names its result."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.jobs.payloads import PAYLOADS, JobKind, Payload
from bench.store.results import Kind as StoreKind
from bench.store.results import Store

FORMAT = 2  # of keys and stored files; a change makes every earlier result unknown
ENCODER = json.JSONEncoder(sort_keys=True)
Resource = Literal["gpu", "cpu"]
STORED: Mapping[JobKind, StoreKind] = {
    "train": "networks",
    "import": "networks",
    "clean": "clean",
    "judge": "evidence",
    "verify": "verdicts",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One unit of work; `key` names its result and digests everything the result depends on.

    `after`: keys of jobs whose results it cannot do without. `informed_by`: keys of jobs whose
    results it uses if they succeed. `resource`: what it is at home on; without a GPU all jobs run
    on the CPU. `path`: a file it reads; a digest of what is in it is part of the key.
    """

    kind: JobKind
    key: str
    settings: Mapping[str, Any]
    resource: Resource = "cpu"
    after: tuple[str, ...] = ()
    informed_by: tuple[str, ...] = ()
    path: str = ""

    @property
    def payload(self) -> Payload:
        """The settings, typed. Raises InputError where they are not those of its kind."""
        return PAYLOADS[self.kind].from_json(self.settings)

    @property
    def stored(self) -> StoreKind:
        """The kind of entry its result is."""
        return STORED[self.kind]


class JobTemplate:
    """What many jobs of a plan have in common, digested once for all of them."""

    def __init__(self, kind: JobKind, settings: Mapping[str, Any], *, resource: Resource) -> None:
        self.kind = kind
        self.settings = settings
        self.resource = resource
        self._digest = hashlib.sha256(_text([FORMAT, kind, settings]))

    def make(self, settings: Mapping[str, Any], **links: Any) -> Job:
        """The job with these settings beside the common ones; `links` are other fields of Job."""
        digest = self._digest.copy()
        digest.update(_text(settings))
        return Job(
            kind=self.kind,
            key=digest.hexdigest()[:24],
            settings={**self.settings, **settings},
            resource=self.resource,
            **links,
        )


def _text(value: object) -> bytes:
    return ENCODER.encode(value).encode()


def stored(store: Store, job: Job) -> bool:
    """Whether the job's result is in the store and rests on what its inputs are now."""
    if not store.has(job.stored, job.key) or not store.intact(job.stored, job.key):
        return False
    return bool(store.settings(job.stored, job.key)["inputs"] == inputs(store, job))


def inputs(store: Store, job: Job) -> dict[str, Any]:
    """What a result rests on beyond its key: the network's very weights, the informers heard.

    A network that was lost and trained again, or an evaluator that failed and then did not, is
    thus no reason to trust what was computed before.
    """
    if "network" not in job.settings:
        return {}
    weights = store.weights_digest(job.settings["network"])
    heard = [key for key in job.informed_by if store.has("evidence", key)]
    return {"weights": weights, "heard": heard}
