"""A network that knows the answers: roads are red, keypoints green, and neighbours along red are connected."""

import torch


class PaintedRoads:
    """Scores are the red and the green of the pixels; two points are as connected as the line between them is red.

    Points with another one between them are not connected. Scores lie between the steps of bytes, so that rounding
    decides nothing.
    """

    image_mean, image_std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    fingerprint = "painted"
    device = torch.device("cpu")

    def __init__(self, fail_at=None):
        self.windows, self.asked, self.fail_at = 0, 0, fail_at

    def look(self, pixel_values):
        self.windows += len(pixel_values)
        if self.fail_at is not None and self.windows > self.fail_at:
            raise KeyboardInterrupt
        return pixel_values[:, [1, 0]] * (254 / 255) + 0.5 / 255, pixel_values[:, 2:, ::16, ::16]

    def connect(self, scores, features, points, neighbours, valid):
        assert features.shape == (1, -(-scores.shape[1] // 16), -(-scores.shape[2] // 16))
        self.asked += int(valid.sum())
        starts, ends = points[:, None], points[neighbours]
        steps = torch.linspace(0, 1, 33)[:, None, None, None]
        places = (starts + (ends - starts) * steps).round().long()
        column = places[..., 0].clamp(0, scores.shape[2] - 1)
        row = places[..., 1].clamp(0, scores.shape[1] - 1)
        along = ends - starts
        offsets = points - starts[:, :, None]  # (n, 1, n, 2)
        shares = (offsets * along[:, :, None]).sum(-1) / (along**2).sum(-1).clamp(min=1)[..., None]
        apart = (offsets - shares[..., None] * along[:, :, None]).norm(dim=-1)
        between = ((shares > 0.05) & (shares < 0.95) & (apart < 4)).any(dim=-1)
        wide = torch.nn.functional.max_pool2d(scores[None, 1], 5, stride=1, padding=2)[0]
        return wide[row, column].amin(dim=0).masked_fill(between, 0.0)
