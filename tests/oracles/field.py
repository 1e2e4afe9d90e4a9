"""Nearest-neighbour fields, position by position."""

import math

import numpy as np


def proposals(field: np.ndarray, row: int, column: int, radius: int, limits: tuple) -> list:
    """What the neighbours of one position propose, each as (row, column) of the source."""
    _, height, width = field.shape
    found = []
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            y, x = row + dy, column + dx
            if not (0 <= y < height and 0 <= x < width) or field[0, y, x] < 0:
                continue
            proposal = (int(field[0, y, x]) - dy, int(field[1, y, x]) - dx)
            if 0 <= proposal[0] < limits[0] and 0 <= proposal[1] < limits[1]:
                found.append(proposal)
    return found


def consensus_costs(field: np.ndarray, guide: np.ndarray, row: int, column: int, radius: int) -> dict:
    """Each proposal at one position, and its mean squared colour distance to all of them."""
    options = proposals(field, row, column, radius, guide.shape[1:])
    colours = [guide[:, y, x] for y, x in options]
    return {
        option: np.mean([((colour - other) ** 2).sum() for other in colours])
        for option, colour in zip(options, colours)
    }


def upsampled(field: np.ndarray, size: tuple, limits: tuple, factor: int) -> np.ndarray:
    fine = np.full((2, *size), -1)
    for y in range(size[0]):
        for x in range(size[1]):
            cell_y, cell_x = min(y // factor, field.shape[1] - 1), min(x // factor, field.shape[2] - 1)
            if field[0, cell_y, cell_x] >= 0:
                fine[0, y, x] = min(field[0, cell_y, cell_x] * factor + y - cell_y * factor, limits[0] - 1)
                fine[1, y, x] = min(field[1, cell_y, cell_x] * factor + x - cell_x * factor, limits[1] - 1)
    return fine


def matched_set(field: np.ndarray, shape: tuple, grow: int) -> np.ndarray:
    found = np.zeros(shape, bool)
    for y in range(field.shape[1]):
        for x in range(field.shape[2]):
            row, column = field[:, y, x]
            if row >= 0:
                found[max(0, row - grow) : row + grow + 1, max(0, column - grow) : column + grow + 1] = True
    return found


def vote(field: np.ndarray, source: np.ndarray, patch: int, reach: float = math.inf) -> tuple:
    """Lay each position's source patch down, pixel by pixel; the mean picture and the sums of weights."""
    radius = patch // 2
    _, height, width = field.shape
    total, count = np.zeros((len(source), height, width)), np.zeros((1, height, width))
    for y in range(height):
        for x in range(width):
            if field[0, y, x] < 0:
                continue
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    row, column = field[0, y, x] + dy, field[1, y, x] + dx
                    inside = 0 <= row < source.shape[1] and 0 <= column < source.shape[2]
                    if inside and 0 <= y + dy < height and 0 <= x + dx < width:
                        weight = math.exp(-(dy**2 + dx**2) / (2 * reach**2))
                        total[:, y + dy, x + dx] += weight * source[:, row, column]
                        count[0, y + dy, x + dx] += weight
    return total / np.where(count > 0, count, 1), count
