import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench.plugins import discovery
from bench.plugins.catalogue import Catalogue
from bench.plugins.discovery import discover
from methods.plain import Plain
from relu.errors import InputError
from tests.bench.example_plugins import evaluator

Write = Callable[[str, str], Path]

DEFENSE = '''
from dataclasses import dataclass
from typing import ClassVar
import torch.nn.functional as F

@dataclass(frozen=True, kw_only=True)
class MyDefense:
    """Cross-entropy, scaled."""
    label: ClassVar[str] = "mine"
    scale: float = 2.0

    def loss(self, net, x, y, *, threat, progress):
        return self.scale * F.cross_entropy(net(x), y)
'''


def test_files_in_the_folders_are_found(catalogue: Catalogue) -> None:
    assert {"plain", "at"} <= set(catalogue.methods)
    assert "pgd" in catalogue.evaluators
    assert "interface" not in catalogue.methods


def test_a_file_given_by_path_is_found_under_its_name(plugin_file: Write) -> None:
    plugin = discover([plugin_file("my_defense", DEFENSE)]).find("method", "My-Defense")
    assert plugin.name == "my_defense"
    assert plugin.fields() == {"scale": 2.0}


def test_an_edited_file_has_another_digest(plugin_file: Write) -> None:
    before = discover([plugin_file("my_defense", DEFENSE)]).methods["my_defense"].code
    after = discover([plugin_file("my_defense", DEFENSE + "#")]).methods["my_defense"].code
    assert before != after


def test_an_installed_package_announces_its_plugins(
    plugin_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plugin_file("announced_defense", DEFENSE)
    monkeypatch.syspath_prepend(str(path.parent))
    points = {
        "bench.methods": [EntryPoint("announced", "announced_defense:MyDefense", "bench.methods")],
        "bench.evaluators": [],
        "bench.architectures": [],
        "bench.datasets": [],
    }
    monkeypatch.setattr(discovery, "entry_points", lambda group: points[group])
    assert discover().methods["announced"].cls.label == "mine"
    points["bench.methods"] = [EntryPoint("gone", "no_such_module:Gone", "bench.methods")]
    with pytest.raises(InputError, match="method 'gone'"):
        discover()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 / 0", "raises on import: ZeroDivisionError"),
        ("def broken(:", "raises on import: SyntaxError"),
        ("raise BaseException", "raises on import: BaseException"),
        (DEFENSE.replace('"mine"', "3"), "label must be text"),
        (DEFENSE.replace("scale: float", "aliases: ClassVar[str] = 'ab'; scale: float"), "aliases"),
        (DEFENSE.replace("scale: float", "scale: Undefined"), "Undefined"),
        (DEFENSE.replace("2.0", "float('inf')"), "plain finite defaults"),
        ("raise SystemExit(3)", "raises on import: SystemExit"),
        ("x = 1", "has no method or evaluator"),
        (DEFENSE.replace("label: ClassVar", "lable: ClassVar"), "lacks label"),
        (
            DEFENSE.replace("    scale:", "    trade_off = {'weight': (1, 2)}\n    scale:"),
            "'weight'",
        ),
        (DEFENSE.replace("    scale:", "    trade_off = {'scale': (2, 1)}\n    scale:"), "larger"),
        (DEFENSE.replace("    scale:", "    trade_off = ['scale']\n    scale:"), "must map"),
        (DEFENSE.replace("scale: float = 2.0", "scale: float"), "plain finite defaults, but"),
        (
            DEFENSE.replace("@dataclass(frozen=True, kw_only=True)", ""),
            "must be a frozen dataclass",
        ),
        (DEFENSE + DEFENSE.replace("class MyDefense", "class Other"), "must define one method"),
        (DEFENSE.replace("threat, progress", "eps"), r"loss is called as loss\(net, x, y, threat="),
        (DEFENSE.replace("net, x, y, *", "x, y, *"), "but: too many positional arguments"),
        (
            DEFENSE + "    def defaults(self, a, b, c): ...",
            "defaults is called",
        ),
        (evaluator().replace("threat, known", "threat"), "unexpected keyword argument 'known'"),
        (evaluator().replace("self, net, threat", "self, net"), "refusal is called as refusal"),
    ],
)
def test_unusable_files_are_told_why(plugin_file: Write, text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        discover([plugin_file("my_defense", text)])
    assert "\n" not in str(caught.value)


def test_a_second_plugin_of_a_name_is_refused(plugin_file: Write) -> None:
    with pytest.raises(InputError, match="two methods are called 'plain'"):
        discover([plugin_file("plain", DEFENSE)])


def test_a_file_given_twice_is_one_plugin(plugin_file: Write) -> None:
    path = plugin_file("my_defense", DEFENSE)
    again = path.parent / ".." / path.parent.name / path.name
    assert list(discover([path, again]).methods).count("my_defense") == 1
    assert "plain" in discover([Path(inspect.getfile(Plain))]).methods


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        discover([tmp_path / "gone.py"])
