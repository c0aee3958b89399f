"""A slot sees its own card and no other; two jobs share one at the same time."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.face.run_options import parse_gpus
from bench.scheduling.machine import cores
from tests.gpu.runs import run

# Waits until as many processes as wanted are at work, so that they are so at the same time.
PROBE = """
        here = Path({folder!r}) / str(os.getpid())
        here.touch()
        end = time.monotonic() + 120
        while len(list(here.parent.iterdir())) < {together} and time.monotonic() < end:
            time.sleep(0.02)
        import json
        seen = dict(pid=os.getpid(), cards=torch.cuda.device_count(), device=x.device.type,
                    visible=os.environ.get("CUDA_VISIBLE_DEVICES"), late=time.monotonic() > end,
                    total=float((x.flatten(1) @ torch.ones(64, 64, device=x.device)).sum()))
        print("seen", json.dumps(seen))"""


def seen(folder: Path, together: int, *options: str, resource: str = "gpu") -> list[dict[str, Any]]:
    """What each of four jobs sees."""
    (folder / "present").mkdir()
    body = PROBE.format(folder=str(folder / "present"), together=together)
    log = run(folder, body, *options, resource=resource)
    told = [line.removeprefix("seen ") for line in log.splitlines() if line.startswith("seen ")]
    assert len(told) == 4
    return [json.loads(line) for line in told]


def check(
    told: list[dict[str, Any]], *, cards: int, visible: str, device: str, at_once: int
) -> None:
    expected = {"cards": cards, "visible": visible, "device": device, "late": False}
    for what in told:
        assert {key: what[key] for key in expected} == expected
        assert what["total"] > 0
    assert len({what["pid"] for what in told}) >= at_once


@pytest.mark.gpu
def test_a_slot_sees_one_card(card: torch.device, tmp_path: Path) -> None:
    told = seen(tmp_path, 1, "--gpus", "0")
    check(told, cards=1, visible=parse_gpus("0")[0], device="cuda", at_once=1)


@pytest.mark.gpu
def test_a_job_at_home_on_the_cpu_sees_none(card: torch.device, tmp_path: Path) -> None:
    told = seen(tmp_path, 1, "--gpus", "0", "--workers", "1", resource="cpu")
    check(told, cards=0, visible="", device="cpu", at_once=1)


@pytest.mark.gpu
@pytest.mark.skipif(cores() < 2, reason="two jobs take two cores")
def test_two_jobs_share_a_card_at_the_same_time(card: torch.device, tmp_path: Path) -> None:
    told = seen(tmp_path, 2, "--gpus", "0", "--jobs-per-gpu", "2")
    check(told, cards=1, visible=parse_gpus("0")[0], device="cuda", at_once=2)


@pytest.mark.skipif(cores() < 2, reason="two jobs take two cores")
def test_two_jobs_share_the_cpu_at_the_same_time(tmp_path: Path) -> None:
    told = seen(tmp_path, 2, "--gpus", "none", "--workers", "2")
    check(told, cards=0, visible="", device="cpu", at_once=2)
