"""Rank matching by sorting and counting."""

import numpy as np


def exact_rank_match(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Each of N values (distinct) replaced by the target's value of equal rank; N targets."""
    ordered = sorted(target)
    rank = {value: i for i, value in enumerate(sorted(values))}
    return np.array([ordered[rank[value]] for value in values])


def rank_bounds(values: np.ndarray, weight: np.ndarray, bins: int) -> tuple:
    """For each value the share (0..1) of weight below its bin, and up to its bin's end.

    A value within a thousandth of a bin's border may be counted to either side.
    """
    width = (values.max() - values.min()) / bins
    place = (values - values.min()) / width

    def share(index: int) -> float:
        """Of the weight in all bins before number `index`."""
        return weight[np.floor(place + 1e-3).clip(0, bins - 1) < index].sum() / weight.sum()

    first = np.floor(place - 1e-3).clip(0, bins - 1)
    last = np.floor(place + 1e-3).clip(0, bins - 1)
    return np.array([share(i) for i in first]) - 1e-3, np.array([share(i + 1) for i in last]) + 1e-3
