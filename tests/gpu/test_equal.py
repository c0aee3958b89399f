"""Training, KW, MMR, regions, CROWN, attacks: a card gives what the CPU gives."""

from dataclasses import replace

import pytest
import torch

from tests.gpu.comparisons import COMPARISONS, DISTURBANCE, Place, differences

CPU = Place(device=torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:.*deterministic")  # some sums have no order on a card
@pytest.mark.parametrize("name", COMPARISONS)
def test_cuda_equals_the_cpu(name: str, card: torch.device) -> None:
    comparison = COMPARISONS[name]
    reference = comparison.at(CPU)
    results = comparison.at(replace(CPU, device=card))
    assert not differences(results, reference, comparison.relative)


@pytest.mark.parametrize("name", COMPARISONS)
def test_each_comparison_fails_with_one_weight_disturbed(name: str) -> None:
    comparison = COMPARISONS[name]
    reference = comparison.at(CPU)
    disturbed = comparison.at(replace(CPU, factor=DISTURBANCE))
    assert differences(disturbed, reference, comparison.relative)


def test_differences_are_those_of_any_entry() -> None:
    reference = {"a": torch.tensor([1.0, torch.inf, torch.nan, -4.0]).double()}
    for i, value in enumerate((1.1, 3.0, 0.0, -torch.inf)):
        results = {"a": reference["a"].clone()}
        assert not differences(results, reference, 0.0)
        results["a"][i] = value
        assert differences(results, reference, 1e-9)
    nearly = {"a": reference["a"] + 1e-9}
    assert not differences(nearly, reference, 1e-9)
    assert differences(nearly, reference, 1e-10)
    assert differences({"a": reference["a"].float()}, reference, 1.0)
