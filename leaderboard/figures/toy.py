"""The paper's toy: two networks on points of the plane [CAH19, Figure 2a, b]."""

import math

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from bench.data.datasets import DataSet
from bench.jobs.training import train
from bench.plugins.training import Training
from leaderboard.figures.plane import Plane, rectangle
from leaderboard.figures.planes import count_of, draw_slice, explain, slice_of
from leaderboard.figures.style import COLUMN, MARKERS, panels
from methods.interface import Method
from methods.mmr import Mmr
from methods.plain import Plain
from relu.network.reader import in_float64
from relu.threat import Threat

POINTS = 128
UNITS = 100
THREAT = Threat(norm="l2", eps=0.05)
METHODS: tuple[Method, ...] = (Plain(), Mmr(weight=1.0, gamma=0.1))
WAVE = 0.2
GAP = 0.1
TRAINING = Training(epochs=600, batch=POINTS, lr=1e-2)


def toy_figure() -> Figure:
    """The regions of a network of one hidden layer of UNITS units, trained plainly and with MMR.

    On POINTS points of two classes in [0, 1]^2, above and below a wave; the paper does not say
    which its points are.
    """
    data = toy_data()
    plane = Plane(origin=np.zeros(2), first=np.array([1.0, 0.0]), second=np.array([0.0, 1.0]))
    window = rectangle(np.zeros(2), np.ones(2))
    figure, axes = panels(len(METHODS), height=1.9, most=2, width=COLUMN / 2)
    for method, panel in zip(METHODS, axes, strict=True):
        net = toy_network(data, method)
        whole = slice_of(in_float64(net), plane, window, data.shape)
        draw_slice(panel, whole)
        for k, marker in enumerate(MARKERS[: data.classes]):
            own = data.x_train[data.y_train == k].flatten(1).numpy()
            panel.plot(*own.T, marker, color="white", mec="black", ms=2.6, mew=0.6, zorder=5)
        panel.set_title(f"{method.label}: {count_of(whole)}")
        panel.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], xlabel="first pixel")
    axes[0].set_ylabel("second pixel")
    explain(figure, ["class 0", "class 1"], box=False)
    return figure


def toy_data(seed: int = 0) -> DataSet:
    """Points of the square, above and below a wave, and not near it; the same for the same seed."""
    random = torch.Generator().manual_seed(seed)
    points = torch.rand(10 * POINTS, 2, generator=random)
    height = points[:, 1] - 0.5 - WAVE * (2 * math.pi * points[:, 0]).sin()
    apart = height.abs() > GAP
    x = points[apart][:POINTS].view(POINTS, 1, 1, 2)
    y = (height[apart][:POINTS] > 0).long()
    return DataSet(name="toy", classes=2, x_train=x, y_train=y, x_test=x, y_test=y)


def toy_network(data: DataSet, method: Method) -> nn.Sequential:
    """A network of one hidden layer, trained on the points; the same each time."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(2, UNITS), nn.ReLU(), nn.Linear(UNITS, data.classes)
    )
    train(net, method, data, threat=THREAT, training=TRAINING, seed=0, augmented=False)
    return net.requires_grad_(False).eval()
