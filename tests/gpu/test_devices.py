"""Without a card: no tensor of another device gets in, wherever the inputs are."""

import json
import subprocess
import sys

import pytest
from torch.utils import backend_registration

from bench.plugins.catalogue import Catalogue
from tests.gpu.comparisons import COMPARISONS, EVALUATORS

pytestmark = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this torch knows no devices that are written in Python",
)
# In a process of its own, as a device cannot be forgotten.
CODE = """
import json, sys, torch
torch.set_num_threads(1)
from tests.gpu.lookalike import MixedDevices, lookalike, register
register()
from tests.gpu.comparisons import COMPARISONS, Place, differences
names, cpu = json.loads(sys.argv[1]), Place(device=torch.device("cpu"))
problems = {}
references = {name: COMPARISONS[name].at(cpu) for name in names}
with lookalike() as device:
    for name in names:
        try:
            found = differences(COMPARISONS[name].at(Place(device=device)), references[name], 0.0)
        except MixedDevices as error:
            found = [str(error)]
        if found:
            problems[name] = found
    x, mixed = torch.ones(3, device=device), 0
    for mixing in (lambda: x + torch.ones(3), lambda: torch.cat([x, torch.ones(3)]),
                   lambda: x.index_put((torch.tensor([0]),), torch.ones(1)),
                   lambda: torch.ones(3)[x > 0], lambda: torch.where(x > 0, torch.ones(3), x)):
        try:
            mixing()
        except MixedDevices:
            mixed += 1
print(json.dumps([str(x.device), mixed, problems]))
"""
LONG = ("evaluator", "alpha", "training")  # what the device's slowness makes long
SHORT = [name for name in COMPARISONS if not name.startswith(LONG)]
SHORT += [
    "training at linf",
    "training mmr l2",
    "training ibp linf",
    "training trades",
    "evaluator ibp l2",
    "evaluator hull l2",
    "evaluator pgd linf",
    "evaluator region linf",
    "evaluator kw linf",
    "evaluator crown l2",
    "evaluator lipschitz l2",
    "evaluator lipschitz linf",
    "alpha fc_small linf",
]


def mixed(names: list[str]) -> dict[str, list[str]]:
    """Which comparisons mix devices, or come out otherwise, on a device that is none."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(names)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    device, caught, problems = json.loads(done.stdout.splitlines()[-1])
    assert (device, caught) == ("lookalike:0", 5)
    return dict(problems)


def test_every_evaluator_that_computes_on_cards_is_compared(catalogue: Catalogue) -> None:
    plugins = catalogue.evaluators.values()
    on_cards = {plugin.name for plugin in plugins if plugin.cls.resource == "gpu"}
    assert on_cards - {"lirpa"} <= set(EVALUATORS)  # another library's tensors are its own business


def test_no_tensor_of_another_device_gets_in() -> None:
    assert mixed(SHORT) == {}


@pytest.mark.slow
def test_no_tensor_of_another_device_gets_into_anything() -> None:
    assert mixed(list(COMPARISONS)) == {}
