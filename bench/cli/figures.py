"""`figures`: the paper's figures, and others, of finished runs."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.face.options import Options
from bench.face.reading import row_data
from bench.parsing import resolve, split, whole_number
from bench.store.results import Store, require_folder
from bench.store.run_files import replace_all
from leaderboard.figures.optional import FIGURES, TOY, require_matplotlib
from leaderboard.figures.runs import Runs
from relu.errors import InputError

FOLDER = "figures"  # inside the run folder


def figures_command(options: Options) -> int:
    """Draws what the runs have data for, and says why each other figure is left out; 0."""
    names = _names(options)
    inputs = [whole_number(text, "--input", 0) for text in _parts(options.input, "--input")]
    target = _target(options)
    require_matplotlib()
    from leaderboard.figures.catalogue import drawn, toy_files

    of_runs = [name for name in names if name != TOY]
    done = drawn(_runs(options, inputs), of_runs, inputs) if of_runs else None
    files = (done.files if done else {}) | (toy_files() if TOY in names else {})
    left_out = [f"{what}: {why}" for what, why in done.left_out.items()] if done else []
    if not files:
        raise InputError(f"nothing can be drawn: {'; '.join(left_out)}")
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    replace_all(target, files)
    stems = dict.fromkeys(name.rpartition(".")[0] for name in files)
    print(f"{', '.join(stems)}: in {target}, as .svg and .pdf", file=sys.stderr)
    return 0


def _names(options: Options) -> list[str]:
    """The figures that are asked for, else all that are about runs. Raises InputError."""
    texts = _parts(options.only, "--only")
    names = [resolve(text, FIGURES, "figure") for text in texts]
    chosen = list(dict.fromkeys(names)) or [name for name in FIGURES if name != TOY]
    if not options.runs and chosen != [TOY]:
        raise InputError(f"figures expects a run folder; only {TOY} needs none")
    return chosen


def _parts(text: str | None, where: str) -> list[str]:
    return [] if text is None else split(text, where, empty=False)


def _target(options: Options) -> Path:
    """The folder that figures are written into. Raises InputError where none is named."""
    if options.out == "":
        raise InputError("--out expects a value, got ''")
    if options.out is None and len(options.runs) != 1:
        several = "several runs" if options.runs else "no run"
        raise InputError(f"figures of {several} need --out DIR, where they are written")
    target = Path(options.out) if options.out else Path(options.runs[0]) / FOLDER
    require_folder(target)
    return target


def _runs(options: Options, inputs: Sequence[int]) -> Runs:
    """What is drawn from. Raises InputError for runs, methods and inputs that are none."""
    data = row_data(options)
    runs = Runs(
        [Store(Path(run)) for run in options.runs], data, _parts(options.method, "--method")
    )
    if not runs.rows:
        raise InputError(f"{' and '.join(options.runs)}: no network is judged yet")
    for row in runs.missing:
        print(f"left out: {row.label} on {row.dataset}: not judged yet", file=sys.stderr)
    runs.require_inputs(inputs)
    return runs
