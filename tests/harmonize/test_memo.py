"""The memo makes once, forgets the oldest, and tells contents apart."""

import pytest
import torch

from backend.harmonize import pipeline
from backend.harmonize.composite import Composite
from backend.harmonize.memo import Memo, digest
from backend.harmonize.step import ignore
from tests.harmonize.scenes import short


class Made:
    """Makes tensors of so many bytes and counts."""

    def __init__(self, size: int):
        self.size, self.times = size, 0

    def __call__(self) -> torch.Tensor:
        self.times += 1
        return torch.zeros(self.size, dtype=torch.uint8)


def test_makes_once():
    memo, made = Memo(), Made(10)
    assert memo.get("a", made) is memo.get("a", made)
    assert made.times == 1


def test_forgets_what_was_longest_unused():
    memo, a, b, c = Memo(limit=25), Made(10), Made(10), Made(10)
    memo.get("a", a), memo.get("b", b), memo.get("a", a), memo.get("c", c)
    memo.get("a", a), memo.get("c", c)
    assert (a.times, c.times) == (1, 1)
    memo.get("b", b)
    assert b.times == 2


def test_what_is_too_large_is_given_but_not_kept():
    memo, large = Memo(limit=25), Made(26)
    assert memo.get("a", large).numel() == 26
    memo.get("a", large)
    assert large.times == 2


def test_what_is_too_large_takes_no_others_place():
    memo, small = Memo(limit=25), Made(10)
    memo.get("small", small), memo.get("large", Made(26)), memo.get("small", small)
    assert small.times == 1


def test_the_largest_goes_first_but_not_what_was_asked_for():
    memo, old, large, new = Memo(limit=25), Made(5), Made(12), Made(14)
    memo.get("old", old), memo.get("large", large), memo.get("new", new)
    memo.get("old", old), memo.get("new", new)
    assert (old.times, new.times) == (1, 1)
    memo.get("large", large)
    assert large.times == 2


def test_dicts_of_tensors_count_by_their_bytes():
    memo, made = Memo(limit=100), Made(30)
    memo.get("dict", lambda: {"x": torch.zeros(10), "y": torch.zeros(10)})  # 80 bytes
    memo.get("a", made)
    again = Made(1)
    memo.get("dict", again)
    assert again.times == 1


def test_a_failure_is_not_kept():
    memo = Memo()
    with pytest.raises(ZeroDivisionError):
        memo.get("a", lambda: 1 / 0)
    assert memo.get("a", Made(3)).numel() == 3


def test_clear():
    memo, made = Memo(), Made(5)
    memo.get("a", made)
    memo.clear()
    memo.get("a", made)
    assert made.times == 2


def test_digests_tell_contents_shapes_and_types_apart():
    x = torch.arange(12.0)
    nearly = x.clone()
    nearly[5] = torch.nextafter(nearly[5], torch.tensor(9.0))
    different = [x, nearly, x.view(3, 4), x.view(4, 3), x.double(), x.to(torch.bfloat16), x > 3, x.flip(0)]
    assert len({digest(tensor) for tensor in different}) == len(different)
    assert len({digest(x, nearly), digest(nearly, x), digest(x)}) == 3
    assert digest(x) == digest(x.clone()) == digest(torch.arange(24.0)[:12])
    assert digest(x.view(3, 4).T) == digest(x.view(3, 4).T.contiguous())


def test_features_computed_another_way_are_not_reused(composite, thin, monkeypatch):
    """Another memory format or number of threads sums in another order."""
    memo, cpu = Memo(), torch.device("cpu")

    def features(layout: torch.memory_format, threads: int) -> torch.Tensor:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        run = pipeline._Run(composite, thin.to(cpu, torch.float32, layout), short(), ignore, memo)
        return run._source(run._scenes[-1], ("relu2_1",))["relu2_1"]

    ways = [
        (layout, threads) for layout in (torch.channels_last, torch.contiguous_format) for threads in (1, 2)
    ]
    made = [features(*way) for way in ways]
    assert len({id(found) for found in made}) == len(ways)
    assert all(found.is_contiguous(memory_format=layout) for found, (layout, _) in zip(made, ways))
    assert all(features(*way) is found for way, found in zip(ways, made))


def test_an_object_moved_on_a_flat_canvas_is_painted_anew(thin):
    """Its own pixels and those around it are the same there, but not its place, which the matching is told."""
    keys = []
    for left in (64, 96):
        painting, mask = torch.full((3, 128, 256), 0.6), torch.zeros(1, 128, 256)
        mask[:, 48:80, left : left + 32] = 1
        composite = Composite(painting, torch.lerp(painting, torch.zeros(3, 128, 256), mask), mask)
        keys.append(pipeline._Run(composite, thin, short(), ignore, Memo())._painted_key())
    regions = keys[0][3]
    assert keys[0] != keys[1] and all(region.left > 0 for region in regions)
    assert keys[0][:3] == keys[1][:3]  # nothing else tells them apart
