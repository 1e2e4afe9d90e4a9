"""Total variation and its gradient by visiting every pair of neighbours."""

import numpy as np


def total_variation(image: np.ndarray) -> tuple:
    """Half the sum of squared differences of (C, H, W), and its gradient."""
    channels, height, width = image.shape
    loss, gradient = 0.0, np.zeros_like(image)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                for other in ((y + 1, x), (y, x + 1)):
                    if other[0] < height and other[1] < width:
                        difference = image[c, y, x] - image[(c, *other)]
                        loss += difference**2 / 2
                        gradient[c, y, x] += difference
                        gradient[(c, *other)] -= difference
    return loss, gradient
