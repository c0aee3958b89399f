"""README, CONTRIBUTING and the pages of docs/ as data: examples, commands, links, places."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, ROOT / "CONTRIBUTING.md", *DOCS]
ROOMS = ("relu", "methods", "evaluators", "bench", "leaderboard", "tests", "docs")
COMMANDS = (["python", "-m", "bench"], ["python3", "-m", "bench"], ["relu-bench"])
PARTS = re.compile(r"&&|;(?= )")


def text_of(page: Path) -> str:
    """The page as it is written."""
    return page.read_text(encoding="utf-8")


def examples(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", text_of(page), flags=re.DOTALL)
    return blocks


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)


def inline_code(page: Path) -> list[str]:
    """What stands between single backticks, line breaks as spaces."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page))]


def bench_commands(page: Path) -> list[list[str]]:
    """The arguments of every command of the bench, in blocks and in running text."""
    lines = [line for block in examples(page, "sh") for line in block.splitlines()]
    lines += inline_code(page)
    return [words for line in lines for words in _arguments(line)]


def _arguments(line: str) -> Iterator[list[str]]:
    """The arguments of each command of the bench in a line, without its comment."""
    for part in PARTS.split(line):
        for command in COMMANDS:
            if part.split()[: len(command)] == command and len(part.split()) > len(command):
                yield shlex.split(part, comments=True)[len(command) :]
    if line.startswith(("run --", "eval ")) and " --" in line:  # as pages shorten commands
        yield shlex.split(line)


def links(page: Path) -> list[str]:
    """Targets of links that lead nowhere but into the clone."""
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(page)))
    return [target for target in targets if not target.startswith(("http://", "https://"))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    words = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[\s-]+", "-", heading) for heading in words}


def places(page: Path) -> list[str]:
    """Files and folders of the clone that a page names; not patterns such as methods/NAME.py."""
    found = [code for code in inline_code(page) if re.fullmatch(r"[\w./-]+", code)]
    found = [code for code in found if code.split("/")[0] in ROOMS and "/" in code]
    return [code for code in found if "NAME" not in code]
