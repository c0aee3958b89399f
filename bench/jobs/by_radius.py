"""Judging inputs that have a radius each."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.jobs.verdict import joined, require_whole
from evaluators.interface import Evaluator, Evidence, Interval
from relu.threat import Threat


def judge_by_radius(
    evaluator: Evaluator, net: nn.Module, x: Tensor, y: Tensor, *, threat: Threat, known: Interval
) -> Evidence:
    """An evaluator's evidence, of each input at its own eps where the threat has one for each.

    One to whom eps is a number is called for the inputs of each radius, the smallest radius first.
    What it is given are copies, as what it does in place must not reach its caller.
    """
    if not isinstance(threat.eps, Tensor) or getattr(evaluator, "eps_per_input", False):
        rows = torch.arange(len(x), device=x.device)
        return _judged(evaluator, net, x, y, rows, threat, known)
    radii = threat.each(x)
    groups = [(radii == radius).nonzero().squeeze(1) for radius in radii.unique()]
    parts = []
    for rows in groups:
        one = replace(threat, eps=float(radii[rows[0]]))
        parts.append(_judged(evaluator, net, x, y, rows, one, known))
        require_whole(x[rows], parts[-1])
    return _in_order(joined(parts), torch.cat(groups).argsort().cpu())


def _judged(
    evaluator: Evaluator,
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    rows: Tensor,
    threat: Threat,
    known: Interval,
) -> Evidence:
    return evaluator.judge(net, x[rows], y[rows], threat=threat, known=known.part(rows))


def _in_order(evidence: Evidence, order: Tensor) -> Evidence:
    """The evidence about the inputs `order`."""
    low, witness = (tensor[order.to(tensor.device)] for tensor in (evidence.low, evidence.witness))
    status = evidence.statuses
    return Evidence(
        low=low,
        witness=witness,
        outcome=[evidence.outcome[i] for i in order.tolist()],
        seconds=None if evidence.seconds is None else evidence.seconds.cpu()[order],
        status=[status[i] for i in order.tolist()],
    )
