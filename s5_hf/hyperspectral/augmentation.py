"""Turned, mirrored and noisy copies of cubes, and how logits find back."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["CubeAugmentation"]


@dataclass(frozen=True)
class CubeAugmentation:
    """How a cube is changed before the network sees it.

    Attributes:
        quarter_turns: anticlockwise, 0 to 3.
        mirrored: left to right, after the turns.
        noise: deviation of the normal noise.
        seed: of the noise.
    """

    quarter_turns: int
    mirrored: bool
    noise: float
    seed: int

    @classmethod
    def draw(cls, seed: int, noise: float) -> CubeAugmentation:
        """A random one, of which everything follows from the seed."""
        turns, mirrored = torch.randint(0, 4, (2,), generator=torch.Generator().manual_seed(seed)).tolist()
        return cls(turns, mirrored < 2, noise, seed)

    def __call__(self, cube: torch.Tensor) -> torch.Tensor:
        """The changed cube of `(batch, bands, height, width)`; an odd number of turns swaps height and width."""
        # The official code turns by interpolation inside the same height and width, which loses the ends of a patch
        # that is not square, and its way back does not undo it.
        turned = cube.rot90(self.quarter_turns, (2, 3))
        if self.mirrored:
            turned = turned.flip(3)
        noise = torch.randn(turned.shape, generator=torch.Generator().manual_seed(self.seed))
        return turned + self.noise * noise.to(turned)

    def restore(self, logits: torch.Tensor) -> torch.Tensor:
        """What the network says of the changed cube, where it belongs in the cube."""
        if self.mirrored:
            logits = logits.flip(3)
        return logits.rot90(-self.quarter_turns, (2, 3))
