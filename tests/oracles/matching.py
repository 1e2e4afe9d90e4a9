"""Every patch against every patch."""

import numpy as np


def patch_at(features: np.ndarray, row: int, column: int, patch: int) -> np.ndarray:
    """The (C, patch, patch) surroundings of a position, zeros beyond the border."""
    radius = patch // 2
    channels, height, width = features.shape
    found = np.zeros((channels, patch, patch))
    for i in range(patch):
        for j in range(patch):
            y, x = row + i - radius, column + j - radius
            if 0 <= y < height and 0 <= x < width:
                found[:, i, j] = features[:, y, x]
    return found


def cosines(query: np.ndarray, source: np.ndarray, row: int, column: int, patch: int) -> np.ndarray:
    """Cosine similarity of one query patch to the patch at each source position: (H, W)."""
    wanted = patch_at(query, row, column, patch)
    _, height, width = source.shape
    similarity = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            there = patch_at(source, y, x, patch)
            norms = np.linalg.norm(wanted) * np.linalg.norm(there)
            similarity[y, x] = (wanted * there).sum() / norms if norms else 0.0
    return similarity
