"""One unit of work, and the key that names its result."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.store import Kind as StoreKind

FORMAT = 2  # of keys and stored files; a change makes every earlier result unknown
ENCODER = json.JSONEncoder(sort_keys=True)
JobKind = Literal["train", "import", "clean", "judge"]
Resource = Literal["gpu", "cpu"]
STORED: Mapping[JobKind, StoreKind] = {
    "train": "networks",
    "import": "networks",
    "clean": "clean",
    "judge": "evidence",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One unit of work; `key` names its result and digests everything the result depends on.

    `after`: keys of jobs whose results it cannot do without. `informed_by`: keys of jobs whose
    results it uses if they succeed. `resource`: what it is at home on; without a GPU all jobs run
    on the CPU. `path`: a file it reads; the digest of the weights in it is part of the key.
    """

    kind: JobKind
    key: str
    settings: Mapping[str, Any]
    resource: Resource = "cpu"
    after: tuple[str, ...] = ()
    informed_by: tuple[str, ...] = ()
    path: str = ""

    @property
    def stored(self) -> StoreKind:
        """The kind of entry its result is."""
        return STORED[self.kind]


class JobTemplate:
    """What many jobs of a plan have in common, digested once for all of them."""

    def __init__(self, kind: JobKind, settings: Mapping[str, Any], *, resource: Resource) -> None:
        self.kind, self.settings, self.resource = kind, settings, resource
        self._digest = hashlib.sha256(_text([FORMAT, kind, settings]))

    def make(self, own: Mapping[str, Any], **links: Any) -> Job:
        """The job with these settings beside the common ones; `links` are other fields of Job."""
        digest = self._digest.copy()
        digest.update(_text(own))
        return Job(
            kind=self.kind,
            key=digest.hexdigest()[:24],
            settings={**self.settings, **own},
            resource=self.resource,
            **links,
        )


def _text(value: object) -> bytes:
    return ENCODER.encode(value).encode()
