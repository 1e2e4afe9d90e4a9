"""Gram matrices and the gradient of their squared error, entry by entry, in float64."""

import numpy as np


def gram(features: np.ndarray, weight: np.ndarray) -> np.ndarray:
    channels, positions = features.shape
    total = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(channels):
            for n in range(positions):
                total[i, j] += weight[n] * features[i, n] * features[j, n]
    return total / (channels * weight.sum())


def gram_gradient(features: np.ndarray, weight: np.ndarray, target: np.ndarray) -> np.ndarray:
    """By the chain rule through each entry of the matrix: d/dF of the mean of (G - T)^2."""
    channels, positions = features.shape
    difference = gram(features, weight) - target
    gradient = np.zeros_like(features)
    scale = 1 / (channels * weight.sum())
    for i in range(channels):
        for j in range(channels):
            outer = 2 * difference[i, j] / channels**2
            for n in range(positions):
                gradient[i, n] += outer * scale * weight[n] * features[j, n]
                gradient[j, n] += outer * scale * weight[n] * features[i, n]
    return gradient
