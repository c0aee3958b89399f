"""The tests bite: whichever of these lines is wrong, a named test fails by an assertion.

Each edit is made in a copy of the code, never in the code itself.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.hostile.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parent.parent
COPIED = ("relu", "methods", "evaluators", "bench", "leaderboard", "tests", "pyproject.toml")
ASSERTED = ("AssertionError", "assert ", "Failed: ")  # the last one: what should raise, does not
SLOW = 16  # every so many of the edits is tried in the slow run, too
SECONDS = 500


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code and its tests."""
    folder = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        if (ROOT / name).is_dir():
            hidden = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(ROOT / name, folder / name, ignore=hidden)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def outcomes(tree: Path, tests: Sequence[str]) -> list[str]:
    """What pytest says of these tests in the copy: "" of one that passes, else the first line."""
    report = tree / "report.xml"
    report.unlink(missing_ok=True)
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV"))}
    surroundings = own | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-o", "addopts=--strict-markers"]  # without type checks, which are no assertions
    found = subprocess.run(
        [*command, "-x", f"--junitxml={report}", *tests],
        cwd=tree,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert report.is_file(), found.stdout + found.stderr
    said = []
    for case in ElementTree.parse(report).iter("testcase"):
        problems = [*case.iter("failure"), *case.iter("error")]
        said += [f"{problem.tag}: {problem.get('message')}" for problem in problems] or [""]
    assert said, found.stdout + found.stderr
    return said


EDITS = [
    pytest.param(mutant, id=mutant.name, marks=[pytest.mark.slow, pytest.mark.hostile])
    for mutant in MUTANTS
]
NAMED = sorted({test for mutant in MUTANTS for test in mutant.tests})
SAMPLE = [pytest.param(m, id=m.name, marks=[pytest.mark.slow]) for m in MUTANTS[::SLOW]]


def test_every_edit_applies_to_the_code() -> None:
    for mutant in MUTANTS:
        count = (ROOT / mutant.file).read_text().count(mutant.old)
        assert count == 1, f"{mutant.file} has {mutant.old!r} {count} times"
    assert len(set(MUTANTS)) == len(MUTANTS) >= 25
    for test in NAMED:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(), test


@pytest.mark.slow
@pytest.mark.hostile
def test_the_copy_is_what_is_tested(tree: Path) -> None:
    script = "import relu, bench, tests; print(relu.__file__, bench.__file__, tests.__file__)"
    places = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert places.stdout.count(str(tree)) == 3, places.stdout


@pytest.mark.slow
@pytest.mark.hostile
@pytest.mark.parametrize("file", sorted({test.partition("::")[0] for test in NAMED}))
def test_named_tests_pass_without_an_edit(file: str, tree: Path) -> None:
    assert not [said for said in outcomes(tree, [t for t in NAMED if t.startswith(file)]) if said]


@pytest.mark.parametrize("mutant", EDITS)
def test_an_edit_is_caught(mutant: Mutant, tree: Path) -> None:
    require_caught(mutant, tree)


@pytest.mark.parametrize("mutant", SAMPLE)
def test_one_of_a_few_edits_is_caught(mutant: Mutant, tree: Path) -> None:
    require_caught(mutant, tree)


def require_caught(mutant: Mutant, tree: Path) -> None:
    file = tree / mutant.file
    text = file.read_text()
    assert text.count(mutant.old) == 1
    try:
        file.write_text(text.replace(mutant.old, mutant.new))
        said = [problem for problem in outcomes(tree, mutant.tests) if problem]
    finally:
        file.write_text(text)
    assert said, f"{mutant.file} with {mutant.new!r} passes {', '.join(mutant.tests)}"
    reason = said[0].removeprefix("failure: ")
    assert reason.startswith(ASSERTED), f"{mutant.file} with {mutant.new!r}: {said[0]}"
