"""What each kind of job does: train or import a network, predict the test set, judge a shard."""

import os
import time
from pathlib import Path
from typing import Any

import torch

from bench.data.datasets import DataSet, load
from bench.data.given_inputs import given_inputs
from bench.data.holdout import hold_out
from bench.jobs.checkpoints import Checkpoints, Notes
from bench.jobs.job import Job, inputs
from bench.jobs.judging import evidence_table, isolated
from bench.jobs.known import known_interval
from bench.jobs.networks import Networks
from bench.jobs.payloads import (
    CleanPayload,
    ImportPayload,
    JudgePayload,
    TrainPayload,
    VerifyPayload,
)
from bench.jobs.predictions import prediction_table
from bench.jobs.resumable_judging import Pieces
from bench.jobs.surroundings import DEVICE, keep_freed_memory
from bench.jobs.training import train
from bench.jobs.verdict import joined, replay
from bench.jobs.verify_job import verified
from bench.plugins.catalogue import Catalogue, Kind
from bench.plugins.code_digests import code_of, difference
from bench.store.provenance import provenance
from bench.store.results import Store
from evaluators.interface import Evidence
from relu.errors import InputError
from relu.network.reader import in_float64
from relu.threat import Threat

WATCHED_EPS = 0.1  # linf, of a training's own PGD errors, where a data set has no usual radius


class Worker:
    """Runs jobs in this process, reading from and writing to one store.

    Jobs whose resource is a GPU run on the first card that the process sees, if there is one.
    run: a name that tells the run from others.
    """

    def __init__(
        self, store: Store, catalogue: Catalogue, data_folder: Path | None, *, run: str = ""
    ) -> None:
        self.store = store
        self.catalogue = catalogue
        self.networks = Networks(store=store, catalogue=catalogue)
        self.data_folder = data_folder
        self.run = run
        self._data: dict[tuple[str, float | None, str], DataSet] = {}
        self.device = torch.device("cpu")
        self._inputs: dict[str, Any] = {}
        keep_freed_memory()
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)

    def execute(self, job: Job, notes: Notes) -> None:
        """Does the job and stores its result under its key; whatever goes wrong raises."""
        if job.kind != "verify":  # which has the code of several evaluators, and looks itself
            self._require_same_code(job)
        self.device = _device(job)
        self._inputs = inputs(self.store, job)  # as they are before anything is read
        self.store.discard(job.stored, job.key)  # damaged, or resting on inputs that are gone
        match job.payload:
            case TrainPayload() as payload:
                self._train(job, payload, notes)
            case ImportPayload() as payload:
                self._import(job, payload)
            case CleanPayload() as payload:
                self._clean(job, payload)
            case JudgePayload() as payload:
                self._judge(job, payload, notes)
            case VerifyPayload() as payload:
                self._verify(job, payload, notes)

    def _require_same_code(self, job: Job) -> None:
        """A worker elsewhere, or one that starts late, may have other code than the plan's."""
        s = job.settings
        kind: Kind = "method" if job.kind == "train" else "evaluator"
        plugin = self.catalogue.of(kind).get(str(s.get(kind)))
        here = code_of(job.kind, plugin.code if plugin else None)
        if s["code"] != here:
            what = difference(s["code"], here, f"{kind} {s[kind]!r}" if plugin else "")
            raise InputError(f"{what} when the run was planned")

    def data(
        self, payload: TrainPayload | CleanPayload | JudgePayload, part: str, inputs: str = ""
    ) -> DataSet:
        """The job's data set; `inputs`: the file that its test part is from, if it is.

        Raises InputError where it is not the one the job is about.
        """
        name = payload.dataset
        share = payload.held_out
        if (name, share, inputs) not in self._data:
            whole = load(name, self.data_folder, self.catalogue.sources)
            whole = given_inputs(whole, Path(inputs)) if inputs else whole
            self._data[name, share, inputs] = whole if share is None else hold_out(whole, share)
        data = self._data[name, share, inputs]
        if data.fingerprint(part) != payload.data:
            raise InputError(f"the {part} data of {name} are not what they were in the plan")
        return data

    def _train(self, job: Job, payload: TrainPayload, notes: Notes) -> None:
        data = self.data(payload, "train")
        source = self.catalogue.sources[payload.dataset]
        method = self.catalogue.methods[payload.method].build(payload.fields)
        usual = Threat(norm="linf", eps=source.eps.get("linf", WATCHED_EPS))
        net = self.networks.untrained(payload).to(self.device)
        history = train(
            net,
            method,
            data,
            threat=payload.threat or usual,
            training=payload.training,
            seed=payload.seed,
            augmented=source.augment,
            watcher=Checkpoints(self.store, job.key, payload.training.epochs, notes),
        )
        seconds = sum(row["seconds"] for row in history)  # of all legs, where it was resumed
        self.store.save_network(job.key, net, history, self._about(job, seconds))

    def _import(self, job: Job, payload: ImportPayload) -> None:
        net, graph = self.networks.imported(payload, Path(job.path))
        self.store.save_network(job.key, net, [], self._about(job, 0.0), graph=graph)

    def _clean(self, job: Job, payload: CleanPayload) -> None:
        data = self.data(payload, "test", job.path)
        exact_net = in_float64(self.networks.stored(payload).to(self.device))
        started = time.perf_counter()
        table = prediction_table(exact_net, data.x_test, data.y_test)
        seconds = time.perf_counter() - started
        self.store.save_clean(job.key, table, self._about(job, seconds))

    def _judge(self, job: Job, payload: JudgePayload, notes: Notes) -> None:
        data = self.data(payload, "test", job.path)
        x = data.x_test[payload.part].to(self.device)
        y = data.y_test[payload.part].to(self.device)
        net = self.networks.stored(payload).to(self.device)
        threat = payload.threat
        exact_net = in_float64(net)  # before the evaluator has its hands on the network
        evaluator = self.catalogue.evaluators[payload.evaluator].build(payload.fields)
        known = known_interval(self.store, job, payload, x)
        started = time.perf_counter()

        isolation = isolated(
            evaluator,
            net,
            x,
            y,
            threat=threat,
            known=known,
            seed=int(job.key[:15], 16),
            note=notes.note,
        )

        def piece(start: int, stop: int) -> Evidence:
            return joined(isolation.judge(start, stop))

        step = getattr(evaluator, "step", None)
        if step is None:
            evidence = piece(0, len(x))
        else:
            pieces = Pieces(self.store, job.key, inputs=self._inputs, run=self.run)
            evidence = pieces.judge(piece, x, step=step, progress=notes.progress)
            if isolation.errors and not isolation.judged:
                self.store.forget_checkpoint(job.key)
        isolation.require_some()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.perf_counter() - started
        checked = replay(exact_net, x, y, evidence, threat=threat)
        table = evidence_table(payload.start, checked, seconds, evidence.seconds)
        self.store.save_evidence(job.key, table, checked.witness, self._about(job, seconds))
        self.store.forget_checkpoint(job.key)

    def _verify(self, job: Job, payload: VerifyPayload, notes: Notes) -> None:
        said, seconds = verified(payload, Path(job.path), self.catalogue)
        notes.note(said["verdict"])
        self.store.save_verdict(job.key, said, self._about(job, seconds))

    def _about(self, job: Job, seconds: float) -> dict[str, Any]:
        """What settings.json says: the settings behind the key, where and how it was made."""
        return {
            "kind": job.kind,
            "settings": dict(job.settings),
            "inputs": self._inputs,
            "seconds": seconds,
            "provenance": provenance(self.device),
        }


def _device(job: Job) -> torch.device:
    if job.resource == "cpu" or os.environ.get(DEVICE) == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if os.environ.get(DEVICE) == "cuda":  # a training on one core in its place would take days
        raise RuntimeError("this worker was given a GPU, but CUDA does not start in it")
    return torch.device("cpu")
