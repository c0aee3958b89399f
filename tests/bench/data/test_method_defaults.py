"""Which settings a method has on each data set: the whole table, and where it is used."""

import itertools
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from bench.data.method_defaults import RULES, method_defaults
from bench.data.sources import SOURCES
from bench.plan.networks import usual_settings
from bench.plugins.catalogue import Catalogue
from bench.plugins.discovery import discover
from bench.plugins.nested_settings import field_types
from bench.plugins.training import Training
from relu.network.architectures import ARCHITECTURES
from relu.threat import Norm, Threat

TABLE: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "method_defaults.json").read_text()
)
"""method, data set, architecture, norm -> settings at the data set's eps; {} where there are none.
Written down when the methods themselves still named the data sets."""

OF_THOSE_DAYS = ("fc1", "fc10", "cnn", "fc_small", "cnn_small")


def test_every_method_has_the_settings_it_had_when_it_named_the_data_sets(
    catalogue: Catalogue,
) -> None:
    methods = {name.partition(" ")[0] for name in TABLE} | {"plain", "kw", "cross_lipschitz"}
    names = itertools.product(sorted(methods), SOURCES, OF_THOSE_DAYS, get_args(Norm))
    for method, dataset, arch, norm in names:
        threat = Threat(norm=norm, eps=SOURCES[dataset].eps[norm])
        found = usual_settings(catalogue.methods[method], dataset, arch, threat)
        assert found == TABLE.get(f"{method} {dataset} {arch} {norm}", {}), (method, dataset)


def test_multiples_of_eps_follow_eps() -> None:
    for eps in (0.05, 0.1, 0.7):
        threat = Threat(norm="linf", eps=eps)
        assert method_defaults("mmr_at", "mnist", "cnn", threat)["mmr.gamma"] == 2 * eps


def test_rules_name_what_there_is(catalogue: Catalogue) -> None:
    for rule in RULES:
        assert rule.method in catalogue.methods
        assert set(rule.datasets) <= set(SOURCES)
        assert rule.arch is None or rule.arch in ARCHITECTURES
        trained = [f"train.{name}" for name in field_types(Training)]
        valid = {*catalogue.methods[rule.method].fields(), *trained}
        assert {*rule.fields, *rule.per_eps} <= valid


@pytest.mark.parametrize("folder", ["methods", "leaderboard"])
def test_data_sets_are_named_beside_the_data_alone(folder: str) -> None:
    root = Path(__file__).parents[3]
    for file in (root / folder).glob("*.py"):
        for dataset in SOURCES:
            assert f'"{dataset}"' not in file.read_text(), file


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True, kw_only=True)
class Mine:
    label: ClassVar[str] = "mine"
    scale: float = 1.0

    @classmethod
    def defaults(cls, dataset, arch, threat):
        return {"scale": 5.0, "train.lr": 0.5} if dataset == "digits" else {}

    def loss(self, net, x, y, *, threat, progress):
        return net(x).sum()
"""


def test_a_plugins_own_defaults_still_count(plugin_file: Any) -> None:
    plugin = discover([plugin_file("mine", PLUGIN)]).methods["mine"]
    threat = Threat(norm="linf", eps=0.1)
    said = {"scale": 5.0, "train.lr": 0.5}
    assert usual_settings(plugin, "digits", "fc1", threat) == said
    assert usual_settings(plugin, "mnist", "fc1", threat) == {}


def test_what_was_chosen_for_a_radius_holds_there_alone() -> None:
    for eps, scale in ((0.1, 2.0), (0.3, None)):
        threat = Threat(norm="linf", eps=eps)
        assert method_defaults("mtl_ibp", "mnist", "cnn7", threat).get("scale") == scale
    assert "scale" not in method_defaults("mtl_ibp", "mnist", "cnn", Threat(norm="linf", eps=0.1))
