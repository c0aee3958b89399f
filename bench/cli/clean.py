"""`clean`: what a run folder holds that no record of it names."""

import sys
from pathlib import Path

from bench.face.options import Options
from bench.store.results import Kind, Store
from bench.store.run_files import RunFiles, read_cells
from relu.errors import InputError

KINDS: tuple[Kind, ...] = ("networks", "clean", "evidence")


def clean_command(options: Options) -> int:
    """Lists, or removes, networks, predictions and evidence that no record names; 0.

    Nothing is removed while somebody is at work in the folder.
    """
    store = Store(Path(options.run))
    unnamed = _unnamed(store)
    if options.remove and (keys := RunFiles(store.root).at_work()):
        raise InputError(
            f"{options.run!r}: somebody is at {len(keys)} jobs, or died at them: "
            "run the command again to its end, then clean"
        )
    size = 0
    for kind, key in unnamed:
        size += store.size(kind, key)
        print(f"{kind}/{key}")
        if options.remove:
            store.discard(kind, key)
    done = "removed" if options.remove else "not named by any record (--remove removes them)"
    print(f"{len(unnamed)} results, {size / 1e6:.1f} MB: {done}", file=sys.stderr)
    return 0


def _unnamed(store: Store) -> list[tuple[Kind, str]]:
    """Raises InputError where the folder holds no run."""
    named: dict[Kind, set[str]] = {kind: set() for kind in KINDS}
    for cell in read_cells(store.root):
        named["networks"].add(cell.network)
        named["clean"].add(cell.clean)
        named["evidence"] |= {key for keys in cell.evidence.values() for key in keys}
    return [(kind, key) for kind in KINDS for key in sorted({*store.keys(kind)} - named[kind])]
