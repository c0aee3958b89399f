"""Digests of code, so that a result is known by the formulas that computed it."""

import ast
import hashlib
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLLOWED = ("relu", "methods", "evaluators")  # whose imports are followed; bench files are named


def digest(*files: Path) -> str:
    """A digest of the files and of all modules of relu, methods and evaluators they import."""
    seen: dict[str, bytes] = {}
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        name = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else file.name
        if name not in seen:
            seen[name] = file.read_bytes()
            waiting += _imports(seen[name])
    parts = [name.encode() + b"\0" + seen[name] for name in sorted(seen)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _imports(text: bytes) -> list[Path]:
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = [
        ROOT / f"{name.replace('.', '/')}.py" for name in names if name.split(".")[0] in FOLLOWED
    ]
    return [file for file in files if file.is_file()]
