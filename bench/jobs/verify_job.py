"""A property of a list as a job: its files are what they were, its verdict as plain JSON."""

import hashlib
import math
from pathlib import Path
from typing import Any

from bench.jobs.payloads import VerifyPayload
from bench.jobs.verification import read_file
from bench.jobs.verifier import Verifier
from bench.plugins.catalogue import Catalogue
from bench.plugins.code_digests import code_of, difference
from relu.errors import InputError
from relu.network.property.vnnlib.assignments import assignment


def digest_of(file: Path) -> str:
    """Of what is in a file, as it lies there, or gzipped under its name. Raises InputError."""
    return hashlib.sha256(read_file(file)).hexdigest()[:24]


def verified(
    payload: VerifyPayload, folder: Path, catalogue: Catalogue
) -> tuple[dict[str, Any], float]:
    """Verdict, who found it, notes and counterexample; and the seconds that it took.

    Raises InputError for files that cannot be used; for files and code that have changed since the
    plan.
    """
    _require_code(payload, catalogue)
    network = folder / payload.onnx
    query = folder / payload.vnnlib
    if (digest_of(network), digest_of(query)) != payload.digests:
        raise InputError(f"{payload.onnx} or {payload.vnnlib} is not what it was in the plan")
    plugins = [catalogue.evaluators[name] for name in payload.evaluators]
    verifier = Verifier(plugins, payload.evaluators)
    verifier.preload()
    seconds = math.inf if payload.seconds is None else payload.seconds
    answer, took = verifier.ask(query, network, seconds=seconds)
    said = {
        "verdict": answer.verdict,
        "by": answer.by,
        "notes": list(answer.notes),
        "counterexample": "",
    }
    if answer.asked is not None and answer.violation is not None:
        said["counterexample"] = assignment(answer.asked, answer.violation.x, answer.violation.y)
    return said, took


def _require_code(payload: VerifyPayload, catalogue: Catalogue) -> None:
    """Raises InputError where the code of an evaluator is not what it was in the plan."""
    for name, planned in payload.code.items():
        plugin = catalogue.evaluators.get(name)
        here = code_of("verify", plugin.code if plugin else None)
        if planned != here:
            what = difference(planned, here, f"evaluator {name!r}")
            raise InputError(f"{what} when the run was planned")
