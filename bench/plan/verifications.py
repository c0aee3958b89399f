"""A list of properties as jobs: one for each instance."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from bench.jobs.job import Job, JobTemplate
from bench.jobs.payloads import VerifyPayload
from bench.jobs.verify_job import digest_of
from bench.plugins.catalogue import Plugin
from bench.plugins.code_digests import code_of
from relu.errors import InputError
from relu.network.property.vnnlib.instances import Instance


def verification_jobs(
    instances: Sequence[Instance],
    evaluators: Sequence[Plugin],
    settings: Mapping[str, Mapping[str, Any]],
    most: float,
) -> list[Job | str]:
    """The job of each instance, or in one line why there is none. most: seconds for each."""
    code = {plugin.name: code_of("verify", plugin.code) for plugin in evaluators}
    asked = {plugin.name: dict(settings.get(plugin.name, {})) for plugin in evaluators}
    template = JobTemplate("verify", {"code": code, "evaluators": asked}, resource="cpu")
    digest = lru_cache(maxsize=None)(digest_of)
    jobs: list[Job | str] = []
    for instance in instances:
        folder = instance.folder.absolute()
        files = (folder / instance.network, folder / instance.query)
        try:
            payload = VerifyPayload(
                onnx=instance.network,
                vnnlib=instance.query,
                digests=tuple(map(digest, files)),
                evaluators=asked,
                seconds=min(most, instance.seconds),
                code=code,
            )
        except InputError as error:
            jobs.append(str(error))
        else:
            own = {k: v for k, v in payload.to_json().items() if k not in template.settings}
            jobs.append(template.make(own, path=str(folder)))
    return jobs
