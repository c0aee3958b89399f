import torch

from evaluators.interface import Interval


def test_only_what_is_open_at_eps_straddles_it() -> None:
    low = torch.tensor([0.0, 0.1, 0.05, 0.0, 0.0], dtype=torch.float64)
    high = torch.tensor([0.0, 0.5, 0.1, 0.5, torch.inf], dtype=torch.float64)
    # misclassified, certified at eps, fooled at eps, open, open
    assert Interval(low=low, high=high).straddles(0.1).tolist() == [False, False, False, True, True]
