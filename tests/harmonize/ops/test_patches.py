"""Windows and pixels around many places, against reading them one by one."""

import pytest
import torch

from backend.harmonize.ops.patches import pixels, windows


@pytest.mark.parametrize("side, step", [(1, 1), (4, 1), (7, 1), (14, 2), (9, 3), (8, 3)])
def test_windows_are_what_slices_are(side, step):
    """In every corner, too, of a picture in the middle of others' memory."""
    picture = torch.rand(5, 20, 17, 3)[2]
    last = (20 - side, 17 - side)
    corners = [(0, 0), (0, last[1]), (last[0], 0), last, (2, 3), (2, 3)]
    found = windows(picture, torch.tensor(corners).T, side, step)
    expected = [picture[y : y + side : step, x : x + side : step] for y, x in corners]
    assert torch.equal(found, torch.stack(expected))


def test_no_windows_are_none():
    assert windows(torch.rand(9, 8, 3), torch.zeros(2, 0, dtype=torch.int64), 4).shape == (0, 4, 4, 3)


def test_a_change_of_what_was_read_leaves_the_picture():
    picture = torch.rand(9, 8, 3)
    before = picture.clone()
    windows(picture, torch.tensor([[1, 1], [2, 3]]), 4).zero_()
    assert torch.equal(picture, before)


def test_pixels_are_at_each_places_own_offsets():
    picture = torch.rand(12, 11, 3)
    centre = torch.tensor([[4, 7], [5, 3]])
    offsets = torch.tensor([[[0, -1, 2], [3, 0, -2]], [[1, 1, 0], [-3, 0, 4]]])
    found = pixels(picture, centre, offsets)
    for n in range(2):
        for k in range(3):
            y, x = (centre[:, n] + offsets[:, n, k]).tolist()
            assert torch.equal(found[n, k], picture[y, x])
