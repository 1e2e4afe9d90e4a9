"""The nearest patch by trying all of them."""

import numpy as np


def best_distances(query: np.ndarray, source: np.ndarray, patch: int) -> np.ndarray:
    """Smallest summed squared difference of each query patch (edges replicated) to any whole patch of
    the source: (h, w); pictures (C, h, w)."""
    radius = patch // 2
    padded = np.pad(query, ((0, 0), (radius, radius), (radius, radius)), mode="edge")
    _, height, width = query.shape
    _, source_height, source_width = source.shape
    best = np.full((height, width), np.inf)
    for y in range(height):
        for x in range(width):
            wanted = padded[:, y : y + patch, x : x + patch]
            for row in range(source_height - patch + 1):
                for column in range(source_width - patch + 1):
                    there = source[:, row : row + patch, column : column + patch]
                    best[y, x] = min(best[y, x], ((wanted - there) ** 2).sum())
    return best
