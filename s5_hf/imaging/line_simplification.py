"""Lines with fewer vertices (Douglas and Peucker 1973)."""

from itertools import pairwise

import numpy as np

__all__ = ["farthest_vertex", "kept_vertices"]


def kept_vertices(line: np.ndarray, tolerance: float, is_ring: bool) -> list[int]:
    """Which vertices of a line stay, so that none that goes lies farther than `tolerance` from what stays.

    Args:
        line: `(n, 2)`.
        tolerance: in the unit of the line.
        is_ring: whether the last vertex is the first one; then at least three different ones stay.

    Returns:
        Places in the line, rising, the first and the last among them.
    """
    last = len(line) - 1
    kept = {0, last}
    parts = [(0, last)]
    if is_ring:
        # A ring has no chord to measure from: its farthest vertex, and one on either side, stay.
        middle = int(np.argmax(np.linalg.norm(line - line[0], axis=1)))
        sides = [(0, middle), (middle, last)]
        kept.add(middle)
        longest = max(sides, key=lambda side: side[1] - side[0])
        kept.add(longest[0] + farthest_vertex(line[longest[0] : longest[1] + 1])[0])
        ordered = sorted(kept)
        parts = list(pairwise(ordered))
    while parts:
        start, end = parts.pop()
        place, distance = farthest_vertex(line[start : end + 1])
        if distance > tolerance:
            kept.add(start + place)
            parts += [(start, start + place), (start + place, end)]
    return sorted(kept)


def farthest_vertex(line: np.ndarray) -> tuple[int, float]:
    """Which inner vertex of a line `(n, 2)` is the farthest from the segment between its ends, and how far.

    (0, 0) for a line without inner vertices.
    """
    if len(line) < 3:
        return 0, 0.0
    start, along = line[0], line[-1] - line[0]
    square = float(along @ along)
    inner = line[1:-1] - start
    shares = (inner @ along / square).clip(0, 1) if square else np.zeros(len(inner))
    distances = np.linalg.norm(inner - shares[:, None] * along, axis=1)
    place = int(np.argmax(distances))
    return place + 1, float(distances[place])
