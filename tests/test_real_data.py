"""The promises of the bench, kept on real data; BENCH_SHARED holds data/MNIST and models/."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SHARED = os.environ.get("BENCH_SHARED", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not SHARED, reason="BENCH_SHARED does not name a folder with real data"),
]


def rows(out: Path, *arguments: str) -> list[dict[str, Any]]:
    """The command as users run it, without the tests' run-time type checks."""
    command = [sys.executable, "-m", "bench", *arguments]
    data = ["--data", str(Path(SHARED) / "data"), "--out", str(out)]
    subprocess.run([*command, *data], check=True)
    return list(json.loads((out / "leaderboard.json").read_text()))


@pytest.mark.real
def test_three_epochs_on_mnist_show_what_adversarial_training_is_for(tmp_path: Path) -> None:
    plain, at = rows(
        tmp_path,
        "run",
        "--dataset",
        "mnist",
        "--arch",
        "fc1",
        "--methods",
        "plain,at",
        "--epochs",
        "3",
        "--points",
        "1000",
        "--eval",
        "pgd",
    )
    assert plain["test_error"] < 0.03
    assert at["robust_error_low"] < plain["robust_error_low"] / 3


# Of the published network are known, for all 10,000 points: test error 1.80 %, KW 5.82 %, exact
# 4.38 % [WK18, TXT19]. These are numbers of perturbations that may leave [0, 1].
CHECKPOINT = Path(SHARED) / "models" / "kw_mnist_linf_0.1.safetensors"
PUBLISHED = (
    "eval",
    str(CHECKPOINT),
    "--arch",
    "cnn",
    "--dataset",
    "mnist",
    "--set",
    "pgd.growth=1",
    "--set",
    "kw.bisection_steps=0",
)


def test_the_first_thousand_points_of_the_published_network_are_decided(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, *PUBLISHED, "--points", "1000", "--eval", "pgd,kw,mip")
    assert row["test_error"] == pytest.approx(0.0180, abs=1e-12)
    assert row["robust_error_low"] == row["robust_error_high"] == pytest.approx(0.047, abs=1e-12)


@pytest.mark.real
@pytest.mark.parametrize(
    ("box", "kw", "exact"), [("-1,2", 0.0582, 0.0438), ("0,1", 0.0564, 0.0430)]
)
def test_the_published_network_gets_its_published_errors(
    tmp_path: Path, box: str, kw: float, exact: float
) -> None:
    command = (*PUBLISHED, "--points", "10000", f"--box={box}")
    started = time.perf_counter()
    (row,) = rows(tmp_path, *command, "--eval", "pgd,kw")
    bounded = time.perf_counter() - started
    assert row["test_error"] == pytest.approx(0.0180, abs=1e-12)
    assert 0.0405 <= row["robust_error_low"] <= exact
    assert row["robust_error_high"] == pytest.approx(kw, abs=1e-12)
    (row,) = rows(tmp_path, *command, "--eval", "pgd,kw,mip")
    decided = time.perf_counter() - started
    print(f"\nthe published network, box {box}: PGD and KW {bounded:.0f} s, MIP {decided:.0f} s")
    assert row["robust_error_low"] == row["robust_error_high"] == pytest.approx(exact, abs=1e-12)
    assert bounded < 180
    assert decided < 900


@pytest.mark.real
def test_a_short_mmr_training_multiplies_the_certified_radius(tmp_path: Path) -> None:
    plain, mmr = rows(
        tmp_path,
        "run",
        "--dataset",
        "mnist",
        "--arch",
        "fc1",
        "--norm",
        "l2",
        "--epochs",
        "4",
        "--methods",
        "plain,mmr",
        "--set",
        "train.lr=1e-3",
        "--points",
        "500",
        "--eval",
        "pgd,region",
    )
    assert mmr["test_error"] < plain["test_error"] + 0.02
    # Of linear regions: what MMR trains for. Dual bounds are good on a plain fc1, too.
    assert mmr["radius_low"] > 5 * plain["radius_low"]


@pytest.mark.real
def test_a_visible_share_of_traffic_signs_gets_an_exact_radius(tmp_path: Path) -> None:
    (mmr,) = rows(
        tmp_path,
        "run",
        "--dataset",
        "gts",
        "--arch",
        "fc1",
        "--norm",
        "l2",
        "--epochs",
        "2",
        "--methods",
        "mmr",
        "--points",
        "300",
        "--eval",
        "pgd,region",
    )
    assert mmr["exact_share"] > 0.4
