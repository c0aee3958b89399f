"""Connections to a dask scheduler, and a cluster of our own on this machine."""

import logging
from contextlib import suppress
from typing import Any

from bench.scheduling.machine import Machine
from relu.errors import InputError

STARTS = 5  # attempts to start a cluster of our own
STARTING = 600.0  # seconds in which a dead worker of ours must be back, on however busy a machine
PATIENCE = 30.0  # seconds in which a scheduler must answer
HINT = "pip install 'relu-bench[dask]'"


def connect(address: str | None, machine: Machine) -> tuple[Any, Any]:
    """A client of the scheduler at `address`, or of a new cluster here; and that cluster.

    Waits for a first worker. Raises InputError where dask is not installed, or nobody answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(f"--engine dask needs dask: {HINT}") from error
    logging.getLogger("distributed").setLevel(
        logging.CRITICAL
    )  # deaths of workers are ours to tell
    cluster = _start(machine) if address is None else None
    try:
        client = Client(cluster or address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"--address expects a dask scheduler, such as tcp://host:8786; {address!r} does not "
            f"answer like one: {error}"
        ) from error
    client.wait_for_workers(1)  # for as long as a cluster's queue may take; Ctrl-C ends it
    return client, cluster


def _start(machine: Machine) -> Any:
    """A cluster on this machine, a worker process with one thread per slot.

    Nannies start workers that died again, which takes a busy machine longer than the 15 seconds
    after which a cluster would close the nanny instead.
    """
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    dask.config.set({"distributed.deploy.lost-worker-timeout": f"{STARTING:g}s"})

    workers = {
        slot.name: {
            "cls": Nanny,
            "options": {
                "nthreads": 1,
                "resources": {slot.place.upper(): 1},
                "env": dict(slot.env),
                "memory_limit": 0,
                "host": "127.0.0.1",
                "silence_logs": logging.CRITICAL,
                "preload": ["bench.scheduling.engines.preload"],
            },
        }
        for slot in machine.slots
    }
    scheduler = {
        "cls": Scheduler,
        "options": {
            "host": "127.0.0.1",
            "port": 0,
            "dashboard_address": "127.0.0.1:0",
        },
    }
    for _ in range(STARTS):
        with suppress(RuntimeError):  # a worker died while it started; the cluster is closed again
            return SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL)
    raise ConnectionError("no dask cluster starts on this machine: its workers die")
