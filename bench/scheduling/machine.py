"""What this machine offers: slots on GPUs and cores, and how many threads a job gets."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import joblib
import pyarrow
import threadpoolctl
import torch

from bench.jobs.job import Job
from bench.jobs.payloads import JobKind
from bench.jobs.surroundings import DEVICE

Place = Literal["gpu", "cpu"]
# Instructions and orders of summing that every x86-64 CPU with AVX2 has, in torch's own kernels,
# in MKL's and in oneDNN's, where each CPU would else get those that are fastest on it.
SAME_EVERYWHERE = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for one worker process: its name, and the environment in which it sees its GPU."""

    name: str
    place: Place
    env: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Slots, the cores that all jobs share, and threads per job.

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
    jobs: Iterable[Job],
    *,
    gpus: Sequence[str],
    jobs_per_gpu: int,
    workers: int | None,
    cores: int,
    reproducible: bool = False,
) -> Machine:
    """The slots for a plan on so many cores: `jobs_per_gpu` on each GPU, the other cores beside.

    A job on a GPU takes a core too. The other cores, or `workers`, are slots on the CPU. There a
    job of a kind gets (cores left) // (jobs of that kind) threads, at least one: many jobs share
    the cores best one by one, a single training takes them all. What is to be reproducible has
    one, as other numbers of threads sum in other orders.
    """
    same = same_everywhere() if reproducible else {}
    on_gpu = [
        Slot(
            name=f"gpu {gpu}" + (f" #{i + 1}" if jobs_per_gpu > 1 else ""),
            place="gpu",
            env={"CUDA_VISIBLE_DEVICES": gpu, DEVICE: "cuda", **_pinned(1), **same},
        )
        for gpu in gpus
        for i in range(jobs_per_gpu)
    ]
    counts = Counter(job.kind for job in jobs if job.resource == "cpu" or not on_gpu)
    on_gpu = on_gpu[: max(1, cores - bool(counts))]
    left = max(1, cores - len(on_gpu))
    count = min(workers or left, left, max(counts.values(), default=0))
    on_cpu = [
        Slot(
            name=f"cpu {i + 1}",
            place="cpu",
            env={"CUDA_VISIBLE_DEVICES": "", DEVICE: "cpu", **_pinned(1), **same},
        )
        for i in range(count)
    ]
    threads = {kind: max(1, left // min(n, count)) for kind, n in counts.items()}
    return Machine(
        cores=cores,
        slots=(*on_gpu, *on_cpu),
        threads_by_kind={} if reproducible else threads,
        gpu_threads=1 if count or not on_gpu else max(1, cores // len(on_gpu)),
    )


def same_everywhere() -> dict[str, str]:
    """Environment variables with which trainings come out the same on all x86-64 CPUs with AVX2.

    They must be set before torch is loaded. Without AVX2 torch is left what it chooses.
    """
    avx2 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return {k: v for k, v in SAME_EVERYWHERE.items() if avx2 or k == "MKL_CBWR"}


def limit_threads(count: int) -> None:
    """Lets the libraries of this process compute with so many threads at once."""
    torch.set_num_threads(count)
    pyarrow.set_cpu_count(count)
    threadpoolctl.threadpool_limits(count)  # numpy's and scipy's


def cores() -> int:
    """Cores this process may use: those of its affinity and of its control group's quota."""
    return int(joblib.cpu_count())


def _pinned(threads: int) -> dict[str, str]:
    return dict.fromkeys(POOLS, str(threads))
