"""Rotated IoU against shapely, its invariances and its gradients."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from s5_hf.modeling.hull_pairs import overlapping_hulls
from s5_hf.modeling.non_maximum_suppression import rotated_nms
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_corners, oriented_boxes_to_horizontal, rotate_boxes
from s5_hf.modeling.rotated_iou import elementwise_rotated_iou, rotated_iou

SIZE = st.floats(0.01, 60)
BOX = st.tuples(st.floats(-30, 30), st.floats(-30, 30), SIZE, SIZE, st.floats(-3.2, 3.2))
BOXES = st.lists(BOX, min_size=1, max_size=4).map(lambda rows: torch.tensor(rows, dtype=torch.float64))


def random_boxes(count: int, extent: float, size: float, seed: int = 0) -> Tensor:
    unit = torch.rand(count, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scale = torch.tensor([extent, extent, size, size, math.pi])
    return unit * scale + torch.tensor([0, 0, 0.01, 0.01, -math.pi / 2])


def shapely_overlaps(boxes1: Tensor, boxes2: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """IoU and intersection over the first area of each pair, [N], in float64."""
    shapely = pytest.importorskip("shapely", reason="compares with shapely, which is not installed")
    first, second = (shapely.polygons(oriented_boxes_to_corners(boxes.double()).numpy()) for boxes in (boxes1, boxes2))
    shared = shapely.area(shapely.intersection(first, second))
    # GEOS loses the area of a few nearly identical polygons, in one order of its arguments only.
    lost = (shared == 0) & shapely.intersects(first, second)
    shared[lost] = shapely.area(shapely.intersection(second[lost], first[lost]))
    area1, area2 = shapely.area(first), shapely.area(second)
    return shared / np.maximum(area1 + area2 - shared, 1e-300), shared / np.maximum(area1, 1e-300)


def hard_pairs(count: int) -> tuple[Tensor, Tensor]:
    """Pairs of all kinds: apart, crossing, nested, identical, touching, nearly so, thin, tiny, far away."""
    first, second = random_boxes(count, 100, 60, seed=1), random_boxes(count, 100, 60, seed=2)
    kinds = torch.arange(count) % 12
    second[kinds == 1] = first[kinds == 1]
    nested = first[kinds == 2]
    second[kinds == 2] = torch.cat([nested[:, :2], nested[:, 2:4] * 0.5, nested[:, 4:]], dim=1)
    beside = first[kinds == 3]  # shares a whole side
    along = torch.stack([beside[:, 4].cos(), beside[:, 4].sin()], dim=1)
    second[kinds == 3] = torch.cat([beside[:, :2] + along * beside[:, 2:3], beside[:, 2:]], dim=1)
    second[kinds == 4] = first[kinds == 4] * (1 + 1e-9)
    quarter = first[kinds == 5]  # the same rectangle, its sides named the other way round
    second[kinds == 5] = torch.cat([quarter[:, :2], quarter[:, [3, 2]], quarter[:, 4:] + math.pi / 2], dim=1)
    first[kinds == 6, 3] = 0.01
    second[kinds == 6, 3] = 0.01
    first[kinds == 7, 4], second[kinds == 7, 4] = 0, 0
    first[kinds == 8] = first[kinds == 8].round()  # many equal coordinates
    second[kinds == 8] = second[kinds == 8].round()
    first[kinds == 9, 2:4] *= 1000
    first[kinds == 10, :2] += 20_000
    second[kinds == 10, :2] += 20_000
    first[kinds == 11, 2:4] = 0  # no area
    return first, second


def drop_thin(boxes1: Tensor, boxes2: Tensor, expected: np.ndarray) -> Tensor:
    """What shapely found, and 0 where a side is under a thousandth of a pixel, as defined."""
    thin = (boxes1[:, 2:4].amin(dim=1) < 1e-3) | (boxes2[:, 2:4].amin(dim=1) < 1e-3)
    return torch.from_numpy(expected).masked_fill(thin, 0)


@pytest.mark.parametrize(("dtype", "count"), [(torch.float32, 100_000), (torch.float64, 12_000)])
def test_equals_shapely(dtype: torch.dtype, count: int) -> None:
    """float32 boxes are exact numbers too: on them both precisions are compared with the same exact areas."""
    boxes1, boxes2 = (boxes.to(dtype) for boxes in hard_pairs(count))
    for mode, expected in zip(("iou", "iof"), shapely_overlaps(boxes1, boxes2), strict=True):
        expected = drop_thin(boxes1, boxes2, expected)
        actual = elementwise_rotated_iou(boxes1, boxes2, mode)
        assert actual.dtype == dtype
        torch.testing.assert_close(actual, expected.to(dtype), rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-9)
        exact = elementwise_rotated_iou(boxes1.double(), boxes2.double(), mode)
        torch.testing.assert_close(exact, expected, rtol=0, atol=1e-9)


def test_pairwise_equals_elementwise() -> None:
    boxes1, boxes2 = random_boxes(70, 200, 40, seed=1), random_boxes(90, 200, 40, seed=2)
    expected = elementwise_rotated_iou(boxes1.repeat_interleave(90, dim=0), boxes2.repeat(70, 1)).view(70, 90)
    assert (expected > 0).sum() > 100
    torch.testing.assert_close(rotated_iou(boxes1, boxes2), expected, rtol=0, atol=1e-14)


def test_large_sets_equal_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes1, boxes2 = random_boxes(300, 400, 40, seed=1), random_boxes(350, 400, 40, seed=2)
    expected = rotated_iou(boxes1, boxes2)
    monkeypatch.setattr("s5_hf.modeling.hull_pairs._CPU_COMPARISONS", 1024)
    monkeypatch.setattr("s5_hf.modeling.rotated_iou._LISTED", 350 * 90)
    monkeypatch.setattr("s5_hf.modeling.rotated_iou._CPU_PAIRS", 100)
    torch.testing.assert_close(rotated_iou(boxes1, boxes2), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("count1", "count2"), [(700, 900), (33, 9000), (1000, 1000)])
def test_overlapping_hulls_equal_all_with_all(count1: int, count2: int) -> None:
    hulls1, hulls2 = (
        oriented_boxes_to_horizontal(random_boxes(count, 500, 40, seed=count)) for count in (count1, count2 + 1)
    )
    hulls1[:5] = torch.tensor([0, 0, 500, 500])
    left1, top1, right1, bottom1 = hulls1[:, None].unbind(-1)
    left2, top2, right2, bottom2 = hulls2.unbind(-1)
    expected = (left1 < right2) & (left2 < right1) & (top1 < bottom2) & (top2 < bottom1)
    rows, columns = overlapping_hulls(hulls1, hulls2)
    assert len(rows) == expected.sum()
    actual = torch.zeros_like(expected)
    actual[rows, columns] = True
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_box_equals_itself(dtype: torch.dtype) -> None:
    boxes = random_boxes(2000, 5000, 500).to(dtype)
    torch.testing.assert_close(elementwise_rotated_iou(boxes, boxes), torch.ones(2000, dtype=dtype), rtol=0, atol=1e-7)


def test_hand_made_cases() -> None:
    square = torch.tensor([[50.0, 50, 20, 20, 0]])
    others = torch.tensor(
        [
            [50.0, 50, 20, 20, math.pi / 4],  # an octagon in common: IoU = 1 / sqrt 2
            [60, 50, 20, 20, 0],  # half
            [70, 50, 20, 20, 0],  # touches along a side
            [70, 70, 20, 20, 0],  # touches in a point
            [50, 50, 10, 10, 0],  # nested
            [50, 50, 20, 0.0005, 0],  # too thin to count
            [50, 50, 0, 0, 0],
        ]
    )
    expected = torch.tensor([[1 / math.sqrt(2), 1 / 3, 0, 0, 0.25, 0, 0]])
    torch.testing.assert_close(rotated_iou(square, others), expected)
    torch.testing.assert_close(rotated_iou(others[4:5], square, mode="iof"), torch.ones(1, 1))


@given(BOXES, BOXES)
@settings(max_examples=80, deadline=None)
def test_symmetric_and_in_range(boxes1: Tensor, boxes2: Tensor) -> None:
    iou = rotated_iou(boxes1, boxes2)
    assert ((iou >= 0) & (iou <= 1)).all()
    torch.testing.assert_close(iou, rotated_iou(boxes2, boxes1).T, rtol=0, atol=1e-9)
    # The smaller box bounds what two boxes share.
    area1, area2 = boxes1[:, 2] * boxes1[:, 3], boxes2[:, 2] * boxes2[:, 3]
    ratio = torch.minimum(area1[:, None], area2) / torch.maximum(area1[:, None], area2)
    assert (iou <= ratio + 1e-9).all()


@given(BOXES, BOXES, st.floats(-3, 3), st.floats(-100, 100), st.floats(0.2, 5))
@settings(max_examples=80, deadline=None)
def test_invariant_under_turns_moves_and_scales(
    boxes1: Tensor, boxes2: Tensor, angle: float, shift: float, scale: float
) -> None:
    iou = rotated_iou(boxes1, boxes2)

    def moved(boxes: Tensor) -> Tensor:
        boxes = rotate_boxes(boxes, angle, (3.0, -4.0))
        boxes[:, :2] += torch.tensor([shift, -2 * shift])
        return torch.cat([boxes[:, :4] * scale, boxes[:, 4:]], dim=1)

    torch.testing.assert_close(rotated_iou(moved(boxes1), moved(boxes2)), iou, rtol=0, atol=1e-8)


@pytest.mark.parametrize("mode", ["iou", "iof"])
def test_gradients(mode: str) -> None:
    boxes1, boxes2 = random_boxes(12, 20, 30, seed=1), random_boxes(12, 20, 30, seed=2)
    boxes1[0] = torch.tensor([5, 5, 4, 4, 0.3])  # nested
    boxes2[0] = torch.tensor([6, 5, 20, 20, -0.4])
    boxes1[1] = torch.tensor([0, 0, 4, 4, 0.3])  # apart
    boxes2[1] = torch.tensor([60, 5, 20, 20, -0.4])
    boxes1.requires_grad_()
    boxes2.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: elementwise_rotated_iou(a, b, mode), (boxes1, boxes2))
    assert torch.autograd.gradcheck(lambda a, b: rotated_iou(a, b, mode), (boxes1[:4], boxes2[:5]))


def test_gradients_of_parallel_boxes() -> None:
    """Where theta is equal the area has a kink in theta, but not in the centre and the sides."""
    sides1 = torch.tensor([[50.0, 50, 20, 12]], dtype=torch.float64, requires_grad=True)
    sides2 = torch.tensor([[53.0, 54, 18, 14]], dtype=torch.float64, requires_grad=True)
    theta = torch.zeros(1, 1, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a, b: elementwise_rotated_iou(torch.cat([a, theta], 1), torch.cat([b, theta], 1)), (sides1, sides2)
    )


def test_gradients_are_finite_at_every_kink() -> None:
    boxes1, boxes2 = hard_pairs(2400)
    boxes1.requires_grad_()
    boxes2.requires_grad_()
    elementwise_rotated_iou(boxes1, boxes2).sum().backward()
    assert torch.isfinite(boxes1.grad).all()
    assert torch.isfinite(boxes2.grad).all()


def test_empty_sets() -> None:
    boxes = random_boxes(3, 10, 10).float()
    assert rotated_iou(boxes, boxes[:0]).shape == (3, 0)
    assert rotated_iou(boxes[:0], boxes).shape == (0, 3)
    assert elementwise_rotated_iou(boxes[:0], boxes[:0]).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_boxes(dtype: torch.dtype) -> None:
    boxes1, boxes2 = (random_boxes(50, 40, 30, seed=seed).to(dtype) for seed in (1, 2))
    actual = rotated_iou(boxes1, boxes2)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual, rotated_iou(boxes1.double(), boxes2.double()).to(dtype), rtol=0, atol=0)


def test_bad_input() -> None:
    boxes = random_boxes(3, 10, 10)
    bad = boxes.clone()
    bad[2, 3] = -1
    with pytest.raises(ValueError, match=r"boxes2\[2\].*negative"):
        rotated_iou(boxes, bad)
    bad[1, 0] = math.nan
    with pytest.raises(ValueError, match=r"boxes1\[1\].*finite"):
        elementwise_rotated_iou(bad, boxes)
    with pytest.raises(ValueError, match="mode must be 'iou' or 'iof', got 'giou'"):
        rotated_iou(boxes, boxes, mode="giou")
    with pytest.raises(ValueError, match="the same length, got 3 and 2"):
        elementwise_rotated_iou(boxes, boxes[:2])
    with pytest.raises(ValueError, match=r"boxes1 must be \[N, 5\]"):
        rotated_iou(boxes[None], boxes)


def beside(first: Tensor, second: Tensor, side: int, gap: float, slide: float) -> Tensor:
    """The second box moved to lie beyond a side of the first, `gap` pixels away and shifted along it."""
    theta = first[4] + side * math.pi / 2
    normal = torch.stack([theta.cos(), theta.sin()])
    tangent = torch.stack([-theta.sin(), theta.cos()])
    hull = rotate_boxes(second[None], -theta.item(), (0, 0))
    reach = oriented_boxes_to_horizontal(hull)[0]
    distance = first[2 + side % 2] / 2 + (reach[2] - reach[0]) / 2 + gap
    return torch.cat([first[:2] + normal * distance + tangent * slide, second[2:]])


@given(BOX, BOX, st.integers(0, 3), st.sampled_from([0.0, 1e-12, 1e-6, 0.5]), st.floats(-60, 60), st.floats(0, 2e4))
@settings(max_examples=150, deadline=None)
def test_boxes_that_share_no_area_have_an_iou_of_exactly_0(first, second, side, gap, slide, offset) -> None:
    one, other = (torch.tensor(box, dtype=torch.float64) for box in (first, second))
    one[:2] += offset
    placed = beside(one, other, side, gap, slide)
    assert elementwise_rotated_iou(one[None], placed[None]).item() == 0
    assert elementwise_rotated_iou(placed[None], one[None]).item() == 0


def test_suppression_at_threshold_0_keeps_all_boxes_of_a_tiling() -> None:
    """A hundred boxes side by side, turned: they touch, and none covers a part of another."""
    column, row = torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij")
    for theta in torch.linspace(-1.5, 1.5, 31, dtype=torch.float64).tolist():
        upright = torch.stack([7 * column, 3 * row], dim=-1).view(-1, 2).double()
        sides = torch.tensor([7.0, 3, 0], dtype=torch.float64).expand(100, 3)
        boxes = rotate_boxes(torch.cat([upright, sides], dim=1), theta, (31.0, 11.0))
        assert torch.equal(rotated_iou(boxes, boxes) > 0, torch.eye(100, dtype=torch.bool))
        assert len(rotated_nms(boxes, torch.rand(100), 0.0)) == 100


def test_a_small_overlap_is_not_rounded_away() -> None:
    boxes = torch.tensor([[0, 0, 10, 10, 0.3], [0, 0, 10, 10, 0.3]], dtype=torch.float64)
    boxes[1, :2] += (10 - 1e-9) * torch.tensor([math.cos(0.3), math.sin(0.3)], dtype=torch.float64)
    assert elementwise_rotated_iou(boxes[:1], boxes[1:]).item() == pytest.approx(1e-9 / 20, rel=1e-4)
