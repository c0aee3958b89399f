"""Every method that discovery finds keeps the contract of methods/interface.py."""

import dataclasses

import pytest
import torch
from torch import nn

from bench.data.datasets import DataSet
from bench.data.sources import SOURCES
from bench.jobs.training import train
from bench.parsing import NORMS
from bench.plan.networks import usual_settings
from bench.plugins.discovery import discover
from bench.plugins.training import Training
from methods.interface import Method
from relu.errors import InputError
from relu.network.architectures import build
from relu.threat import Norm, Threat

METHODS = discover().methods


@pytest.mark.parametrize("name", METHODS)
def test_it_builds_with_its_defaults_on_every_data_set(name: str) -> None:
    plugin = METHODS[name]
    assert isinstance(plugin.cls(), Method)
    for dataset, source in SOURCES.items():
        for norm in NORMS:
            threat = Threat(norm=norm, eps=source.eps[norm])
            own = usual_settings(plugin, dataset, source.arch, threat)
            fields = {k: v for k, v in own.items() if not k.startswith("train.")}
            assert isinstance(plugin.build(fields), Method)


@pytest.mark.parametrize("name", METHODS)
def test_its_settings_cannot_be_changed_or_misspelt(name: str) -> None:
    method = METHODS[name].cls()
    for field in dataclasses.fields(method):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(method, field.name, None)
    with pytest.raises(TypeError):
        METHODS[name].cls(no_such_setting=1)


@pytest.mark.parametrize("name", METHODS)
def test_numbers_out_of_range_are_refused_by_name_and_value(name: str) -> None:
    for field, default in METHODS[name].fields().items():
        if isinstance(default, int | float) and not isinstance(default, bool):
            where = field if "." in field else f"{name}.{field}"  # or a held method's
            with pytest.raises(InputError, match=rf"{where}.*-7"):
                METHODS[name].build({field: type(default)(-7)})


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", METHODS)
def test_two_epochs_lower_the_loss(name: str, norm: Norm, digits: DataSet) -> None:
    net = build("fc_small", digits.shape, digits.classes)
    threat = Threat(norm=norm, eps=SOURCES["digits"].eps[norm] / 4)
    small = dataclasses.replace(digits, x_train=digits.x_train[:512], y_train=digits.y_train[:512])
    method = METHODS[name].cls()

    def loss() -> float:  # at one progress, as weights and schedules change with it
        torch.manual_seed(0)
        return method.loss(net, small.x_train, small.y_train, threat=threat, progress=0.5).item()

    before = loss()
    train(
        net,
        method,
        small,
        threat=threat,
        training=Training(epochs=2),
        seed=0,
        augmented=False,
    )
    assert loss() < before


@pytest.mark.parametrize("progress", [0.0, 0.9])
@pytest.mark.parametrize("arch", ["cnn_small", "cnn_leaky", "cnn_pool", "resnet", "cnn3", "linear"])
@pytest.mark.parametrize("name", METHODS)
def test_the_loss_of_an_untrained_network_is_a_scalar_with_gradients(
    name: str, arch: str, progress: float
) -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    net = linear if arch == "linear" else build(arch, (1, 8, 8), 10).eval()
    method = METHODS[name].cls()
    if (prepare := getattr(method, "prepare", None)) is not None:
        prepare(net)
    for count in (7, 1):
        net.zero_grad()
        x = torch.rand(count, 1, 8, 8)
        y = torch.arange(count)
        threat = Threat(norm="linf", eps=0.05)
        loss = method.loss(net, x, y, threat=threat, progress=progress)
        assert loss.shape == () and loss.isfinite()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
