"""Small segmenters with known answers."""

import torch
from torch.nn import functional


class PixelSegmenter:
    """Logits are a fixed linear function of the pixel alone, so windows cannot matter."""

    def __init__(self, num_labels=3, seed=0):
        self.num_labels = num_labels
        self.id2label = {index: f"class {index}" for index in range(num_labels)}
        self.image_mean, self.image_std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
        self.device = torch.device("cpu")
        self.fingerprint = f"pixel {num_labels} {seed}"
        self.weight = torch.randn(num_labels, 3, 1, 1, generator=torch.Generator().manual_seed(seed)) * 2
        self.batch_sizes = []

    def predict(self, pixel_values):
        self.batch_sizes.append(len(pixel_values))
        return functional.conv2d(pixel_values, self.weight)


class NeighbourSegmenter(PixelSegmenter):
    """Logits depend on the pixels within 2 of it; at the border of a window they are wrong, as a network's are."""

    def __init__(self, num_labels=3, seed=0):
        super().__init__(num_labels, seed)
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(num_labels, 3, 5, 5, generator=generator) * 0.4
        self.fingerprint = f"neighbours {num_labels} {seed}"

    def predict(self, pixel_values):
        self.batch_sizes.append(len(pixel_values))
        return functional.conv2d(pixel_values, self.weight, padding=2)
