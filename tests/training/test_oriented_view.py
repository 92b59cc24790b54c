"""Views of images with oriented boxes: a box stays on the pixels that it was drawn on."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from s5_hf.modeling.oriented_boxes import oriented_boxes_to_corners
from s5_hf.training.views.oriented import OrientedSampleView, OrientedView, remaining

STILL = {"flip_probability": 0.0, "fill": (0, 0, 0)}


def painted(boxes: torch.Tensor, height: int, width: int) -> np.ndarray:
    """A black image `(height, width, 3)` with white boxes."""
    image = Image.new("L", (width * 4, height * 4))
    for corners in oriented_boxes_to_corners(boxes.double()):
        # Pillow counts from the centre of the first pixel.
        ImageDraw.Draw(image).polygon([(4 * x - 0.5, 4 * y - 0.5) for x, y in corners.tolist()], fill="white")
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))[:, :, None].repeat(3, axis=2)


def mask_iou(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first[..., 0] > 127, second[..., 0] > 127
    return (first & second).sum() / (first | second).sum()


def sample(boxes, **changes):
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 5)
    objects = {"obb": boxes.tolist(), "category": [0] * len(boxes)}
    return {"id": "one", "image": painted(boxes, 48, 64), "objects": {**objects, **changes}}


def row(data, **changes):
    values = {"view": OrientedView(64, 1.0, **STILL), "seed": 0, "task": "ships", "labels": ("ship", "boat")}
    return OrientedSampleView(**{**values, **changes})(data, 0)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.sampled_from([64, 96, 128]),
    image_scale=st.sampled_from([None, 0.6, 1.0, 1.7]),
    turn=st.sampled_from(["none", "quarter", "free", "both"]),
    angle=st.floats(-math.pi / 2, math.pi / 2),
    width=st.sampled_from([80, 121]),
    height=st.sampled_from([60, 97]),
)
def test_a_box_stays_where_its_pixels_are(seed, size, image_scale, turn, angle, width, height):
    box = torch.tensor([[0.5 * width + 3, 0.5 * height - 2, 34.0, 18.0, angle]])
    view = OrientedView(
        size,
        image_scale,
        scale_range=(0.8, 1.3),
        quarter_turn_probability=1.0 if turn in ("quarter", "both") else 0.0,
        rotation_probability=1.0 if turn in ("free", "both") else 0.0,
        least_visible_share=0.0,
        fill=(0, 0, 0),
    )
    seen, (rows, columns), boxes, kept = view(painted(box, height, width), box, torch.Generator().manual_seed(seed))
    assert seen.shape == (size, size, 3) and boxes.dtype == torch.float32
    expected = painted(boxes, size, size)
    expected[rows:], expected[:, columns:] = 0, 0
    visible = (seen[..., 0] > 127).sum()
    if not len(kept):
        assert visible <= 2
    elif visible >= 60:
        # Of a box of some hundred pixels the rounding of its outline is a few per cent.
        assert mask_iou(seen, expected) > 0.85


def test_the_published_view_fits_the_longer_side_and_pads():
    box = torch.tensor([[20.0, 10.0, 8.0, 4.0, 0.3]])
    view = OrientedView(128, flip_probability=0.0, fill=(1, 2, 3))
    seen, size, boxes, kept = view(np.full((48, 64, 3), 9, np.uint8), box, torch.Generator())
    assert size == (96, 128) and kept.tolist() == [0]
    torch.testing.assert_close(boxes, torch.tensor([[40.0, 20.0, 16.0, 8.0, 0.3]]), rtol=0, atol=1e-5)
    assert seen[95, 127].tolist() == [9, 9, 9] and seen[96, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"flip_probability": 1.0}, [44.0, 38.0, 8.0, 4.0, 0.3]),
        ({"flip_probability": 0.0, "rotation_probability": 1.0, "rotation_degrees": 0.0}, [20.0, 10.0, 8.0, 4.0, 0.3]),
    ],
)
def test_both_flips_are_a_half_turn_and_no_angle_is_none(settings, expected):
    box = torch.tensor([[20.0, 10.0, 8.0, 4.0, 0.3]])
    _, size, boxes, _ = OrientedView(64, **settings)(np.zeros((48, 64, 3), np.uint8), box, torch.Generator())
    assert size == (48, 64)
    torch.testing.assert_close(boxes, torch.tensor([expected]), rtol=0, atol=1e-5)


def test_the_draws_follow_from_the_generator():
    view = OrientedView(32, 1.0, (0.5, 2.0), quarter_turn_probability=0.5, rotation_probability=0.5)
    box = torch.tensor([[20.0, 10.0, 8.0, 4.0, 0.3]])
    pixels = painted(box, 48, 64)
    one, two, other = (view(pixels, box, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert np.array_equal(one[0], two[0]) and torch.equal(one[2], two[2])
    assert not np.array_equal(one[0], other[0])


def test_boxes_cut_off_by_the_crop_go_and_those_cut_off_by_the_image_stay():
    before = torch.tensor([[30.0, 20.0, 20.0, 10.0, 0.0], [0.0, 20.0, 20.0, 10.0, 0.0], [90.0, 20.0, 4.0, 4.0, 0.0]])
    for view_width, expected in ((64, [0, 1]), (37, [0, 1]), (35, [0, 1]), (33, [1]), (19, [1])):
        # The first box spans 20 to 40; the second is half outside of the image, the third wholly.
        kept = remaining(before, before, (48, 64), (48, view_width), 0.7)
        assert kept.tolist() == expected, view_width


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), x=st.floats(0, 200), y=st.floats(0, 100), scale=st.floats(0.2, 2))
def test_a_crop_may_have_to_show_an_object(seed, x, y, scale):
    box = torch.tensor([[x, y, 4.0, 2.0, 0.0]])
    view = OrientedView(32, scale, object_crop_probability=1.0, least_visible_share=0.0, **STILL)
    pixels = np.zeros((100, 200, 3), np.uint8)
    _, (rows, columns), boxes, kept = view(pixels, box, torch.Generator().manual_seed(seed))
    assert kept.tolist() == [0]
    assert -0.5 <= boxes[0, 0] <= columns + 0.5 and -0.5 <= boxes[0, 1] <= rows + 0.5


def test_tiny_boxes_are_clipped_in_the_file_and_left_out_of_the_view():
    boxes = [[20.0, 20.0, 30.0, 0.0, 0.0], [40.0, 20.0, 10.0, 3.0, 0.0]]
    assert row(sample(boxes))["boxes"][:, 3].tolist() == [1.0, 3.0]
    kept = row(sample(boxes), least_hull_side=2.0)
    assert kept["boxes"].tolist() == [[40.0, 20.0, 10.0, 3.0, 0.0]] and kept["classes"].tolist() == [0]
    # A thin box that is turned has a wide hull.
    assert len(row(sample([[20.0, 20.0, 30.0, 1.0, 0.7]]), least_hull_side=2.0)["boxes"]) == 1


def test_an_image_without_objects():
    empty = row(sample([]))
    assert empty["boxes"].shape == (0, 5) and empty["classes"].shape == (0,)
    assert empty["image"].shape == (3, 64, 64) and empty["size"].tolist() == [48, 64]


class TestBadSamples:
    def test_a_box_that_is_none_names_the_file(self, tmp_path):
        path = tmp_path / "quay.png"
        Image.new("RGB", (64, 48)).save(path)
        data = sample([[20.0, 20.0, 30.0, 4.0, 0.0], [20.0, float("nan"), 3.0, 4.0, 0.0]])
        with pytest.raises(ValueError, match=r"box 1 of the ships image .*quay\.png is \[20.0, nan.* must be finite"):
            row({**data, "image": Image.open(path)})

    def test_a_negative_side(self):
        with pytest.raises(ValueError, match=r"box 0 of the ships image 'one' .*w and h not negative"):
            row(sample([[20.0, 20.0, -3.0, 4.0, 0.0]]))

    @pytest.mark.parametrize("label", [-1, 2])
    def test_a_label_beyond_the_classes(self, label):
        with pytest.raises(ValueError, match=rf"object 0 of .*'one' has the class {label}, but there are 2.*0\.\.1"):
            row(sample([[20.0, 20.0, 3.0, 4.0, 0.0]], category=[label]))

    def test_boxes_and_classes_of_other_numbers(self):
        with pytest.raises(ValueError, match="'one' has 1 boxes and 2 classes"):
            row(sample([[20.0, 20.0, 3.0, 4.0, 0.0]], category=[0, 1]))

    def test_missing_parts_and_other_channels(self):
        with pytest.raises(ValueError, match="the ships sample 'one' has no objects; its columns: id, image"):
            row({"id": "one", "image": np.zeros((48, 64, 3), np.uint8)})
        with pytest.raises(ValueError, match="has 3 channels, the model takes 1"):
            row(sample([]), channels=1)
