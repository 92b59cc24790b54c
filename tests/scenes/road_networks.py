"""A network that knows the answers: roads are red, keypoints green, and points along red are connected."""

import torch


class PaintedRoads:
    """Scores are the red and the green of the pixels; two points are as connected as the line between them is red."""

    image_mean, image_std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    fingerprint = "painted"
    device = torch.device("cpu")

    def __init__(self, fail_at=None):
        self.windows, self.asked, self.fail_at = 0, 0, fail_at

    def look(self, pixel_values):
        self.windows += len(pixel_values)
        if self.fail_at is not None and self.windows > self.fail_at:
            raise KeyboardInterrupt
        return pixel_values[:, [1, 0]], pixel_values[:, 2:, ::16, ::16]

    def connect(self, scores, features, points, neighbours, valid):
        assert features.shape == (1, scores.shape[1] // 16, scores.shape[2] // 16)
        self.asked += int(valid.sum())
        ends = points[neighbours]
        steps = torch.linspace(0, 1, 33)[:, None, None, None]
        places = (points[:, None] + (ends - points[:, None]) * steps).round().long()
        column = places[..., 0].clamp(0, scores.shape[2] - 1)
        row = places[..., 1].clamp(0, scores.shape[1] - 1)
        return scores[1, row, column].amin(dim=0)
