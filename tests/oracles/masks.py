"""Masks, pixel by pixel."""

import math

import numpy as np


def box3(mask: np.ndarray) -> np.ndarray:
    """3x3 mean of (H, W), zeros beyond the border."""
    height, width = mask.shape
    result = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    if 0 <= y + dy < height and 0 <= x + dx < width:
                        result[y, x] += mask[y + dy, x + dx] / 9
    return result


def halved(mask: np.ndarray) -> np.ndarray:
    """Bilinear halving of (H, W) with even sides: each value is the mean of its four."""
    return (mask[::2, ::2] + mask[1::2, ::2] + mask[::2, 1::2] + mask[1::2, 1::2]) / 4


def down_the_network(mask: np.ndarray, structure: list) -> dict:
    found = {}
    for name, pooled in structure:
        mask = box3(halved(mask) if pooled else mask)
        found[name] = mask
    return found


def half_plane_reach(taps: int, sigma: float, cut: float) -> int:
    """How many pixels beyond the edge of a half plane its blur with a cut Gaussian exceeds `cut`."""
    radius = taps // 2
    kernel = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(-radius, radius + 1)]
    reach = 0
    # At a distance d, the taps d..radius still touch the half plane.
    while sum(kernel[radius + reach + 1 :]) / sum(kernel) > cut:
        reach += 1
    return reach
