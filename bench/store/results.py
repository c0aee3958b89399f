"""Networks and evidence on disk: content-addressed, written to a draft and renamed, resumable.

A folder, called a store, holds

    networks/KEY/  network.safetensors, history.json, settings.json,
                   network.onnx where it is from such a file
    clean/KEY/     clean.parquet (index, label, predicted, correct), settings.json
    evidence/KEY/  evidence.parquet (index, low, high, seconds, status, outcome),
                   witness.safetensors (index, witness), settings.json
    verdicts/KEY/  verdict.json (of a property in a list), settings.json

KEY is the digest of everything the result depends on (bench/plan/judging.py). An entry exists only
complete: it is built under drafts/ and appears by one rename, so a killed run leaves no torn
entry and two runs on one store cannot mix. settings.json repeats the settings behind KEY beside
the provenance (commit, versions, device, seed) and the digest of every other file: an entry that
is damaged later is recognised, and the next run makes it anew. Checkpoints of trainings, and of
judging in pieces, wait under drafts/ too.
"""

import contextlib
import hashlib
import io
import json
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from evaluators.interface import status_of
from relu.errors import InputError

Kind = Literal["networks", "clean", "evidence", "verdicts"]
SETTINGS = "settings.json"
DRAFTS_KEPT = 7 * 24 * 3600.0  # seconds; a run that is alive has touched its drafts since


class Store:
    """The one place where results touch the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Creates the folder. Raises InputError where it cannot be written."""
        require_folder(self.root)
        try:
            (self.root / "drafts").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise InputError(
                f"cannot write to the output folder {str(self.root)!r}: {error.strerror}"
            ) from error
        for draft in (self.root / "drafts").iterdir():  # what killed runs left behind
            if draft.name.startswith("checkpoint-") or draft.suffix == ".lock":
                continue  # checkpoints to go on from; locks that may be held
            with contextlib.suppress(OSError):  # a run beside this one may have finished it
                if draft.stat().st_mtime < time.time() - DRAFTS_KEPT:
                    shutil.rmtree(draft) if draft.is_dir() else draft.unlink()

    def has(self, kind: Kind, key: str) -> bool:
        """Whether the entry is there (and was complete when it was made)."""
        return (self.root / kind / key / SETTINGS).is_file()

    def keys(self, kind: Kind) -> list[str]:
        """Keys of the entries of a kind, damaged or not."""
        with contextlib.suppress(OSError):
            return [path.name for path in (self.root / kind).iterdir()]
        return []

    def size(self, kind: Kind, key: str) -> int:
        """Bytes of an entry's files."""
        return sum(path.stat().st_size for path in (self.root / kind / key).iterdir())

    def intact(self, kind: Kind, key: str) -> bool:
        """Whether the entry is there and none of its files has changed since it was made."""
        try:
            files = self.settings(kind, key)["files"]
            for name in files:
                self._read(kind, key, name)
        except (InputError, KeyError):
            return False
        return True

    def discard(self, kind: Kind, key: str) -> None:
        """Removes an entry if it is there, in one step for everybody who looks."""
        if not (self.root / kind / key).exists():
            return
        trash = Path(tempfile.mkdtemp(prefix="discarded-", dir=self.root / "drafts"))
        with contextlib.suppress(FileNotFoundError):
            (self.root / kind / key).rename(trash / key)
        shutil.rmtree(trash, ignore_errors=True)

    def settings(self, kind: Kind, key: str) -> dict[str, Any]:
        """The settings, provenance and file digests stored with an entry."""
        path = self.root / kind / key / SETTINGS
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise _damaged(path) from error

    def save_network(
        self,
        key: str,
        net: nn.Module,
        history: list[dict[str, Any]],
        settings: Mapping[str, Any],
        *,
        graph: bytes | None = None,
    ) -> None:
        """`graph`: the ONNX file that it is from, if it is."""
        tensors = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
        with self._entry("networks", key, settings) as draft:
            (draft / "network.safetensors").write_bytes(save(tensors))
            write_json(draft / "history.json", history)
            if graph is not None:
                (draft / "network.onnx").write_bytes(graph)
        self.forget_checkpoint(key)

    def load_network(self, key: str) -> dict[str, Tensor]:
        """The state dict of a stored network."""
        return load(self._read("networks", key, "network.safetensors"))

    def load_history(self, key: str) -> list[dict[str, Any]]:
        """What was followed while a stored network was trained, epoch by epoch."""
        return list(json.loads(self._read("networks", key, "history.json")))

    def load_graph(self, key: str) -> bytes:
        """The ONNX file that a stored network is from."""
        return self._read("networks", key, "network.onnx")

    def weights_digest(self, key: str) -> str:
        """What tells this network's weights from all others."""
        return str(self.settings("networks", key)["files"]["network.safetensors"])

    def save_clean(self, key: str, table: pd.DataFrame, settings: Mapping[str, Any]) -> None:
        with self._entry("clean", key, settings) as draft:
            (draft / "clean.parquet").write_bytes(_parquet(table))

    def load_clean(self, key: str) -> pd.DataFrame:
        return pd.read_parquet(io.BytesIO(self._read("clean", key, "clean.parquet")))

    def save_evidence(
        self, key: str, table: pd.DataFrame, witness: Tensor, settings: Mapping[str, Any]
    ) -> None:
        """`table` has a row per input; `witness` is NaN where there is none."""
        with self._entry("evidence", key, settings) as draft:
            (draft / "evidence.parquet").write_bytes(_parquet(table))
            present = ~witness.flatten(1)[:, 0].isnan()
            index = torch.tensor(table["index"].to_numpy())[present]
            tensors = {"index": index, "witness": witness[present].contiguous()}
            (draft / "witness.safetensors").write_bytes(save(tensors))

    def load_evidence(self, key: str) -> pd.DataFrame:
        table = pd.read_parquet(io.BytesIO(self._read("evidence", key, "evidence.parquet")))
        if "status" not in table:  # made by version 0.1
            table["status"] = table["outcome"].map(status_of)
        return table

    def load_witnesses(self, key: str) -> tuple[Tensor, Tensor]:
        """Test indices and the witnesses found for them."""
        tensors = load(self._read("evidence", key, "witness.safetensors"))
        return tensors["index"], tensors["witness"]

    def save_verdict(
        self, key: str, verdict: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> None:
        with self._entry("verdicts", key, settings) as draft:
            write_json(draft / "verdict.json", verdict)

    def load_verdict(self, key: str) -> dict[str, Any]:
        """What was said of a property."""
        return dict(json.loads(self._read("verdicts", key, "verdict.json")))

    def save_checkpoint(self, key: str, state: Mapping[str, Any]) -> None:
        path = self._checkpoint(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        draft.write_bytes(buffer.getvalue())
        draft.replace(path)

    def load_checkpoint(self, key: str) -> dict[str, Any] | None:
        """The last checkpoint of an unfinished job, None where there is none to trust."""
        try:
            return dict(torch.load(self._checkpoint(key), weights_only=True, map_location="cpu"))
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            return None

    def forget_checkpoint(self, key: str) -> None:
        """Of a job that is finished."""
        shutil.rmtree(self._checkpoint(key).parent, ignore_errors=True)

    def _checkpoint(self, key: str) -> Path:
        return self.root / "drafts" / f"checkpoint-{key}" / "checkpoint.pt"

    def _read(self, kind: Kind, key: str, name: str) -> bytes:
        """A file of an entry, as it was made. Raises InputError where it is damaged or gone."""
        path = self.root / kind / key / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _damaged(path) from error
        if _digest(data) != self.settings(kind, key)["files"][name]:
            raise _damaged(path)
        return data

    @contextlib.contextmanager
    def _entry(self, kind: Kind, key: str, settings: Mapping[str, Any]) -> Iterator[Path]:
        """A draft folder that becomes the entry on leaving, or vanishes on an exception."""
        final = self.root / kind / key
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=self.root / "drafts"))
        try:
            yield draft
            files = {path.name: _digest(path.read_bytes()) for path in sorted(draft.iterdir())}
            write_json(draft / SETTINGS, {**settings, "files": files})
            _flush(draft)
            try:
                draft.rename(final)
            except OSError:
                if not self.has(kind, key):  # else a run beside this one was a moment faster
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def require_folder(path: Path) -> None:
    """Refuses, as an output folder, what is there and is no folder."""
    cannot = f"cannot write to the output folder {str(path)!r}"
    if path.is_symlink() and not path.exists():
        raise InputError(f"{cannot}: it is a link to {str(path.readlink())!r}, which is not there")
    if path.exists() and not path.is_dir():
        raise InputError(f"{cannot}: it is a file")


def write_json(path: Path, value: object) -> None:
    """Writes strict JSON: a NaN raises ValueError."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged or gone; the command that made it makes it anew")


def _parquet(table: pd.DataFrame) -> bytes:
    # All results reach the disk through write_bytes, whose error on a full disk is an OSError.
    return bytes(table.to_parquet())


def _flush(folder: Path) -> None:
    """Hands every file to the disk before the rename makes it visible."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
