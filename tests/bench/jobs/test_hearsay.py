"""What an evaluator hears of those before it: the nearest witness of each of its inputs."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.__main__ import main
from bench.data.datasets import DataSet
from bench.store.results import Store
from relu.threat import Threat
from tests.bench.example_plugins import evaluator

Write = Callable[[str, str], Path]
POINTS = 70
LINF = Threat(norm="linf", eps=0.1)

# Keeps what each shard is told; its shards are smaller than pgd's, and the last one is odd.
LISTENER = """from safetensors.torch import save_file
        name = f"{{time.time_ns()}}.safetensors"
        told = {{"x": x, "low": known.low, "high": known.high, "witness": known.witness}}
        save_file(told, Path({folder!r}) / name)"""

# Finds a witness for all inputs, some of them nearer than pgd's, some farther.
GUESSER = """for _ in range(20):
            noise = (x + (torch.rand_like(x) - 0.5) * torch.rand(len(x), 1, 1, 1)).clamp(0, 1)
            hit = (net(noise).argmax(1) != y).view(-1, 1, 1, 1)
            witness = torch.where(hit, noise, witness)"""


def run(out: Path, names: str, plugins: list[Path], *more: str) -> int:
    files = [word for plugin in plugins for word in ("--plugin", str(plugin))]
    quick = ("--set", "pgd.steps=5", "--set", "pgd.restarts=1") if "pgd" in names else ()
    return main(
        [
            "run",
            "--methods",
            "plain",
            "--epochs",
            "10",
            "--points",
            str(POINTS),
            "--engine",
            "inline",
            "--eval",
            names,
            *files,
            *quick,
            "--out",
            str(out),
            *more,
        ]
    )


@pytest.fixture
def listener(tmp_path: Path, plugin_file: Write) -> Path:
    (tmp_path / "told").mkdir()
    text = evaluator(LISTENER.format(folder=str(tmp_path / "told")))
    return plugin_file(
        "listener", text.replace("shard: ClassVar[int] = 10", "shard: ClassVar[int] = 20")
    )


def told(tmp_path: Path) -> list[dict[str, Tensor]]:
    return [load_file(file) for file in sorted((tmp_path / "told").iterdir())]


def witnesses(out: Path, name: str) -> Tensor:
    """What an evaluator of a run found, NaN where it found nothing."""
    store = Store(out)
    found = torch.full((POINTS, 1, 8, 8), torch.nan).double()
    for key in store.keys("evidence"):
        if store.settings("evidence", key)["settings"]["evaluator"] == name:
            index, witness = store.load_witnesses(key)
            found[index] = witness.double()
    return found


def test_a_later_evaluator_hears_of_an_earlier_ones_witnesses(
    tmp_path: Path, listener: Path, digits: DataSet
) -> None:
    out = tmp_path / "out"
    assert run(out, "pgd,listener", [listener]) == 0
    shards = told(tmp_path)
    assert [len(shard["x"]) for shard in shards] == [20, 20, 20, 10]
    x, high, heard = (torch.cat([shard[k] for shard in shards]) for k in ("x", "high", "witness"))
    assert torch.equal(x, digits.x_test[:POINTS])
    found = witnesses(out, "pgd")
    given = ~found.flatten(1)[:, 0].isnan()
    assert 30 < given.sum() < POINTS
    assert torch.equal(heard[given], found[given])
    assert heard[~given].isnan().all()
    assert torch.equal(high[given], LINF.distance(x, heard)[given])


def test_it_is_the_nearest_of_all(tmp_path: Path, listener: Path, plugin_file: Write) -> None:
    guesser = plugin_file("guesser", evaluator(GUESSER).replace("= 50", "= 40"))
    out = tmp_path / "out"
    assert run(out, "pgd,guesser,listener", [guesser, listener], "--set", "pgd.growth=2") == 0
    shards = told(tmp_path)
    x, heard = (torch.cat([shard[k] for shard in shards]) for k in ("x", "witness"))
    far = [
        LINF.distance(x, witnesses(out, name)).nan_to_num(torch.inf) for name in ("pgd", "guesser")
    ]
    nearest = LINF.distance(x, heard).nan_to_num(torch.inf)
    assert torch.equal(nearest, torch.minimum(*far))
    assert (far[0] < far[1]).any()
    assert (far[1] < far[0]).any()


def test_what_the_bench_refuses_is_not_passed_on(
    tmp_path: Path, listener: Path, plugin_file: Write
) -> None:
    liar = plugin_file("liar", evaluator("witness = x.clone()").replace("= 50", "= 40"))
    assert run(tmp_path / "out", "liar,listener", [liar, listener]) == 0
    clean = pd.read_parquet(next((tmp_path / "out" / "clean").rglob("clean.parquet")))
    right = torch.tensor(clean["correct"].to_numpy()[:POINTS])
    heard = torch.cat([shard["witness"] for shard in told(tmp_path)])
    assert 30 < right.sum() < POINTS
    assert heard[right].isnan().all()


def test_without_the_cascade_it_hears_of_none(tmp_path: Path, listener: Path) -> None:
    assert run(tmp_path / "out", "pgd,listener", [listener], "--no-cascade") == 0
    for shard in told(tmp_path):
        assert shard["witness"].isnan().all()
        assert set(shard["high"].tolist()) <= {0.0, torch.inf}
        assert (shard["low"] == 0).all()
