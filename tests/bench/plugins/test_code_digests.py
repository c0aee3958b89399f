import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.jobs import kinds
from bench.plugins import code_digests, imports
from bench.plugins.beside import Beside
from bench.plugins.catalogue import Catalogue
from bench.plugins.code_digests import APART, MODULES, Code, code_behind, code_of, difference
from bench.plugins.discovery import discover
from bench.plugins.imports import absolute, imported, release
from tests.bench.example_plugins import evaluator

Write = Callable[[str, str], Path]
BENCH = Path(code_digests.__file__).parent.parent


@pytest.fixture(autouse=True)
def own_cache() -> Iterator[None]:
    code_digests._contents.cache_clear()
    code_digests._bench.cache_clear()
    yield
    code_digests._contents.cache_clear()
    code_digests._bench.cache_clear()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin that imports a formula that imports another, and one formula it does not need."""
    for name in ("relu", "methods"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "relu" / "first.py").write_text("from relu import second\n")
    (tmp_path / "relu" / "second.py").write_text("import relu.first\nX = 1\n")
    (tmp_path / "relu" / "other.py").write_text("X = 1\n")
    text = "import math\nfrom relu.first import second\n"
    (tmp_path / "methods" / "plugin.py").write_text(text)
    monkeypatch.setattr(imports, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "matters"),
    [
        ("methods/plugin.py", True),
        ("methods/__init__.py", True),
        ("relu/__init__.py", True),
        ("relu/first.py", True),
        ("relu/second.py", True),
        ("relu/other.py", False),
    ],
)
def test_the_digest_follows_the_formulas_that_are_used(
    tree: Path, file: str, matters: bool
) -> None:
    before = code_behind("methods.plugin")
    (tree / file).write_text((tree / file).read_text() + "# edited\n")
    assert code_behind("methods.plugin") == before  # this process has imported the old text
    code_digests._contents.cache_clear()  # as in a new process
    assert (code_behind("methods.plugin") != before) is matters


def behind(file: Path) -> Code:
    return code_behind((beside := Beside(file)).name, beside)


HELPED = {
    "beside": "import helper",
    "from beside": "from helper import X",
    "relative": "from .helper import X",
    "of a helper": "import between",
    "in a function": "def late():\n    import helper",
    "by name": "from importlib import import_module\nimport_module('helper')",
    "by relative name": "import importlib\nimportlib.import_module('.helper', __package__)",
}


@pytest.mark.parametrize("text", HELPED.values(), ids=HELPED)
def test_a_helper_is_in_the_digest_of_the_plugin(tmp_path: Path, text: str) -> None:
    files = {"plugin": text, "between": "from helper import X", "helper": "X = 1", "other": ""}
    for name, content in files.items():
        (tmp_path / f"{name}.py").write_text(content)
    before = behind(tmp_path / "plugin.py")
    (tmp_path / "other.py").write_text("X = 2")
    assert behind(tmp_path / "plugin.py") == before
    (tmp_path / "helper.py").write_text("X = 2")
    assert behind(tmp_path / "plugin.py") != before


@pytest.mark.parametrize("edited", ["__init__", "common", "near/__init__", "near/losses"])
def test_modules_of_its_package_are_in_the_digest_of_the_plugin(
    tmp_path: Path, edited: str
) -> None:
    files = {
        "__init__": "",
        "common": "X = 1",
        "near/__init__": "",
        "near/losses": "",
        "near/plugin": "from .losses import *\nfrom ..common import X",
    }
    for name, text in files.items():
        path = tmp_path / "pkg" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = behind(tmp_path / "pkg/near/plugin.py")
    (tmp_path / f"pkg/{edited}.py").write_text("X = 2")
    assert behind(tmp_path / "pkg/near/plugin.py") != before


def test_helpers_of_one_name_in_two_folders_do_not_mix(tmp_path: Path) -> None:
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plugin.py").write_text("import helper")
        (tmp_path / folder / "helper.py").write_text(f"X = {value}")
    assert behind(tmp_path / "a/plugin.py") != behind(tmp_path / "b/plugin.py")


def test_a_plugin_may_move_with_its_helpers(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plugin.py").write_text("import helper")
        (tmp_path / folder / "helper.py").write_text("X = 1")
    assert behind(tmp_path / "a/plugin.py") == behind(tmp_path / "b/plugin.py")


def test_a_helper_on_the_path_is_in_the_digest_and_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "own_library.py").write_text("X = 1")
    (tmp_path / "plugin.py").write_text("import own_library")
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    before = behind(tmp_path / "plugin.py")
    (tmp_path / "library" / "own_library.py").write_text("X = 2")
    assert behind(tmp_path / "plugin.py") == before  # as the old text runs in this process
    code_digests._contents.cache_clear()
    assert behind(tmp_path / "plugin.py") != before


def test_the_rest_of_an_installed_plugins_package_is_in_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "announced_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text("from announced_package import losses\nimport bystander")
    (package / "losses.py").write_text("X = 1")
    (package.parent / "bystander.py").write_text("")
    monkeypatch.syspath_prepend(str(package.parent))
    before = code_behind("announced_package.plugin")
    assert set(before.versions) == {"bystander"}
    (package / "losses.py").write_text("X = 2")
    code_digests._contents.cache_clear()
    assert code_behind("announced_package.plugin") != before


def test_a_helper_that_was_edited_gives_other_keys(plugin_file: Write) -> None:
    plugin_file("helper", "SCALE = 1")
    file = plugin_file("helped", "import helper\n" + evaluator("low += 0 * helper.SCALE"))
    before = discover([file]).evaluators["helped"].code
    plugin_file("helper", "SCALE = 2")
    after = discover([file]).evaluators["helped"].code
    assert before != after
    assert before.versions == after.versions == {"torch": release("torch")}


RESTS_ON = {
    "pgd": {"torch", "numpy"},
    "cw": {"torch", "numpy"},
    "crown": {"torch"},
    "ensemble": {"torch", "numpy"},
    "hull": {"torch"},
    "ibp": {"torch"},
    "kw": {"torch"},
    "region_attack": {"torch", "numpy"},
    "region": {"torch", "numpy", "scipy"},
    "lirpa": {"torch", "numpy", "auto_LiRPA"},
    "bab": {"torch", "numpy", "scipy", "highspy"},
    "lipschitz": {"torch"},
    "reported": {"torch", "numpy", "vnnlib"},
    "mip": {"torch", "numpy", "scipy", "highspy", "gurobipy"},
}


def test_versions_are_those_of_the_libraries_that_evidence_rests_on(catalogue: Catalogue) -> None:
    found = {name: set(p.code.versions) for name, p in catalogue.evaluators.items()}
    assert found == RESTS_ON
    for name, plugin in catalogue.methods.items():
        assert set(plugin.code.versions) == {"torch"}, name
    for kind in MODULES:
        libraries = {"torch", "numpy"} | ({"vnnlib"} if kind == "verify" else set())
        assert set(code_of(kind, None)["versions"]) == libraries, kind


def test_another_version_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_behind("evaluators.mip"), code_behind("evaluators.pgd")
    found = {"highspy": "0.1"}
    monkeypatch.setattr(code_digests, "release", lambda name: found.get(name, release(name)))
    after = code_behind("evaluators.mip"), code_behind("evaluators.pgd")
    assert (before[0] == after[0], before[1] == after[1]) == (False, True)
    assert code_of("judge", before[0]) != code_of("judge", after[0])


def test_a_difference_is_told_in_words() -> None:
    plan = {"bench": "a", "plugin": "b", "versions": {"torch": "2.4.0", "numpy": "2.0"}}
    assert difference(plan, {**plan, "plugin": "c"}, "method 'at'") == (
        "the code of method 'at' is not what it was"
    )
    assert difference(plan, {**plan, "bench": "c"}, "method 'at'") == (
        "the code of the bench is not what it was"
    )
    newer = {"torch": "2.5.0", "numpy": "2.0"}
    said = difference(plan, {**plan, "versions": newer}, "method 'at'")
    assert said == "torch is 2.5.0 here, and was 2.4.0"


# What takes part in a kind of job, found from the functions that do it.


def names_in(node: ast.AST) -> set[str]:
    own = {
        n.attr
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "self"
    }
    return own | {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def modules_used(start: tuple[str, ...]) -> set[str]:
    """The modules of bench from which these functions of the worker use something."""
    tree = ast.parse(Path(kinds.__file__).read_bytes())
    functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    others = {f"_{kind}" for kind in MODULES} - set(start)  # `execute` names them all
    used = set[str]()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in used | others:
            used.add(name)
            waiting += names_in(functions[name]) if name in functions else ()
    ours = [n for n in tree.body if isinstance(n, ast.ImportFrom) and "bench." in str(n.module)]
    needed = [n for n in ours if any(alias.name in used for alias in n.names)]
    return {str(n.module).removeprefix("bench.") for n in needed}


def file_of(name: str) -> Path:
    return BENCH.joinpath(*name.split(".")).with_suffix(".py")


def bench_modules(file: Path) -> set[str]:
    names = {absolute("bench", *name) for name in imported(file.read_bytes())}
    parts = {name.removeprefix("bench.") for name in names if name.startswith("bench.")}
    return {part for part in parts if file_of(part).is_file()}


@pytest.mark.parametrize("kind", MODULES)
def test_every_module_that_takes_part_is_in_the_digest_or_apart_with_a_reason(kind: str) -> None:
    waiting = {
        "jobs.kinds",
        "jobs.surroundings",
        *modules_used(("__init__", "execute", f"_{kind}")),
    }
    part: set[str] = set()
    while waiting:
        name = waiting.pop()
        part.add(name)
        # What is imported by a module that is apart takes part in nothing.
        if name in MODULES[kind] and name != "jobs.kinds":
            waiting |= bench_modules(file_of(name)) - part
    assert part - set(MODULES[kind]) <= set(APART)
    assert set(MODULES[kind]) <= part
    assert all(APART.values())


def test_modules_that_are_named_are_there() -> None:
    named = {name for modules in MODULES.values() for name in modules} | set(APART)
    assert all(file_of(name).is_file() for name in named)


@pytest.mark.parametrize(
    ("file", "kinds"),
    [
        ("bench/jobs/kinds.py", {*MODULES}),
        ("bench/jobs/surroundings.py", {*MODULES}),
        ("relu/network/architectures.py", {*MODULES}),
        ("relu/attacks/witness.py", {"clean", "judge", "verify"}),
        ("bench/jobs/predictions.py", {"clean"}),
        ("bench/jobs/judging.py", {"judge"}),
        ("bench/jobs/training.py", {"train"}),
        ("bench/jobs/optimisation.py", {"train"}),
        ("relu/attacks/pgd.py", {"train"}),
        ("bench/data/datasets.py", {"train"}),
        ("bench/data/sources.py", {"train"}),
        ("bench/jobs/training.py", {"train"}),
        ("bench/store/outcome.py", {"judge", "verify"}),
        ("bench/data/checkpoint.py", set()),
        ("bench/jobs/out_of_memory.py", {"train", "clean", "judge"}),
        ("bench/jobs/verdict.py", {"judge", "verify"}),
        ("bench/jobs/verification.py", {"verify"}),
        ("bench/jobs/limited.py", {"verify"}),
        ("bench/jobs/resumable_judging.py", {"judge"}),
        ("bench/store/results.py", set()),
    ],
)
def test_an_edited_module_gives_other_keys_to_the_jobs_it_takes_part_in(
    monkeypatch: pytest.MonkeyPatch, file: str, kinds: set[str]
) -> None:
    before = {kind: code_of(kind, None) for kind in MODULES}
    code_digests._bench.cache_clear()
    read = code_digests._contents
    monkeypatch.setattr(
        code_digests,
        "_contents",
        lambda path: read(path) + (b"#" if path == imports.ROOT / file else b""),
    )
    assert {kind for kind in MODULES if code_of(kind, None) != before[kind]} == kinds
    monkeypatch.undo()
