"""Files with batch norm: which of their tensors is which of the architecture."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.data.checkpoint import digest, read_checkpoint
from relu.errors import InputError
from relu.network.architectures import ARCHITECTURES, build

SHAPE = (1, 4, 4)
PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def drawn(arch: str, shape: tuple[int, ...] = SHAPE) -> nn.Sequential:
    """A network whose norms have seen some batches, all their tensors different."""
    net = build(arch, shape, 5, seed=1)
    torch.manual_seed(2)
    for module in net:
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    for _ in range(3):
        net(torch.rand(8, *shape))
    return net.eval()


def read(path: Path, arch: str) -> dict[str, Tensor]:
    return read_checkpoint(path, ARCHITECTURES[arch], SHAPE, 5).state


def save(path: Path, state: dict[str, Tensor]) -> Path:
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    if path.suffix == ".pt":
        torch.save(state, path)
    elif path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **arrays)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, arrays)
    else:
        save_file(state, path)
    return path


def named(net: nn.Sequential) -> dict[str, Tensor]:
    """Under the names that someone's own module would give: conv1, bn1, ..., fc1, ..."""
    counts = {"conv": 0, "bn": 0, "fc": 0}
    names: dict[str, str] = {}
    for i, module in enumerate(net):
        kind = {nn.Conv2d: "conv", nn.Linear: "fc"}.get(type(module), "bn")
        if module.state_dict():
            counts[kind] += 1
            names[str(i)] = f"{kind}{counts[kind]}"
    state = net.state_dict()
    return {f"{names[n.partition('.')[0]]}.{n.partition('.')[2]}": t for n, t in state.items()}


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".mat", ".safetensors"])
@pytest.mark.parametrize("arch", ["cnn3", "cnn7"])
@pytest.mark.parametrize("way", ["same", "prefix", "renamed", "sorted", "uncounted", "apart"])
def test_every_tensor_finds_its_place(tmp_path: Path, arch: str, way: str, suffix: str) -> None:
    net = drawn(arch)
    state = dict(net.state_dict())
    if way == "prefix":
        state = {f"module.{name}": tensor for name, tensor in state.items()}
    elif way in ("renamed", "sorted", "apart"):
        state = named(net)
    if way == "sorted":
        state = dict(sorted(state.items()))
    elif way == "uncounted":
        state = {n: t for n, t in state.items() if not n.endswith("tracked")}
    elif way == "apart":  # first everything that has a gradient, as some formats have it
        later = [n for n in state if n.endswith(PARTS[2:])]
        state = {n: state[n] for n in state if n not in later} | {n: state[n] for n in later}
    found = read(save(tmp_path / f"net{suffix}", state), arch)
    expected = net.state_dict()
    assert list(found) == list(expected)
    for name, tensor in found.items():
        counted = name.endswith("num_batches_tracked")
        assert torch.equal(tensor, torch.tensor(0) if counted else expected[name]), name
    other = build(arch, SHAPE, 5).eval()
    other.load_state_dict(found)
    x = torch.rand(4, *SHAPE)
    assert torch.equal(other(x), net(x))


def test_the_count_of_batches_makes_no_other_network(tmp_path: Path) -> None:
    state = drawn("cnn3").state_dict()
    digests = set()
    for count in (0, 3, 2**40):
        state["1.num_batches_tracked"] = torch.tensor(count)
        digests.add(digest(read(save(tmp_path / "net.pt", state), "cnn3")))
    state["1.running_mean"] = state["1.running_mean"] + 1
    digests.add(digest(read(save(tmp_path / "net.pt", state), "cnn3")))
    assert len(digests) == 2


def test_norms_that_do_not_fit_are_told(tmp_path: Path) -> None:
    state = dict(drawn("cnn3").state_dict())
    plain = dict(build("cnn_small", SHAPE, 5).state_dict())
    renamed = named(drawn("cnn3"))
    odd = {
        "norm in cnn_small": (plain | {"1.running_mean": torch.zeros(4)}, "cnn_small"),
        "negative": (state | {"1.running_var": -state["1.running_var"]}, "cnn3"),
        "whole": (state | {"1.running_var": torch.ones(64).long()}, "cnn3"),
        "nan": (state | {"4.running_mean": torch.full((128,), torch.nan)}, "cnn3"),
        "fewer": ({n: t for n, t in state.items() if n[0] != "1"}, "cnn3"),
        "none": (plain, "cnn3"),
        "others": ({n.replace("running_mean", "moving"): t for n, t in renamed.items()}, "cnn3"),
        "shape": (renamed | {"bn1.running_mean": torch.zeros(63)}, "cnn3"),
    }
    complaints = {
        "norm in cnn_small": "batch normalization (1.running_mean), which cnn_small has not: fold",
        "negative": "1.running_var has negative variances",
        "whole": "1.running_var is no dense tensor of real numbers (torch.int64)",
        "nan": "4.running_mean has values that are not finite",
        "fewer": "cnn3 has 14 tensors (0.weight (64, 1, 5, 5), ",
        "none": "cnn3 has 14 tensors (0.weight (64, 1, 5, 5), ",
        "others": "cnn3 has 2 batch normalizations, the checkpoint has 0 (known by weight, bias, r",
        "shape": "cnn3 on images of shape (1, 4, 4) expects 1.running_mean of shape (64,), found (",
    }
    for name, (tensors, arch) in odd.items():
        with pytest.raises(InputError) as caught:
            read(save(tmp_path / "net.pt", tensors), arch)
        assert complaints[name] in str(caught.value), name
        assert "\n" not in str(caught.value)
