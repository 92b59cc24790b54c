"""Semi-supervised oriented detection: what two views agree on, the method that learns from it, and its registry."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.modeling import S5ForOrientedObjectDetection
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_corners
from s5_hf.modeling.rotated_iou import elementwise_rotated_iou
from s5_hf.semi_supervised import (
    DETECTION_METHODS,
    AgreeingViews,
    DetectionMethod,
    UnlabelledObjects,
    make_detection_method,
    register_detection_method,
)
from s5_hf.semi_supervised.view_agreement import agreeing_boxes, turned_boxes, turned_images
from tests.modeling.detection_models import micro_detection_config, painted_scene

SIZES = st.floats(2, 40)
PLACES = st.floats(-20, 120)


def found(boxes, scores, labels):
    return {
        "boxes": torch.tensor(boxes).reshape(-1, 5),
        "scores": torch.tensor(scores),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }


def seen_turned(objects):
    return {**objects, "boxes": turned_boxes(objects["boxes"])}


class TestTurnedView:
    @settings(max_examples=40, deadline=None)
    @given(st.tuples(PLACES, PLACES, SIZES, SIZES, st.floats(-4, 4)))
    def test_corners_change_places_and_twice_is_nothing(self, values):
        boxes = torch.tensor([values], dtype=torch.float64)
        turned = turned_boxes(boxes)
        corners, moved = (oriented_boxes_to_corners(one).reshape(4, 2) for one in (boxes, turned))
        distances = torch.cdist(corners.flip(1), moved)
        assert distances.amin(dim=0).max() < 1e-6 and distances.amin(dim=1).max() < 1e-6
        assert elementwise_rotated_iou(turned_boxes(turned), boxes).item() == pytest.approx(1, abs=1e-5)

    def test_a_box_lies_on_its_object_in_the_turned_image(self):
        box, label = torch.tensor([[40.0, 60, 30, 12, 0.4]]), torch.tensor([0])
        image = painted_scene(box, label, 100)
        seen, expected = turned_images(image[None])[0, 0] > 1, painted_scene(turned_boxes(box), label, 100)[0] > 1
        assert (seen & expected).sum() > 0.97 * (seen | expected).sum() > 300


class TestAgreement:
    OBJECTS = found([[20.0, 20, 20, 10, 0.3], [60, 60, 20, 10, 1.0], [90, 20, 10, 10, 0]], [0.9, 0.8, 0.6], [0, 1, 1])

    def test_what_both_views_show_counts_and_the_rest_is_uncertain(self):
        other = found(
            [[21.0, 20, 20, 10, 0.3], [60, 60, 20, 10, 1.0], [10, 90, 10, 10, 0]], [0.7, 0.9, 0.5], [0, 0, 1]
        )
        pseudo = agreeing_boxes(self.OBJECTS, seen_turned(other), 0.75, 0.5)
        torch.testing.assert_close(pseudo.boxes, self.OBJECTS["boxes"][:1])  # the one with the better score
        assert pseudo.labels.tolist() == [0] and pseudo.scores.tolist() == pytest.approx([0.8])
        overlap = elementwise_rotated_iou(other["boxes"][:1], self.OBJECTS["boxes"][:1]).item()
        assert 0.8 < overlap < 0.95 and pseudo.agreement.item() == pytest.approx(overlap, abs=1e-5)
        assert pseudo.targets()["weights"].item() == pytest.approx(0.8 * overlap, abs=1e-5)
        places = {tuple(round(value) for value in box[:2].tolist()) for box in pseudo.uncertain}
        # Another class in the second view, seen in one view only, and seen in the other only.
        assert len(pseudo.uncertain) == 4 and places == {(60, 60), (90, 20), (10, 90)}

    def test_thresholds(self):
        same = seen_turned(self.OBJECTS)
        assert len(agreeing_boxes(self.OBJECTS, same, 0.75, 0.9).boxes) == 2
        low = agreeing_boxes(self.OBJECTS, same, 0.95, 0.5)
        assert len(low.boxes) == 0 and len(low.uncertain) == 6
        moved = found([[26.0, 20, 20, 10, 0.3]], [0.9], [0])
        overlap = elementwise_rotated_iou(moved["boxes"], self.OBJECTS["boxes"][:1]).item()
        for threshold, count in ((overlap - 0.01, 1), (overlap + 0.01, 0)):
            assert len(agreeing_boxes(self.OBJECTS, seen_turned(moved), 0.5, threshold).boxes) == count

    def test_nothing_in_a_view(self):
        nothing = found([], [], [])
        for pair in ((nothing, self.OBJECTS), (self.OBJECTS, nothing), (nothing, nothing)):
            pseudo = agreeing_boxes(*pair, 0.5, 0.5)
            assert len(pseudo.boxes) == len(pseudo.scores) == 0
            assert len(pseudo.uncertain) == sum(len(one["boxes"]) for one in pair)


class TestMethod:
    def teacher(self):
        torch.manual_seed(0)
        return S5ForOrientedObjectDetection(micro_detection_config())

    def unlabelled(self):
        boxes = torch.tensor([[30.0, 30, 24, 12, 0.5], [66, 60, 20, 10, -0.7]])
        images = painted_scene(boxes, torch.tensor([0, 1]), 96)[None].repeat(2, 1, 1, 1)
        return UnlabelledObjects(images, images, ["vehicles"] * 2, [[96, 96], [96, 64]])

    def test_what_the_teacher_finds_teaches_the_student(self, monkeypatch):
        """A teacher that finds the same object in both views, and one object in the first view only."""
        box, alone = torch.tensor([[30.0, 30, 24, 12, 0.5]]), torch.tensor([[70.0, 70, 9, 9, 0]])
        calls = []

        def finder(logits, boxes, threshold, iou_threshold, most):
            calls.append((threshold, iou_threshold))
            own = turned_boxes(box) if len(calls) > 2 else torch.cat([box, alone])
            return found(own.tolist(), [0.8] * len(own), [0] * len(own))

        monkeypatch.setattr("s5_hf.semi_supervised.agreeing_views.find_objects", finder)
        method, model, images = AgreeingViews(0.6, ignore_threshold=0.1), self.teacher(), self.unlabelled()
        method.attach(model)
        labels = [{"boxes": box, "class_labels": torch.tensor([1])}] * 2
        batch = SimpleNamespace(
            pixel_values=images.weak, labels=labels, tasks=images.tasks, image_sizes=images.image_sizes
        )
        output = method(model.train(), batch, images, 0, {"vehicles": 2.0})
        values = {name: value.item() for name, value in output.scalars.items()}
        assert calls == [(0.1, 0.1)] * 4
        assert (values["pseudo_boxes"], values["uncertain_boxes"]) == (1, 1)
        assert values["pseudo_score_sum"] == pytest.approx(0.8)
        assert values["pseudo_agreement_sum"] == pytest.approx(1, abs=1e-5)
        assert output.class_counts.tolist() == [2, 0, 0]
        assert values["loss_supervised"] == pytest.approx(2 * values["loss/vehicles"], rel=1e-5)
        total = values["loss_supervised"] + values["loss_unsupervised"]
        assert output.loss.item() == pytest.approx(total, rel=1e-5) and values["loss_unsupervised"] > 0.1

    def test_the_teacher_sees_both_views_and_the_sizes_turn_too(self):
        method, seen = AgreeingViews(confidence_threshold=0.3, ignore_threshold=0.01), {}
        with pytest.raises(RuntimeError, match="agreeing_views has no teacher yet"):
            method.label(self.unlabelled())
        method.attach(self.teacher())
        forward = method.averaged.model.forward

        def recorded(images, **options):
            seen.update(options, images=images)
            return forward(images, **options)

        method.averaged.model.forward = recorded
        unlabelled = self.unlabelled()
        pseudo, highest = method.label(unlabelled)
        assert seen["image_sizes"] == [[96, 96], [96, 64], [96, 96], [64, 96]] and seen["task"] == ["vehicles"] * 4
        torch.testing.assert_close(seen["images"][2:], unlabelled.weak.transpose(2, 3))
        assert len(pseudo) == 2 and 0 < highest <= 1 and not any(image.boxes.requires_grad for image in pseudo)

    def test_the_teacher_follows_and_is_kept(self):
        model, method = self.teacher(), AgreeingViews(teacher_decay=0.75)
        method.attach(model)
        before = method.teacher_model.roi_heads[0].classifier.bias.clone()
        with torch.no_grad():
            model.roi_heads[0].classifier.bias += 1
        method.after_step(model, 0)  # at first a copy
        torch.testing.assert_close(method.teacher_model.roi_heads[0].classifier.bias, before + 1)
        with torch.no_grad():
            model.roi_heads[0].classifier.bias += 1
        method.after_step(model, 100)
        torch.testing.assert_close(method.teacher_model.roi_heads[0].classifier.bias, before + 1.25)
        again = AgreeingViews()
        again.attach(self.teacher())
        again.load_state_dict(method.state_dict())
        torch.testing.assert_close(again.teacher_model.roi_heads[0].classifier.bias, before + 1.25)

    def test_the_weight_grows(self):
        method = AgreeingViews(unlabelled_from_step=10, unlabelled_ramp_steps=3, unlabelled_weight=2.0)
        assert [method.weight_at(step) for step in (9, 10, 11, 12, 13, 99)] == [0, 0.5, 1.0, 1.5, 2.0, 2.0]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"confidence_threshold": 0.3, "ignore_threshold": 0.5},
                r"ignore_threshold must not be above confidence_threshold, got 0\.5 and 0\.3",
            ),
            ({"agreement_threshold": 1.5}, r"agreement_threshold must lie between 0 and 1, got 1\.5"),
            ({"confidence_threshold": math.nan}, "confidence_threshold must lie between 0 and 1, got nan"),
            ({"unlabelled_weight": -1}, "unlabelled_weight must not be negative, got -1"),
            ({"rotation": 1}, "method 'agreeing_views' has no option rotation; its options: confidence_threshold"),
        ],
    )
    def test_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            make_detection_method("agreeing_views", **options)


def test_a_new_method_registers_by_name(monkeypatch):
    monkeypatch.setattr("s5_hf.semi_supervised.detection_method.DETECTION_METHODS", dict(DETECTION_METHODS))

    @register_detection_method("ours")
    @dataclass
    class Ours(DetectionMethod):
        factor: float = 1.0

        def __call__(self, model, labelled, unlabelled, step, task_weights):
            raise NotImplementedError

    assert make_detection_method("ours", factor=2.0).factor == 2 and Ours.name == "ours"
    with pytest.raises(ValueError, match="unknown method 'our'; known methods: agreeing_views, ours"):
        make_detection_method("our")
    with pytest.raises(ValueError, match="'agreeing_views' is registered already: AgreeingViews"):
        register_detection_method("agreeing_views")(Ours)
