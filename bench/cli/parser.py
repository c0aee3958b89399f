"""The command line's options and help texts."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from bench import __version__
from bench.cli import examples
from bench.cli.export_options import add_export
from bench.cli.figures_options import add_figures
from bench.cli.judging_options import add_judging
from bench.cli.page_options import add_page
from bench.cli.show_options import add_show
from bench.cli.verify_options import add_verify
from bench.face.options import Options
from bench.face.suites import suites
from bench.parsing import suggestion
from relu.errors import InputError

NAME = "relu-bench"


class Parser(argparse.ArgumentParser):
    """argparse with our one-line errors and no silent abbreviations."""

    def __init__(self, **keywords: Any) -> None:
        keywords.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **keywords)

    def error(self, message: str) -> NoReturn:
        near = ""
        if message.startswith("unrecognized arguments: --"):
            option = message.split()[2].partition("=")[0]
            near = suggestion(option, sorted(self.options() - {option}))  # another command's
        if message.endswith("expected one argument"):  # argparse takes it for an option
            near = "; a value that begins with - needs an equals sign, as --box=-1,2"
        raise InputError(f"{message}{near} ({self.prog} --help lists all options)")

    def options(self) -> set[str]:
        """All options of this parser and of its commands."""
        options = set()
        for action in self._actions:
            options |= set(action.option_strings)
            if isinstance(action.choices, dict):
                options |= {o for command in action.choices.values() for o in command.options()}
        return options


def parsed(arguments: Sequence[str] | None, prog: str = "python -m bench") -> Options:
    """What arguments, those of the process by default, ask for. Raises InputError."""
    return make_parser(prog).parse_args(arguments, Options())


def make_parser(prog: str = "python -m bench") -> Parser:
    """The parser of all commands, under the name that the user typed."""
    parser = Parser(
        prog=prog,
        description="Between which two numbers does a network's robust error lie, and what is "
        "the evidence?",
    )
    say = parser.add_argument
    say("--version", action="version", version=__version__, help="print the version, and exit")
    say("--name", action="version", version=NAME, help="print the verifier's name, and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (_add_run, _add_tune, _add_front, _add_eval, add_verify):
        add(commands)
    for add in (_add_leaderboard, add_page, add_show, _add_compare, _add_ratios, add_figures):
        add(commands)
    add_export(commands)
    _add_others(commands)
    return parser


def _add_run(commands: Any) -> None:
    run = _command(
        commands, "run", "train networks, judge them, print the leaderboard", examples.RUN
    )
    run.add_argument("--methods", metavar="A,B", help="training methods, e.g. plain,at (see: list)")
    run.add_argument(
        "--suite",
        metavar="FILE",
        help="take options from a TOML file, or from a "
        f"suite by name ({', '.join(suites())}); options given here win",
    )
    run.add_argument("--seeds", metavar="0,1,2", help="one training each (default: 0)")
    run.add_argument("--epochs", metavar="N", help="passes over the training set (default: 100)")
    _add_inputs(run)
    add_judging(run)


def _add_tune(commands: Any) -> None:
    tune = _command(
        commands, "tune", "choose a method's settings on held-out training images", examples.TUNE
    )
    tune.add_argument("--method", metavar="NAME", required=True, help="one method (see: list)")
    tune.add_argument(
        "--held-out",
        metavar="SHARE",
        default="0.1",
        help="of each class's training images, judged in the test set's place and not trained on "
        "(default: 0.1)",
    )
    tune.add_argument("--seeds", metavar="0,1,2", help="whose mean decides (default: 0)")
    tune.add_argument("--epochs", metavar="N", help="passes over the training set (default: 100)")
    add_judging(
        tune,
        points="judge N of the held-out images (default: 1000, or all of fewer)",
        grid=(
            "FIELD=V,W",
            "a field of the method, or of the training, and the values to try, e.g. "
            "weight=0.1,0.5 or train.lr=1e-3,1e-4; may be repeated, and all are crossed",
        ),
    )


def _add_front(commands: Any) -> None:
    front = _command(
        commands,
        "front",
        "search methods' fronts of clean against robust error",
        examples.FRONT,
    )
    front.add_argument("--methods", metavar="A,B", help="training methods (see: list)")
    front.add_argument(
        "--trials", metavar="N", default="20", help="trainings per method and seed (default: 20)"
    )
    front.add_argument(
        "--range",
        metavar="NAME.FIELD=LOW:HIGH",
        action="append",
        default=[],
        help="search this setting of a method in place of its own trade-off, e.g. "
        "mtl_ibp.alpha=0.01:1; may be repeated",
    )
    front.add_argument(
        "--held-out",
        metavar="SHARE",
        default="0.1",
        help="of each class's training images, which choose and are not trained on (default: 0.1)",
    )
    front.add_argument("--seeds", metavar="0,1,2", help="of each trial (default: 0)")
    front.add_argument("--epochs", metavar="N", help="passes over the training set (default: 100)")
    add_judging(front)


def _add_eval(commands: Any) -> None:
    judge = _command(commands, "eval", "judge a network trained elsewhere", examples.EVAL)
    judge.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="its weights (.safetensors, .pt, .pth, .npz, .mat), or the network whole (.onnx); no "
        "code in them is ever executed",
    )
    judge.add_argument(
        "--member",
        metavar="N",
        help="which of the networks in it, where several fit, counted from 1; they are listed "
        "where this is missing",
    )
    for name, what in (("mean", "mean"), ("std", "standard deviation")):
        judge.add_argument(
            f"--{name}",
            metavar="A,B,C",
            help=f"the {what} of each channel, or of all, where the network was trained on "
            "(pixels - mean) / std (default: what the file says, else none)",
        )
    _add_inputs(judge)
    judge.add_argument("--name", help="what the leaderboard calls it (default: the file's name)")
    add_judging(
        judge,
        dataset="that it is for (needed, but with --data FILE.npz)",
        arch="its own (needed, but for ONNX files)",
    )


def _add_inputs(parser: Parser) -> None:
    parser.add_argument(
        "--inputs",
        metavar="FILE",
        help="judge these in place of the first test inputs: an npz of images x and labels y, or a "
        "CSV with a header line whose first column numbers test inputs from 0; its column label is "
        "compared with the data set's, and eps, in either, is a radius for each input",
    )


def _add_leaderboard(commands: Any) -> None:
    draw = _command(
        commands,
        "leaderboard",
        "redraw or merge the leaderboards of finished runs",
        examples.LEADERBOARD,
    )
    draw.add_argument("runs", metavar="RUN", nargs="+", help="a run folder (--out of a run)")
    draw.add_argument(
        "--out",
        metavar="DIR",
        help="where to write leaderboard.md, .csv and .json "
        "(default: into the run folder; several runs are only printed)",
    )
    draw.add_argument(
        "--format",
        metavar="NAME",
        default="markdown",
        help="print it as markdown, csv (the table's cells), json (rows in full precision) or "
        "latex (default: markdown)",
    )


def _add_compare(commands: Any) -> None:
    pair = _command(
        commands, "compare", "say which of two methods is better, and how surely", examples.COMPARE
    )
    pair.add_argument("runs", metavar="RUN", nargs="+", help="a run folder (--out of a run)")


def _add_ratios(commands: Any) -> None:
    far = _command(
        commands, "ratios", "show how far a run's attacks are from exact radii", examples.RATIOS
    )
    far.add_argument("run", metavar="RUN", help="a run folder (--out of a run)")
    far.add_argument(
        "--eval",
        metavar="A,B",
        type=lambda text: text.split(","),
        help="these evaluators (default: all with witnesses)",
    )
    far.add_argument(
        "--plugin",
        metavar="FILE",
        action="append",
        default=[],
        help="where --eval names an evaluator of yours",
    )


def _add_others(commands: Any) -> None:
    status = _command(
        commands,
        "status",
        "show how a run stands, from any shell",
        examples.STATUS,
    )
    status.add_argument("run", metavar="RUN", help="a run folder (--out of a run)")
    clean = _command(
        commands, "clean", "list and remove what no record of a run folder names", examples.CLEAN
    )
    clean.add_argument("run", metavar="RUN", help="a run folder (--out of a run)")
    clean.add_argument("--remove", action="store_true", help="remove it (default: only list it)")
    show = _command(
        commands, "list", "show methods, evaluators, data sets, architectures", examples.LIST
    )
    show.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help="a method or an evaluator, or train: what it is, and what its settings mean",
    )
    show.add_argument(
        "--plugin",
        metavar="FILE",
        action="append",
        default=[],
        help="also show this file's method or evaluator",
    )


def _command(commands: Any, name: str, summary: str, epilog: str) -> Parser:
    command: Parser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=epilog
    )
    return command
