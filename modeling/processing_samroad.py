"""What [`SamRoadForRoadGraph`] is given, and what its maps become."""

from typing import Any

import torch

from .image_processing_s5 import S5ImageProcessor


class SamRoadProcessor(S5ImageProcessor):
    """As [`S5ImageProcessor`]: ImageNet's mean and deviation, which are SAM's; images keep their size."""

    def post_process_road_masks(
        self, outputs: Any, keypoint_threshold: float, road_threshold: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Where keypoints and roads are.

        Args:
            outputs: with `probabilities` `(batch, 2, height, width)`.
            keypoint_threshold, road_threshold: probabilities, exclusive; such as those of the model's configuration.

        Returns:
            Two bool tensors `(batch, height, width)`.
        """
        keypoints, roads = outputs.probabilities.unbind(dim=1)
        return keypoints > keypoint_threshold, roads > road_threshold


__all__ = ["SamRoadProcessor"]
