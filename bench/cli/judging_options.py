"""The options about what is judged, and by whom; requests.py reads what they say."""

import argparse

from bench.cli.running_options import add_running
from bench.data.sources import SOURCES
from relu.network.architectures import ARCHITECTURES


def add_judging(
    parser: argparse.ArgumentParser,
    *,
    dataset: str = "(default: digits, or the one that --data is)",
    arch: str = "(default: the data set's)",
    points: str = "judge the first N test inputs, or all (default: 1000, or all of a smaller set)",
    grid: tuple[str, str] = (
        "NAME.FIELD=V,W",
        "as --set with several values, e.g. mmr.weight=0.1,0.5: a row for each; may be "
        "repeated, and all are crossed",
    ),
) -> None:
    """Adds who judges, on which cells, with which settings, from and to where."""
    add = parser.add_argument
    add("--eval", metavar="A,B", help="evaluators, or all (default: all)")
    add_cells(parser, dataset=dataset, arch=arch, points=points)
    add(
        "--set",
        metavar="NAME.FIELD=VALUE",
        action="append",
        default=[],
        help="change a setting of a method, an evaluator or the training, e.g. at.steps=7, "
        "evaluators.pgd.restarts=5, train.lr=1e-4; may be repeated (see: list)",
    )
    add("--grid", metavar=grid[0], action="append", default=[], help=grid[1])
    add(
        "--no-cascade",
        action="store_true",
        help="let every evaluator work on all inputs, as if it ran alone (for timing studies)",
    )
    add(
        "--data",
        metavar="PLACE",
        help="a folder with data sets, as NAME.npz or in torchvision's layout, or an npz file of "
        "images of yours: x_train, y_train, x_test, y_test, or x and y (default: $BENCH_DATA)",
    )
    add(
        "--out",
        metavar="DIR",
        default="run",
        help="the run folder: leaderboard, networks and all evidence (default: run)",
    )
    add(
        "--plugin",
        metavar="FILE",
        action="append",
        default=[],
        help="a Python file with a method, an evaluator, an architecture or a data set of yours; "
        "may be repeated",
    )
    add_running(parser)


def add_cells(parser: argparse.ArgumentParser, *, dataset: str, arch: str, points: str) -> None:
    """Adds the options that say which cells, with what their defaults are."""
    add = parser.add_argument
    add(
        "--dataset",
        metavar="NAME",
        help=f"{', '.join(SOURCES)} {dataset}",
    )
    add(
        "--arch",
        metavar="NAME",
        help=f"{', '.join(ARCHITECTURES)}, or fc:500-200 for dense layers of these widths {arch}",
    )
    add("--norm", metavar="NORM", help="of the perturbation: linf, l2 or l1 (default: linf)")
    add(
        "--eps",
        metavar="EPS",
        help="its radius in pixel units, e.g. 0.1 or 4/255 (default: the data set's)",
    )
    add(
        "--box",
        metavar="LOW,HIGH",
        help="what pixels may be changed to (default: 0,1); some published numbers allow "
        "anything, which is --box=-1,2",
    )
    add(
        "--judge",
        metavar="NORM=EPS,...",
        help="judge each network under all of these, whatever it was trained for, and under their "
        "union, e.g. l1=1,linf=0.1,l2=0.3 (default: what it was trained for)",
    )
    add("--points", metavar="N", help=points)
    add(
        "--only",
        metavar="KEY=NAME",
        action="append",
        default=[],
        help="keep these cells of what is crossed, e.g. dataset=mnist,arch=fc1; keys are dataset, "
        "arch, norm and method; may be repeated: names of one key add up",
    )
