"""Which inputs a network classifies correctly, whatever its arithmetic is off by."""

import functools

import pandas as pd
import torch
from torch import Tensor, nn

from bench.jobs.out_of_memory import in_parts
from relu.attacks.witness import adversarial

BATCH = 1000  # inputs that are predicted at once


def prediction_table(exact_net: nn.Module, x: Tensor, y: Tensor) -> pd.DataFrame:
    """A row per input: index, label, predicted, correct; computed where the network is."""
    device = next((p.device for p in exact_net.parameters()), x.device)
    wrong = []
    predicted = []
    for images, labels in zip(x.split(BATCH), y.split(BATCH), strict=True):
        predict = functools.partial(_predict, exact_net, images, labels, device)
        for prediction in in_parts(predict, len(images)):
            wrong.append(prediction[0])
            predicted.append(prediction[1])
    return pd.DataFrame(
        {
            "index": range(len(y)),
            "label": y.cpu().numpy(),
            "predicted": torch.cat(predicted).numpy(),
            "correct": ~torch.cat(wrong).numpy(),
        }
    )


def _predict(
    exact_net: nn.Module, x: Tensor, y: Tensor, device: torch.device, start: int, stop: int
) -> tuple[Tensor, Tensor]:
    """Which of x[start:stop] are misclassified, and the classes they are given."""
    x = x[start:stop].to(device)
    y = y[start:stop].to(device)
    with torch.no_grad():
        return adversarial(exact_net, x, y).cpu(), exact_net(x.double()).argmax(1).cpu()
