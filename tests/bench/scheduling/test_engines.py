"""The engines with real worker processes: deaths, hangs, freshness, what a worker sees."""

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from bench.__main__ import main
from bench.face.run_options import parse_cores, parse_gpus
from bench.jobs.job import Job
from bench.scheduling.engines.dask_cluster import connect
from bench.scheduling.engines.interface import Engine
from bench.scheduling.engines.local import Local
from bench.scheduling.machine import Machine, Slot, make_machine
from bench.store.attempts import AttemptRecord, Beginning
from bench.store.outcome import Outcome
from relu.errors import InputError


def job(key: str, resource: str = "cpu", **settings: object) -> Job:
    return Job(kind="judge", key=key, settings=settings, resource=resource)  # type: ignore[arg-type]


def tell(job: Job, threads: int) -> Outcome:
    """What a worker sees; or whatever else the job's settings ask of it."""
    if job.settings.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(job.settings.get("sleep", 0.0)))
    seen = [os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("OMP_NUM_THREADS"), threads]
    return Outcome(status="done", text=f"{seen}", message=str(os.getpid()))


def slot(place: str, gpu: str) -> Slot:
    env = {"CUDA_VISIBLE_DEVICES": gpu, "OMP_NUM_THREADS": "1"}
    return Slot(name=f"{place} {gpu}", place=place, env=env)  # type: ignore[arg-type]


MACHINE = Machine(cores=3, slots=(slot("gpu", "0"), slot("gpu", "1"), slot("cpu", "")))


DEATH = AttemptRecord(beginning=Beginning(run="", traced=0), ending=None, late=False)


@pytest.fixture
def local() -> Iterator[Callable[..., Local]]:
    made = []

    def make(
        machine: Machine = MACHINE,
        timeout: float | None = None,
        attempts: Sequence[AttemptRecord] = (),
    ) -> Local:
        made.append(Local(tell, machine, timeout=timeout, attempts=lambda job: attempts))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def wait(engine: Engine, count: int = 1) -> list[tuple[str, Outcome]]:
    """The next attempts that end."""
    found: list[tuple[str, Outcome]] = []
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        found += [(job.key, outcome) for job, outcome in engine.ended(0.2)]
    return found


def test_a_worker_sees_its_own_gpu_and_cpu_jobs_run_beside(local: Callable[..., Local]) -> None:
    engine = local()
    for key in ("a", "b"):
        engine.submit(job(key, "gpu", sleep=0.5), rank=0.0, fresh=False)
    assert not engine.fits(job("x", "gpu"))
    assert engine.fits(job("c"))
    engine.submit(job("c"), rank=0.0, fresh=False)
    assert {run.worker for run in engine.running()} == {"gpu 0", "gpu 1", "cpu "}
    ended = dict(wait(engine, 3))
    assert sorted(ended[key].text for key in ("a", "b")) == ["['0', '1', 1]", "['1', '1', 1]"]
    assert ended["c"].text == "['', '1', 1]"


def test_a_death_takes_one_job_only_and_the_next_worker_is_a_new_one(
    local: Callable[..., Local],
) -> None:
    engine = local()
    engine.submit(job("victim", "gpu", die=True), rank=0.0, fresh=False)
    engine.submit(job("bystander", "gpu", sleep=3.0), rank=0.0, fresh=False)
    ended = dict(wait(engine, 2))
    assert ended["victim"].cause == "killed"
    assert "SIGKILL" in ended["victim"].message
    assert ended["bystander"].status == "done"
    engine.submit(job("next", "gpu"), rank=0.0, fresh=False)
    assert wait(engine)[0][1].status == "done"


def test_a_worker_that_dies_idle_is_replaced_without_a_word(local: Callable[..., Local]) -> None:
    engine = local(Machine(cores=1, slots=(slot("cpu", ""),)))
    engine.submit(job("first"), rank=0.0, fresh=False)
    pid = int(wait(engine)[0][1].message)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
    time.sleep(0.5)
    engine.submit(job("second"), rank=0.0, fresh=False)
    _, outcome = wait(engine)[0]
    assert (outcome.status, int(outcome.message) != pid) == ("done", True)


def test_a_fresh_worker_is_a_new_process(local: Callable[..., Local]) -> None:
    engine = local(Machine(cores=1, slots=(slot("cpu", ""),)))
    pids: list[str] = []
    for fresh in (False, False, True):
        engine.submit(job(str(len(pids))), rank=0.0, fresh=fresh)
        pids.append(wait(engine)[0][1].message)
    assert pids[0] == pids[1] != pids[2]


def test_a_job_that_ignores_its_own_time_limit_is_killed(
    local: Callable[..., Local], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.scheduling.engines.local.GRACE", 0.5)
    engine = local(timeout=3.0)
    engine.submit(job("stuck", sleep=600), rank=0.0, fresh=False)
    _, outcome = wait(engine)[0]
    assert outcome.cause == "timeout"
    assert (
        outcome.message
        == "timeout: not finished after 3 s; its log (logs/*.timeout) says where it was"
    )


@pytest.mark.parametrize(("late", "cause"), [(False, "killed"), (True, "timeout")])
def test_a_death_is_told_from_a_timeout_by_its_record_not_by_the_clock(
    local: Callable[..., Local], late: bool, cause: str
) -> None:
    engine = local(timeout=0.001, attempts=[replace(DEATH, late=late)])
    engine.submit(job("victim", die=True), rank=0.0, fresh=False)
    _, outcome = wait(engine)[0]
    assert outcome.cause == cause


def test_jobs_with_more_threads_take_more_cores(local: Callable[..., Local]) -> None:
    slots = tuple(slot("cpu", "") for _ in range(3))
    engine = local(Machine(cores=3, slots=slots, threads_by_kind={"train": 2}))
    training = Job(kind="train", key="t", settings={"sleep": 1.0})
    engine.submit(training, rank=0.0, fresh=False)
    assert not engine.fits(training)
    assert engine.fits(job("a"))
    engine.submit(job("a", sleep=1.0), rank=0.0, fresh=False)
    assert not engine.fits(job("b"))
    assert len(wait(engine, 2)) == 2


def test_workers_do_not_outlive_a_parent_that_is_killed() -> None:
    code = """
import sys
from tests.bench.scheduling.test_engines import MACHINE, Local, job, tell
engine = Local(tell, MACHINE, timeout=None)
engine.submit(job("a"), rank=0.0, fresh=False)
while not (ended := engine.ended(1.0)): pass
engine.submit(job("b", sleep=600), rank=0.0, fresh=False)
print(ended[0][1].message, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    assert worker.wait(timeout=10) is None  # no longer there


@pytest.mark.filterwarnings("default")  # dask's own, about ports and clean-up
def test_dask_runs_jobs_where_their_resource_is(tmp_path: Path) -> None:
    """Two processes; the GPU of one of them is there by name only."""
    from bench.scheduling.engines.dask import Dask

    machine = Machine(cores=1, slots=(slot("gpu", "7"), slot("cpu", "")))
    client, cluster = connect(None, machine)
    engine = Dask(
        tell,
        client,
        cluster=cluster,
        threads=1,
        attempts=lambda job: [DEATH] * (9 * (job.key == "killer")),
        at_work=set,
        timeout=None,
    )
    try:
        assert engine.capacity == 2
        engine.require_shared(tmp_path)
        for i in range(6):
            engine.submit(job(f"g{i}", "gpu"), rank=float(i), fresh=False)
            engine.submit(job(f"c{i}"), rank=float(i), fresh=False)
        ended = dict(wait(engine, 12))
        assert {ended[f"g{i}"].text for i in range(6)} == {"['7', '1', 1]"}
        assert {ended[f"c{i}"].text for i in range(6)} == {"['', '1', 1]"}
        # One that kills its worker each time, and some that only wait for the same worker.
        engine.submit(job("killer", die=True), rank=9.0, fresh=False)
        for i in range(3):
            engine.submit(job(f"innocent{i}"), rank=0.0, fresh=False)
        ended = dict(wait(engine, 4))
        assert ended.pop("killer").cause == "killed"
        assert {outcome.status for outcome in ended.values()} == {"done"}
    finally:
        engine.close()


@pytest.mark.filterwarnings("default")
def test_dask_at_an_address_where_nobody_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.scheduling.engines.dask_cluster.PATIENCE", 1.0)
    out = tmp_path / "out"
    asked = ["--engine", "dask", "--address", "tcp://127.0.0.1:9", "--out", str(out)]
    assert main(["run", "--methods", "plain", *asked]) == 2
    assert "'tcp://127.0.0.1:9' does not answer like one" in capsys.readouterr().err
    assert not out.exists()


def plan(kinds: str, resource: str = "gpu") -> list[Job]:
    names = {"t": "train", "c": "clean", "j": "judge"}
    return [
        Job(kind=names[k], key=str(i), settings={}, resource=resource)  # type: ignore[arg-type]
        for i, k in enumerate(kinds)
    ]


def test_threads_add_up_to_the_cores() -> None:
    def made(jobs: list[Job], **changes: object) -> Machine:
        options = {"gpus": [], "jobs_per_gpu": 1, "workers": None, "cores": 8} | changes
        return make_machine(jobs, **options)  # type: ignore[arg-type]

    one = made(plan("tcjj"))  # a training takes all cores, two shards share them
    assert (len(one.slots), dict(one.threads_by_kind)) == (2, {"train": 8, "clean": 8, "judge": 4})
    many = made(plan("t" * 20))
    assert (len(many.slots), many.threads_by_kind["train"]) == (8, 1)
    assert made(plan("t" * 20), workers=4).threads_by_kind["train"] == 2
    gpus = made(plan("t" * 20) + plan("j" * 9, "cpu"), gpus=["0", "1"], jobs_per_gpu=2)
    assert [s.place for s in gpus.slots] == ["gpu"] * 4 + ["cpu"] * 4
    assert [s.name for s in gpus.slots[:2]] == ["gpu 0 #1", "gpu 0 #2"]
    assert (gpus.cores, gpus.gpu_threads, gpus.threads_by_kind["judge"]) == (8, 1, 1)
    alone = made(plan("t" * 20), gpus=["0", "1"])
    assert (len(alone.slots), alone.gpu_threads) == (2, 4)
    few = made(plan("t" * 20) + plan("j" * 9, "cpu"), gpus=["0", "1", "2"], cores=3)
    assert [slot.place for slot in few.slots] == ["gpu", "gpu", "cpu"]
    one = made(plan("tj") + plan("j", "cpu"), gpus=["0"], cores=1)
    assert ([slot.place for slot in one.slots], one.cores) == (["gpu", "cpu"], 1)  # take turns
    assert len(made(plan("t" * 20), workers=20).slots) == 8


def test_cores_are_those_of_the_options_else_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.face.run_options.cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def cores(cpus: str | None = None, workers: int | None = None, on_gpus: int = 0) -> int:
        return parse_cores(cpus, workers=workers, on_gpus=on_gpus)

    assert cores() == 8
    assert (cores(workers=1), cores(workers=3, on_gpus=2), cores(workers=99)) == (1, 5, 8)
    assert (cores("1"), cores("8"), cores("4", workers=1)) == (1, 8, 4)
    for text, count in (("2", 2), ("3,1", 3), ("99", 8), ("0", 8), ("", 8), ("many", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert cores() == count
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert (cores("4"), cores(workers=3)) == (4, 3)  # what is asked for here goes first
    for text in ("0", "9", "999", "-1", "1.5", "all", ""):
        with pytest.raises(InputError, match="--cpus expects a whole number from 1 to 8"):
            cores(text)


def test_cores_are_those_of_the_affinity() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from bench.scheduling.machine import cores; print(cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_a_gpu_job_takes_a_core_too(local: Callable[..., Local]) -> None:
    engine = local(Machine(cores=1, slots=(slot("gpu", "0"), slot("cpu", ""))))
    engine.submit(job("a", "gpu", sleep=0.5), rank=0.0, fresh=False)
    assert not engine.fits(job("b"))
    assert len(wait(engine)) == 1
    assert engine.fits(job("b"))


def test_gpus_are_counted_as_cuda_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert parse_gpus("auto") == ["4", "6"]
    assert parse_gpus("1") == ["6"]
    assert parse_gpus("none") == []
    with pytest.raises(InputError, match="one or more of 0, 1"):
        parse_gpus("4")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert parse_gpus("auto") == ["0", "1"]


def test_what_is_reproducible_has_one_thread_and_the_same_instructions_everywhere() -> None:
    def made(reproducible: bool, count: int) -> Machine:
        return make_machine(
            plan("t" * count),
            gpus=[],
            jobs_per_gpu=1,
            workers=None,
            cores=8,
            reproducible=reproducible,
        )

    for count in (1, 3, 20):
        machine = made(True, count)
        assert {machine.threads(job) for job in plan("tcj")} == {1}
        assert all(slot.env["MKL_CBWR"] == "COMPATIBLE" for slot in machine.slots)
    assert made(False, 1).threads(plan("t")[0]) == 8
    assert "MKL_CBWR" not in made(False, 1).slots[0].env


DIGEST = """
import hashlib, torch
from bench.data.datasets import load
from bench.plugins.training import Training
from bench.jobs.training import train
from methods.plain import Plain
from relu.network.architectures import build
from relu.threat import Threat
torch.set_num_threads(1)
data = load("digits")
net = build("fc_small", data.shape, data.classes)
train(net, Plain(), data, threat=Threat(norm="linf", eps=0.1), training=Training(epochs=2), seed=0,
      augmented=False)
print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters())).hexdigest())
"""


def trained(capability: str) -> str:
    """The digest of a small reproducible training, on a CPU that can do no more than that."""
    code = (
        "import os; from bench.scheduling.machine import same_everywhere; print(same_everywhere())"
    )
    environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
    same = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    environment |= ast.literal_eval(same.stdout)
    done = subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512", reason="nothing to hide from torch"
)
def test_a_reproducible_training_is_the_same_with_and_without_avx512() -> None:
    assert trained("avx512") == trained("avx2")
