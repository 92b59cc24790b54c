"""Image processor of S5 for images of two dates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers.image_processing_base import BatchFeature
from transformers.utils import TensorType

from .change_classes import date_ids
from .image_arrays import ImageLike
from .image_processing_s5 import S5ImageProcessor


class S5ChangeImageProcessor(S5ImageProcessor):
    """Images of two dates to the `pixel_values` of [`S5ForChangeDetection`], its outputs to maps of changes.

    Settings and forms of images as in [`S5ImageProcessor`]; both dates are treated alike.
    """

    def preprocess(
        self,
        images: ImageLike | Sequence[ImageLike],
        images_after: ImageLike | Sequence[ImageLike] | None = None,
        segmentation_maps: ImageLike | Sequence[ImageLike] | None = None,
        return_tensors: str | TensorType | None = None,
        **settings: Any,
    ) -> BatchFeature:
        """Prepare the images of two dates, and label maps if given.

        Args:
            images: of the first date, one or several.
            images_after: of the second date, as many and of the same sizes.
            segmentation_maps: class ids of what changed.
            return_tensors: `"pt"` or `"np"`.
            **settings: for this call, as `S5ImageProcessor.preprocess` takes them.

        Returns:
            `pixel_values` float32 `(batch, 2, channels, height, width)` and, with maps, `labels` int64
            `(batch, height, width)`.

        Raises:
            ValueError: if one date is missing, the dates differ in number or size, or as in [`S5ImageProcessor`].
        """
        if images_after is None:
            raise ValueError("only one date was given: expected processor(images_before, images_after)")
        before = super().preprocess(images, segmentation_maps, **settings)
        after = super().preprocess(images_after, **settings)
        shapes = [np.asarray(date["pixel_values"]).shape for date in (before, after)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the dates differ: {shapes[0][0]} images of {shapes[0][2]} x {shapes[0][3]} pixels before, "
                f"{shapes[1][0]} of {shapes[1][2]} x {shapes[1][3]} after (height x width)"
            )
        before["pixel_values"] = np.stack([before["pixel_values"], after["pixel_values"]], axis=1)
        return BatchFeature(data=dict(before), tensor_type=return_tensors)

    def post_process_date_classes(
        self, outputs: Any, num_classes: int, target_sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The class of each date, of the outputs of a task that says from what to what.

        Args:
            outputs: as for `post_process_semantic_segmentation`.
            num_classes: of a date.
            target_sizes: `(height, width)` per image, where other sizes are wanted.

        Returns:
            Two int64 tensors `(height, width)` per pair: 0 where nothing changed, else 1..num_classes.
        """
        maps = self.post_process_semantic_segmentation(outputs, target_sizes)
        return [date_ids(ids, num_classes) for ids in maps]


__all__ = ["S5ChangeImageProcessor"]
