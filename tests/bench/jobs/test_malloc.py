import resource
import subprocess
import sys

import pytest

from bench.jobs.surroundings import keep_freed_memory

CODE = """
import resource, torch
from bench.jobs.surroundings import keep_freed_memory
{call}
torch.set_num_threads(1)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(4, 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults(call: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(call=call)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not keep_freed_memory(), reason="this C library has no mallopt")
def test_a_second_tensor_takes_the_pages_of_the_first() -> None:
    pages = 20 * 2**24 // resource.getpagesize()
    assert faults("keep_freed_memory()") < pages / 100
