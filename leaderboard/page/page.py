"""The page of finished runs: everything that they say, in one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.store.provenance import bench_version
from bench.store.results import Store
from leaderboard.board.data import RowData
from leaderboard.board.inputs import CLEAN
from leaderboard.comparison import beside
from leaderboard.page.charts import PANELS, Chart, charts
from leaderboard.page.deciders import ATTRIBUTED, attribution, costs, decided
from leaderboard.page.downloads import bibtex, downloads
from leaderboard.page.drawing import require_drawing
from leaderboard.page.packing import packed, script_json
from leaderboard.page.pictures import BUDGET, Album
from leaderboard.page.provenance import (
    common_settings,
    own_settings,
    row_facts,
    run_facts,
    show_command,
)
from leaderboard.page.subjects import Subject, read_subjects
from leaderboard.page.table import COLUMNS, FILTERS, choices, lines
from leaderboard.published import QUANTITIES
from relu.errors import InputError

ASSETS = Path(__file__).parent / "assets"
STYLES = ("page.css",)
SCRIPTS = ("page.js", "table.js", "charts.js", "packed.js", "inputs.js")
CAPTIONS = {
    "errors": (
        "Clean against robust error",
        "From what attacks reached to what certificates leave open. Dotted: the networks that no "
        "other beats in both test error and the upper bound.",
    ),
    "curve": (
        "Robust error over eps",
        "From the lower to the upper bound, a mean over seeds; the line is the upper one. Dotted: "
        "eps.",
    ),
    "training": (
        "Error on training inputs",
        "Epoch by epoch; dashed: under a short PGD.",
    ),
}


def page_html(stores: Sequence[Store], data: RowData) -> str:
    """The page of these runs, merged: each network is there once. Raises InputError."""
    require_drawing()
    subjects = read_subjects(stores)
    if not subjects:
        raise InputError("the run has no rows yet: there is nothing to show")
    return rendered(
        "page.html",
        **_tables(stores, subjects),
        **_charts(subjects),
        **_inputs(subjects, Album(data=data)),
    )


def rendered(template: str, **values: Any) -> str:
    """A template of the page's with its style and scripts; what is said in it is escaped."""
    environment = Environment(
        loader=PackageLoader("leaderboard.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        css=_asset(*STYLES), js=_asset(*SCRIPTS), version=bench_version(), **values
    )


def _asset(*names: str) -> Markup:
    texts = [(ASSETS / name).read_text(encoding="utf-8") for name in names]
    return Markup("\n".join(texts))


def _tables(stores: Sequence[Store], subjects: Sequence[Subject]) -> dict[str, Any]:
    table = lines(subjects)
    common = common_settings(subjects)
    offered = choices(table)
    shared = {key: values[0] for key, values in offered.items() if len(values) == 1}
    return {
        "folders": [str(store.root) for store in stores],
        "columns": COLUMNS,
        "lines": table,
        "shown": {column.key for column in COLUMNS if column.shown} - shared.keys(),
        "shared": [f"{FILTERS[key]} {value}" for key, value in shared.items()],
        "filters": {key: title for key, title in FILTERS.items() if key not in shared},
        "choices": offered,
        "decided": decided(subjects),
        "costs": costs(subjects),
        "attribution": attribution(subjects),
        "attributed": ATTRIBUTED,
        "published": beside([subject.row for subject in subjects]),
        "quantities": {name: quantity.header for name, quantity in QUANTITIES.items()},
        "common": common,
        "own": [(s, own_settings(s, common), row_facts(s)) for s in subjects],
        "runs": [(str(store.root), run_facts(store)) for store in stores],
        "bibtex": bibtex(bench_version()),
        "downloads": script_json(downloads(subjects)),
    }


def _charts(subjects: Sequence[Subject]) -> dict[str, Any]:
    panels: dict[str, list[Chart]] = {}
    for chart in charts(subjects):
        panels.setdefault(chart.title, []).append(chart)
    there = max(subject.panel for subject in subjects) + 1
    return {"panels": panels, "captions": CAPTIONS, "undrawn": max(0, there - PANELS)}


def _inputs(subjects: Sequence[Subject], album: Album) -> dict[str, Any]:
    """The numbers and pictures of all inputs, for the scripts."""
    judged = [subject for subject in subjects if subject.judged is not None]
    evaluators = {n: label for s in subjects for n, label in s.row.evaluator_labels.items()}
    names = [CLEAN, *evaluators]
    blocks = []
    about = {}
    for subject in judged:
        said, columns = packed(subject, names)
        pictures = album.of(subject, BUDGET // len(judged))
        blocks.append((subject.number, columns, script_json(pictures)))
        about[subject.number] = said | {
            "label": subject.label,
            "threat": str(subject.row.threat),
            "dataset": subject.row.dataset,
            "folder": str(subject.store.root) if subject.store else "",
            "command": show_command(subject, subjects),
        }
    labels = ["misclassified as it is", *evaluators.values()]
    return {
        "blocks": blocks,
        "inputs": script_json({"rows": about, "evaluators": labels}),
        "images": script_json(album.images),
        "missing": album.missing,
    }
