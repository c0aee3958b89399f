"""A small finished run that several tests look at."""

import warnings
from pathlib import Path

import pytest

import bench
from bench import Board

POINTS = 25


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Board]:
    """Two methods, two seeds, on digits; and the board that the run gave."""
    folder = tmp_path_factory.mktemp("small") / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        board = bench.run(
            ["plain", "mmr"],
            evaluators=["pgd", "kw", "bab"],
            dataset="digits",
            eps=0.1,
            seeds=[0, 1],
            epochs=3,
            points=POINTS,
            set={"mmr.weight": 0.5, "pgd.steps": 10, "train.milestones": (0.5, 0.8)},
            engine="inline",
            gpus="none",
            out=folder,
        )
    return folder, board
