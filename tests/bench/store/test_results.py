import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from bench.store.results import Store
from evaluators.interface import DECIDED
from relu.errors import InputError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def table() -> pd.DataFrame:
    return pd.DataFrame({"index": [0, 1], "low": [0.0, 0.5], "high": [1.0, float("inf")]})


def test_networks_come_back_bit_by_bit(store: Store) -> None:
    net = nn.Linear(3, 2)
    store.save_network("k", net, [{"epoch": 1}], {"kind": "train"})
    for name, tensor in store.load_network("k").items():
        assert torch.equal(tensor, net.state_dict()[name])
    assert store.settings("networks", "k")["kind"] == "train"
    assert json.loads((store.root / "networks/k/history.json").read_text()) == [{"epoch": 1}]


def test_evidence_and_witnesses_come_back(store: Store) -> None:
    witness = torch.tensor([[torch.nan, torch.nan], [0.25, 0.5]])
    judged = table().assign(status=["done", "skipped"], outcome=["done: exact", DECIDED])
    store.save_evidence("k", judged, witness, {})
    pd.testing.assert_frame_equal(store.load_evidence("k"), judged)
    index, found = store.load_witnesses("k")
    assert index.tolist() == [1]
    assert torch.equal(found, witness[1:])


def test_a_failing_write_leaves_no_entry_and_no_draft(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space"):
        store.save_evidence("k", table(), torch.zeros(2, 1), {})
    assert not store.has("evidence", "k")
    assert not list((store.root / "drafts").iterdir())


def test_evidence_of_version_01_has_the_status_that_its_outcomes_say(store: Store) -> None:
    old = pd.DataFrame({"index": range(3), "outcome": ["done: exact", DECIDED, "solver error: x"]})
    store.save_evidence("k", old, torch.full((3, 1), torch.nan), {})
    assert store.load_evidence("k")["status"].tolist() == ["done", "skipped", "failed"]


def test_the_first_of_two_runs_wins_and_the_second_does_not_mind(store: Store) -> None:
    store.save_clean("k", table(), {"by": "first"})
    store.save_clean("k", table(), {"by": "second"})
    assert store.settings("clean", "k")["by"] == "first"


def test_a_discarded_entry_is_gone_and_can_come_again(store: Store) -> None:
    store.save_clean("k", table(), {"by": "first"})
    store.discard("clean", "k")
    assert not store.has("clean", "k")
    assert not list((store.root / "drafts").iterdir())
    store.discard("clean", "k")
    store.save_clean("k", table(), {"by": "second"})
    assert store.settings("clean", "k")["by"] == "second"


def test_a_kill_while_writing_leaves_nothing_torn(store: Store) -> None:
    code = f"""
import os, signal, pandas as pd
from pathlib import Path
import bench.store.results as s
s._flush = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
s.Store(Path({str(store.root)!r})).save_clean("k", pd.DataFrame({{"index": [1]}}), {{}})
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not store.has("clean", "k")
    store.save_clean("k", table(), {})
    assert store.has("clean", "k")


def test_old_drafts_are_swept_and_young_ones_kept(store: Store) -> None:
    for name, age in (("old", 8 * 24 * 3600), ("young", 60)):
        draft = store.root / "drafts" / name
        draft.mkdir()
        stamp = draft.stat().st_mtime - age
        os.utime(draft, (stamp, stamp))
    store.prepare()
    assert [path.name for path in (store.root / "drafts").iterdir()] == ["young"]


def test_a_torn_checkpoint_means_starting_anew(store: Store) -> None:
    assert store.load_checkpoint("k") is None
    store.save_checkpoint("k", {"epoch": 3, "net": {"w": torch.ones(2)}})
    state = store.load_checkpoint("k")
    assert state is not None
    assert state["epoch"] == 3
    path = next((store.root / "drafts").rglob("checkpoint.pt"))
    path.write_bytes(path.read_bytes()[:50])
    assert store.load_checkpoint("k") is None


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to the output folder"):
        Store(tmp_path / place).prepare()
