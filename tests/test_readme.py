"""The README tells the truth: every option is there, its plugin works, its layout exists."""

import re
from pathlib import Path

from bench.__main__ import main
from bench.cli.options import make_parser
from bench.cli.requests import make_request
from bench.plugins.discovery import Catalogue
from relu.network.architectures import ARCHITECTURES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_option_is_explained() -> None:
    for option in make_parser().options() - {"-h", "--help"}:
        assert f"`{option}" in README, option


def test_every_name_is_there() -> None:
    for name in (*ARCHITECTURES, "digits", "mnist", "fashion_mnist", "gts", "cifar10"):
        assert f"`{name}`" in README, name


def test_the_example_of_a_method_trains(tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (example,) = [text for text in examples if "class MyDefense" in text]
    plugin = tmp_path / "my_defense.py"
    plugin.write_text(example)
    assert (
        main(
            [
                "run",
                "--methods",
                "my_defense",
                "--plugin",
                str(plugin),
                "--epochs",
                "1",
                "--points",
                "20",
                "--set",
                "my_defense.noise=0.2",
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )


def test_the_example_of_a_suite_is_one(tmp_path: Path, catalogue: Catalogue) -> None:
    (suite,) = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "suite.toml").write_text(suite)
    options = make_parser().parse_args(["run", "--suite", str(tmp_path / "suite.toml")])
    request = make_request(options, catalogue)
    assert request.datasets == ("mnist", "gts")
    assert request.norms == ("linf", "l2")
    assert request.overrides == ({("method", "at"): {"steps": 10}},)


def test_the_tables_have_the_columns_of_today() -> None:
    tables = [line for line in README.splitlines() if line.startswith("| data set   | arch")]
    first, second = tables[:2]
    for column in ("robust error ≥ (%)", "robust error ≤ (%)", "exact (%)", "PGD"):
        assert f"{column} |" in first
    for column in ("PGD (s)", "train (s)"):
        assert f"{column} |" in second
