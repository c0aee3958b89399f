"""Evaluators by the names that people type."""

from collections.abc import Sequence

from bench.plugins.catalogue import Catalogue, Plugin


def named_evaluators(names: Sequence[str], catalogue: Catalogue) -> list[Plugin]:
    """Those of these names, each once; "all" alone: all but those on request. InputError."""
    if [name.lower() for name in names] == ["all"]:
        return catalogue.everybody
    found = [catalogue.find("evaluator", name) for name in names]
    return list({plugin.name: plugin for plugin in found}.values())
