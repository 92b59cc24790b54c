"""The loss of masks at points: cross-entropy and dice where the network is least certain, and at random places.

Source: PointRend (arXiv 1912.08193) as Mask2Former uses it (arXiv 2112.01527, section 3.3).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class PointRule:
    """How many points, and which.

    Attributes:
        points: of each mask.
        oversampling: so many times as many are drawn; of these the least certain are kept.
        uncertain_share: of the points that are kept so; the others are new.
    """

    points: int
    oversampling: float
    uncertain_share: float

    @property
    def drawn(self) -> int:
        """Points among which the least certain are looked for."""
        return int(self.points * self.oversampling)

    @property
    def uncertain(self) -> int:
        """The least certain that are kept."""
        return int(self.points * self.uncertain_share)

    def draw(self, seeds: Sequence[int], outputs: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Places for every output, x and y in 0..1: `(images, drawn, 2)` and `(images, points - uncertain, 2)`.

        Args:
            seeds: one per image, so that its points do not depend on the batch it is in.
            outputs: of the decoder.
        """
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for _ in range(outputs):
            both = [
                torch.rand(self.drawn + self.points - self.uncertain, 2, generator=generator)
                for generator in generators
            ]
            yield tuple(torch.stack(both).split([self.drawn, self.points - self.uncertain], dim=1))


def mask_losses(
    outputs: Sequence[torch.Tensor],
    masks: torch.Tensor,
    places: Iterable[tuple[torch.Tensor, torch.Tensor]],
    uncertain: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy and dice of every output, each `(outputs,)`, means over the images.

    Args:
        outputs: logits `(batch, 1, height, width)` of the decoder.
        masks: 0 and 1, `(batch, height, width)`, of any size and type.
        places: for each output the points to choose among and those that are taken anyhow, as `PointRule.draw`.
        uncertain: how many are chosen.
    """
    losses = [
        output_losses(logits.float(), masks[:, None].float(), *pair, uncertain)
        for logits, pair in zip(outputs, places, strict=True)
    ]
    cross_entropy, dice = zip(*losses, strict=True)
    return torch.stack(cross_entropy), torch.stack(dice)


def output_losses(
    logits: torch.Tensor, masks: torch.Tensor, drawn: torch.Tensor, others: torch.Tensor, uncertain: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy and dice of one output; arguments as `mask_losses`, both `(batch, 1, height, width)`."""
    drawn, others = drawn.to(logits.device), others.to(logits.device)
    with torch.no_grad():
        doubts = -at_points(logits, drawn).abs()
        chosen = doubts.topk(uncertain, dim=1).indices
        points = torch.cat([drawn.gather(1, chosen[..., None].expand(-1, -1, 2)), others], dim=1)
        truth = at_points(masks, points)
    values = at_points(logits, points)
    cross_entropy = functional.binary_cross_entropy_with_logits(values, truth, reduction="none").mean(dim=1)
    shares = values.sigmoid()
    overlap, total = (shares * truth).sum(dim=1), shares.sum(dim=1) + truth.sum(dim=1)
    return cross_entropy.mean(), (1 - (2 * overlap + 1) / (total + 1)).mean()


def at_points(maps: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Values `(batch, points)` of maps `(batch, 1, height, width)` at `(batch, points, 2)` in 0..1, bilinear."""
    grid = 2 * points[:, :, None] - 1
    return functional.grid_sample(maps, grid, mode="bilinear", align_corners=False)[:, 0, :, 0]
