"""How firmly the object keeps its own shapes: the artist's content and style strength beyond pass 2's terms.

Few large steps end where they began, whatever that term weighs: between none of it and ten times as much, content was
0.82 and 0.86 on two examples. So all that keeps or gives back shapes is as firm as content is strong: the first picture,
the object's own light and lines, edges and form in patch synthesis. On four examples content is 0.57 at 0.1, 0.77 at 0.4,
0.85 at 1, 0.88 at 3 and 0.91 at 10; style 0.94, 0.93, 0.91, 0.97 and 1.06. A style level other than the painting's own
counts too, less so: as a weight alone it hardly showed either.
"""

from __future__ import annotations

import math

USUAL = 1.0  # what was measured where the constants of each part stand


def firmness(content: float, relative_level: float = 1.0) -> float:
    """Of a content strength (0..10, 1 the usual) at a style level `relative_level` times the painting's own (0.05..10):
    from 0, an object that dissolves, to one that keeps all it can."""
    return math.sqrt(content / math.sqrt(relative_level))


def kept(firmness: float) -> float:
    """The share that the object keeps of what is its own, 0..1: half at the usual firmness."""
    return firmness / (1 + firmness)
