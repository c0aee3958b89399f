"""One unit of work, and the key that names its result."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.store import Kind as StoreKind

FORMAT = 1  # of keys and stored files; a change makes every earlier result unknown
JobKind = Literal["train", "import", "clean", "judge"]
STORED: Mapping[JobKind, StoreKind] = {
    "train": "networks", "import": "networks", "clean": "clean", "judge": "evidence",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Job:
    """One unit of work; `key` names its result and digests everything the result depends on.

    `after`: keys of jobs whose results it cannot do without. `informed_by`: keys of jobs whose
    results it uses if they succeed. `path`: a file it reads, whose digest (not place) is part of
    the key.
    """

    kind: JobKind
    key: str
    settings: Mapping[str, Any]
    after: tuple[str, ...] = ()
    informed_by: tuple[str, ...] = ()
    path: str = ""

    @property
    def stored(self) -> StoreKind:
        """The kind of entry its result is."""
        return STORED[self.kind]


def make_job(kind: JobKind, settings: Mapping[str, Any], **links: Any) -> Job:
    """A job whose key digests kind and settings; `links` are the other fields of Job."""
    text = json.dumps([FORMAT, kind, settings], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:24]
    return Job(kind=kind, key=key, settings=settings, **links)
