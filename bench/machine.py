"""What this machine offers: slots on GPUs and cores, and how many threads a job gets."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from bench.job import Job, JobKind
from relu.names import InputError

Place = Literal["gpu", "cpu"]
DEVICE = "BENCH_DEVICE"  # environment variable: what a worker must use, "cuda" or "cpu"
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for one worker process: its name, and the environment in which it sees its GPU."""

    name: str
    place: Place
    env: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Slots, the cores that jobs on the CPU share, and threads per job.

    Threads follow from the plan alone, never from what happens to run: results of one plan are
    then bit-identical, however often it is interrupted.
    """

    cores: int
    slots: tuple[Slot, ...]
    threads_by_kind: Mapping[JobKind, int] = field(default_factory=dict)
    gpu_threads: int = 1

    @property
    def gpus(self) -> bool:
        return any(slot.place == "gpu" for slot in self.slots)

    def place(self, job: Job) -> Place:
        """Where the job runs: without a GPU all on the CPU."""
        return "gpu" if self.gpus and job.resource == "gpu" else "cpu"

    def threads(self, job: Job) -> int:
        """Torch threads of the job."""
        return (
            self.gpu_threads if self.place(job) == "gpu" else self.threads_by_kind.get(job.kind, 1)
        )


def make_machine(
    jobs: Iterable[Job], *, gpus: Sequence[str], jobs_per_gpu: int, workers: int | None
) -> Machine:
    """The slots for a plan: `jobs_per_gpu` on each GPU, the other cores (or `workers`) beside them.

    On the CPU a job of a kind gets cores // (jobs of that kind) threads, at least one: many jobs
    share the cores best one by one, a single training takes them all.
    """
    cores = _cores()
    on_gpu = [
        Slot(name=f"gpu {gpu}" + (f" #{i + 1}" if jobs_per_gpu > 1 else ""), place="gpu",
             env={"CUDA_VISIBLE_DEVICES": gpu, DEVICE: "cuda", **_pinned(1)})
        for gpu in gpus for i in range(jobs_per_gpu)
    ]  # fmt: skip
    counts = Counter(job.kind for job in jobs if job.resource == "cpu" or not on_gpu)
    count = min(workers or max(1, cores - len(on_gpu)), max(counts.values(), default=0))
    left = max(count, cores - len(on_gpu))
    on_cpu = [
        Slot(name=f"cpu {i + 1}", place="cpu",
             env={"CUDA_VISIBLE_DEVICES": "", DEVICE: "cpu", **_pinned(1)})
        for i in range(count)
    ]  # fmt: skip
    return Machine(
        cores=left,
        slots=(*on_gpu, *on_cpu),
        threads_by_kind={kind: max(1, left // min(n, count)) for kind, n in counts.items()},
        gpu_threads=1 if count or not on_gpu else max(1, cores // len(on_gpu)),
    )


def parse_gpus(text: str) -> list[str]:
    """The GPUs that "auto", "none" or "0,1" names, as CUDA counts them. Raises InputError."""
    masked = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = torch.cuda.device_count()
    names = (
        [n.strip() for n in masked.split(",")][:there] if masked else list(map(str, range(there)))
    )
    if text == "auto":
        return names
    if text == "none":
        return []
    chosen = [part.strip() for part in text.split(",")]
    valid = [str(i) for i in range(there)]
    for part in chosen:
        if part not in valid or chosen.count(part) > 1:
            named = f"one or more of {', '.join(valid)}" if valid else "no GPU is here"
            raise InputError(f"--gpus expects auto, none or numbers ({named}), got {text!r}")
    return [names[int(part)] for part in chosen]


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pinned(threads: int) -> dict[str, str]:
    return dict.fromkeys(POOLS, str(threads))
