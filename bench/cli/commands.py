"""The commands: some compute (run, eval, tune, front, verify), the others read finished runs."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.cli.clean import clean_command as clean_command
from bench.cli.export import export_command as export_command
from bench.cli.figures import figures_command as figures_command
from bench.cli.listing import described, listed
from bench.cli.page import page_command as page_command
from bench.cli.show import show_command as show_command
from bench.cli.verify import verify_command as verify_command
from bench.face.computation import Finished, catalogue_of, complain
from bench.face.fronts import finished_front
from bench.face.options import Options
from bench.face.runs import finished_eval, finished_run, write_leaderboard
from bench.face.tuning import finished_tune
from bench.parsing import resolve
from bench.scheduling.report import standing
from bench.store.results import Store, require_folder
from bench.store.run_files import RunFiles
from leaderboard.figures.optional import HINT, ratios_to_svg
from leaderboard.files import FORMATS
from leaderboard.pairs import pairs_of, pairs_to_markdown
from leaderboard.ratios import ratios, ratios_to_csv, ratios_to_markdown
from leaderboard.rows import read_judged, read_rows
from relu.errors import InputError


def run_command(options: Options) -> int:
    """Trains, judges, prints the leaderboard; 0, or 1 where a job failed or evidence conflicts."""
    return _shown(finished_run(options), *_places(options.out))


def eval_command(options: Options) -> int:
    """Judges a checkpoint like a network of our own; as `run_command`."""
    return _shown(finished_eval(options), *_places(options.out))


def tune_command(options: Options) -> int:
    """Tries a method's settings on held-out training images, prints the trials and the choice."""
    return _shown(finished_tune(options), f"trials and choice: {options.out}/tune.md, .csv, .json")


def front_command(options: Options) -> int:
    """Searches the fronts on held-out images, judges them on the test set, prints them."""
    return _shown(finished_front(options), f"fronts: {options.out}/front.md, .csv, .svg")


def _shown(finished: Finished | None, *places: str) -> int:
    """Prints what came of a computation, and where it is; its status."""
    if finished is None:
        return 0
    print(finished.text, end="")
    for place in places:
        print(place, file=sys.stderr)
    return finished.status


def _places(out: str) -> tuple[str, str]:
    return (
        f"leaderboard and evidence: {out}",
        f"what each evaluator decided: {out}/attribution.md",
    )


def leaderboard_command(options: Options) -> int:
    """Prints the rows of finished runs, and writes them where asked; nothing is computed anew."""
    folders = [Path(folder) for folder in options.runs]
    target = _drawn_into(options.out, folders)
    draw = FORMATS[resolve(options.format, dict.fromkeys(FORMATS, ()), "format")]
    rows = read_rows(folders)
    if target is not None:
        Store(target).prepare()
        write_leaderboard(RunFiles(target), rows)
    print(draw(rows), end="")
    return complain(rows)


def _drawn_into(out: str | None, folders: Sequence[Path]) -> Path | None:
    """The folder for a redrawn leaderboard, None where it is only printed. Raises InputError."""
    if out is None:  # an archive is only printed
        return folders[0] if len(folders) == 1 and os.access(folders[0], os.W_OK) else None
    if out == "":
        raise InputError("--out expects a value, got ''")
    target = Path(out)
    require_folder(target)
    if (target / "run.json").exists() and [target.resolve()] != [f.resolve() for f in folders]:
        raise InputError(f"--out {out!r} holds a run of its own: name another folder")
    return target


def compare_command(options: Options) -> int:
    """Says of every two methods of finished runs whether one beats the other; 0."""
    rows = read_rows([Path(folder) for folder in options.runs])
    pairs = list(pairs_of(rows))
    if not pairs:
        raise InputError(
            "compare expects two methods that were judged on the same inputs under one threat; "
            f"{' and '.join(options.runs)} {'has' if options.runs[1:] == [] else 'have'} none"
        )
    print(pairs_to_markdown(pairs), end="")
    return 0


def ratios_command(options: Options) -> int:
    """How far a run's attacks are from exact radii: a table, all ratios, a figure; 0."""
    folder = Path(options.run)
    wanted = [catalogue_of(options).find("evaluator", e).name for e in options.eval or ()]
    curves = ratios(read_judged(folder), wanted)
    if not curves:
        who = f"{' or '.join(wanted)} has" if wanted else "any evaluator has"
        raise InputError(
            f"{options.run!r} has no input with an exact radius of which {who} a witness: "
            "evaluators without a cascade see all inputs (run --no-cascade --eval region,...)"
        )
    print(ratios_to_markdown(curves), end="")
    files = RunFiles(folder)
    figure = ratios_to_svg(curves)
    files.save_text("ratios.csv", ratios_to_csv(curves))
    files.save_text("ratios.svg", figure)
    kept = "ratios.csv, .svg" if figure else f"ratios.csv ({HINT})"
    print(f"all ratios: {options.run}/{kept}", file=sys.stderr)
    return 0


def status_command(options: Options) -> int:
    """Shows how the runs on a folder stand; 0."""
    root = Path(options.run)
    print(standing(root), end="")
    return 0


def list_command(options: Options) -> int:
    """Shows what --methods, --eval, --dataset, --arch, --set and --suite accept."""
    catalogue = catalogue_of(options)
    print(described(options.name, catalogue) if options.name else listed(catalogue), end="")
    return 0
