from typing import Literal

import pytest

from bench.plugins.catalogue import Catalogue
from bench.plugins.discovery import discover
from bench.plugins.settings import parse_overrides, parse_value
from bench.plugins.training import Training
from relu.errors import InputError

CHOSEN = {"method": ("at", "plain", "twin"), "evaluator": ("pgd", "twin")}


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """A method and an evaluator that share the name twin and the field box."""
    folder = tmp_path_factory.mktemp("plugins")
    path = folder / "twin.py"
    path.write_text("""
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True, kw_only=True)
class TwinTraining:
    label: ClassVar[str] = "Twin"
    box: bool = True
    start: float | None = None
    def loss(self, net, x, y, *, threat, progress): ...

@dataclass(frozen=True, kw_only=True)
class TwinBound:
    label: ClassVar[str] = "Twin bound"
    resource: ClassVar[str] = "gpu"
    box: bool = True
    rounds: int = 3
    def refusal(self, net, threat): ...
    def judge(self, net, x, y, *, threat, known): ...
""")
    return discover([path])


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("7", int, 7),
        ("1e-3", float, 1e-3),
        ("2", float, 2.0),
        ("yes", bool, True),
        ("False", bool, False),
        ("none", int | None, None),
        ("3", int | None, 3),
        ("ce", Literal["ce", "margin"], "ce"),
        ("1,2", tuple[int, ...], (1, 2)),
        ("a b", str, "a b"),
    ],
)
def test_texts_become_what_the_field_says(text: str, hint: object, value: object) -> None:
    assert parse_value(text, hint, "x") == value


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("7.5", int),
        ("x", float),
        ("nan", float),
        ("maybe", bool),
        ("cw", Literal["ce", "margin"]),
        ("x", int | None),
        ("1,x", tuple[int, ...]),
    ],
)
def test_texts_that_do_not_fit_are_refused(text: str, hint: object) -> None:
    with pytest.raises(InputError, match=r"at\.steps must be"):
        parse_value(text, hint, "at.steps")


def test_names_and_prefixes_find_their_field(twins: Catalogue) -> None:
    overrides = parse_overrides(
        [
            "at.steps=7",
            "methods.twin.box=no",
            "evaluators.twin.box=yes",
            "twin.rounds=5",
            "twin.start=none",
            "PGD.restarts=4",
            "train.lr=1e-4",
            "at.steps = 9",
        ],
        twins,
        CHOSEN,
    )
    assert overrides == {
        ("method", "at"): {"steps": 9},
        ("method", "twin"): {"box": False, "start": None},
        ("evaluator", "twin"): {"box": True, "rounds": 5},
        ("evaluator", "pgd"): {"restarts": 4},
        ("train", ""): {"lr": 1e-4},
    }


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("at.stps=7", "at has no field 'stps': valid are steps, share; did you mean 'steps'"),
        ("twin.box=no", "say methods.twin.box or evaluators.twin.box"),
        ("mr.weight=1", "no method or evaluator is called 'mr'"),
        ("plain.x=1", "plain has no field 'x': valid are none at all"),
        ("steps=7", "expects name.field=value"),
        ("at.steps", "expects name.field=value"),
        ("things.at.steps=1", "no method or evaluator is called 'things'"),
        ("at.inner.steps=1", "at has no field 'inner.steps'"),
        ("evaluators.at.steps=1", "unknown evaluator 'at'"),
        ("train.momenta=1", "train has no field 'momenta'"),
        ("train.lr=fast", r"train\.lr must be of type float"),
    ],
)
def test_wrong_assignments_are_answered_in_one_line(
    twins: Catalogue, assignment: str, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        parse_overrides([assignment], twins, CHOSEN)
    assert "\n" not in str(caught.value)


def test_a_field_of_both_is_that_of_the_one_that_runs(twins: Catalogue) -> None:
    for kind, other in (("method", "evaluator"), ("evaluator", "method")):
        found = parse_overrides(["twin.box=no"], twins, {kind: ("twin",), other: ()})
        assert found == {(kind, "twin"): {"box": False}}


def test_settings_of_what_does_not_run_are_refused(twins: Catalogue) -> None:
    with pytest.raises(InputError, match="method 'at' is not part of this run"):
        parse_overrides(["at.steps=7"], twins, {"method": ("plain",), "evaluator": ()})


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"batch": 0}, {"lr": 0.0}, {"lr": float("nan")}]
)
def test_a_training_without_steps_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=rf"train\.{next(iter(settings))}"):
        Training(**settings)  # type: ignore[arg-type]


def test_an_older_spelling_of_a_setting_is_taken_for_todays(catalogue: Catalogue) -> None:
    chosen = {"method": [], "evaluator": ["kw"]}
    older = parse_overrides(["kw.halvings=3"], catalogue, chosen)
    assert older == parse_overrides(["kw.bisection_steps=3"], catalogue, chosen)
    with pytest.raises(InputError, match="no field 'halving'"):
        parse_overrides(["kw.halving=3"], catalogue, chosen)


def test_older_spellings_lead_to_settings_that_are_there(catalogue: Catalogue) -> None:
    for plugin in (*catalogue.methods.values(), *catalogue.evaluators.values()):
        for older, present in getattr(plugin.cls, "renamed", {}).items():
            assert present in plugin.fields(), plugin.name
            assert older not in plugin.fields(), plugin.name
