"""The source of evaluators and methods that tests drop in."""

EVALUATOR = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import torch
from evaluators.interface import Evidence

@dataclass(frozen=True, kw_only=True)
class Plugin:
    label: ClassVar[str] = "plugin"
    resource: ClassVar[str] = "cpu"
    shard: ClassVar[int] = 10
    cost: ClassVar[int] = 50

    def refusal(self, net, threat):
        return {refusal}

    def judge(self, net, x, y, *, threat, known):
        low, witness = torch.zeros(len(x)).double(), torch.full_like(x, torch.nan)
        {body}
        return Evidence(low=low, witness=witness, outcome=["done"] * len(x))
"""


def evaluator(body: str = "pass", refusal: str = "None") -> str:
    """An evaluator with this body, that refuses cells for this reason."""
    return EVALUATOR.format(body=body, refusal=refusal)


def noting(log: str, then: str = "pass", seconds: float = 0.0) -> str:
    """An evaluator that notes each call in a file, sleeps, and finds some random witnesses."""
    body = f"""with open({log!r}, "a") as file: file.write(f"{{os.getpid()}}\\n")
        time.sleep({seconds})
        noise = (x + torch.rand_like(x) / 4).clamp(0, 1)
        witness = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, noise, witness)
        {then}"""
    return evaluator(body)
