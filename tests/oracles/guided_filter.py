"""He, Sun and Tang 2013, equations 14 and 15, one window at a time."""

import numpy as np


def _window(y: int, x: int, radius: int) -> tuple:
    return slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)


def guided_filter(guide: np.ndarray, image: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """`guide` (3, H, W), `image` (C, H, W), float64."""
    channels, height, width = image.shape
    slope, offset = np.zeros((height, width, channels, 3)), np.zeros((height, width, channels))
    for y in range(height):
        for x in range(width):
            colours = guide[(slice(None), *_window(y, x, radius))].reshape(3, -1)
            values = image[(slice(None), *_window(y, x, radius))].reshape(channels, -1)
            covariance = np.cov(colours, bias=True) + eps * np.eye(3)
            for c in range(channels):
                cross = (colours * values[c]).mean(axis=1) - colours.mean(axis=1) * values[c].mean()
                slope[y, x, c] = np.linalg.solve(covariance, cross)
                offset[y, x, c] = values[c].mean() - slope[y, x, c] @ colours.mean(axis=1)
    result = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            mean_slope = slope[_window(y, x, radius)].mean(axis=(0, 1))
            mean_offset = offset[_window(y, x, radius)].mean(axis=(0, 1))
            result[:, y, x] = mean_slope @ guide[:, y, x] + mean_offset
    return result
