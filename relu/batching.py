"""How work on many units of many inputs is laid out: in tables, and in parts that fit."""

from collections.abc import Iterator

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

PART = 2**20  # numbers that a part of the work should touch at a time, to stay in a CPU's cache
MEMORY = (
    "DefaultCPUAllocator: ",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)  # what torch's errors say where it did not suffice
SHARE = 64  # a part of the work on a GPU touches this part of its free bytes, in numbers


def at_once(device: torch.device) -> int:
    """How many numbers a part of the work should touch at a time."""
    if device.type != "cuda":
        return PART
    free, _ = torch.cuda.mem_get_info(device)
    return max(PART, free // SHARE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU's or this machine's memory did not suffice for a tensor."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in MEMORY)


def groups(size: int, step: int) -> Iterator[slice]:
    """0..size in slices of `step`, but at least one each."""
    step = max(1, step)
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


class PaddedBatch:
    """The g x k table that fits best m units, each of the input `which` (in increasing order).

    A line is an input with all its units, so that what is the input's is not copied; or, where
    more than a fifth of the table would be empty, a single unit. `inputs`: whose each line is.
    """

    inputs: Int[Tensor, " g"] | slice

    def __init__(self, which: Int[Tensor, " m"]) -> None:
        first = int(which[0])
        m = len(which)
        counts = (which - first).bincount()
        n = len(counts)
        widest = int(counts.max())
        ranks = torch.arange(m, device=which.device)
        if 4 * n * widest <= 5 * m:
            starts = counts.cumsum(0) - counts
            places = (which - first, ranks - starts[which - first])
            self.inputs = slice(first, first + n)
            self.places = places
            self.shape = (n, widest)
        else:
            self.inputs = which
            self.shape = (m, 1)
            self.places = (ranks, torch.zeros_like(ranks))

    def filled(self, values: Shaped[Tensor, "m *rest"]) -> Shaped[Tensor, "g k *rest"]:
        """A table of these values, with zeros elsewhere."""
        table = values.new_zeros(*self.shape, *values.shape[1:])
        table[self.places] = values
        return table

    def taken(self, table: Shaped[Tensor, "g k *rest"]) -> Shaped[Tensor, "m *rest"]:
        """The values of a table, the inverse of `filled`."""
        return table[self.places]
