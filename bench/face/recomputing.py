"""The command that computes a row anew: what was chosen for it, as options."""

import shlex
from collections.abc import Iterator
from typing import Any

from bench.plan.networks import usual_settings
from bench.plugins.catalogue import Catalogue
from bench.plugins.training import Training
from bench.store.run_record import CellRecord
from leaderboard.row import Row
from relu.threat import GIVEN, Threat

BARE = "train."


def command_of(row: Row, catalogue: Catalogue) -> str:
    """`python -m bench run` with what tells the row from one of the usual settings.

    Of a network that was not trained here it is `eval`, and the file is left to say. Settings of
    plugins that are not at hand are all said.
    """
    head = ["run", "--methods", row.method]
    if row.seed is None:
        head = ["eval", "CHECKPOINT", "--name", row.label]
    words = ["python", "-m", "bench", *head, "--dataset", row.dataset, "--arch", row.arch]
    trained = row.trained
    own = trained is None or Threat.from_json(trained) == row.threat
    asked = row.threat if own or trained is None else Threat.from_json(trained)
    words += ["--norm", asked.norm]
    words += [] if row.printed_eps == GIVEN else ["--eps", repr(asked.radii)]
    words += [f"--box={row.box}"] if row.box != CellRecord.box else []
    words += [] if own else ["--judge", f"{row.norm}={row.eps!r}"]
    words += ["--points", str(row.points)]
    words += [] if row.seed is None else ["--seeds", str(row.seed)]
    words += ["--inputs", str(row.settings["inputs"])] if "inputs" in row.settings else []
    words += ["--eval", ",".join(row.evaluator_labels)]
    words += [] if row.cascade else ["--no-cascade"]
    words += [word for text in _settings(row, catalogue) for word in ("--set", text)]
    return shlex.join(words)


def _settings(row: Row, catalogue: Catalogue) -> Iterator[str]:
    """As NAME.FIELD=VALUE each, those that are not as usual."""
    usual = _usual(row, catalogue)
    for name, value in row.settings.items():
        if name in ("inputs", "train.threat", "train.eps"):
            continue
        if name in usual and _text(usual[name]) == _text(value):
            continue
        head, _, _ = name.partition(".")
        if name.startswith(BARE):
            yield f"{name}={_text(value)}"
        elif head in row.evaluator_labels:
            yield f"evaluators.{name}={_text(value)}"
        else:
            yield f"methods.{row.method}.{name}={_text(value)}"


def _usual(row: Row, catalogue: Catalogue) -> dict[str, Any]:
    """What the settings of such a row are where nobody asks for others."""
    usual: dict[str, Any] = {}
    threat = row.threat.widest
    for name in row.evaluator_labels:
        if name in catalogue.evaluators:
            plugin = catalogue.evaluators[name]
            fields = plugin.fields() | plugin.defaults(row.dataset, row.arch, threat)
            usual |= {f"{name}.{field}": value for field, value in fields.items()}
    if row.method in catalogue.methods and row.seed is not None:
        plugin = catalogue.methods[row.method]
        usual |= {f"train.{name}": value for name, value in Training().to_json().items()}
        usual |= plugin.fields() | usual_settings(plugin, row.dataset, row.arch, threat)
    return usual


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return "none" if value is None else str(value)
