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
    """Settings of a method on some data sets, on one architecture, norm or eps where it says so.

    fields: by dotted name, "train." for the training loop's; per_eps: those in multiples of eps.
    """

    method: str
    datasets: tuple[str, ...]
    arch: str | None = None
    norm: Norm | None = None
    eps: float | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    per_eps: Mapping[str, float] = field(default_factory=dict)

    def applies(self, method: str, dataset: str, arch: str, threat: Threat) -> bool:
        return (
            self.method == method
            and dataset in self.datasets
            and self.arch in (None, arch)
            and self.norm in (None, threat.norm)
            and self.eps in (None, threat.eps)
        )

    def settings(self, threat: Threat) -> dict[str, Any]:
        return {**self.fields, **{name: n * threat.eps for name, n in self.per_eps.items()}}


INTERVAL = ("ibp", "crown_ibp", "sabr", "mtl_ibp", "cc_ibp", "exp_ibp", "taps", "staps")
"""methods on interval bounds"""

# On digits as `tune` chose them, to certify; else the schedule of [SWZYH21, MBDV24].
LOOPS: Mapping[tuple[str, ...], Mapping[str, Any]] = {
    DIGITS: {"ramp": 0.6, "train.batch": 32, "train.lr": 1e-2},
    GREY: {
        "ramp": 0.286,
        "train.batch": 256,
        "train.lr": 5e-4,
        "train.clip": 10.0,
        "train.milestones": (0.714, 0.857),
        "train.decay": 0.2,
    },
    COLOUR: {
        "ramp": 0.5,
        "train.lr": 5e-4,
        "train.clip": 10.0,
        "train.milestones": (0.75, 0.875),
        "train.decay": 0.2,
    },
}

# What [MBDV24] chose for cnn7 in linf, at 0.1 on MNIST and at 2/255 on CIFAR-10.
LARGE = ("cnn5", "cnn7")
OF_MNIST: Mapping[str, Mapping[str, Any]] = {
    "ibp": {"weight": 0.7, "train.l1": 2e-6},
    "crown_ibp": {"weight": 0.7, "train.l1": 5e-6},
    "sabr": {"weight": 0.7, "share": 0.4, "steps": 10, "train.l1": 1e-6},
    "taps": {"weight": 0.7, "pull": 4.0, "train.l1": 2e-6},
    "staps": {"weight": 0.7, "share": 0.4, "pull": 4.0, "train.l1": 5e-6},
    "mtl_ibp": {"weight": 0.7, "alpha": 0.02, "steps": 10, "train.l1": 1e-5},
    "cc_ibp": {"weight": 0.7, "alpha": 0.02, "steps": 10},
    "exp_ibp": {"weight": 0.7, "alpha": 0.02, "steps": 10},
}
OF_CIFAR: Mapping[str, Mapping[str, Any]] = {
    "ibp": {"weight": 0.8, "train.l1": 1e-6},
    "crown_ibp": {"train.l1": 3e-6},
    "sabr": {"scale": 1.5, "share": 0.1, "steps": 5, "train.l1": 1e-6},
    "taps": {"pull": 4.0, "steps": 8, "train.l1": 2e-6},
    "staps": {"share": 0.1, "pull": 2.0, "train.l1": 2e-6},
    "mtl_ibp": {"weight": 0.9, "alpha": 0.01, "reach": 2.0, "train.l1": 3e-6},
}
INTERVAL_RULES = (
    *(
        Rule(method=method, datasets=datasets, fields=fields)
        for datasets, fields in LOOPS.items()
        for method in INTERVAL
    ),
    *(
        Rule(
            method=method,
            datasets=("mnist",),
            arch=arch,
            norm="linf",
            eps=0.1,
            fields={"scale": 2.0, **fields},
        )
        for arch in LARGE
        for method, fields in OF_MNIST.items()
    ),
    *(
        Rule(
            method=method,
            datasets=("cifar10",),
            arch=arch,
            norm="linf",
            eps=2 / 255,
            fields=fields,
        )
        for arch in LARGE
        for method, fields in OF_CIFAR.items()
    ),
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
