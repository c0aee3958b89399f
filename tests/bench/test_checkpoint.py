import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from safetensors.torch import save_file
from torch import nn

from bench.checkpoint import read_checkpoint
from relu.names import InputError
from relu.networks import build

SHAPE = (3, 8, 12)


@pytest.fixture
def net() -> nn.Sequential:
    return build("cnn_small", SHAPE, 5, seed=1)


def loaded(path: Path, arch: str = "cnn_small") -> nn.Sequential:
    net = build(arch, SHAPE, 5)
    net.load_state_dict(read_checkpoint(path, arch, SHAPE, 5))
    return net


def same(first: nn.Sequential, second: nn.Sequential) -> bool:
    x = torch.rand(4, *SHAPE)
    return torch.allclose(first(x), second(x), atol=1e-5)


def test_every_format_gives_the_same_network(tmp_path: Path, net: nn.Sequential) -> None:
    state = net.state_dict()
    arrays = {k: v.numpy() for k, v in state.items()}
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pt")
    torch.save({"state_dict": [state], "epoch": 3}, tmp_path / "c.pth")
    np.savez(tmp_path / "d.npz", **arrays)
    renamed = {f"module.{k}": v for k, v in state.items()}
    torch.save(renamed, tmp_path / "e.pt")
    save_file(renamed, tmp_path / "f.safetensors")
    backwards = {f"layer{k}": state[k] for k in reversed(list(state))}  # biases first
    torch.save(backwards, tmp_path / "g.pt")
    for path in sorted(tmp_path.iterdir()):
        assert same(loaded(path), net), path


def test_dense_networks_published_as_mat_are_transposed_and_reordered(tmp_path: Path) -> None:
    net = build("fc1", SHAPE, 5, seed=2)
    first, last = (layer for layer in net if isinstance(layer, nn.Linear))
    x = torch.rand(4, *SHAPE)
    images = x.permute(0, 2, 3, 1).reshape(4, -1)  # height x width x channels, as TensorFlow has it
    by_pixel = first.weight.detach().view(1024, 3, 8, 12).permute(0, 2, 3, 1).reshape(1024, -1)
    assert torch.allclose(images @ by_pixel.T + first.bias, first(x.flatten(1)), atol=1e-5)
    scipy.io.savemat(tmp_path / "fc1.mat", {
        "U": by_pixel.T.numpy(), "bU": first.bias.detach().numpy()[None],
        "W": last.weight.detach().T.numpy(), "bW": last.bias.detach().numpy()[None],
    })  # fmt: skip
    assert same(loaded(tmp_path / "fc1.mat", "fc1"), net)


def test_convolutional_networks_published_as_mat_are_reordered(tmp_path: Path) -> None:
    net = build("cnn", SHAPE, 5, seed=2)
    state = net.state_dict()
    height, width = 2, 3
    by_pixel = state["5.weight"].view(100, 32, height, width).permute(0, 2, 3, 1).reshape(100, -1)

    kernels = [state[f"{i}.weight"].permute(2, 3, 1, 0).numpy() for i in (0, 2)]
    biases = [state[f"{i}.bias"].numpy()[None] for i in (0, 2, 5, 7)]
    scipy.io.savemat(tmp_path / "cnn.mat", {
        "weights_conv1": kernels[0], "weights_conv2": kernels[1],
        "weights_fc1": by_pixel.T.numpy(), "weights_fc2": state["7.weight"].T.numpy(),
        "biases_conv1": biases[0], "biases_conv2": biases[1],
        "biases_fc1": biases[2], "biases_fc2": biases[3],
    })  # fmt: skip
    assert same(loaded(tmp_path / "cnn.mat", "cnn"), net)


def test_a_checkpoint_never_executes_code(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path}/executed",)

    for name in ("a.pt", "b.pth"):
        torch.save({"0.weight": Bomb()}, tmp_path / name)
    (tmp_path / "c.pt").write_bytes(pickle.dumps(Bomb()))
    np.savez(tmp_path / "d.npz", weight=np.array([Bomb()], dtype=object))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(InputError):
            loaded(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".npz", ".mat"])
def test_torn_files_are_named(tmp_path: Path, suffix: str, net: nn.Sequential) -> None:
    path = tmp_path / f"net{suffix}"
    if suffix == ".safetensors":
        save_file(net.state_dict(), path)
    elif suffix == ".npz":
        np.savez(path, **{k: v.numpy() for k, v in net.state_dict().items()})
    elif suffix == ".mat":
        scipy.io.savemat(path, {k: v.numpy() for k, v in net.state_dict().items()})
    else:
        torch.save(net.state_dict(), path)
    whole = path.read_bytes()
    for keep in (0, 7, len(whole) // 3, len(whole) - 9):
        path.write_bytes(whole[:keep])
        with pytest.raises(InputError) as caught:
            loaded(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_wrong_shapes_are_told_with_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(build("cnn_small", (1, 8, 12), 5).state_dict(), path)
    with pytest.raises(InputError, match=r"expects 0.weight of shape \(4, 3, 4, 4\), found \(4, 1"):
        loaded(path)
    save_file(build("fc1", SHAPE, 5).state_dict(), path)
    with pytest.raises(InputError, match=r"cnn_small has 8 tensors .* the checkpoint has 4"):
        loaded(path)


def test_values_that_are_not_finite_are_refused(tmp_path: Path, net: nn.Sequential) -> None:
    state = net.state_dict()
    state["0.bias"][0] = torch.nan
    save_file(state, tmp_path / "net.safetensors")
    with pytest.raises(InputError, match=r"0\.bias has values that are not finite"):
        loaded(tmp_path / "net.safetensors")


def test_odd_tensors_and_endless_containers_are_refused(tmp_path: Path, net: nn.Sequential) -> None:
    state = net.state_dict()
    odd = {"complex": torch.ones(4, dtype=torch.complex64), "bool": torch.ones(4).bool(),
           "sparse": torch.ones(4).to_sparse(), "meta": torch.ones(4, device="meta")}  # fmt: skip
    for name, tensor in odd.items():
        torch.save({**state, "0.bias": tensor}, tmp_path / f"{name}.pt")
    endless: list[object] = []
    endless.append(endless)
    torch.save(endless, tmp_path / "endless.pt")
    scipy.io.savemat(tmp_path / "half.mat", {"U": np.ones((3, 2)), "W": np.ones((2, 2))})
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(InputError) as caught:
            loaded(path)
        assert str(path) in str(caught.value)


def test_a_dense_network_given_as_cnn_is_told(tmp_path: Path) -> None:
    weights = {
        "U": np.ones((288, 1024)),
        "W": np.ones((1024, 5)),
        "bU": np.ones(1024),
        "bW": np.ones(5),
    }
    scipy.io.savemat(tmp_path / "fc1.mat", weights)
    with pytest.raises(InputError, match=r"U of shape \(288, 1024\) does not fit the Conv2d"):
        loaded(tmp_path / "fc1.mat", "cnn")


def test_byte_order_and_upper_case_do_not_matter(tmp_path: Path, net: nn.Sequential) -> None:
    swapped = {k: v.numpy().astype(">f4") for k, v in net.state_dict().items()}
    np.savez(tmp_path / "net.npz", **swapped)
    (tmp_path / "net.npz").rename(tmp_path / "NET.NPZ")
    assert same(loaded(tmp_path / "NET.NPZ"), net)


def test_unknown_suffixes_and_missing_files_are_named(tmp_path: Path) -> None:
    for name in ("net.h5", "net.pt"):
        with pytest.raises(InputError, match=r"net\."):
            loaded(tmp_path / name)
