"""`verify` as a person or another program meets it."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench import __version__
from bench.__main__ import main
from bench.jobs.job import Job
from bench.jobs.limited import Died, TimeOver, limited
from bench.jobs.payloads import VerifyPayload
from bench.jobs.verifier import Verifier
from bench.jobs.verify_job import verified
from bench.plan.verifications import verification_jobs
from bench.plugins.catalogue import Catalogue
from relu.errors import InputError
from relu.network.property.vnnlib.instances import read_instances
from tests.onnx_files import save_onnx, tiny_net

pytest.importorskip("onnx")

DECLARED = "".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0", "Y_1", "Y_2"))
BOX = "".join(f"(assert (>= X_{j} -1))\n(assert (<= X_{j} 1))\n" for j in range(2))
EVALUATORS = "pgd,crown,mip"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def _preloaded() -> None:
    Verifier([], {}).preload()


@pytest.fixture
def net(tmp_path: Path) -> nn.Sequential:
    """A network that lies in net.onnx."""
    net = tiny_net(3, 2, 6, 3)
    save_onnx(net, tmp_path / "net.onnx")
    return net


@pytest.fixture
def verify(net: nn.Sequential, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Asks about a property's text; the status, and what was printed on stdout and stderr."""

    def call(text: str, *arguments: str, network: str = "") -> tuple[int, str, str]:
        (tmp_path / "query.vnnlib").write_text(text)
        given = ("--network", network or str(tmp_path / "net.onnx"))
        if not arguments:
            arguments = ("--eval", EVALUATORS, "--timeout", "120")
        status = main(["verify", str(tmp_path / "query.vnnlib"), *given, *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def largest_output(net: nn.Sequential) -> float:
    """Of the first output over a grid: no less than it is anywhere, less 0.1 or so."""
    side = torch.linspace(-1, 1, 201)
    return float(net(torch.cartesian_prod(side, side))[:, 0].amax())


def test_the_verdict_stands_alone_with_the_assignment_below(
    verify: Command, net: nn.Sequential
) -> None:
    bound = largest_output(net) - 0.01
    status, out, err = verify(DECLARED + BOX + f"(assert (>= Y_0 {bound}))")
    assert status == 0, err
    lines = out.splitlines()
    assert lines[0] == "sat"
    values = dict(pair.strip("()").split() for pair in lines[1:])
    assert list(values) == ["X_0", "X_1", "Y_0", "Y_1", "Y_2"]
    x = torch.tensor([float(values["X_0"]), float(values["X_1"])])
    assert bool((x.abs() <= 1).all())
    assert float(net(x)[0]) == pytest.approx(float(values["Y_0"]), abs=1e-5)
    assert float(values["Y_0"]) >= bound


def test_what_no_input_meets_is_unsat(verify: Command, net: nn.Sequential) -> None:
    bound = largest_output(net) + 1
    assert verify(DECLARED + BOX + f"(assert (>= Y_0 {bound}))")[:2] == (0, "unsat\n")


def test_networks_may_have_one_output(verify: Command, tmp_path: Path) -> None:
    net = tiny_net(3, 2, 6, 1)
    save_onnx(net, tmp_path / "one.onnx")
    declared = "".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0"))
    for offset, verdict in ((-0.01, "sat"), (1, "unsat")):
        text = f"{declared}{BOX}(assert (>= Y_0 {largest_output(net) + offset}))"
        status, out, err = verify(text, network=str(tmp_path / "one.onnx"))
        assert (status, out.splitlines()[0]) == (0, verdict), err


def test_version_2_and_the_network_by_its_name(
    verify: Command, net: nn.Sequential, tmp_path: Path
) -> None:
    pytest.importorskip("vnnlib")
    text = (
        "(vnnlib-version <2.0>)\n"
        "(declare-network f (declare-input A float32 [1,2]) (declare-output B float32 [1,3]))\n"
        "(assert (and (>= A[0,0] -1.0) (<= A[0,0] 1.0) (>= A[0,1] -1.0) (<= A[0,1] 1.0)))\n"
        f"(assert (>= B[0,0] {largest_output(net) - 0.01:f}))"
    )
    network = f"f={tmp_path / 'net.onnx'}"
    status, out, _ = verify(text, network=network)
    lines = out.splitlines()
    assert (status, lines[0], lines[1], lines[4]) == (
        0,
        "sat",
        "A float32 [1,2]",
        "B float32 [1,3]",
    )
    assert len(lines) == 8
    status, out, err = verify(text, network=network.replace("f=", "g="))
    assert (status, out) == (2, "")
    assert "--network names 'g'" in err


def test_what_nobody_decides_is_unknown_and_said(verify: Command, net: nn.Sequential) -> None:
    text = DECLARED + BOX + f"(assert (>= Y_0 {largest_output(net) + 1}))"
    status, out, err = verify(text, "--eval", "pgd,cw")
    assert (status, out) == (0, "unknown\n")
    assert "CW: an attack for l2 alone" in err


SLEEPER = """
import time
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True, kw_only=True)
class Sleeper:
    label: ClassVar[str] = "sleeper"
    resource: ClassVar[str] = "cpu"

    def refusal(self, net, threat):
        return None

    def judge(self, net, x, y, *, threat, known):
        print("noise on stdout")
        time.sleep(600)
"""


def test_the_time_limit_is_hard(verify: Command, net: nn.Sequential, tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    text = DECLARED + BOX + f"(assert (>= Y_0 {largest_output(net) + 1}))"
    plugin = str(tmp_path / "sleeper.py")
    started = time.monotonic()
    status, out, _ = verify(text, "--eval", "sleeper", "--plugin", plugin, "--timeout", "8")
    assert (status, out) == (0, "timed-out\n")
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("nonsense", (), "expected (, got 'nonsense'"),
        (DECLARED.replace("X_1", "X_2"), (), "declares X_2, but no X_1"),
        (DECLARED + "(declare-const Y_3 Real)" + BOX, (), "4 outputs, the network 3"),
        (DECLARED + "(declare-const X_2 Real)" + BOX, (), "X_2 has no lower bound"),
        (DECLARED + "(declare-const X_2 Real)" + BOX + BOX.replace("_1", "_2"), (), "3 inputs"),
        (DECLARED + BOX, ("--timeout", "soon"), "--timeout expects"),
        (DECLARED + BOX, ("--timeout", "-3"), "--timeout expects"),
        (DECLARED + BOX, ("--eval", "pgdd"), "did you mean 'pgd'"),
        (DECLARED + BOX, ("--set", "pgd.step=3"), "pgd has no field 'step'"),
        (DECLARED + BOX, ("--set", "pgd.steps=0"), "pgd.steps"),
        (DECLARED + BOX, ("--out", "here"), "--out is for a list"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    verify: Command, text: str, arguments: tuple[str, ...], message: str
) -> None:
    status, out, err = verify(text, *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_networks_that_are_none_are_one_line(verify: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    for network in (str(tmp_path / "bad.onnx"), str(tmp_path / "absent.onnx"), "=x", "f="):
        status, out, err = verify(DECLARED + BOX, network=network)
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1


@pytest.fixture
def listed(net: nn.Sequential, tmp_path: Path) -> Path:
    """A list of four instances, of which two can be decided."""
    bound = largest_output(net)
    folder = tmp_path / "tiny"
    folder.mkdir()
    save_onnx(net, folder / "net.onnx")
    for name, text in (
        ("sat", f"(assert (>= Y_0 {bound - 0.01}))"),
        ("unsat", f"(assert (>= Y_0 {bound + 1}))"),
        ("bad", "(assert"),
    ):
        (folder / f"{name}.vnnlib").write_text(DECLARED + BOX + text)
    rows = [f"net.onnx,{name}.vnnlib,60\n" for name in ("sat", "unsat", "bad", "absent")]
    (folder / "instances.csv").write_text("".join(rows))
    return folder / "instances.csv"


@pytest.mark.processes
@pytest.mark.parametrize(
    "engine", [("--engine", "inline"), ("--workers", "2"), ("--engine", "dask")]
)
def test_a_list_becomes_results_and_counterexamples(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: tuple[str, str]
) -> None:
    out = tmp_path / "out"
    arguments = ["verify", str(listed), "--out", str(out), "--eval", EVALUATORS, *engine]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "net.onnx sat.vnnlib: sat",
        "net.onnx unsat.vnnlib: unsat",
        "net.onnx bad.vnnlib: error",
        "net.onnx absent.vnnlib: error",
    ]
    assert "absent.vnnlib: cannot read" in printed.err
    assert "bench: net.onnx unsat.vnnlib: decided by" in printed.err
    results = [line.split(",") for line in (out / "results.csv").read_text().splitlines()]
    assert [row[:3] for row in results] == [
        ["tiny", "net.onnx", f"{name}.vnnlib"] for name in ("sat", "unsat", "bad", "absent")
    ]
    assert [row[4] for row in results] == ["sat", "unsat", "error", "error"]
    assert all(float(row[3]) == 0 <= float(row[5]) < 60 for row in results)
    assert [file.name for file in out.glob("*.counterexample")] == ["net_sat.counterexample"]
    assert (out / "net_sat.counterexample").read_text().startswith("((X_0 ")


def test_what_a_list_has_decided_is_not_decided_again(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    fixed = ("--out", str(out), "--engine", "inline")
    arguments = ["verify", str(listed), *fixed, "--eval", "crown"]
    assert main(arguments) == 0
    first = (out / "results.csv").read_text()
    assert main(arguments) == 0
    assert "2 jobs stored by an earlier run" in capsys.readouterr().err
    assert (out / "results.csv").read_text() == first  # seconds, too
    assert [line.split(",")[4] for line in first.splitlines()][:2] == ["unknown", "unsat"]
    changed = (listed.parent / "unsat.vnnlib").read_text() + "; another text"
    (listed.parent / "unsat.vnnlib").write_text(changed)
    assert main(arguments) == 0
    assert "1 job stored by an earlier run" in capsys.readouterr().err
    for other in (["--eval", "crown,mip"], ["--eval", "crown", "--timeout", "50"]):
        assert main(["verify", str(listed), *fixed, *other]) == 0
        assert "stored by" not in capsys.readouterr().err


def test_a_list_of_nothing_that_can_be_read_is_all_errors(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed.write_text("absent.onnx,sat.vnnlib,60\n")
    assert main(["verify", str(listed), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == "absent.onnx sat.vnnlib: error\n"


def test_files_that_change_under_a_list_are_noticed(listed: Path, catalogue: Catalogue) -> None:
    instance = read_instances(listed)[0]
    (job,) = verification_jobs([instance], [catalogue.evaluators["crown"]], {}, 60)
    assert isinstance(job, Job)
    payload = job.payload
    assert isinstance(payload, VerifyPayload)
    assert verified(payload, Path(job.path), catalogue)[0]["verdict"] == "unknown"
    stranger = replace(payload, code={"crown": {**payload.code["crown"], "bench": "other"}})
    with pytest.raises(InputError, match="the code of the bench is not what it was"):
        verified(stranger, Path(job.path), catalogue)
    (listed.parent / "sat.vnnlib").write_text(DECLARED + BOX)
    with pytest.raises(InputError, match=r"sat\.vnnlib is not what it was"):
        verified(payload, Path(job.path), catalogue)


def test_lists_need_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "instances.csv").write_text("net.onnx,p.vnnlib,60\n")
    assert main(["verify", str(tmp_path / "instances.csv")]) == 2
    assert "--out DIR" in capsys.readouterr().err


def test_help_tells_all() -> None:
    command = [sys.executable, "-m", "bench", "verify", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for option in ("--network", "--timeout", "--eval", "--set", "--out", "--plugin", "timed-out"):
        assert option in shown


@pytest.mark.parametrize(("option", "said"), [("--version", __version__), ("--name", "relu-bench")])
def test_programs_are_told_name_and_version(
    option: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([option])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{said}\n")


def answer_of(argument: str) -> str:
    if argument == "sleep":
        time.sleep(600)
    if argument == "die":
        sys.stdout.flush()
        import os

        os._exit(7)
    if argument == "bad":
        raise InputError("one line")
    if argument == "wrong":
        raise ValueError("of two\nlines")
    return argument.upper()


@contextlib.contextmanager
def raises(kind: Any, message: str) -> Iterator[None]:
    with pytest.raises(kind, match=message):
        yield


def test_functions_have_a_process_and_a_limit() -> None:
    assert limited(answer_of, "fine", seconds=60) == "FINE"
    with raises(TimeOver, "^$"):
        limited(answer_of, "sleep", seconds=0.5)
    with raises(InputError, "one line"):
        limited(answer_of, "bad", seconds=60)
    with raises(Died, "ValueError: of two$"):
        limited(answer_of, "wrong", seconds=60)
    with raises(Died, "exit code 7"):
        limited(answer_of, "die", seconds=60)
