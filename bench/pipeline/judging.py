"""Judges inputs of a network that is at hand: in this process, without a folder."""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from bench.jobs.judging import evidence_table, isolated
from bench.jobs.predictions import prediction_table
from bench.jobs.verdict import Verdict, combine, joined, replay
from bench.plugins.catalogue import Plugin
from evaluators.interface import Interval
from relu.network.reader import in_float64
from relu.threat import Threat

SEED = 0  # of what evaluators draw


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What evaluators said.

    clean: index, label, predicted, correct. evidence: by evaluator; verdict: all of it together.
    witness: the nearest of each input, NaN where there is none. refusals: evaluator -> why it does
    not judge the network, or none of these inputs.
    """

    clean: pd.DataFrame
    evidence: Mapping[str, pd.DataFrame]
    verdict: Verdict
    witness: Tensor
    refusals: Mapping[str, str]


def judge_inputs(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    threat: Threat,
    evaluators: Sequence[tuple[Plugin, Mapping[str, Any]]],
) -> Judgement:
    """Asks evaluators, the cheapest first, telling each what is known; witnesses are replayed.

    evaluators: with the settings of theirs that are not as usual. The network is judged in eval
    mode, on its own device; torch's generators are left as they were.
    """
    net = copy.deepcopy(net).eval().requires_grad_(False)
    device = next((p.device for p in net.parameters()), x.device)
    with torch.random.fork_rng():
        judging = _Judging(net, x.to(device), y.to(device), threat)
        for plugin, settings in sorted(evaluators, key=lambda pair: pair[0].turn):
            judging.ask(plugin, settings)
    return Judgement(
        clean=judging.clean,
        evidence=judging.evidence,
        verdict=combine(judging.clean, judging.evidence),
        witness=judging.witness,
        refusals=judging.refusals,
    )


class _Judging:
    """The evidence so far."""

    def __init__(self, net: nn.Module, x: Tensor, y: Tensor, threat: Threat) -> None:
        self.net = net
        self.x = x
        self.y = y
        self.threat = threat
        self.exact_net = in_float64(net)
        self.clean = prediction_table(self.exact_net, x, y)
        self.evidence: dict[str, pd.DataFrame] = {}
        self.refusals: dict[str, str] = {}
        self.witness = torch.full_like(x, torch.nan, dtype=torch.float64, device="cpu")
        self.nearest = torch.full((len(x),), torch.inf, dtype=torch.float64)

    def ask(self, plugin: Plugin, settings: Mapping[str, Any]) -> None:
        """Takes up what an evaluator says, or why it says nothing."""
        evaluator = plugin.build(settings)
        net = copy.deepcopy(self.net)  # what an evaluator does to it must not reach the next
        if (reason := evaluator.refusal(net, self.threat.widest)) is not None:
            self.refusals[plugin.name] = str(reason)
            return
        started = time.perf_counter()
        isolation = isolated(
            evaluator, net, self.x, self.y, threat=self.threat, known=self._known(), seed=SEED
        )
        try:
            evidence = joined(isolation.judge(0, len(self.x)))
            isolation.require_some()
            checked = replay(self.exact_net, self.x, self.y, evidence, threat=self.threat)
        except Exception as error:  # an evaluator's fault is no reason to lose what others say
            self.refusals[plugin.name] = f"failed: {type(error).__name__}: {error}"
            return
        seconds = time.perf_counter() - started
        self.evidence[plugin.name] = evidence_table(0, checked, seconds, evidence.seconds)
        nearer = checked.high < self.nearest
        self.nearest[nearer] = checked.high[nearer]
        self.witness[nearer] = checked.witness[nearer].double()

    def _known(self) -> Interval:
        table = combine(self.clean, self.evidence).table
        low = torch.tensor(table["low"].to_numpy())
        high = torch.tensor(table["high"].to_numpy())
        device = self.x.device
        return Interval(
            low=low.to(device), high=high.to(device), witness=self.witness.clone().to(device)
        )
