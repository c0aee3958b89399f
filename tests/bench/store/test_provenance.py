import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import torch

from bench.store.provenance import PACKAGES, provenance

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
TOOLS = {"bokeh", "appdirs", "packaging", "pyyaml", "tqdm"}  # of dask's page, for auto-LiRPA


def test_provenance_names_the_version_of_everything_that_the_bench_depends_on() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["gurobi"], *extras["lirpa"], *extras["dask"]]
    asked += extras["figures"]
    names = {re.split(r"[<>=]", text)[0] for text in asked} - TOOLS
    assert {*names, "auto-LiRPA"} == set(PACKAGES)
    versions = provenance(torch.device("cpu"))["versions"]
    assert isinstance(versions, dict)
    assert set(versions) == set(PACKAGES)
    assert versions["torch"] == version("torch")
    assert versions["highspy"] == version("highspy")
