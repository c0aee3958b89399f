"""Tries the installed wheel as a stranger would, in a folder that is no clone.

`tox run -e wheel` builds the wheel, installs it into an environment of its own and runs this file
in an empty folder. It stops at the first thing that is not as it should be.
"""

import importlib
import json
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("bench", "evaluators", "leaderboard", "methods", "relu")
CLONE = Path(__file__).resolve().parents[2]
BIN = Path(sysconfig.get_path("scripts"))
SITE = Path(sysconfig.get_path("purelib")).resolve()
TINY = ("--epochs", "1", "--points", "20", "--eval", "pgd")
PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F


@dataclass(frozen=True, kw_only=True)
class Noisy:
    """Cross-entropy on noisy inputs."""

    label: ClassVar[str] = "announced"
    noise: float = 0.1

    def loss(self, net, x, y, *, threat, progress):
        return F.cross_entropy(net(x + self.noise * torch.randn_like(x)), y)
'''
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "noisy-plugin"
version = "1"

[project.entry-points."bench.methods"]
noisy = "noisy_plugin:Noisy"

[tool.setuptools]
py-modules = ["noisy_plugin"]
"""


def expect(condition: bool, what: str) -> None:
    """Ends with one line where something is not as it should be."""
    if not condition:
        sys.exit(f"the wheel: expected {what}")
    print(f"ok: {what}")


def printed(*command: str) -> str:
    """What a command prints; it must end with status 0."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def relu_bench(*arguments: str) -> str:
    return printed(str(BIN / "relu-bench"), *arguments)


def rows_of(run: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(Path(run, "leaderboard.json").read_text())
    return rows


def modules(root: Path) -> set[str]:
    """All Python files of the packages."""
    files = [file for name in PACKAGES for file in root.glob(f"{name}/**/*.py")]
    return {str(file.relative_to(root)) for file in files}


def try_packages() -> None:
    expect(modules(SITE) == modules(CLONE), "the wheel has the modules of the clone and no others")
    for name in PACKAGES:
        folder = Path(importlib.import_module(name).__file__ or "").resolve().parent
        expect(folder == SITE / name, f"{name} comes from the installation")
        expect((folder / "py.typed").is_file(), f"{name} says that it is typed")


def try_commands() -> None:
    shown = relu_bench("list")
    for name in ("mmr_at", "region_attack", "fashion_mnist", "cnn_small", "figure3_small"):
        expect(f"  {name} " in shown, f"list shows {name}")
    expect("usage: relu-bench" in relu_bench("--help"), "usage names the command that was typed")
    expect("Table 1" in relu_bench("list"), "suites come with the wheel")
    table = relu_bench("run", "--methods", "plain", *TINY, "--out", "tiny")
    expect("| digits " in table, "a run prints its leaderboard")
    expect([row["points"] for row in rows_of("tiny")] == [20], "a run writes its leaderboard")
    expect("| digits " in relu_bench("leaderboard", "tiny"), "a leaderboard is drawn again")
    dry = relu_bench("run", "--suite", "demo", "--dry-run", "--out", "demo")
    expect("region_attack " in dry, "the demo is planned")


def try_page() -> None:
    assets = importlib.import_module("leaderboard.page.page").ASSETS
    expect((assets / "page.html").is_file(), "the page has its template")
    expect(len(list(assets.glob("*.js"))) > 3, "the page has its scripts")


def try_published_values() -> None:
    tables = importlib.import_module("leaderboard.published").tables()
    expect({f"table{n}" for n in range(1, 7)} <= set(tables), "published values can be read")


def try_announced_plugin() -> None:
    folder = Path("plugin")
    folder.mkdir()
    (folder / "noisy_plugin.py").write_text(PLUGIN)
    (folder / "pyproject.toml").write_text(PROJECT)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    printed(*pip, f"./{folder}")
    expect("  noisy " in relu_bench("list"), "list shows a method that a package announces")
    relu_bench("run", "--methods", "noisy", *TINY, "--out", "announced")
    labels = [row["label"] for row in rows_of("announced")]
    expect(labels == ["announced"], "a method that a package announces trains")


def main() -> None:
    print(f"relu-bench {version('relu-bench')} in {SITE}")
    expect(not Path("pyproject.toml").exists(), "the working folder is no clone")
    try_packages()
    try_commands()
    try_published_values()
    try_page()
    try_announced_plugin()


if __name__ == "__main__":
    main()
