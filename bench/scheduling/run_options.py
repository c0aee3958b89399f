"""Where and how the jobs of a run are done."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

EngineName = Literal["inline", "local", "dask"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a command says about a run, beside what is asked for.

    folder: the run folder. data: a folder with data sets, None for the usual places. plugins: files
    given by path. address: of a dask scheduler that is there already. gpus: as CUDA counts them;
    gpus_named: whether they were named. workers: None where none are asked for. cores: that all
    jobs share. reproducible: with one thread per job and what all CPUs can do alike. timeout:
    seconds per job, None: no limit. forecast: say what would be done, and stop.
    """

    folder: Path
    data: Path | None
    plugins: tuple[Path, ...]
    engine: EngineName
    address: str | None
    gpus: tuple[str, ...]
    gpus_named: bool
    jobs_per_gpu: int
    workers: int | None
    cores: int
    reproducible: bool
    timeout: float | None
    forecast: bool
