"""What a data set means to a method: which of the method's settings are others there.

What follows from the threat alone, the method says itself (`defaults`, methods/interface.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relu.threat import Norm, Threat

DIGITS = ("digits",)
GREY = ("mnist", "fashion_mnist")
COLOUR = ("gts", "cifar10")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Settings of a method on some data sets, on one architecture or norm where it says so.

    fields: by dotted name, "train." for the training loop's; per_eps: those in multiples of eps.
    """

    method: str
    datasets: tuple[str, ...]
    arch: str | None = None
    norm: Norm | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    per_eps: Mapping[str, float] = field(default_factory=dict)

    def applies(self, method: str, dataset: str, arch: str, threat: Threat) -> bool:
        return (
            self.method == method
            and dataset in self.datasets
            and self.arch in (None, arch)
            and self.norm in (None, threat.norm)
        )

    def settings(self, threat: Threat) -> dict[str, Any]:
        return {**self.fields, **{name: n * threat.eps for name, n in self.per_eps.items()}}


INTERVAL = ("ibp", "crown_ibp", "sabr", "mtl_ibp", "cc_ibp", "exp_ibp", "taps", "staps")
"""methods on interval bounds"""

# On digits as `tune` chose them, to certify; else those of the literature [MBDV24, Appendix].
INTERVAL_RULES = tuple(
    Rule(method=method, datasets=datasets, fields=fields)
    for method in INTERVAL
    for datasets, fields in (
        (DIGITS, {"ramp": 0.6, "train.batch": 32, "train.lr": 1e-2}),
        (GREY, {"train.batch": 256, "train.lr": 5e-4, "train.clip": 10.0}),
        (COLOUR, {"ramp": 0.5, "train.batch": 128, "train.lr": 5e-4, "train.clip": 10.0}),
    )
)

# [CAH19, Appendix B]: fewer PGD steps on colour images; small steps for l2 on grey ones, half
# of them with PGD examples; on the MNIST cnn, linf, the published pair of weight and gamma.
RULES = (
    *INTERVAL_RULES,
    Rule(method="at", datasets=COLOUR, fields={"steps": 7}),
    Rule(method="mmr", datasets=GREY, norm="l2", fields={"train.lr": 1e-4}),
    Rule(method="mmr_dd", datasets=GREY, norm="l2", fields={"train.lr": 1e-4}),
    Rule(method="mmr_at", datasets=COLOUR, fields={"at.steps": 7}),
    Rule(method="mmr_at", datasets=GREY, norm="l2", fields={"train.lr": 5e-5}),
    Rule(
        method="mmr_at",
        datasets=("mnist",),
        arch="cnn",
        norm="linf",
        fields={"mmr.weight": 0.5},
        per_eps={"mmr.gamma": 2.0},
    ),
)


def method_defaults(method: str, dataset: str, arch: str, threat: Threat) -> dict[str, Any]:
    """Settings that differ there from what the method says itself; later rules before earlier."""
    settings: dict[str, Any] = {}
    for rule in RULES:
        if rule.applies(method, dataset, arch, threat):
            settings |= rule.settings(threat)
    return settings
