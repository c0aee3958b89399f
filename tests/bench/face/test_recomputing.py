from pathlib import Path

import pytest

from bench import Board
from bench.cli.parser import parsed
from bench.data.datasets import load
from bench.face.recomputing import command_of
from bench.face.requests import make_request
from bench.plan.cells import make_plan
from bench.plugins.catalogue import Catalogue


@pytest.mark.parametrize("method", ["plain", "mmr"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_command_plans_the_very_jobs(
    small_run: tuple[Path, Board], catalogue: Catalogue, method: str, seed: int
) -> None:
    _, board = small_run
    row = board.row(method, seed=seed)
    command = command_of(row, catalogue)
    prefix = "python -m bench "
    assert command.startswith(prefix)
    request = make_request(parsed(command.removeprefix(prefix).split()), catalogue)
    (cell,) = make_plan(request, catalogue, {"digits": load("digits")})
    assert cell.network.key == row.network
    keys = {job.key for jobs in cell.judges.values() for job in jobs}
    assert set(board.evidence(method, 3, seed=seed)["key"]) <= keys
    told = ("train.epochs=3", "train.milestones=0.5,0.8", "pgd.steps=10")
    assert all(text in command for text in told)
    assert "restarts" not in command
