"""RoIAlignRotated against its definition, written as loops, and against simple geometry."""

import math

import pytest
import torch
from torch import Tensor

from s5_hf.modeling.rotated_roi_align import roi_align_rotated


def bilinear(image: Tensor, x: float, y: float) -> Tensor:
    """One sample [C] of a map [C, H, W]; x and y count from the centre of the first pixel."""
    height, width = image.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return torch.zeros(len(image), dtype=image.dtype)
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    left, top = min(int(x), width - 2), min(int(y), height - 2)
    u, v = x - left, y - top
    upper = image[:, top, left] * (1 - u) + image[:, top, left + 1] * u
    lower = image[:, top + 1, left] * (1 - u) + image[:, top + 1, left + 1] * u
    return upper * (1 - v) + lower * v


def reference(features: Tensor, rois: Tensor, size: int, scale: float, ratio: int) -> Tensor:
    output = torch.zeros(len(rois), features.shape[1], size, size, dtype=features.dtype)
    for index, (batch, cx, cy, w, h, theta) in enumerate(rois.tolist()):
        for row in range(size):
            for column in range(size):
                for step_y in range(ratio):
                    for step_x in range(ratio):
                        along = w * scale * ((column + (step_x + 0.5) / ratio) / size - 0.5)
                        across = h * scale * ((row + (step_y + 0.5) / ratio) / size - 0.5)
                        x = cx * scale - 0.5 + along * math.cos(theta) - across * math.sin(theta)
                        y = cy * scale - 0.5 + along * math.sin(theta) + across * math.cos(theta)
                        output[index, :, row, column] += bilinear(features[int(batch)], x, y) / ratio**2
    return output


@pytest.fixture
def features() -> Tensor:
    return torch.randn(2, 3, 12, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


ROIS = torch.tensor(
    [
        [0, 30, 20, 40, 20, 0.4],
        [1, 60, 20, 50, 12, -1.2],
        [0, 0, 0, 30, 30, 0],  # beyond the corner
        [1, 63, 47, 30, 10, 1.5],
        [0, 32, 24, 200, 120, -0.7],  # larger than the map
        [1, 300, 300, 20, 20, 0.1],  # beside it
        [0, 2, 2, 0, 0, 0.3],  # a point
    ],
    dtype=torch.float64,
)


@pytest.mark.parametrize(("size", "ratio"), [(7, 2), (3, 1), (4, 3)])
def test_equals_the_definition(features: Tensor, size: int, ratio: int) -> None:
    actual = roi_align_rotated(features, ROIS, size, 0.25, ratio)
    torch.testing.assert_close(actual, reference(features, ROIS, size, 0.25, ratio))
    assert actual[:5].abs().amin(dim=0).max() > 0
    assert (actual[5] == 0).all()


def test_chunks_do_not_show(features: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = roi_align_rotated(features, ROIS, 7, 0.25)
    monkeypatch.setattr("s5_hf.modeling.rotated_roi_align._MAX_SAMPLES", 1)
    assert torch.equal(roi_align_rotated(features, ROIS, 7, 0.25), expected)


def test_a_box_of_whole_pixels_returns_them(features: Tensor) -> None:
    rois = torch.tensor([[1.0, 5, 4, 4, 4, 0], [1, 5, 4, 4, 4, math.pi / 2]], dtype=torch.float64)
    upright, turned = roi_align_rotated(features, rois, output_size=4, spatial_scale=1, sampling_ratio=1)
    torch.testing.assert_close(upright, features[1, :, 2:6, 3:7])
    # A quarter turn clockwise: the columns of the bins now run down the map, the rows run to the left.
    torch.testing.assert_close(turned, features[1, :, 2:6, 3:7].transpose(1, 2).flip(1))


def test_gradient_of_the_features(features: Tensor) -> None:
    features = features[:, :1].requires_grad_()
    assert torch.autograd.gradcheck(lambda maps: roi_align_rotated(maps, ROIS, 2, 0.25), features)
    rois = ROIS.clone().requires_grad_()
    roi_align_rotated(features, rois, 2, 0.25).sum().backward()
    assert rois.grad is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes(features: Tensor, dtype: torch.dtype) -> None:
    actual = roi_align_rotated(features.to(dtype), ROIS.float(), 7, 0.25)
    assert actual.dtype == dtype
    expected = roi_align_rotated(features.to(dtype).double(), ROIS, 7, 0.25)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(actual.double(), expected, rtol=tolerance, atol=tolerance)


def test_channels_last_and_no_rois(features: Tensor) -> None:
    expected = roi_align_rotated(features, ROIS, 7, 0.25)
    assert torch.equal(roi_align_rotated(features.to(memory_format=torch.channels_last), ROIS, 7, 0.25), expected)
    assert roi_align_rotated(features, ROIS[:0], 7, 0.25).shape == (0, 3, 7, 7)


def test_bad_input(features: Tensor) -> None:
    with pytest.raises(ValueError, match=r"rois must be \[K, 6\].*\(7, 5\)"):
        roi_align_rotated(features, ROIS[:, 1:])
    with pytest.raises(ValueError, match=r"features must be \[B, C, H, W\]"):
        roi_align_rotated(features[0], ROIS)
    with pytest.raises(ValueError, match=r"rois\[1\].*not in a batch of 1"):
        roi_align_rotated(features[:1], ROIS)
    with pytest.raises(ValueError, match="at least 1, got 7 and 0"):
        roi_align_rotated(features, ROIS, sampling_ratio=0)
    rois = ROIS.clone()
    rois[3, 2] = math.nan
    with pytest.raises(ValueError, match=r"rois\[3\].*not finite"):
        roi_align_rotated(features, rois)
