"""Objects that were pasted half transparent."""

import torch

from backend.harmonize.composite import Composite
from backend.harmonize.pipeline import harmonize
from tests.harmonize.scenes import composed, one_level, short


def test_what_was_pasted_half_transparent_is_seen_as_much(thin):
    """Not a quarter of it: with nothing painted, the finished picture is the pasted one."""
    opaque = composed(96, 96, 24, 24, 48)
    half = Composite(opaque.painting, torch.lerp(opaque.painting, opaque.naive, 0.5), 0.5 * opaque.mask)
    first, second = one_level(0, "lbfgs")[0], one_level(0, "lbfgs")
    config = short(first=first, second=second, published=True, patch_synthesis=False, chroma_denoise=False)
    outcome = harmonize(half, thin, config)
    finished = torch.lerp(half.painting, outcome.image, outcome.alpha)
    middle = (slice(None), slice(32, 64), slice(32, 64))
    torch.testing.assert_close(finished[middle], half.naive[middle], atol=1e-3, rtol=0)
