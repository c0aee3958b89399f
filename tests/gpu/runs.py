"""Runs of the bench with an evaluator of the tests' own, on the first card or without any."""

import subprocess
import sys
from pathlib import Path

from tests.bench.example_plugins import evaluator


def run(folder: Path, body: str, *options: str, resource: str = "gpu") -> str:
    """What a run leaves in its logs, in which an evaluator with that body judges 40 inputs."""
    plugin = folder / "probing.py"
    text = evaluator(body).replace('= "cpu"', f"= {resource!r}")
    plugin.write_text(text)
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "--methods",
        "plain",
        "--arch",
        "fc_small",
        "--epochs",
        "1",
        "--points",
        "40",
        "--eval",
        "probing",
        "--plugin",
        str(plugin),
        "--out",
        str(folder / "out"),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    return "".join(path.read_text() for path in sorted((folder / "out" / "logs").iterdir()))
