"""The Kullback-Leibler divergence between what a network says of an input and of another."""

from jaxtyping import Float
from torch import Tensor, nn

from relu.attacks.pgd import ascend
from relu.classes import Images, Labels
from relu.threat import Threat


def divergence(clean: Float[Tensor, "n k"], attacked: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """KL(p || p') of the softmax of both logits: the sum of p (log p - log p')."""
    log_p = clean.log_softmax(1)
    return (log_p.exp() * (log_p - attacked.log_softmax(1))).sum(1)


def most_divergent(
    net: nn.Module,
    x: Images,
    y: Labels,
    clean: Float[Tensor, "n k"],
    *,
    threat: Threat,
    steps: int,
) -> Images:
    """Points of the threat at which PGD makes the divergence from the clean logits large."""
    said = clean.detach()

    def apart(logits: Tensor) -> Tensor:
        return divergence(said, logits).sum()

    z, _ = ascend(net, x, y, threat=threat, steps=steps, loss=apart)
    return z
