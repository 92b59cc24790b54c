"""What SAM-Road++ reads at points and along lines: features, scores, and the best pixel near a point.

Points are `(x, y)` in pixels, maps `(..., height, width)`. Source: SAM-Road++ (arXiv 2411.16733), sections on
node-guided resampling and on extended lines, with the numerics of the official code.
"""

import torch

EXTENSION = 8
"""Pixels by which a line is extended beyond both of its ends."""

EXTENSION_SAMPLES, LINE_SAMPLES = 15, 20
NEIGHBORS = ((0, 0), (0, 1), (1, 0))
"""The pixel of a sample, the one below, the one to the right, as steps (x, y)."""

LINE_FEATURES = len(NEIGHBORS) * (2 * EXTENSION_SAMPLES + LINE_SAMPLES)


def gather_points(points: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Rows `numbers` (int64, `(batch, ...)`) of each image's `points` `(batch, points, c)`: `(batch, ..., c)`."""
    flat = numbers.flatten(1)[..., None].expand(-1, -1, points.shape[-1])
    return points.gather(1, flat).unflatten(1, numbers.shape[1:])


def sample_features(features: torch.Tensor, points: torch.Tensor, stride: int) -> torch.Tensor:
    """Features of a map `(batch, channels, rows, columns)` at points `(batch, points, 2)` in pixels, bilinear.

    As `grid_sample` at 2 * point / size - 1 with zeros around the map, but its gradients are deterministic on a GPU.

    Args:
        features: a cell of the map covers `stride` x `stride` pixels.
        points: in pixels.
        stride: pixels per cell.

    Returns:
        `(batch, points, channels)`.
    """
    rows, columns = features.shape[2:]
    cells = features.flatten(2).transpose(1, 2)  # (batch, rows * columns, channels)
    places = points / stride - 0.5
    corner = places.floor()
    share = places - corner
    total = torch.zeros((), device=features.device)
    for right, below in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = corner[..., 0].long() + right, corner[..., 1].long() + below
        weight = (share[..., 0] if right else 1 - share[..., 0]) * (share[..., 1] if below else 1 - share[..., 1])
        weight = weight * ((x >= 0) & (x < columns) & (y >= 0) & (y < rows))
        numbers = y.clamp(0, rows - 1) * columns + x.clamp(0, columns - 1)
        total = total + gather_points(cells, numbers) * weight[..., None]
    return total


def move_to_best(points: torch.Tensor, scores: torch.Tensor, radius: int) -> torch.Tensor:
    """Node-guided resampling: move points to the highest score within a radius.

    Args:
        points: `(batch, points, 2)`; (0, 0) is padding and stays.
        scores: `(batch, height, width)`, above 0.
        radius: in pixels; 0 leaves the points where they are.

    Returns:
        `(batch, points, 2)`, whole numbers where a point has moved. Of equal scores the first counts, by x, then by y.
    """
    if radius == 0:
        return points
    height, width = scores.shape[1:]
    size = torch.tensor([width, height], device=points.device)
    centers = torch.minimum(points.clamp(min=0), size).long()
    steps = torch.arange(-radius, radius, device=points.device)
    steps = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).flatten(0, 1)  # (steps, 2), x outermost
    candidates = centers[:, :, None] + steps
    inside = ((candidates >= 0) & (candidates < size)).all(dim=-1)
    found = read_pixels(scores, candidates).masked_fill((steps**2).sum(dim=-1) > radius**2, 0.0)
    best = found.masked_fill(~inside, -1.0).argmax(dim=-1)
    moved = candidates.gather(2, best[..., None, None].expand(-1, -1, 1, 2))[:, :, 0].to(points.dtype)
    return torch.where((points == 0).all(dim=-1, keepdim=True), points, moved)


def read_pixels(scores: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Scores `(batch, height, width)` at whole pixels `(batch, ..., 2)`, the nearest ones where these lie outside."""
    height, width = scores.shape[1:]
    x, y = pixels[..., 0].clamp(0, width - 1), pixels[..., 1].clamp(0, height - 1)
    return scores.flatten(1).gather(1, (y * width + x).flatten(1)).unflatten(1, x.shape[1:])


def line_features(
    sources: torch.Tensor, targets: torch.Tensor, scores: torch.Tensor, kept_inside: int
) -> torch.Tensor:
    """Road scores along extended lines.

    Args:
        sources, targets: ends of the lines, float `(batch, lines, 2)`.
        scores: of roads, `(batch, height, width)`.
        kept_inside: of how many lines of an image the extended ends are clamped to the image before they are sampled.

    Returns:
        `(batch, lines, 150)`: the extension of the source, the line, the extension of the target; of each its samples,
        then the pixels below these, then those to the right.
    """
    direction = targets - sources
    # In single operations, each of which is rounded alike on every processor: the ends are rounded to whole pixels.
    length = direction.square().sum(dim=-1, keepdim=True).sqrt()
    step = EXTENSION * direction / torch.where(length == 0, 1e-8, length)
    last = torch.tensor([scores.shape[2] - 1, scores.shape[1] - 1], device=scores.device)
    runs = []
    for end, far, samples in (
        (sources, (sources - step).round(), EXTENSION_SAMPLES),
        (targets, None, LINE_SAMPLES),
        (targets, (targets + step).round(), EXTENSION_SAMPLES),
    ):
        if far is None:
            start = sources
        else:
            inside = torch.minimum(far[:, :kept_inside].clamp(min=0), last)
            start = torch.cat([inside, far[:, kept_inside:]], dim=1)
        shares = evenly(samples).to(scores.device)[:, None]
        pixels = (start[:, :, None] + (end - start)[:, :, None] * shares).long()
        pixels = torch.minimum(pixels.clamp(min=0), last)
        runs += [read_pixels(scores, pixels + torch.tensor(pair, device=scores.device)) for pair in NEIGHBORS]
    return torch.cat(runs, dim=-1)


def evenly(count: int) -> torch.Tensor:
    """Numbers from 0 to 1, float32 `(count,)`, as `torch.linspace` makes them on processors with AVX.

    On others its middle number differs by a rounding, which takes a sample to another pixel.
    """
    step = (torch.tensor(1.0) / (count - 1)).double()
    places = torch.arange(count)
    # The second half is counted back from 1; in float64, so that product and difference are rounded once.
    return torch.where(places < count // 2, step * places, 1 - step * (count - 1 - places)).float()
