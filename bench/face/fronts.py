"""`front`: each method's trade-off between clean and robust error, searched and judged."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.holdout import parse_share
from bench.face.computation import Finished, catalogue_of, complain, computed, rows_of
from bench.face.options import Options
from bench.face.requests import make_request
from bench.face.run_options import parse_run_options
from bench.parsing import resolve, suggestion, whole_number
from bench.plan.networks import usual_settings
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue, Plugin
from bench.plugins.nested_settings import field_types
from bench.plugins.training import setting
from bench.search.front import Axis, FrontSearch, MethodSearch, undominated
from bench.search.proposals import Values, request_of, require_optuna, search_fronts
from bench.search.tune import Trial
from bench.store.results import Store
from bench.store.run_files import FRONT, RunFiles
from leaderboard.figures.optional import fronts_to_svg
from leaderboard.fronts import fronts_to_csv, fronts_to_markdown
from leaderboard.row import Row
from relu.errors import InputError
from relu.ranges import require
from relu.threat import Threat


def finished_front(options: Options) -> Finished | None:
    """Searches the fronts on held-out images, and judges them on the test set.

    None where only a forecast was asked for. Raises InputError.
    """
    require_optuna()
    running = parse_run_options(options)
    catalogue = catalogue_of(options)
    search = make_front_search(options, catalogue)
    failed: list[int] = []  # of each round

    def judged(requests: Mapping[str, Request]) -> Mapping[str, list[Trial[Row]]] | None:
        done = computed(list(requests.values()), catalogue, running, FRONT)
        if done is None:
            return None
        rows = rows_of(done)
        failed.append(max(complain(rows), 1 if done.failures else 0))
        return {n: _trials(searches[n], [r for r in rows if r.method == n]) for n in requests}

    searches = {one.method.name: one for one in search.methods}
    files = RunFiles(Path(options.out))
    about = _about(search)

    def keep(values: Mapping[str, Sequence[Values]]) -> None:
        if not running.forecast:
            Store(files.root).prepare()
            files.save_text(PROPOSED, json.dumps({"search": about, "trials": values}, indent=1))

    held = search_fronts(search, judged, _proposed(files, about), keep)
    if not failed:
        return None
    chosen = {name: undominated(trials) for name, trials in held.items()}
    requests = [
        dataclasses.replace(request_of(one, [t.values for t in chosen[name]]), on_test=True)
        for name, one in searches.items()
        if chosen[name]
    ]
    done = computed(requests, catalogue, running, FRONT) if requests else None
    rows = rows_of(done) if done else []
    tested = {n: _trials(one, [r for r in rows if r.method == n]) for n, one in searches.items()}
    _write(files, tested, held, search.share)
    failures = done is None or done.failures
    return Finished(
        text=fronts_to_markdown(tested, held, share=search.share),
        rows=tuple(rows),
        status=max(*failed, complain(rows), 1 if failures else 0),
    )


PROPOSED = "front.trials.json"


def _about(search: FrontSearch) -> str:
    """What searches have in common that may take over each other's trials."""
    shared = [search.share]
    alike = [dataclasses.replace(one.request, evaluators=()) for one in search.methods]
    return repr([shared, sorted(repr(one) for one in alike), [one.axes for one in search.methods]])


def _proposed(files: RunFiles, about: str) -> dict[str, list[Values]]:
    """The trials of an earlier, perhaps unfinished search of the same kind in this folder."""
    try:
        said = json.loads((files.root / PROPOSED).read_text(encoding="utf-8"))
        return dict(said["trials"]) if said["search"] == about else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(
    files: RunFiles,
    tested: Mapping[str, Sequence[Trial[Row]]],
    held: Mapping[str, Sequence[Trial[Row]]],
    share: float,
) -> None:
    files.save_text("front.md", fronts_to_markdown(tested, held, share=share))
    files.save_text("front.csv", fronts_to_csv(tested, held))
    files.save_text("front.svg", fronts_to_svg(tested))


def _trials(search: MethodSearch, rows: Sequence[Row]) -> list[Trial[Row]]:
    """Rows with the same settings together, in the order of the trials."""
    fields = tuple(axis.field for axis in search.axes)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return [
        Trial(values={f: setting(group[0].settings, f) for f in fields}, rows=tuple(group))
        for group in groups.values()
    ]


def make_front_search(options: Options, catalogue: Catalogue) -> FrontSearch:
    """The search that options describe. Raises InputError."""
    if not options.methods:
        raise InputError(f"--methods expects one or more of {', '.join(catalogue.methods)}")
    given = make_request(options, catalogue)
    for option, values in {
        "dataset": given.datasets,
        "arch": given.archs,
        "norm": given.norms,
        "eps": given.eps,
    }.items():
        if len(values) > 1:
            raise InputError(f"front expects one --{option}, got {len(values)}: run it for each")
    if given.judged:
        raise InputError(
            "front judges networks under what they were trained for: leave out --judge"
        )
    share = parse_share(options.held_out)
    given = dataclasses.replace(given, held_out=share)
    ranges = _ranges(options.range, [catalogue.methods[name] for name in given.methods])
    searches = tuple(
        _method_search(given, catalogue.methods[name], ranges.get(name, {}), catalogue)
        for name in given.methods
    )
    trials = whole_number(options.trials, "--trials", least=1)
    return FrontSearch(methods=searches, trials=trials, share=share)


def _method_search(
    given: Request, method: Plugin, ranges: Mapping[str, tuple[float, float]], catalogue: Catalogue
) -> MethodSearch:
    offered = ranges or getattr(method.cls, "trade_off", {})
    axes = tuple(Axis(field=field, low=low, high=high) for field, (low, high) in offered.items())
    (dataset,) = given.datasets
    source = catalogue.sources[dataset]
    norm = given.norms[0]
    eps = given.eps[0] if given.eps else source.eps.get(norm, 0.1)
    threat = Threat(norm=norm, eps=eps, box=given.box)
    arch = given.archs[0] if given.archs else source.arch
    usual: dict[str, Any] = {**method.fields(), **usual_settings(method, dataset, arch, threat)}
    usual |= given.overrides[0].get(("method", method.name), {})
    first = {axis.field: min(max(usual[axis.field], axis.low), axis.high) for axis in axes}
    request = dataclasses.replace(given, methods=(method.name,))
    return MethodSearch(method=method, axes=axes, usual=first, request=request)


def _ranges(
    texts: Sequence[str], methods: Sequence[Plugin]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Method -> field -> the least and the largest value, as --range NAME.FIELD=LOW:HIGH says."""
    ranges: dict[str, dict[str, tuple[float, float]]] = {}
    names = {method.name: method.aliases for method in methods}
    for text in texts:
        path, _, span = (part.strip() for part in text.partition("="))
        head, _, field = path.removeprefix("methods.").partition(".")
        low, _, high = span.partition(":")
        try:
            ends = float(low), float(high)
        except ValueError:
            ends = (0.0, 0.0)
        if not field or not 0 < ends[0] < ends[1] < float("inf"):
            raise InputError(
                f"--range expects NAME.FIELD=LOW:HIGH with 0 < LOW < HIGH, got {text!r}"
            )
        name = resolve(head, names, "method")
        method = next(method for method in methods if method.name == name)
        valid = [f for f, value in method.fields().items() if isinstance(value, float)]
        if field not in valid:
            raise InputError(
                f"--range {text}: {name} has no number {field!r}: valid are "
                f"{', '.join(valid) or 'none at all'}{suggestion(field, valid)}"
            )
        for end in ends:
            require(end, field_types(method.cls)[field], f"--range {text}: {name}.{field}")
        ranges.setdefault(name, {})[field] = ends
    return ranges
