"""The options about where and how jobs run; run_options.py reads what they say."""

import argparse
from typing import Any


def add_running(parser: argparse.ArgumentParser) -> None:
    """Adds them to the parser of a command that trains and judges."""
    group = parser.add_argument_group("where and how the jobs run")
    add_processes(group)
    _add_cards_and_limits(group)


def add_processes(group: Any) -> None:
    """Adds those about processes: of lists of properties, too."""
    add = group.add_argument
    add(
        "--engine",
        metavar="NAME",
        default="local",
        help="local: worker processes of this machine; dask: a cluster; inline: one after the "
        "other in this process, for debuggers (default: local)",
    )
    add(
        "--address",
        metavar="URL",
        help="of a running dask scheduler, e.g. tcp://host:8786 (default: --engine dask starts a "
        "cluster on this machine)",
    )
    add(
        "--cpus",
        metavar="N",
        help="cores that all jobs together may use (default: one for each of --workers; else "
        "$OMP_NUM_THREADS, or all)",
    )
    add(
        "--workers",
        metavar="N",
        help="worker processes on the CPU, which share the cores of --cpus (default: as many as "
        "there are cores, or jobs to share them)",
    )


def _add_cards_and_limits(group: Any) -> None:
    add = group.add_argument
    add(
        "--gpus",
        metavar="N,M",
        default="auto",
        help="auto: all; none: the CPU does everything; or numbers (default: auto)",
    )
    add("--jobs-per-gpu", metavar="N", default="1", help="that share a card (default: 1)")
    add(
        "--reproducible",
        action="store_true",
        help="trainings on the CPU come out the same on other x86-64 machines: one thread per job, "
        "instructions that all of them have; slower for large networks (in a suite reproducible = "
        "true)",
    )
    add(
        "--timeout",
        metavar="SECONDS",
        default="86400",
        help="a job that takes longer is ended and tried once more; none: no limit "
        "(default: 86400, a day)",
    )
    add("--dry-run", action="store_true", help="print cells, jobs and expected hours, and stop")
