"""What does not fit into a card's memory is halved, and comes out the same.

Only processes of their own are given little memory, so that nobody else on the card is disturbed.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.gpu.runs import run

BLOCK = 2**26  # bytes for each input
FIT = 6  # blocks that a process may hold
# Rows of a block each, of which a few fit at once beside a ballast of one.
HALVED = """
import json, sys, torch
from bench.jobs.out_of_memory import in_parts
device, block, fit = torch.device(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
notes, tried = [], []
if device.type == "cuda":
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(fit * block / total, device)
ballast = torch.ones(block // 4, device=device)
def work(start, stop):
    tried.append(stop - start)
    if device.type == "cpu" and stop - start > fit - 1:
        raise torch.OutOfMemoryError("pretended")
    rows = torch.ones(stop - start, block // 4, device=device)
    return (rows[:, 0] * torch.arange(start, stop, device=device)).cpu()
sums = torch.cat(in_parts(work, 16, note=notes.append)).tolist()
print(json.dumps([sums, notes, tried, float(ballast[0])]))
"""
# A job's process may hold FIT blocks beside what it holds by then.
PROBE = f"""
        if x.is_cuda and len(x) == 10:
            total = torch.cuda.get_device_properties(x.device).total_memory
            torch.cuda.empty_cache()
            most = torch.cuda.memory_reserved() + {FIT} * {BLOCK}
            torch.cuda.set_per_process_memory_fraction(most / total)
        if not x.is_cuda and len(x) > {FIT}:
            raise torch.OutOfMemoryError("pretended")
        rows = torch.ones(len(x), {BLOCK // 4}, device=x.device)
        print("judged", len(x), int(rows[:, -1].sum()), x.device.type)
        del rows"""


def check_in_parts(device: str) -> None:
    command = [sys.executable, "-c", HALVED, device, str(BLOCK), str(FIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sums, notes, tried, ballast = json.loads(done.stdout)
    assert sums == [float(i) for i in range(16)]
    assert tried == [16, 8, 4, 4, 8, 4, 4]
    assert [note.partition(",")[0] for note in notes] == [
        f"out of memory with {count} inputs" for count in (16, 8, 8)
    ]
    assert ballast == 1.0


def check_job(folder: Path, place: str, *options: str) -> None:
    log = run(folder, PROBE, *options)
    judged = [line for line in log.splitlines() if line.startswith("judged")]
    assert judged == [f"judged 5 5 {place}"] * 8  # four shards of ten inputs
    assert log.count("out of memory with 10 inputs, trying half") == 4


@pytest.mark.gpu
def test_in_parts_halves_what_a_card_cannot_hold(card: torch.device) -> None:
    check_in_parts("cuda")


def test_in_parts_halves_what_pretends_not_to_fit() -> None:
    check_in_parts("cpu")


@pytest.mark.gpu
def test_a_job_on_a_card_halves_its_shard(card: torch.device, tmp_path: Path) -> None:
    check_job(tmp_path, "cuda", "--gpus", "0")


def test_a_job_halves_its_shard(tmp_path: Path) -> None:
    check_job(tmp_path, "cpu", "--gpus", "none", "--workers", "1")
