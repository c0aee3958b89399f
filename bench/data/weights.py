"""Which tensor of a file is which of an architecture: by name, by shape, else by order."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor

from relu.errors import InputError
from relu.network.architecture import Architecture

State = dict[str, Tensor]
Group = tuple[str, ...]
"""Names of tensors that belong together: a layer's weight and bias, or one of the two alone."""
STATISTICS = ("running_mean", "running_var")
COUNTER = "num_batches_tracked"
"""batch norm's count of batches, on which no output depends: it is 0 in what is read"""
MEANS = ("mean", "mu", "image_mean")
DEVIATIONS = ("std", "sigma", "image_std", "stddev")
LISTED = 6  # names in a message


def matched(
    tensors: Mapping[str, Tensor], arch: Architecture, shape: tuple[int, ...], classes: int
) -> State:
    """The tensors under the names of the architecture's state dict, in its order.

    Names decide where they are the architecture's behind one prefix ("module.0.weight"), and
    shapes where they leave one way. Of several ways it is the order in the file, unless that is
    the alphabet's (many formats sort), or the order of numbers in names that are else the same.
    Batch norm's tensors are known by torch's names for them alone. Raises InputError where tensors
    do not fit, or where nothing says which of several ways is meant: layers of one shape come out
    in the right order or not at all.
    """
    whole = arch.skeleton(shape, classes).state_dict()
    expected = _without_counters(whole)
    tensors = _without_counters(tensors)
    normalization = [name for name in tensors if name.endswith(STATISTICS)]
    if normalization and not _normalizations(expected):
        raise InputError(
            f"it has batch normalization ({normalization[0]}), which {arch.name} has not: fold it "
            f"into the weights and biases of the layers before it"
        )
    if len(tensors) != len(expected):
        raise InputError(
            f"{arch.name} has {len(expected)} tensors ({_shapes(expected)}), "
            f"the checkpoint has {len(tensors)} ({_shapes(tensors)})"
        )
    names = _behind_a_prefix(tensors, expected)
    if names is None:
        names = _by_layer(tensors, expected, arch.name)
    for ours, theirs in names.items():
        if tensors[theirs].shape != expected[ours].shape:
            called = "" if theirs.endswith(ours) else f" ({theirs})"
            raise InputError(
                f"{arch.name} on images of shape {shape} expects {ours} of shape "
                f"{tuple(expected[ours].shape)}, found {tuple(tensors[theirs].shape)}{called}"
            )
    counter = torch.zeros((), dtype=torch.long)
    return {ours: tensors[names[ours]] if ours in names else counter.clone() for ours in whole}


def split_normalisation(
    tensors: Mapping[str, Tensor], channels: int
) -> tuple[State, tuple[float, ...], tuple[float, ...]]:
    """The tensors without mean and standard deviation of images; these, () where it has none.

    They are known by their names, and by a number for each channel, or one for all.
    """
    named = {
        word: [name for name, tensor in tensors.items() if _says(name, tensor, words, channels)]
        for word, words in (("mean", MEANS), ("std", DEVIATIONS))
    }
    if any(len(names) != 1 for names in named.values()):
        return dict(tensors), (), ()
    mean, std = (tensors[names[0]].float().flatten().tolist() for names in named.values())
    left = {name: t for name, t in tensors.items() if [name] not in named.values()}
    return left, tuple(mean), tuple(std)


def _says(name: str, tensor: Tensor, words: Sequence[str], channels: int) -> bool:
    return name.rpartition(".")[2].lower() in words and tensor.numel() in (1, channels)


def _without_counters(tensors: Mapping[str, Tensor]) -> State:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(COUNTER)}


def _normalizations(tensors: Mapping[str, Tensor]) -> list[Group]:
    """(weight, bias, running_mean, running_var) of each batch norm, in the order of the file."""
    stems = [name.removesuffix(STATISTICS[0]) for name in tensors if name.endswith(STATISTICS[0])]
    groups = [tuple(stem + part for part in ("weight", "bias", *STATISTICS)) for stem in stems]
    return [group for group in groups if set(group) <= set(tensors)]


def _behind_a_prefix(tensors: Mapping[str, Tensor], expected: State) -> dict[str, str] | None:
    """Our names -> theirs, which are ours behind a common prefix; None where they are not."""
    first = next(iter(expected))
    prefixes = [name.removesuffix(first) for name in tensors if name.endswith(first)]
    for prefix in prefixes:
        names = {ours: prefix + ours for ours in expected}
        if set(names.values()) == set(tensors):
            return names
    return None


def _by_layer(tensors: Mapping[str, Tensor], expected: State, arch: str) -> dict[str, str]:
    """Our names -> theirs: whole layers where names say what belongs together, else separately."""
    norms = _normalizations(tensors), _normalizations(expected)
    if len(norms[0]) != len(norms[1]):
        raise InputError(
            f"{arch} has {len(norms[1])} batch normalizations, the checkpoint has {len(norms[0])} "
            f"(known by weight, bias, running_mean, running_var; {_shapes(tensors)})"
        )
    ours = _by_rank(expected, norms[1])
    theirs = _by_rank(tensors, norms[0])
    if [len(names) for names in theirs] != [len(names) for names in ours]:
        raise InputError(
            f"{arch} has {len(ours[0])} weights and as many biases, the checkpoint has "
            f"{len(theirs[0])} and {len(theirs[1])} ({_shapes(tensors)})"
        )
    pairs = _paired(*theirs)
    sides: list[tuple[list[Group], list[Group]]]
    if pairs is None:
        sides = [(_alone(t), _alone(o)) for t, o in zip(theirs, ours, strict=True)]
    else:
        sides = [(pairs, list(zip(*ours, strict=True)))]
    sides.append(norms)
    names: dict[str, str] = {}
    for groups, places in sides:
        order = _order(tensors, groups, expected, places)
        if order is None:  # nothing fits, and this way shows it
            order = sorted(groups, key=lambda group: _natural(group[0]))
        for place, group in zip(places, order, strict=True):
            names |= dict(zip(place, group, strict=True))
    return names


def _by_rank(tensors: Mapping[str, Tensor], norms: Sequence[Group]) -> tuple[list[str], list[str]]:
    """Names of weights, which have several dimensions, and of biases, which have one.

    norms: the batch norms, which are neither.
    """
    names = [name for name in tensors if not any(name in group for group in norms)]
    weights = [name for name in names if tensors[name].ndim > 1]
    return weights, [name for name in names if name not in weights]


def _paired(weights: Sequence[str], biases: Sequence[str]) -> list[Group] | None:
    """(weight, bias) of each layer, where their names are the same but for that word."""
    of_layer = {_layer(name): name for name in biases}
    if len(of_layer) < len(biases) or {_layer(name) for name in weights} != set(of_layer):
        return None
    return [(name, of_layer[_layer(name)]) for name in weights]


def _alone(names: Sequence[str]) -> list[Group]:
    return [(name,) for name in names]


def _layer(name: str) -> str:
    """A tensor's name without the word that says which of its layer's tensors it is."""
    short = re.sub(r"weights?|bias(es)?|kernel", "", name.lower())
    return re.sub(r"(?<![a-z])[wb](?![a-z])", "", short)


def _order(
    tensors: Mapping[str, Tensor], groups: Sequence[Group], expected: State, places: Sequence[Group]
) -> Sequence[Group] | None:
    """The groups in the order of the places; None where no order fits.

    Raises InputError where several fit and nothing says which one is meant.
    """
    shapes = [_sizes(expected, place) for place in places]
    by_shape = list(islice(_orders(tensors, groups, shapes, {}), 2))
    if len(by_shape) < 2:
        return by_shape[0] if by_shape else None
    numbered = list(islice(_orders(tensors, groups, shapes, _earlier(groups)), 2))
    alphabetical = list(tensors) == sorted(tensors)
    in_file_order = [_sizes(tensors, group) for group in groups] == shapes
    contradictory = _contradicts(groups, _earlier(groups))
    if in_file_order and not alphabetical and not contradictory:
        return groups
    if len(numbered) == 1 and (alphabetical or not in_file_order):
        return numbered[0]
    why = "neither their names nor their order in the file says it"
    if alphabetical:
        why = "their order in the file is the alphabet's, which says nothing"
    elif in_file_order:
        why = "the numbers in their names contradict their order in the file"
    alike = [
        g[0] for g in groups if [_sizes(tensors, h) for h in groups].count(_sizes(tensors, g)) > 1
    ]
    listed = ", ".join(alike[:LISTED]) + (", ..." if len(alike) > LISTED else "")
    names = ", ".join([n for place in places for n in place][:3])
    raise InputError(
        f"which comes first of {listed}, which have one shape? {why}: name them as the "
        f"architecture does ({names}, ...)"
    )


def _orders(
    tensors: Mapping[str, Tensor],
    groups: Sequence[Group],
    shapes: Sequence[object],
    earlier: Mapping[Group, set[Group]],
) -> Iterator[list[Group]]:
    """All orders of the groups with these shapes, in which a group comes after its `earlier`."""

    def extended(order: list[Group]) -> Iterator[list[Group]]:
        if len(order) == len(shapes):
            yield order
            return
        for group in groups:
            fits = group not in order and _sizes(tensors, group) == shapes[len(order)]
            if fits and earlier.get(group, set()) <= set(order):
                yield from extended([*order, group])

    return extended([])


def _earlier(groups: Sequence[Group]) -> dict[Group, set[Group]]:
    """For each group those whose names are the same but for smaller numbers."""
    keys = {group: _layer(group[0]) for group in groups}
    texts = {group: re.sub(r"\d+", "#", key) for group, key in keys.items()}
    ranks = {group: _natural(key) for group, key in keys.items()}

    def before(group: Group) -> set[Group]:
        alike = [other for other in groups if texts[other] == texts[group]]
        return {other for other in alike if ranks[other] < ranks[group]}

    return {group: before(group) for group in groups}


def _contradicts(groups: Sequence[Group], earlier: Mapping[Group, set[Group]]) -> bool:
    return any(not earlier[group] <= set(groups[:i]) for i, group in enumerate(groups))


def _sizes(tensors: Mapping[str, Tensor], group: Group) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(tensors[name].shape) for name in group)


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key under which layer 10 comes after layer 2."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", name)]


def _shapes(state: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in state.items())
