"""Strong views of rows that consist of one or several images."""

from dataclasses import dataclass

import torch

from .strong import strong_view
from .strong_draws import StrongParameters


@dataclass(frozen=True)
class DrawnViews:
    """What the workers drew for the strong views of a batch, see [`StrongDraws`].

    Attributes:
        host: float32 `(batch, views, images, numbers)`.
        device: the same on the device.
    """

    host: torch.Tensor
    device: torch.Tensor

    @classmethod
    def moved(cls, drawn: torch.Tensor, device: torch.device) -> "DrawnViews":
        """What the loader handed out, in pinned memory for a GPU, is moved for all views in one transfer."""
        return cls(drawn, drawn.to(device, non_blocking=True))

    def __len__(self) -> int:
        """Strong views of each row."""
        return self.host.shape[1]

    def strong_rows(
        self, images: torch.Tensor, colors: tuple[int, int, int] | None = (0, 1, 2), view: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One strong view of each row. Every image of a row is changed by itself; a CutMix box belongs to the row.

        Args:
            images: float `(batch, channels, height, width)`, or `(batch, images, channels, height, width)`, in 0..1.
            colors: positions of red, green and blue; `None` where no channels are colours.
            view: number of the view.

        Returns:
            The views, of the shape of `images`, and the boxes, int `(batch, 4)`, on the device.
        """
        single = images.flatten(0, -4)  # one behind the other; single images stay as they are
        host, device = (
            StrongParameters.unpacked(numbers[:, view].flatten(0, 1)) for numbers in (self.host, self.device)
        )
        boxes = device.box[:: self.host.shape[2]]
        return strong_view(single, host, colors, device).reshape(images.shape), boxes
