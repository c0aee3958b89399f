"""KW: training on the bound that linear relaxation with parallel lines gives [WK18, WSMK18]."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from relu.ball import ball_of
from relu.dual import margins, relax
from relu.layers import read_layers, to_vectors
from relu.threat import Threat
import torch


@dataclass(frozen=True, kw_only=True)
class Kw:
    label: ClassVar[str] = "KW"
    box: bool = False

    def loss(self, net, x, y, *, threat: Threat, progress: float):
        layers = read_layers(net, tuple(x.shape[1:]))
        vectors = to_vectors(layers, x)
        eps = torch.full_like(vectors[:, 0], threat.eps * min(1.0, 0.1 + progress / 0.5))
        relaxed = relax(layers, ball_of(vectors, threat, eps=eps, box=self.box), "kw")
        bounds = F.pad(-margins(relaxed, y), (1, 0))
        return F.cross_entropy(bounds, torch.zeros_like(y))
