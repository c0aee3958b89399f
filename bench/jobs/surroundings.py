"""What every job finds in its process, and leaves behind."""

import contextlib
import ctypes
import random
import sys
from collections.abc import Iterator

import numpy as np
import torch

from bench.jobs.job import Job

DEVICE = "BENCH_DEVICE"  # environment variable: what a worker must use, "cuda" or "cpu"
# glibc's malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
KEPT = 2**30  # bytes of freed memory that stay with the process
LARGEST = 2**25  # bytes; glibc takes no larger threshold for blocks that it maps one by one


@contextlib.contextmanager
def own_state(job: Job) -> Iterator[None]:
    """Every job finds the same state of this process, whatever earlier ones have left behind.

    float32 is float32 on a GPU, too: by default cuDNN rounds what convolutions multiply to 11 bits.
    """
    seed = int(job.key[:8], 16)
    random.seed(seed)
    np.random.seed(seed)
    dtype = torch.get_default_dtype()
    grad = torch.is_grad_enabled()
    deterministic = torch.are_deterministic_algorithms_enabled()
    precision = torch.get_float32_matmul_precision()
    benchmark = torch.backends.cudnn.benchmark
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.benchmark = benchmark
        torch.backends.cudnn.allow_tf32 = tf32


def keep_freed_memory() -> bool:
    """Whether glibc was told to keep freed memory for the next tensor.

    By default it hands a layer's activations back to the kernel after every pass, and the next
    pass faults them in again, page by page: a third of the time of a small CNN on the CPU.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # a C library without it, as musl
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT)) and bool(mallopt(M_MMAP_THRESHOLD, LARGEST))
