import os
import pickle
from collections.abc import Sequence
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

SHAPE = (3, 8, 12)


@pytest.fixture
def net() -> nn.Sequential:
    return build("cnn_small", SHAPE, 5, seed=1)


def loaded(path: Path, arch: str = "cnn_small") -> nn.Sequential:
    net = build(arch, SHAPE, 5)
    net.load_state_dict(read_checkpoint(path, ARCHITECTURES[arch], SHAPE, 5).state)
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
    scipy.io.savemat(
        tmp_path / "fc1.mat",
        {
            "U": by_pixel.T.numpy(),
            "bU": first.bias.detach().numpy()[None],
            "W": last.weight.detach().T.numpy(),
            "bW": last.bias.detach().numpy()[None],
        },
    )
    assert same(loaded(tmp_path / "fc1.mat", "fc1"), net)


def test_convolutional_networks_published_as_mat_are_reordered(tmp_path: Path) -> None:
    net = build("cnn", SHAPE, 5, seed=2)
    state = net.state_dict()
    height = 2
    width = 3
    by_pixel = state["5.weight"].view(100, 32, height, width).permute(0, 2, 3, 1).reshape(100, -1)

    kernels = [state[f"{i}.weight"].permute(2, 3, 1, 0).numpy() for i in (0, 2)]
    biases = [state[f"{i}.bias"].numpy()[None] for i in (0, 2, 5, 7)]
    scipy.io.savemat(
        tmp_path / "cnn.mat",
        {
            "weights_conv1": kernels[0],
            "weights_conv2": kernels[1],
            "weights_fc1": by_pixel.T.numpy(),
            "weights_fc2": state["7.weight"].T.numpy(),
            "biases_conv1": biases[0],
            "biases_conv2": biases[1],
            "biases_fc1": biases[2],
            "biases_fc2": biases[3],
        },
    )
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
    odd = {
        "complex": torch.ones(4, dtype=torch.complex64),
        "bool": torch.ones(4).bool(),
        "sparse": torch.ones(4).to_sparse(),
        "meta": torch.ones(4, device="meta"),
    }
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


GREEK = [
    "encoder.in",
    "encoder.widen",
    *(f"hidden.{name}" for name in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")),
    "narrow.in",
    "narrow.mid",
    "out",
]


@pytest.fixture(scope="module")
def deep() -> dict[str, Tensor]:
    """fc10's weights, of which six layers have one shape."""
    return build("fc10", SHAPE, 5, seed=3).state_dict()


def renamed(state: dict[str, Tensor], layers: Sequence[str]) -> dict[str, Tensor]:
    """The tensors in their order, under the names of these layers."""
    old = list(dict.fromkeys(name.partition(".")[0] for name in state))
    new = dict(zip(old, layers, strict=True))
    return {f"{new[n.partition('.')[0]]}.{n.partition('.')[2]}": state[n] for n in state}


def read(
    path: Path, arch: str = "fc10", *, member: int | None = None, wanted: str | None = None
) -> dict[str, Tensor]:
    architecture = ARCHITECTURES[arch]
    return read_checkpoint(path, architecture, SHAPE, 5, member=member, wanted=wanted).state


def same_tensors(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(first[n], second[n]) for n in first)


def save(path: Path, state: dict[str, Tensor]) -> Path:
    """Saves in the order of `state`, as far as the format has one."""
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


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".mat"])
def test_layers_of_one_shape_come_in_the_files_own_order(
    tmp_path: Path, suffix: str, deep: dict[str, Tensor]
) -> None:
    path = save(tmp_path / f"greek{suffix}", renamed(deep, GREEK))
    assert same_tensors(read(path), deep)


def test_biases_in_another_order_than_weights_go_with_their_layers(
    tmp_path: Path, deep: dict[str, Tensor]
) -> None:
    state = renamed(deep, GREEK)
    weights = {n: t for n, t in state.items() if n.endswith("weight")}
    biases = {n: t + len(n) for n, t in sorted(state.items()) if n.endswith("bias")}
    got = read(save(tmp_path / "a.pt", weights | biases))
    for ours, theirs in zip(weights, (n for n in got if n.endswith("weight")), strict=True):
        bias = ours.replace("weight", "bias")
        assert torch.equal(got[theirs.replace("weight", "bias")], biases[bias])


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".mat", ".safetensors"])
def test_numbers_in_names_order_what_is_sorted_by_the_alphabet(
    tmp_path: Path, suffix: str, deep: dict[str, Tensor]
) -> None:
    layers = [f"layer_{i}" for i in range(10)] + ["head"]  # layer_9 is the last hidden one
    state = renamed(deep, [f"block{i}" for i in range(1, 11)] + ["head"])
    assert sorted(state)[2].startswith("block10")
    path = save(tmp_path / f"a{suffix}", dict(sorted(state.items())))
    assert same_tensors(read(path), deep)
    path = save(tmp_path / f"b{suffix}", renamed(deep, layers))
    assert same_tensors(read(path), deep)


def test_layers_of_one_shape_that_nothing_orders_are_refused(
    tmp_path: Path, deep: dict[str, Tensor]
) -> None:
    greek = renamed(deep, GREEK)
    for suffix in (".safetensors", ".pt", ".npz", ".mat"):
        path = save(tmp_path / f"sorted{suffix}", dict(sorted(greek.items())))
        with pytest.raises(InputError, match=r"hidden.alpha.weight, .*the alphabet's, which says"):
            read(path)
    backwards = renamed(deep, [f"layer{10 - i}" for i in range(11)])
    with pytest.raises(InputError, match="numbers in their names contradict their order in the fi"):
        read(save(tmp_path / "backwards.pt", backwards))


def test_shapes_that_leave_one_way_need_no_order(tmp_path: Path, net: nn.Sequential) -> None:
    state = renamed(net.state_dict(), ["d", "c", "b", "a"])
    for suffix in (".safetensors", ".pt", ".npz", ".mat"):
        for names in (sorted(state), sorted(state, reverse=True)):
            path = save(tmp_path / f"net{suffix}", {n: state[n] for n in names})
            assert same(loaded(path), net), path


def test_arrays_without_names_are_weights_and_biases_by_their_dimensions(
    tmp_path: Path, deep: dict[str, Tensor]
) -> None:
    np.savez(tmp_path / "a.npz", *(tensor.numpy() for tensor in deep.values()))
    assert same_tensors(read(tmp_path / "a.npz"), deep)


def networks(*seeds: int) -> list[dict[str, Tensor]]:
    return [build("cnn_small", SHAPE, 5, seed=seed).state_dict() for seed in seeds]


def test_of_several_networks_the_member_must_be_named(tmp_path: Path) -> None:
    a, b = networks(0, 1)
    for name, what, places in (
        ("list", {"state_dict": [a, b], "err": 0.1}, "1 (state_dict no. 1), 2 (state_dict no. 2)"),
        ("two", {"model": a, "state_dict": b}, "1 (model), 2 (state_dict)"),
        (
            "deep",
            {"all": {"best": {"net": a}, "last": (b,)}},
            "1 (all.best.net), 2 (all.last no. 1)",
        ),
    ):
        path = tmp_path / f"{name}.pt"
        torch.save(what, path)
        with pytest.raises(InputError) as caught:
            read(path, "cnn_small")
        assert str(caught.value) == (
            f"{path} holds 2 networks that fit cnn_small: say which with --member: {places}"
        )
        for member, state in ((1, a), (2, b)):
            assert same_tensors(read(path, "cnn_small", member=member), state)
            assert same_tensors(read(path, "cnn_small", wanted=digest(state)), state)
        with pytest.raises(InputError, match=r"\), got 3"):
            read(path, "cnn_small", member=3)
        with pytest.raises(InputError, match="no longer holds the weights"):
            read(path, "cnn_small", wanted="0")


def test_what_does_not_fit_and_what_is_there_twice_is_no_choice(tmp_path: Path) -> None:
    (a,) = networks(0)
    other = build("fc1", SHAPE, 5).state_dict()
    copy = {f"module.{name}": tensor.double() for name, tensor in a.items()}
    moments = {
        "state": {i: {"exp_avg": t, "step": torch.ones(())} for i, t in enumerate(a.values())}
    }
    for what in (
        [a],
        {"model": other, "state_dict": a},
        {"model": a, "ema": copy},
        {"optimizer": moments, "model": a},
        [[{"net": [a]}]],
        [a, a],
    ):
        torch.save(what, tmp_path / "net.pt")
        assert same_tensors(read(tmp_path / "net.pt", "cnn_small"), a)
    with pytest.raises(InputError, match=r"--member 2: .* holds one network that fits cnn_small"):
        read(tmp_path / "net.pt", "cnn_small", member=2)
    torch.save({"optimizer": moments, "model": other}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"model: cnn_small has 8 tensors .* checkpoint has 4"):
        read(tmp_path / "net.pt", "cnn_small")


def test_the_digest_is_of_the_weights_alone(net: nn.Sequential) -> None:
    state = net.state_dict()
    assert digest(state) == digest({n: t.double() for n, t in state.items()})
    moved = {n: t.clone() for n, t in state.items()}
    moved["7.bias"][0] += 1e-6
    assert digest(moved) != digest(state)
    assert digest({n: state[n].flatten() for n in state}) != digest(state)


def test_biases_of_a_state_dict_that_scipy_saved_are_flattened(tmp_path: Path) -> None:
    for oned in ("row", "column"):
        net = build("cnn", SHAPE, 5, seed=2)
        arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
        scipy.io.savemat(tmp_path / "net.mat", arrays, oned_as=oned)
        assert same(loaded(tmp_path / "net.mat", "cnn"), net)


def test_published_names_beside_others_are_refused(tmp_path: Path) -> None:
    shapes = {"U": (288, 1024), "bU": (1024,), "W": (1024, 5), "bW": (5,), "V": (1024, 1024)}
    arrays = {name: np.ones(shape) for name, shape in shapes.items()}
    scipy.io.savemat(tmp_path / "net.mat", arrays)
    with pytest.raises(InputError, match="expected U, bU, W, bW, found V too"):
        loaded(tmp_path / "net.mat", "fc1")


@pytest.mark.filterwarnings("ignore")
def test_what_is_no_state_dict_is_told_and_what_helps(tmp_path: Path, net: nn.Sequential) -> None:
    state = net.state_dict()
    torch.save(state, tmp_path / "half.pt")
    whole = (tmp_path / "half.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    torch.save(net, tmp_path / "module.pt")
    torch.jit.script(net).save(tmp_path / "script.pt")
    normal = nn.Sequential(nn.Conv2d(3, 4, 4), nn.BatchNorm2d(4))
    torch.save(normal.state_dict(), tmp_path / "norm.pt")
    torch.save({**state, "epoch": 3}, tmp_path / "epoch.pt")
    torch.save(list(state.values()), tmp_path / "list.pt")
    torch.save({}, tmp_path / "nothing.pt")
    np.savez(tmp_path / "text.npz", arch="fc1")
    np.savez(tmp_path / "object.npz", weight=np.array([{}], dtype=object))
    (tmp_path / "empty.mat").write_bytes(b"")
    (tmp_path / "pointer.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "page.npz").write_text("<!DOCTYPE html>")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(99))
    (tmp_path / "folder.pt").mkdir()
    complaints = {
        "half.pt": "the end of the file is missing: copy or download it again",
        "module.pt": "(torch.nn.modules.container.Sequential), which is never executed: save net.s",
        "script.pt": "a TorchScript archive with code or other things: save net.state_dict()",
        "norm.pt": "it has batch normalization (1.running_mean), which cnn_small has not: fold it",
        "epoch.pt": "names and tensors alone, found a dict with epoch (int)",
        "list.pt": "names and tensors alone, found list",
        "nothing.pt": "found an empty dict",
        "text.npz": "arch holds no numbers but <U3: leave it out",
        "object.npz": "an array in it holds Python objects, which are never opened",
        "empty.mat": "is empty: copy or download it again",
        "pointer.safetensors": "is a Git LFS pointer, not the file itself: fetch that with git lfs",
        "page.npz": "is a web page",
        "new.mat": "no MATLAB file up to version 7",
        "folder.pt": "it is a folder",
    }
    assert set(complaints) == {path.name for path in tmp_path.iterdir()}
    for name, complaint in complaints.items():
        with pytest.raises(InputError) as caught:
            loaded(tmp_path / name)
        assert complaint in str(caught.value)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "weights_only" not in str(caught.value)
