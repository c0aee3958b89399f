"""`tune`: options become a search, and its choice becomes a command line."""

import contextlib
import dataclasses
import shlex
from collections.abc import Sequence

from bench.data.holdout import parse_share
from bench.face.cell_filter import keep
from bench.face.computation import Finished, catalogue_of, complain, computed, rows_of
from bench.face.options import Options
from bench.face.requests import make_request
from bench.face.run_options import parse_run_options
from bench.parsing import resolve, suggestion
from bench.plan.request import Request
from bench.plugins.catalogue import Catalogue, Plugin
from bench.plugins.nested_settings import field_types
from bench.plugins.training import Training
from bench.search.tune import Search, Trial, make_trials, ranked
from bench.store.run_files import TUNE
from leaderboard.row import Row
from leaderboard.trials import search_record, search_to_markdown, trials_to_csv
from relu.errors import InputError

CARRIED = ("eps", "box", "epochs", "seeds", "eval", "data", "out")  # go on to `run` as given


def finished_tune(options: Options) -> Finished | None:
    """Tries settings on held-out images; None where only a forecast was asked for. InputError."""
    running = parse_run_options(options)
    catalogue = catalogue_of(options)
    search = make_search(options, catalogue)
    done = computed(keep([search.request], options.only, catalogue), catalogue, running, TUNE)
    if done is None:
        return None
    rows = rows_of(done)
    trials = ranked(make_trials(search, rows))
    best = trials[0] if trials[0].whole else None
    run = command(search, best, options, catalogue) if best else None
    text = search_to_markdown(trials, run, share=search.share)
    done.files.save_text("tune.md", text)
    done.files.save_text("tune.csv", trials_to_csv(trials))
    kept = search_record(trials, run, share=search.share)
    done.files.save_run(done.record().to_json() | kept, TUNE)
    status = max(complain(rows), 1 if done.failures or best is None else 0)
    return Finished(text=text, rows=tuple(rows), status=status)


def make_search(options: Options, catalogue: Catalogue) -> Search:
    """The search that options describe. Raises InputError."""
    if "," in options.method:
        raise InputError(f"tune expects one --method, got {options.method!r}: run it for each")
    method = catalogue.find("method", options.method)
    grid = _axes(options.grid, method)
    asked = {"methods": method.name, "grid": [f"{_dotted(method, f)}={v}" for f, v in grid.items()]}
    request = make_request(options.but(**asked), catalogue)
    _require_single(request)
    share = parse_share(options.held_out)
    request = dataclasses.replace(request, held_out=share)
    return Search(request=request, method=method, fields=tuple(grid), share=share)


def _axes(texts: Sequence[str], method: Plugin) -> dict[str, str]:
    """Field, as a row's settings name it, -> the text of its values."""
    if not texts:
        example = next(iter(method.fields()), "train.lr")
        raise InputError(f"tune expects a --grid FIELD=value,value, such as --grid {example}=...")
    axes: dict[str, str] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise InputError(f"--grid expects FIELD=value,value, got {text!r}")
        field = _field(name, method)
        if field in axes:
            raise InputError(f"--grid {field} is given twice: put all its values into one")
        axes[field] = values
    return axes


def _field(name: str, method: Plugin) -> str:
    """The field of the method, or of the training, that a name means."""
    valid = [*method.fields(), *(f"train.{field}" for field in field_types(Training))]
    head, _, rest = name.removeprefix("methods.").partition(".")
    short = name
    with contextlib.suppress(InputError):
        resolve(head, {method.name: method.aliases}, "method")
        short = rest
    for field in (name, short):
        if field in valid:
            return field
    raise InputError(
        f"--grid expects a field of {method.name}, got {name!r}: valid are "
        f"{', '.join(valid)}{suggestion(short, valid)}"
    )


def _require_single(request: Request) -> None:
    if request.judged:
        raise InputError("tune judges networks under what they were trained for: leave out --judge")
    asked = {
        "dataset": request.datasets,
        "arch": request.archs,
        "norm": request.norms,
        "eps": request.eps,
    }
    for option, values in asked.items():
        if len(values) > 1:
            text = ",".join(map(str, values))
            raise InputError(f"tune expects one --{option}, got {text!r}: run it for each")


def _dotted(method: Plugin, field: str) -> str:
    """The field's name for --set and --grid of any run."""
    return f"methods.{method.name}.{field}" if field in method.fields() else field


def command(search: Search, trial: Trial[Row], options: Options, catalogue: Catalogue) -> str:
    """The command line that trains and judges with a trial's settings, now on the test set."""
    row = trial.rows[0]
    values = vars(options)
    words = ["python", "-m", "bench", "run"]
    words += ["--dataset", row.dataset, "--arch", row.arch, "--norm", row.norm]
    words += ["--methods", search.method.name]
    words += [word for name in CARRIED for word in _option(name, values[name])]
    words += ["--no-cascade"] if options.no_cascade else []
    words += [word for plugin in options.plugin for word in ("--plugin", plugin)]
    chosen = [f"{_short(search.method, f, catalogue)}={_text(v)}" for f, v in trial.values.items()]
    words += [word for text in [*chosen, *options.set] for word in ("--set", text)]
    return shlex.join(words)


def _option(name: str, text: str | None) -> list[str]:
    if text is None or (name, text) == ("out", "run"):
        return []
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]


def _short(method: Plugin, field: str, catalogue: Catalogue) -> str:
    """As `_dotted`, in short where no evaluator has the same name."""
    dotted = _dotted(method, field)
    return dotted if method.name in catalogue.evaluators else dotted.removeprefix("methods.")


def _text(value: object) -> str:
    return "none" if value is None else str(value)
