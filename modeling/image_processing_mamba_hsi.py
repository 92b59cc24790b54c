"""Image processor of MambaHSI."""

from collections.abc import Sequence
from typing import Any

from transformers.image_processing_base import BatchFeature
from transformers.utils import TensorType

from .image_arrays import ImageLike
from .image_processing_s5 import S5ImageProcessor


class MambaHSIImageProcessor(S5ImageProcessor):
    """Hyperspectral cubes to the `pixel_values` of [`MambaHSIForSemanticSegmentation`], 0 to 1.

    All bands have one linear stretch, that of the cube the network has learned; what lies outside is clipped.

    Args:
        image_mean: the value that becomes 0, once for every band.
        image_std: the distance to the value that becomes 1, once for every band.
        do_rescale: whether to multiply values before; cubes are taken as they are.
        **kwargs: further arguments of [`S5ImageProcessor`].
    """

    def __init__(
        self,
        image_mean: Sequence[float] = (0.0,),
        image_std: Sequence[float] = (1.0,),
        do_rescale: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_mean=image_mean, image_std=image_std, do_rescale=do_rescale, **kwargs)

    @classmethod
    def of_stretch(cls, low: float, high: float, num_bands: int) -> "MambaHSIImageProcessor":
        """A processor that brings `low` to 0 and `high` to 1 in every band."""
        return cls([low] * num_bands, [high - low] * num_bands)

    def preprocess(
        self,
        images: ImageLike | Sequence[ImageLike],
        segmentation_maps: ImageLike | Sequence[ImageLike] | None = None,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare cubes `(height, width, bands)` of numbers; otherwise as `S5ImageProcessor.preprocess`."""
        batch = super().preprocess(images, segmentation_maps, return_tensors="np", **kwargs)
        batch["pixel_values"] = batch["pixel_values"].clip(0, 1)
        return BatchFeature(data=dict(batch), tensor_type=return_tensors)


__all__ = ["MambaHSIImageProcessor"]
