"""What `import bench` offers: run, read and judge."""

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from os import fspath
from pathlib import Path as Folder
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor, nn

from bench.face.evaluators import named_evaluators
from bench.face.keywords import Assignments, Names, Numbers, Path, assignments, paths, said, text
from bench.face.options import Options
from bench.face.reading import row_data
from bench.face.runs import finished_run
from bench.parsing import parse_norm, split
from bench.pipeline.judging import judge_inputs
from bench.plugins.catalogue import Catalogue, Plugin
from bench.plugins.discovery import discover
from bench.plugins.settings import parse_overrides
from bench.store.results import Store
from leaderboard.board.board import Board
from leaderboard.board.inputs import input_frame
from leaderboard.rows import Judged
from relu.errors import InputError
from relu.threat import Threat

RENAMED = {"eval": "evaluators"}  # options whose names are Python's own
RENAMED_BACK = {keyword: option for option, keyword in RENAMED.items()}
OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")


def run(
    methods: Names | None = None,
    *,
    evaluators: Names | None = None,
    dataset: Names | None = None,
    arch: Names | None = None,
    norm: Names | None = None,
    eps: Numbers | None = None,
    box: str | Sequence[float] | None = None,
    judge: str | Mapping[str, float] | None = None,
    points: int | Literal["all"] | None = None,
    seeds: str | int | Sequence[int] | None = None,
    epochs: int | None = None,
    set: Assignments | None = None,
    grid: Assignments | None = None,
    suite: Path | None = None,
    only: Mapping[str, Names] | Sequence[str] | None = None,
    inputs: Path | None = None,
    no_cascade: bool = False,
    data: Path | None = None,
    plugin: Path | Sequence[Path] | None = None,
    out: Path = "run",
    engine: str = "local",
    address: str | None = None,
    cpus: int | None = None,
    workers: int | None = None,
    gpus: str | int | Sequence[int] = "auto",
    jobs_per_gpu: int = 1,
    reproducible: bool = False,
    timeout: float | None = 86400,
    dry_run: bool = False,
) -> Board:
    """Trains networks, judges them, and gives the board of the run folder `out`.

    As `python -m bench run`, whose long options these keywords are, with _ for - (and `evaluators`
    for --eval); lists stand for what is between commas, mappings for NAME.FIELD=VALUE. What is in
    `out` already is not computed again. With dry_run what would be done is printed, and the board
    is empty. Jobs that fail are warned of, and stand in the notes of their rows. Raises InputError.
    """
    options = _options(locals())
    with _in_keywords():
        finished = finished_run(options)
    if finished is not None and finished.status:
        warnings.warn("not all is well with this run: see the notes of its rows", stacklevel=2)
    return _board([] if finished is None else [options.out], options)


def _options(keywords: Mapping[str, Any]) -> Options:
    """What the keywords of `run` ask for, as texts. Raises InputError."""
    lists: Mapping[str, list[str]] = {
        "set": assignments(keywords["set"], "set"),
        "grid": assignments(keywords["grid"], "grid"),
        "only": _only(keywords["only"]),
        "plugin": paths(keywords["plugin"]),
    }
    none = {name: said(keywords[name], name, "none") for name in ("gpus", "timeout")}
    switches = {name: value for name, value in keywords.items() if isinstance(value, bool)}
    texts = {
        RENAMED_BACK.get(name, name): text(value, name)
        for name, value in keywords.items()
        if name not in {*lists, *none, *switches}
    }
    return Options(**texts, **lists, **none, **switches)


def read(
    *runs: Path,
    plugin: Path | Sequence[Path] | None = None,
    data: Path | None = None,
    inputs: Path | None = None,
) -> Board:
    """The board of finished runs; several are merged, and each network is there once.

    plugin: files with architectures and data sets of yours, where `network` and `image` need them;
    data: where data sets are (default: $BENCH_DATA); inputs: the file that the runs judged, if they
    did. Raises InputError for a folder that holds no run.
    """
    if not runs:
        raise InputError("read expects one or more run folders")
    options = Options(plugin=paths(plugin), data=text(data, "data"), inputs=text(inputs, "inputs"))
    return _board([fspath(run) for run in runs], options)


def judge(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float | Sequence[float],
    norm: str = "linf",
    box: tuple[float, float] = (0.0, 1.0),
    evaluators: Names = "all",
    set: Assignments | None = None,
    plugin: Path | Sequence[Path] | None = None,
) -> pd.DataFrame:
    """Judges inputs of any torch module of ReLUs, a line for each, without a run folder.

    net: from images x of shape (n, ...), pixels in `box`, to logits; y: labels (n). eps: in pixel
    units, of all inputs or of each. set: settings of evaluators, {"bab.seconds": 60}.

    The columns are those of `Board.inputs` that are about an input, but for keys, and `witness`:
    its nearest adversarial input, None where there is none. Who does not judge the network, and
    why, is warned of. Raises InputError.
    """
    threat = Threat(norm=parse_norm(norm), eps=_radii(eps, len(x)), box=box)
    catalogue = discover([Folder(file) for file in paths(plugin)])
    with _in_keywords():
        asked = _evaluators(evaluators, set, catalogue)
    x, y = _inputs(net, x, y, threat)
    done = judge_inputs(net, x, y, threat=threat, evaluators=asked)
    for name, why in done.refusals.items():
        warnings.warn(f"{name} judges none of these inputs: {why}", stacklevel=2)
    judged = Judged(
        test_error=1 - float(done.clean["correct"].mean()),
        clean=done.clean,
        evidence=done.evidence,
        parts={name: {"": table} for name, table in done.evidence.items()},
        verdict=done.verdict,
        held={},
    )
    for contradiction in judged.verdict.contradictions:
        warnings.warn(f"CONTRADICTION: {contradiction}", stacklevel=2)
    frame = input_frame(judged, threat.radii).drop(columns=["low_key", "high_key"])
    missing = done.witness.flatten(1).isnan().all(1)
    frame["witness"] = [None if gone else w for w, gone in zip(done.witness, missing, strict=True)]
    return frame


def _radii(eps: float | Sequence[float], count: int) -> float | Tensor:
    if isinstance(eps, int | float):
        return float(eps)
    radii = torch.as_tensor(eps, dtype=torch.float64).cpu()
    if radii.shape not in ((), (count,)):
        raise InputError(f"eps expects a radius, or one for each of {count} inputs")
    return float(radii) if radii.ndim == 0 else radii


def _evaluators(
    names: Names, settings: Assignments | None, catalogue: Catalogue
) -> list[tuple[Plugin, Mapping[str, Any]]]:
    """Evaluators, and the settings of theirs that are not as usual. Raises InputError."""
    texts = split(text(names, "evaluators"), "evaluators", empty=False)
    chosen = named_evaluators(texts, catalogue)
    there = {"method": (), "evaluator": [plugin.name for plugin in chosen]}
    overrides = parse_overrides(assignments(settings, "set"), catalogue, there)
    return [(plugin, overrides.get(("evaluator", plugin.name), {})) for plugin in chosen]


def _inputs(net: nn.Module, x: Tensor, y: Tensor, threat: Threat) -> tuple[Tensor, Tensor]:
    """The inputs, checked: images in the box, and a label of the network's for each."""
    if x.ndim < 2 or not x.is_floating_point() or not len(x):
        raise InputError(f"x expects float images (n, ...), got {x.dtype} {tuple(x.shape)}")
    if not bool(threat.in_box(x).all()):
        low, high = threat.box
        raise InputError(f"x expects pixels in [{low:g}, {high:g}], as box says; there are others")
    if y.shape != x.shape[:1] or y.is_floating_point():
        raise InputError(f"y expects {len(x)} whole numbers, got {y.dtype} {tuple(y.shape)}")
    parameter = next(net.parameters(), x)
    if x.dtype != parameter.dtype:
        raise InputError(
            f"x expects images of the network's type, {parameter.dtype}: got {x.dtype}"
        )
    with torch.no_grad():
        logits = net(x[:1].to(parameter.device))
    if not 0 <= int(y.min()) <= int(y.max()) < logits.shape[-1]:
        raise InputError(f"y expects labels from 0 to {logits.shape[-1] - 1}")
    return x.detach(), y.detach().long()


def _only(only: Mapping[str, Names] | Sequence[str] | None) -> list[str]:
    """{"dataset": ["mnist", "gts"]} as ["dataset=mnist", "dataset=gts"]."""
    if not isinstance(only, Mapping):
        return assignments(only, "only")
    pairs = ((key, [names] if isinstance(names, str) else names) for key, names in only.items())
    return [f"{key}={name}" for key, names in pairs for name in names]


def _board(folders: Sequence[str], options: Options) -> Board:
    return Board([Store(Folder(folder)) for folder in folders], row_data(options))


@contextlib.contextmanager
def _in_keywords() -> Iterator[None]:
    """Errors that speak of options speak of keywords."""
    try:
        yield
    except InputError as error:
        raise InputError(OPTION.sub(_keyword, str(error))) from error


def _keyword(option: re.Match[str]) -> str:
    name = option[1].replace("-", "_")
    return RENAMED.get(name, name)
