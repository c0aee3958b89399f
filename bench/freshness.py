"""Whether a stored result rests on what its inputs are now."""

from typing import Any

from bench.job import Job
from bench.store import Store


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
