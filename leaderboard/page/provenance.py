"""With what rows were made: settings, versions, keys, and the commands that show their inputs."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from bench.store.results import Store
from bench.store.run_files import read_run
from leaderboard.page.subjects import Subject, printed_eps

TOLD = ("seed", "dataset", "arch", "norm", "eps")
"""columns that tell rows of one method apart, in the order in which they are tried"""


def common_settings(subjects: Sequence[Subject]) -> dict[str, str]:
    """The settings that are the same in all rows, by name."""
    first, *others = [subject.row.settings for subject in subjects]
    return {
        name: str(value)
        for name, value in sorted(first.items())
        if all(name in other and other[name] == value for other in others)
    }


def own_settings(subject: Subject, common: Mapping[str, str]) -> dict[str, str]:
    """A row's settings that are not those of all."""
    settings = sorted(subject.row.settings.items())
    return {name: str(value) for name, value in settings if name not in common}


def run_facts(store: Store) -> dict[str, str]:
    """Where and with what a run was computed, as its folder says. Raises InputError."""
    said = read_run(store.root).provenance
    versions = said.get("versions", {})
    facts = {
        "relu-bench": said.get("bench"),
        "commit": said.get("commit"),
        "Python": said.get("python"),
        "platform": said.get("platform"),
        "device": said.get("device"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return {name: str(value) for name, value in facts.items() if value}


def row_facts(subject: Subject) -> dict[str, str]:
    """What tells the row's network and data from all others."""
    row = subject.row
    facts = {
        "network": row.network,
        "weights": row.weights,
        **{f"{part} data": digest for part, digest in row.data.items()},
        "box": row.box if row.box != "0.0,1.0" else None,
        "trained for": _threat(row.trained),
    }
    return {name: str(value) for name, value in facts.items() if value}


def show_command(subject: Subject, subjects: Sequence[Subject]) -> str:
    """The command that shows an input of the row anew, up to the input's number.

    Where others have the row's method, what else tells it from them is said, too.
    """
    folder = str(subject.store.root) if subject.store else "RUN"
    words = ["python", "-m", "bench", "show", folder, "--method", subject.row.method]
    others = [o for o in subjects if o.row.method == subject.row.method and o is not subject]
    for name in TOLD:
        own = _said(subject, name)
        if own and any(_said(other, name) != own for other in others):
            words += [f"--{name}", own]
            others = [other for other in others if _said(other, name) == own]
    return f"{shlex.join(words)} --input "


def _said(subject: Subject, name: str) -> str:
    value = printed_eps(subject.row) if name == "eps" else getattr(subject.row, name)
    return "" if value is None else str(value)


def _threat(trained: Mapping[str, Any] | None) -> str | None:
    return f"{trained.get('norm')} {trained.get('eps')}" if trained else None
