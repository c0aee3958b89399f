"""The networks of jobs: untrained, read from files, or loaded from the store."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from bench.data.checkpoint import read_checkpoint
from bench.data.onnx_file import ONNX, read_onnx_file
from bench.jobs.payloads import CleanPayload, ImportPayload, JudgePayload, Subject, TrainPayload
from bench.plugins.catalogue import Catalogue
from bench.store.results import Store
from relu.network.architecture import Architecture, Normalised


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Where a worker's networks come from."""

    store: Store
    catalogue: Catalogue

    def untrained(self, payload: TrainPayload) -> nn.Module:
        """The network that a training begins with. Raises InputError."""
        architecture = self._architecture(payload)
        return architecture.build(payload.shape, payload.classes, seed=payload.seed)

    def imported(self, payload: ImportPayload, path: Path) -> tuple[nn.Module, bytes | None]:
        """The network in a file, and what the file holds where that is ONNX. Raises InputError."""
        sizes = payload.shape, payload.classes
        if payload.arch == ONNX:
            graph = read_onnx_file(path)
            return self._architecture(payload, graph).build(*sizes), graph
        architecture = self._architecture(payload)
        bare = architecture.normalised((), ())
        member = read_checkpoint(path, bare, *sizes, wanted=payload.checkpoint)
        net = architecture.build(*sizes)
        (net.net if isinstance(net, Normalised) else net).load_state_dict(member.state)
        return net, None

    def stored(self, payload: CleanPayload | JudgePayload) -> nn.Module:
        """The network that a job is about, for evaluation. Raises InputError."""
        graph = self.store.load_graph(payload.network) if payload.arch == ONNX else None
        net = self._architecture(payload, graph).build(payload.shape, payload.classes)
        net.load_state_dict(self.store.load_network(payload.network))
        return net.requires_grad_(False).eval()

    def _architecture(self, payload: Subject, graph: bytes | None = None) -> Architecture:
        """The job's; `graph`: the ONNX file that it is, if it is. Raises InputError."""
        return self.catalogue.architecture_of(
            payload.arch,
            code=payload.arch_code,
            mean=payload.mean,
            std=payload.std,
            graph=graph,
        )
