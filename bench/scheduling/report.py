"""Texts about runs: what one would do (--dry-run), how one stands (status)."""

import time
from collections import Counter
from pathlib import Path

from tabulate import tabulate

from bench.scheduling.launch import Launcher
from bench.scheduling.progress import ALIVE, clock, kind_of, lines
from bench.store.results import Kind, Store
from bench.store.run_files import RunFiles, read_cells


def forecast(launcher: Launcher, cells: int) -> str:
    """What a run would do: cells, jobs by kind, and the hours that they are expected to take."""
    there = launcher.there()
    jobs = Counter[str]()
    stored = Counter[str]()
    guessed = Counter[str]()
    hours = dict.fromkeys(map(kind_of, launcher.jobs), 0.0)
    for job in launcher.jobs:
        kind = kind_of(job)
        jobs[kind] += 1
        if job.key in there:
            stored[kind] += 1
            continue
        hours[kind] += launcher.seconds(job) / 3600
        guessed[kind] += not launcher.speeds.measured(job, launcher.where(job))
    table = tabulate(
        [
            (kind, jobs[kind], stored[kind], f"{hours[kind]:.3f}{'?' if guessed[kind] else ''}")
            for kind in jobs
        ],
        headers=("job", "jobs", "stored", "hours"),
        tablefmt="plain",
        colalign=("left", "right", "right", "right"),
        disable_numparse=True,
    )
    total = sum(hours.values())
    slots = max(1, len(launcher.machine.slots))
    names = ", ".join(slot.name for slot in launcher.machine.slots) or "none"
    notes = [
        f"{cells} cells, {len(launcher.jobs)} jobs, {sum(stored.values())} of them stored already",
        f"workers: {names}",
        f"expected: {total:.3f} hours of work, {clock(total * 3600 / slots)} with all workers busy",
    ]
    if guessed.total():
        notes.append("?: a guess, as nothing like it was ever measured here")
    return "\n".join([table, "", *notes, "nothing was run", ""])


def standing(root: Path) -> str:
    """How the runs on a folder stand. Raises InputError where there is no run."""
    cells = read_cells(root)
    files = RunFiles(root)
    store = Store(root)
    now = time.time()
    texts = []
    records = files.statuses()
    alive = [
        r for r in records if r["state"] in ("running", "stopping") and now - r["updated"] < ALIVE
    ]
    for record in alive or records[-1:]:
        text = f"{record['host']}, process {record['process']}: {record['state']}"
        if record not in alive and record["state"] in ("running", "stopping"):
            ago = clock(now - record["updated"])
            text += f", but not heard of for {ago}: killed, most likely; run it again to go on"
        texts += [text, *lines(record), ""]
    needed: dict[Kind, set[str]] = {
        "networks": {cell.network for cell in cells},
        "clean": {cell.clean for cell in cells},
        "evidence": {key for c in cells for keys in c.evidence.values() for key in keys},
    }
    for kind, keys in needed.items():
        count = len(keys.intersection(store.keys(kind)))
        texts.append(f"{kind} stored: {count} of {len(keys)}")
    return "\n".join([*texts, ""])
