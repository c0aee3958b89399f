"""Every numeric setting declares its range where it stands, and is held to it however it is set."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt

from bench.plugins.catalogue import Catalogue, Kind, Plugin
from bench.plugins.discovery import discover
from bench.plugins.nested_settings import field_types
from bench.plugins.settings import parse_overrides, parse_value
from bench.plugins.training import Training
from relu.errors import InputError
from relu.ranges import alternatives, checked_dataclass, declares_range, described, fits

FOUND = discover()
PLUGINS = [*FOUND.methods.values(), *FOUND.evaluators.values()]
SETTINGS = [
    (plugin, field, hint)
    for plugin in PLUGINS
    for field, hint in field_types(plugin.cls).items()
    if any(base in (int, float) for base, _ in alternatives(hint))
]
NAMES = [f"{plugin.kind}s.{plugin.name}.{field}" for plugin, field, _ in SETTINGS]
PLUGIN = """
from dataclasses import dataclass
from typing import Annotated, ClassVar
from annotated_types import {markers}

@dataclass(frozen=True, kw_only=True)
class Mine:
    label: ClassVar[str] = "mine"
    noise: {declared}
    sloppy: float = None
    def loss(self, net, x, y, *, threat, progress): ...
"""


def outside(hint: Any) -> list[Any]:
    """Values of the right type that the range leaves out: just beyond each limit, and far off."""
    values: list[Any] = [-7]
    for base, markers in alternatives(hint):
        for marker in markers:
            limits = dataclasses.asdict(marker).values()
            for limit in (limit for limit in limits if isinstance(limit, int | float)):
                step = 1 if base is int else 1e-9
                values += [limit - step, limit, limit + step]
        if base is float:
            values = [*map(float, values), math.nan, math.inf, -math.inf]
    return [value for value in values if not fits(value, hint)]


def held_class(cls: type[Any], field: str) -> tuple[type[Any], str]:
    """The class that has the field of a dotted name, and its name there."""
    *holders, name = field.split(".")
    for holder in holders:
        cls = type(getattr(cls(), holder))
    return cls, name


def chosen(plugin: Plugin) -> Mapping[str, Sequence[str]]:
    other: Kind = "evaluator" if plugin.kind == "method" else "method"
    return {plugin.kind: [plugin.name], other: []}


@pytest.mark.parametrize(("plugin", "field", "hint"), SETTINGS, ids=NAMES)
def test_a_numeric_setting_declares_a_range_and_is_held_to_it(
    plugin: Plugin, field: str, hint: Any
) -> None:
    assert declares_range(hint)
    assert len(outside(hint)) >= 2
    cls, name = held_class(plugin.cls, field)
    for value in outside(hint):
        shown = re.escape(repr(value))
        with pytest.raises(InputError, match=rf"^\w+\.{name} must be .*, got {shown}$"):
            cls(**{name: value})
        with pytest.raises(InputError, match=rf"^{plugin.name}\.{field} must be .*, got {shown}$"):
            plugin.build({field: value})
        path = f"{plugin.kind}s.{plugin.name}.{field}"
        with pytest.raises(InputError, match=rf"^--set .*: {path} must be .*, got {shown}$"):
            parse_overrides([f"{path}={value}"], FOUND, chosen(plugin))


NUMBERS = [
    field
    for field, hint in field_types(Training).items()
    if any(base in (int, float) for base, _ in alternatives(hint))
]


@pytest.mark.parametrize("field", NUMBERS)
def test_a_setting_of_the_training_declares_a_range_and_is_held_to_it(field: str) -> None:
    hint = field_types(Training)[field]
    assert declares_range(hint)
    for value in outside(hint):
        complaint = rf"train\.{field} must be .*, got {re.escape(repr(value))}$"
        with pytest.raises(InputError, match=complaint):
            Training(**{field: value})
        with pytest.raises(InputError, match=complaint):
            parse_overrides([f"train.{field}={value}"], FOUND, {"method": ["at"], "evaluator": []})


@pytest.mark.parametrize(
    ("hint", "words", "good", "bad"),
    [
        (Annotated[int, Ge(1)], "at least 1", [1, 2**40], [0, 1.0, True, "1"]),
        (Annotated[float, Gt(0)], "a positive number", [1, 1e-300], [0, False, math.inf, math.nan]),
        (Annotated[float, Gt(2), Lt(3)], "more than 2 and less than 3", [2.5], [2, 3]),
        (
            Annotated[int, Interval(ge=0, le=9)] | None,
            "at least 0 and at most 9",
            [0, 9, None],
            [10],
        ),
        (Annotated[int | None, Le(9)], "at most 9", [9, None], [10]),
    ],
    ids=str,
)
def test_a_range_says_what_lies_in_it(
    hint: Any, words: str, good: list[Any], bad: list[Any]
) -> None:
    assert described(hint) == words
    assert all(fits(value, hint) for value in good)
    assert not any(fits(value, hint) for value in bad)


def test_what_is_of_another_type_is_told_the_type() -> None:
    hint = FOUND.evaluators["region"].cls.__annotations__["neighbours"]
    for text, complaint in (
        ("1001", "x must be at least 0 and at most 1000 or unlimited, got 1001"),
        ("limited", "x must be one of int, unlimited, got 'limited'; did you mean 'unlimited'?"),
    ):
        with pytest.raises(InputError) as caught:
            parse_value(text, hint, "x")
        assert str(caught.value) == complaint


@checked_dataclass
class Ordered:
    """First is no later than last."""

    first: Annotated[int, Ge(0)] = 0
    last: Annotated[int, Ge(0)] = 1

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise InputError(f"first {self.first} is beyond last {self.last}")


def test_checks_across_fields_run_after_the_ranges() -> None:
    with pytest.raises(InputError, match="first 2 is beyond last 1"):
        Ordered(first=2)
    with pytest.raises(InputError, match=r"test_declared_ranges\.last must be at least 0, got -1"):
        Ordered(first=2, last=-1)
    assert dataclasses.replace(Ordered(), last=3) == Ordered(last=3)


@pytest.fixture
def mine(plugin_file: Any) -> Catalogue:
    """A method of a user's: a plain dataclass, one range, one annotation that says too little."""
    text = PLUGIN.format(markers="Gt", declared="Annotated[float, Gt(0)] = 0.1")
    return discover([plugin_file("mine", text)])


def test_a_plain_dataclass_of_a_plugin_is_held_to_its_ranges(mine: Catalogue) -> None:
    plugin = mine.methods["mine"]
    for value in (0.0, math.nan, "much"):
        with pytest.raises(InputError, match=r"^mine\.noise must be .*, got"):
            plugin.build({"noise": value})
    with pytest.raises(InputError, match=r"^--set .*mine\.noise must be a positive number, got -1"):
        parse_overrides(["mine.noise=-1"], mine, {"method": ["mine"], "evaluator": []})
    assert plugin.build({"noise": 0.5, "sloppy": None}).noise == 0.5


@pytest.mark.parametrize(
    ("markers", "declared", "complaint"),
    [
        ("Gt", "Annotated[float, Gt(0)] = -1.0", "noise must be a positive number, got -1.0"),
        ("MultipleOf", "Annotated[int, MultipleOf(2)] = 2", "is none of Ge, Gt, Le, Lt, Interval"),
    ],
)
def test_a_plugin_whose_declaration_cannot_hold_is_refused(
    plugin_file: Any, markers: str, declared: str, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        discover([plugin_file("mine", PLUGIN.format(markers=markers, declared=declared))])
    assert "\n" not in str(caught.value)
