"""What every job finds in its process, and leaves behind."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch

from bench.job import Job


@contextlib.contextmanager
def own_state(job: Job) -> Iterator[None]:
    """Every job finds the same state of this process, whatever earlier ones have left behind.

    float32 is float32 on a GPU, too: by default cuDNN rounds what convolutions multiply to 11 bits.
    """
    seed = int(job.key[:8], 16)
    random.seed(seed)
    np.random.seed(seed)
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    deterministic = torch.are_deterministic_algorithms_enabled()
    precision, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.benchmark = benchmark
