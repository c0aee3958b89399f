"""The options about where and how jobs run, checked before anything is read or written."""

import os
from pathlib import Path
from typing import get_args

import torch

from bench.face.options import Options
from bench.face.suites import read_suite
from bench.parsing import parse_seconds, suggestion
from bench.scheduling.machine import cores
from bench.scheduling.run_options import EngineName, RunOptions
from bench.store.results import require_folder
from relu.errors import InputError


def parse_run_options(options: Options) -> RunOptions:
    """What the options about how to run say. Raises InputError for what makes no sense."""
    for key in ("out", "data", "address"):
        if options.get(key) == "":
            raise InputError(f"--{key} expects a value, got ''")
    require_folder(Path(options.out))
    gpus = parse_gpus(options.gpus)
    jobs_per_gpu = _whole(options.jobs_per_gpu, "jobs-per-gpu")
    workers = None if options.workers is None else _whole(options.workers, "workers")
    return RunOptions(
        folder=Path(options.out).absolute(),
        data=data_place(options.data),
        plugins=tuple(Path(plugin).absolute() for plugin in options.plugin),
        engine=_engine_name(options),
        address=options.address,
        gpus=tuple(gpus),
        gpus_named=options.gpus != "auto",
        jobs_per_gpu=jobs_per_gpu,
        workers=workers,
        cores=parse_cores(options.cpus, workers=workers, on_gpus=len(gpus) * jobs_per_gpu),
        reproducible=_reproducible(options),
        timeout=_seconds(options.timeout),
        forecast=options.dry_run,
    )


def parse_cores(cpus: str | None, *, workers: int | None, on_gpus: int) -> int:
    """The cores that a run may use, as --cpus says. Raises InputError for more than there are.

    Else one for each of --workers and of the jobs `on_gpus`, at most those there are; else those
    there are, or fewer where OMP_NUM_THREADS says so.
    """
    there = cores()
    if cpus is not None:
        if not cpus.isdecimal() or not 1 <= int(cpus) <= there:
            raise InputError(f"--cpus expects a whole number from 1 to {there}, got {cpus!r}")
        return int(cpus)
    if workers is not None:
        return min(workers + on_gpus, there)
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(int(asked), there) if asked.isdecimal() and int(asked) else there


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


def data_place(data: str | None) -> Path | None:
    """The folder or file of --data, or else of BENCH_DATA."""
    place = data or os.environ.get("BENCH_DATA")
    return Path(place).absolute() if place else None


def _engine_name(options: Options) -> EngineName:
    names = get_args(EngineName)
    if options.engine not in names:
        near = suggestion(options.engine, names)
        raise InputError(f"--engine expects {', '.join(names)}, got {options.engine!r}{near}")
    if options.address is not None and options.engine != "dask":
        raise InputError("--address names a dask scheduler: give --engine dask too")
    name: EngineName = options.engine
    return name


def _reproducible(options: Options) -> bool:
    """Whether the option or the suite asks for it, and jobs get processes of our own."""
    ours = options.engine != "inline" and options.address is None
    if options.reproducible and not ours:
        raise InputError("--reproducible needs worker processes of this run: no inline, no address")
    suite = options.get("suite") or ""
    parts = read_suite(suite) if suite else []
    asked = any(part.get("reproducible", False) for part in parts)
    return ours and (options.reproducible or asked)


def _whole(text: str, name: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 10**4:
        raise InputError(f"--{name} expects a whole number from 1, got {text!r}")
    return int(text)


def _seconds(text: str) -> float | None:
    """Seconds, None for "none" and what is as good."""
    seconds = parse_seconds(text, "--timeout")
    return seconds if seconds < 10**8 else None
