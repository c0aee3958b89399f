from dataclasses import dataclass, field

import pytest

from bench.plugins.catalogue import Catalogue, Plugin
from bench.plugins.code_digests import Code
from bench.plugins.nested_settings import changed, field_types, flat
from bench.plugins.settings import parse_overrides
from relu.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Held:
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise InputError(f"weight must be at least 0, got {self.weight}")


@dataclass(frozen=True, kw_only=True)
class Variant:
    label = "variant"
    steps: int = 40
    mmr: Held = field(default_factory=Held)


def test_settings_of_what_is_held_have_dotted_names() -> None:
    assert flat(Variant()) == {"steps": 40, "mmr.weight": 1.0}
    assert field_types(Variant) == {"steps": int, "mmr.weight": float}


def test_what_was_flattened_is_built_again() -> None:
    variant = Variant(steps=3, mmr=Held(weight=0.5))
    assert changed(Variant(), flat(variant)) == variant


def test_the_checks_of_what_is_held_run_again() -> None:
    with pytest.raises(InputError, match="weight must be at least 0"):
        changed(Variant(), {"mmr.weight": -1.0})


def test_the_command_line_reaches_what_is_held(catalogue: Catalogue) -> None:
    source = catalogue.methods["at"].source
    plugin = Plugin(
        code=Code(digest="", versions={}), kind="method", name="mmr_at", cls=Variant, source=source
    )
    with_variant = Catalogue(methods={"mmr_at": plugin}, evaluators={})
    chosen = {"method": ("mmr_at",), "evaluator": ()}
    for text in ("mmr_at.mmr.weight=0.5", "methods.MMR+at.mmr.weight=0.5"):
        overrides = parse_overrides([text], with_variant, chosen)
        assert overrides == {("method", "mmr_at"): {"mmr.weight": 0.5}}
        assert plugin.build(overrides["method", "mmr_at"]).mmr.weight == 0.5
