"""Settings of plugins and of training: `--set` texts become checked, typed fields."""

import typing
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, Literal

from bench.parsing import suggestion
from bench.plugins.catalogue import Catalogue, Kind, Plugin
from bench.plugins.nested_settings import field_types
from bench.plugins.training import Training
from relu.errors import InputError
from relu.ranges import alternatives, choices, require, typed

TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
Overrides = Mapping[tuple[str, str], Mapping[str, Any]]
"""(kind, name) -> field -> value, e.g. ("method", "mmr_at") -> {"steps": 7, "mmr.weight": 0.5}"""


def parse_overrides(
    assignments: Sequence[str],
    catalogue: Catalogue,
    chosen: Mapping[str, Sequence[str]],
    *,
    option: str = "--set",
) -> Overrides:
    """What `name.field=value` texts say; `chosen` maps "method" and "evaluator" to names.

    "methods." or "evaluators." before the name says which is meant where both have the field;
    "train." is the training loop; a field of a held method is name.held.field. option: what
    errors call their place ("": the caller does). Raises InputError with the valid names.
    """
    overrides: dict[tuple[str, str], dict[str, Any]] = {}
    for assignment in assignments:
        path, equals, text = (part.strip() for part in assignment.partition("="))
        parts = path.split(".")
        prefix = [parts.pop(0)] if parts[0] in ("methods", "evaluators") else []
        if not equals or len(parts) < 2:
            near = _with_field(parts[-1], catalogue, chosen) if equals and parts else ""
            raise InputError(f"{option} expects name.field=value, got {assignment!r}{near}")
        name = parts[0]
        field = ".".join(parts[1:])
        try:
            kind, name, cls = _target(prefix, name, field, catalogue, chosen)
            value = parse_value(text, field_types(cls)[present_name(cls, field)], path)
        except InputError as error:
            raise InputError(f"{option} {assignment}: {error}") from error
        overrides.setdefault((kind, name), {})[present_name(cls, field)] = value
    return overrides


def present_name(cls: type[Any], field: str) -> str:
    """What a setting is called today: its own name, or what the class says has replaced it.

    A class names its older spellings in `renamed` (old -> new); they are taken for one version.
    """
    renamed: Mapping[str, str] = getattr(cls, "renamed", {})
    return renamed.get(field, field)


def _with_field(field: str, catalogue: Catalogue, chosen: Mapping[str, Sequence[str]]) -> str:
    """`; did you mean NAME.FIELD?` for what takes part and has the field, or that nothing has."""
    kinds: Sequence[tuple[Kind, Kind]] = (("method", "evaluator"), ("evaluator", "method"))
    names = [
        f"{kind}s.{name}.{field}" if name in chosen[other] else f"{name}.{field}"
        for kind, other in kinds
        for name in chosen[kind]
        if field in field_types(catalogue.of(kind)[name].cls)
    ]
    names += [f"train.{field}"] if chosen["method"] and field in field_types(Training) else []
    if not names:
        return f", and nothing in this run has a field {field!r}"
    return f"; did you mean {' or '.join(names)}?"


def _target(
    prefix: Sequence[str],
    name: str,
    field: str,
    catalogue: Catalogue,
    chosen: Mapping[str, Sequence[str]],
) -> tuple[str, str, type[Any]]:
    """(kind, name, class) of the one thing that has the field."""
    if name == "train" and not prefix:
        if not chosen["method"]:
            raise InputError("nothing is trained here")
        _require_field("train", field, list(field_types(Training)))
        return "train", "", Training
    plugins = _named(prefix, name, catalogue)
    with_field = [p for p in plugins if present_name(p.cls, field) in field_types(p.cls)]
    with_field = [p for p in with_field if p.name in chosen[p.kind]] or with_field
    if not with_field:
        fields = dict.fromkeys(f for p in plugins for f in field_types(p.cls))
        _require_field(plugins[0].name, field, list(fields))
    if len(with_field) > 1:
        raise InputError(
            f"{name}.{field} is a field of a method and of an evaluator: "
            f"say methods.{name}.{field} or evaluators.{name}.{field}"
        )
    plugin = with_field[0]
    if plugin.name not in chosen[plugin.kind]:
        raise InputError(
            f"{plugin.kind} {plugin.name!r} is not part of this run "
            f"({', '.join(chosen[plugin.kind]) or 'it has none'})"
        )
    return plugin.kind, plugin.name, plugin.cls


def _named(prefix: Sequence[str], name: str, catalogue: Catalogue) -> list[Plugin]:
    kinds = [prefix[0].removesuffix("s")] if prefix else ["method", "evaluator"]
    plugins = []
    failures = []
    for kind in ("method", "evaluator"):
        if kind in kinds:
            try:
                plugins.append(catalogue.find(kind, name))
            except InputError as error:
                failures.append(error)
    if not plugins:
        if len(kinds) == 1:
            raise failures[0]
        names = [*catalogue.methods, *catalogue.evaluators, "train"]
        raise InputError(
            f"no method or evaluator is called {name!r}: valid are "
            f"{', '.join(dict.fromkeys(names))}{suggestion(name, names)}"
        )
    return plugins


def _require_field(name: str, field: str, fields: Sequence[str]) -> None:
    if field not in fields:
        valid = ", ".join(fields) or "none at all"
        raise InputError(
            f"{name} has no field {field!r}: valid are {valid}{suggestion(field, fields)}"
        )


def parse_value(text: str, hint: Any, what: str) -> Any:
    """`text` as a value of the type `hint` and in its range: bool, int, float, str, Literal, ...

    Of a union: the first that it fits, None and literals before others. tuple: of items between
    commas. Raises InputError, one line about `what`.
    """
    bases = [base for base, _ in alternatives(hint)]
    for base in sorted(bases, key=lambda base: base is not NoneType and not choices(base)):
        try:
            value = _converted(text, base)
        except (KeyError, TypeError, ValueError):
            continue
        require(value, hint, what)
        return value
    valid = [choice for base in bases for choice in choices(base)]
    raise InputError(f"{what} must be {typed(hint)}, got {text!r}{suggestion(text, valid)}")


def _converted(text: str, base: Any) -> Any:
    """`text` as a value of a bare type. Raises KeyError, TypeError or ValueError."""
    if base is NoneType:
        return {"none": None}[text.lower()]
    if typing.get_origin(base) is Literal:
        return dict(zip(choices(base), typing.get_args(base), strict=True))[text]
    if typing.get_origin(base) is tuple:
        item = typing.get_args(base)[0]
        return tuple(parse_value(part.strip(), item, "each") for part in text.split(",") if part)
    if base is bool:
        return TRUTHS[text.lower()]
    return base(text)
