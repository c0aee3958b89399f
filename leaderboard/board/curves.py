"""Robust error at every radius, between two bounds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def curve_frame(
    intervals: Sequence[tuple[np.ndarray, np.ndarray]], at: Sequence[float] | None = None
) -> pd.DataFrame:
    """Columns eps, robust_error_low and robust_error_high, means over networks.

    intervals: (low, high) of the inputs of each network. At eps, robust_error_low is the share of
    inputs with high <= eps, robust_error_high that and the share with low < eps. at: the radii;
    None for all at which a share changes: until the next eps of the frame robust_error_low stays
    what it is, and robust_error_high is from just above an eps on what it is at the next.
    """
    grid = _breakpoints(intervals) if at is None else np.asarray(at, dtype=float)
    lower = np.mean([_reached(high, grid) for _, high in intervals], axis=0)
    upper = np.mean([_passed(low, high, grid) for low, high in intervals], axis=0)
    return pd.DataFrame({"eps": grid, "robust_error_low": lower, "robust_error_high": upper})


def _breakpoints(intervals: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    values = np.concatenate([np.zeros(1), *(bound for pair in intervals for bound in pair)])
    finite = np.unique(values[np.isfinite(values)])
    beyond = np.nextafter(finite[-1:], np.inf)  # where the last low ends
    return np.concatenate([finite, beyond])


def _reached(highs: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The share of highs that are at most each eps."""
    return np.searchsorted(np.sort(highs), grid, side="right") / len(highs)


def _passed(lows: np.ndarray, highs: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The share of inputs whose low is less than each eps, or whose high is at most that."""
    certified_up_to = np.minimum(lows, np.nextafter(highs, -np.inf))
    return np.searchsorted(np.sort(certified_up_to), grid, side="left") / len(lows)
