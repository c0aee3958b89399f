"""Where a result comes from: commit, versions, device."""

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import bench

PACKAGES = (
    "annotated-types",
    "auto-LiRPA",
    "distributed",
    "filelock",
    "gurobipy",
    "highspy",
    "jaxtyping",
    "jinja2",
    "joblib",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "rich",
    "safetensors",
    "scikit-learn",
    "scipy",
    "tabulate",
    "threadpoolctl",
    "torch",
    "torchvision",
)
"""Distributions that the bench uses, those that it can do without too."""


def provenance(device: torch.device) -> dict[str, object]:
    """Commit of the checkout (None outside one), versions, device name, threads, platform.

    Versions in full, with the build of torch; None for what is not installed.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "bench": bench_version(),
        "commit": _commit(),
        "versions": _versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{device} {name or platform.machine()}",
        "threads": torch.get_num_threads(),
    }


def bench_version() -> str:
    """The version of the bench that runs."""
    return bench.__version__


@functools.cache
def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


@functools.cache
def _commit() -> str | None:
    folder = Path(__file__).parents[1]
    if not (folder.parent / ".git").exists():
        return None
    try:
        hash_ = _git(folder, "rev-parse", "HEAD")
        return hash_ + ("+changes" if _git(folder, "status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.strip()
