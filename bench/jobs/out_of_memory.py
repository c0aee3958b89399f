"""Work in parts that fit into memory."""

from collections.abc import Callable
from typing import TypeVar

import torch

from relu.batching import is_out_of_memory

T = TypeVar("T")


def in_parts(
    work: Callable[[int, int], T], size: int, *, note: Callable[[str], None] = lambda _: None
) -> list[T]:
    """work(start, stop) over 0..size, in halves wherever a part does not fit into memory.

    Raises the out-of-memory error of a single input. `note` is told of every halving.
    """
    waiting = [(0, size)]
    done = []
    while waiting:
        start, stop = waiting.pop()
        try:
            done.append(work(start, stop))
            continue
        except Exception as error:
            if not is_out_of_memory(error) or stop - start <= 1:
                raise
            text = str(error).partition("\n")[0]
        # Only here, as the exception holds on to the tensors of the part that failed.
        free_cached_memory()
        note(f"out of memory with {stop - start} inputs, trying half: {text}")
        middle = (start + stop) // 2
        waiting += [(middle, stop), (start, middle)]
    return done


def free_cached_memory() -> None:
    """Hands the GPU memory that torch keeps for later back to the card."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
