"""The oriented detector: training on one image, mixed batches, sizes and masks, experts in and out, bad input."""

import pytest
import torch
from torch.nn import functional
from transformers import AutoImageProcessor, AutoModelForObjectDetection, ConvNextConfig, SwinConfig, pipeline

from s5_hf.metrics import OrientedAveragePrecision
from s5_hf.modeling import (
    S5DetectionConfig,
    S5ForOrientedObjectDetection,
    S5ForSemanticSegmentation,
    S5ImageProcessor,
    S5ViTBackbone,
    S5ViTConfig,
)
from s5_hf.modeling.rotated_iou import rotated_iou
from tests.conftest import MICRO_VIT, micro_segmentation_config, randomise
from tests.modeling.detection_models import DETECTION_TASKS, micro_detection_config, painted_scene
from tests.numerics import assert_equal_but_for_rounding

BOXES = torch.tensor([[30.0, 32, 40, 16, 0.5], [70, 60, 24, 18, -1.0]])
LABELS = [
    {"boxes": BOXES, "class_labels": torch.tensor([0, 0])},
    {"boxes": BOXES[:1] + 3, "class_labels": torch.tensor([0])},
    {"boxes": torch.zeros(0, 5), "class_labels": torch.zeros(0, dtype=torch.long)},
    {"boxes": BOXES[1:], "class_labels": torch.tensor([0])},
]


@pytest.fixture
def images():
    return torch.randn(4, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def new_model(num_experts=0, **settings):
    torch.manual_seed(0)
    return randomise(S5ForOrientedObjectDetection(micro_detection_config(num_experts, **settings))).eval()


@pytest.fixture
def model():
    return new_model()


@pytest.fixture
def moe_model():
    return new_model(num_experts=2)


def assert_same_predictions(left, right, **tolerances):
    """The same boxes and logits, up to the order of proposals whose scores differ by rounding."""
    assert left.image_sizes.tolist() == right.image_sizes.tolist()
    for first, second in zip(left.logits, right.logits, strict=True):
        torch.testing.assert_close(first, second, **tolerances)
    for first, second in zip(left.pred_boxes, right.pred_boxes, strict=True):
        torch.testing.assert_close(first, second, **tolerances)


def test_one_image_is_learned_by_heart():
    """An AP of 1.0 at an IoU of 0.5; and above a score of 0.5 nothing but the objects."""
    torch.manual_seed(0)
    boxes = torch.tensor([[28.0, 26, 40, 16, 0.5], [70, 32, 28, 22, -1.0], [44, 74, 56, 14, 0.0]])
    classes = torch.tensor([0, 1, 2])
    image = painted_scene(boxes, classes, 96)[None]
    model = S5ForOrientedObjectDetection(micro_detection_config(fpn_channels=32, roi_channels=128)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=80, pct_start=0.1)
    for _ in range(80):
        output = model(image, labels=[{"boxes": boxes, "class_labels": classes}])
        optimizer.zero_grad()
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 35.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        output = model.eval()(image)
    metric = OrientedAveragePrecision(labels=DETECTION_TASKS["vehicles"], iou_thresholds=[0.5])
    found = S5ImageProcessor().post_process_oriented_object_detection(output)[0]
    metric.add_image("scene", found, {"boxes": boxes, "labels": classes})
    assert metric.compute()["map_50"] == 1.0
    sure = found["scores"] > 0.5
    iou, match = rotated_iou(boxes, found["boxes"][sure]).max(dim=1)
    assert sorted(match.tolist()) == list(range(int(sure.sum()))) == [0, 1, 2]
    assert iou.min() > 0.5
    assert torch.equal(found["labels"][sure][match], classes)


def test_training_gives_losses_and_evaluation_predictions_too(model, images):
    training = model.train()(images, labels=LABELS)
    assert set(training.loss_parts["vehicles"]) == {"rpn_cls", "rpn_bbox", "cls", "bbox"}
    torch.testing.assert_close(training.loss, sum(training.loss_parts["vehicles"].values()))
    torch.testing.assert_close(training.task_losses["vehicles"], training.loss)
    assert training.logits is None and training.pred_boxes is None
    evaluation = model.eval()(images, labels=LABELS)
    assert evaluation.loss is not None and len(evaluation.logits) == 4
    plain = model(images)
    assert plain.loss is None and plain.task_losses is None
    for logits, boxes, proposals, scores in zip(
        plain.logits, plain.pred_boxes, plain.proposals, plain.proposal_scores, strict=True
    ):
        assert logits.shape == (len(boxes), 4)
        assert boxes.shape == proposals.shape == (len(scores), 5)
        assert (scores[:-1] >= scores[1:]).all() and scores.min() >= 0 and scores.max() <= 1
        assert not proposals.requires_grad and logits.requires_grad


def test_the_random_samples_follow_the_generator(model, images):
    def loss(seed):
        return model.train()(images, labels=LABELS, generator=torch.Generator().manual_seed(seed)).loss

    assert torch.equal(loss(1), loss(1))
    assert not torch.equal(loss(1), loss(2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(model, images, dtype):
    """Boxes, scores and losses are float32 whatever the network computes in."""
    torch.manual_seed(0)
    expected = model(images, labels=LABELS).loss_parts["vehicles"]
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype):
        output = model(images, labels=LABELS)
    output.loss.backward()
    for values in (*output.logits, *output.pred_boxes, *output.proposal_scores, output.loss):
        assert values.dtype == torch.float32 and values.isfinite().all()
    torch.testing.assert_close(output.loss_parts["vehicles"]["rpn_cls"], expected["rpn_cls"], rtol=0.05, atol=0.01)
    whole = model.to(dtype)(images.to(dtype))
    assert whole.pred_boxes[0].dtype == torch.float32 and whole.pred_boxes[0].isfinite().all()


def test_mixed_batch_equals_one_forward_per_task(moe_model, images):
    """Predictions, losses and every gradient, for an unsorted batch."""
    tasks = ["roofs", "vehicles", "vehicles", "roofs"]
    torch.manual_seed(5)
    mixed = moe_model(images, labels=LABELS, task=tasks)
    mixed.loss.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in moe_model.named_parameters()}
    moe_model.zero_grad()
    torch.manual_seed(5)
    total = 0
    for task in DETECTION_TASKS:  # in the order of the model, so that the samples are drawn alike
        rows = [row for row, name in enumerate(tasks) if name == task]
        alone = moe_model(images[rows], labels=[LABELS[row] for row in rows], task=task)
        for row, logits, boxes in zip(rows, alone.logits, alone.pred_boxes, strict=True):
            assert logits.shape[1] == len(DETECTION_TASKS[task]) + 1
            torch.testing.assert_close(mixed.logits[row], logits, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(mixed.pred_boxes[row], boxes, rtol=1e-4, atol=1e-3)
        for part, loss in alone.loss_parts[task].items():
            torch.testing.assert_close(mixed.loss_parts[task][part], loss, rtol=1e-5, atol=1e-5)
        total = total + alone.loss
    torch.testing.assert_close(mixed.loss, total, rtol=1e-5, atol=1e-5)
    total.backward()
    for name, parameter in moe_model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_every_parameter_learns(moe_model, images):
    """Also where a task has no object: distributed training needs no search for unused parameters."""
    moe_model.train()(images[:3], labels=LABELS[:3], task=["vehicles", "vehicles", "roofs"]).loss.backward()
    assert [name for name, parameter in moe_model.named_parameters() if parameter.grad is None] == []


def test_task_weights(moe_model, images):
    tasks = ["vehicles", "vehicles", "roofs", "roofs"]
    output = moe_model(images, labels=LABELS, task=tasks, task_weights={"vehicles": 0.0, "roofs": 2.0})
    torch.testing.assert_close(output.loss, 2 * output.task_losses["roofs"])
    with pytest.raises(ValueError, match=r"task_weights names \['sea'\]; the model's tasks: vehicles, roofs"):
        moe_model(images, labels=LABELS, task=tasks, task_weights={"sea": 1.0})


def test_images_without_objects_give_only_classification_losses(model, images):
    parts = model.train()(images, labels=[LABELS[2]] * 4).loss_parts["vehicles"]
    assert parts["rpn_bbox"] == parts["bbox"] == 0
    assert parts["rpn_cls"] > 0 and parts["cls"] > 0


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (33, 70), (16, 100), (7, 9)])
def test_any_size(model, size):
    output = model(torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0)))
    assert output.image_sizes.tolist() == [list(size)]
    boxes = output.pred_boxes[0]
    assert boxes.isfinite().all() and (boxes[:, 2:4] >= 0).all()
    padded = [-(-side // 32) * 32 for side in size]
    in_padding = ((boxes[:, 0] > size[1]) & (boxes[:, 0] <= padded[1])) | (
        (boxes[:, 1] > size[0]) & (boxes[:, 1] <= padded[0])
    )
    assert not in_padding.any()


def test_a_mask_stands_for_the_smaller_image(model, images):
    """Predictions and losses are those of the image alone, whatever it is padded to."""
    small = images[:1, :, :45, :50]
    mask = torch.zeros(1, 64, 64)
    mask[:, :45, :50] = 1
    padded = functional.pad(small, (0, 14, 0, 19))
    with torch.no_grad():
        assert_same_predictions(model(padded, pixel_mask=mask), model(small))
        assert_same_predictions(model(padded, image_sizes=[small.shape[2:]]), model(small))
    labels = [{"boxes": BOXES[:1], "class_labels": torch.tensor([1])}]
    losses = [
        model(pixels, labels=labels, pixel_mask=pixel_mask, generator=torch.Generator().manual_seed(0)).loss
        for pixels, pixel_mask in ((padded, mask), (small, None))
    ]
    torch.testing.assert_close(*losses)
    with pytest.raises(ValueError, match="pixel_mask of image 0 is not a rectangle in the upper left corner"):
        model(padded, pixel_mask=mask.flip(1))
    with pytest.raises(ValueError, match=r"the shape \(1, 45, 64\), the images ask for \(1, 64, 64\)"):
        model(padded, pixel_mask=mask[:, :45])
    with pytest.raises(ValueError, match=r"image_sizes\[0\] is \(65, 64\), the batch has \(64, 64\) pixels"):
        model(padded, image_sizes=[(65, 64)])
    with pytest.raises(ValueError, match="got 2 image_sizes for a batch of 1 images"):
        model(padded, image_sizes=[(45, 64)] * 2)


@torch.no_grad()
@pytest.mark.parametrize("task", list(DETECTION_TASKS))
def test_merged_model_is_dense_and_equal(moe_model, images, task, tmp_path):
    """In float64: in float32 a rounding can move a box to another level of the pyramid, whose features differ."""
    moe_model, images = moe_model.double(), images.double()
    merged = moe_model.merge_experts(task)
    assert merged.config.tasks == {task: DETECTION_TASKS[task]}
    assert merged.config.backbone_config.num_experts == 0
    maps = moe_model.backbone(images, expert_index=list(DETECTION_TASKS).index(task)).feature_maps
    for left, right in zip(merged.backbone(images).feature_maps, maps, strict=True):
        assert_equal_but_for_rounding(left, right)
    assert_same_predictions(merged(images), moe_model(images, task=task), rtol=1e-9, atol=1e-9)
    merged.save_pretrained(tmp_path)
    loaded = AutoModelForObjectDetection.from_pretrained(tmp_path)
    assert type(loaded) is S5ForOrientedObjectDetection
    assert_same_predictions(loaded(images), merged(images), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_saved_and_loaded_again(moe_model, images, tmp_path):
    moe_model.save_pretrained(tmp_path)
    loaded, info = AutoModelForObjectDetection.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert loaded.config.to_dict().keys() == moe_model.config.to_dict().keys()
    assert list(loaded.config.tasks) == list(DETECTION_TASKS)
    for name, tensor in moe_model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    predictions = (model.double()(images.double(), task="roofs") for model in (loaded, moe_model))
    assert_same_predictions(*predictions, rtol=1e-9, atol=1e-9)


def starting_models():
    return {
        "encoder": S5ViTBackbone(S5ViTConfig(**MICRO_VIT)),
        "segmenter": S5ForSemanticSegmentation(micro_segmentation_config()),
        "detector": S5ForOrientedObjectDetection(micro_detection_config()),
    }


@torch.no_grad()
@pytest.mark.parametrize("kind", ["encoder", "segmenter", "detector"])
def test_experts_start_as_the_dense_model(kind, images, tmp_path):
    dense = randomise(starting_models()[kind]).eval()
    dense.save_pretrained(tmp_path)
    settings = {} if kind == "detector" else {"fpn_channels": 16, "roi_channels": 32}
    model = S5ForOrientedObjectDetection.from_dense(str(tmp_path), DETECTION_TASKS, expert_channels=8, **settings)
    assert model.backbone.config.num_experts == 2
    maps = getattr(dense, "backbone", dense)(images).feature_maps
    for index in range(2):
        for left, right in zip(model.backbone(images, expert_index=index).feature_maps, maps, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-5)
    if kind == "detector":
        assert model.config.anchor_scale == dense.config.anchor_scale
        for part in ("necks", "rpn_heads"):
            own, its = getattr(model, part)[1].state_dict(), getattr(dense, part)[0].state_dict()
            assert all(torch.equal(own[name], its[name]) for name in its)
        assert torch.equal(model.roi_heads[1].hidden_first.weight, dense.roi_heads[0].hidden_first.weight)
        assert model.roi_heads[1].classifier.out_features == 2


@torch.no_grad()
def test_detector_on_a_pretrained_backbone(images, tmp_path):
    backbone = randomise(S5ViTBackbone(S5ViTConfig(**MICRO_VIT))).eval()
    backbone.save_pretrained(tmp_path)
    model = S5ForOrientedObjectDetection.from_backbone(str(tmp_path), DETECTION_TASKS, fpn_channels=16).eval()
    for left, right in zip(model.backbone(images).feature_maps, backbone(images).feature_maps, strict=True):
        assert torch.equal(left, right)
    assert model.config.fpn_channels == 16
    assert model(images[:1], task="roofs").logits[0].shape[1] == 2


@torch.no_grad()
def test_position_embeddings_for_another_size(images):
    dense = randomise(S5ViTBackbone(S5ViTConfig(**MICRO_VIT))).eval()
    model = S5ForOrientedObjectDetection.from_dense(dense, DETECTION_TASKS, expert_channels=8, image_size=96)
    assert model.backbone.embeddings.position_embeddings.shape == (1, 36, 32)
    square = torch.nn.functional.pad(images, (0, 0, 0, 32))
    for left, right in zip(
        model.backbone(square, expert_index=0).feature_maps, dense(square).feature_maps, strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


def test_experts_start_from_dense_models_only(moe_model):
    with pytest.raises(ValueError, match="must be dense and of one task"):
        S5ForOrientedObjectDetection.from_dense(moe_model, DETECTION_TASKS, expert_channels=8)


@torch.no_grad()
def test_added_task_leaves_the_others_alone(moe_model, images, tmp_path):
    moe_model, images = moe_model.double(), images.double()
    before = {task: moe_model(images, task=task) for task in DETECTION_TASKS}
    moe_model.add_task("coast", ["pier", "buoy"], like="roofs")
    for task, output in before.items():
        assert_same_predictions(moe_model(images, task=task), output, rtol=1e-9, atol=1e-9)
    added = moe_model(images, task="coast")
    assert added.logits[0].shape[1] == 3
    # The RPN starts as the one it is like.
    torch.testing.assert_close(added.proposals[0], before["roofs"].proposals[0], rtol=1e-9, atol=1e-9)
    moe_model.save_pretrained(tmp_path)
    loaded = S5ForOrientedObjectDetection.from_pretrained(tmp_path)
    assert list(loaded.config.tasks) == [*DETECTION_TASKS, "coast"]
    assert_same_predictions(loaded(images, task="coast"), added, rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="already has a task 'coast'"):
        moe_model.add_task("coast", ["a", "b"])


OTHER_BACKBONES = {
    "swin": SwinConfig(
        embed_dim=8, depths=[1] * 4, num_heads=[1, 2, 2, 2], window_size=4, out_indices=[1, 2, 3, 4], image_size=64
    ),
    "convnext": ConvNextConfig(depths=[1] * 4, hidden_sizes=[8, 8, 16, 16], out_indices=[1, 2, 3, 4]),
}


@pytest.mark.parametrize("family", list(OTHER_BACKBONES))
def test_any_backbone_with_a_pyramid_can_stand_in(family, images):
    settings = {"fpn_channels": 16, "roi_channels": 32, "max_proposals": 50, "proposals_per_level": 50}
    model = S5ForOrientedObjectDetection(
        S5DetectionConfig(backbone_config=OTHER_BACKBONES[family], tasks=DETECTION_TASKS, **settings)
    )
    output = model(images[:2, :, :50], labels=LABELS[:2], task=["roofs", "vehicles"])
    output.loss.backward()
    assert output.loss.isfinite()


def test_a_backbone_without_a_pyramid_is_refused(images):
    vit = S5ViTConfig(**MICRO_VIT, use_feature_pyramid=False)
    model = S5ForOrientedObjectDetection(S5DetectionConfig(backbone_config=vit, tasks=DETECTION_TASKS))
    with pytest.raises(ValueError, match="the detector needs four maps of the strides 4, 8, 16 and 32"):
        model(images, task="roofs")


def test_new_weights_are_those_the_release_intends():
    torch.manual_seed(0)
    model = S5ForOrientedObjectDetection(S5DetectionConfig(S5ViTConfig(**MICRO_VIT), tasks=DETECTION_TASKS))
    roi_head, rpn_head = model.roi_heads[1], model.rpn_heads[1]
    assert roi_head.regressor.weight.std().item() == pytest.approx(0.001, rel=0.1)
    for weight in (roi_head.classifier.weight, rpn_head.conv.weight, rpn_head.regressor.weight):
        assert weight.std().item() == pytest.approx(0.01, rel=0.1)
    # Xavier uniform: a variance of 2 / (fan in + fan out).
    assert roi_head.hidden_first.weight.std().item() == pytest.approx((2 / (12544 + 1024)) ** 0.5, rel=0.05)
    assert model.necks[0].level_convs[0].weight.std().item() == pytest.approx((2 / (2 * 9 * 256)) ** 0.5, rel=0.05)
    heads = (*model.necks.named_parameters(), *model.rpn_heads.named_parameters(), *model.roi_heads.named_parameters())
    assert all(not parameter.any() for name, parameter in heads if name.endswith("bias"))


def image_labels(boxes, classes):
    return [{"boxes": torch.tensor(boxes), "class_labels": torch.tensor(classes)}]


GOOD = [[5.0, 5, 4, 4, 0]]
BAD_LABELS = [
    (
        image_labels([*GOOD, [9.0, 5, 4, 4, 0]], [0, 1]),
        r"labels\[0\]\['class_labels'\]\[1\] is 1, task 'roofs' expects 0..0",
    ),
    (image_labels(GOOD, [-1]), r"labels\[0\]\['class_labels'\]\[0\] is -1"),
    (image_labels([[5.0, float("nan"), 4, 4, 0]], [0]), r"labels\[0\]\['boxes'\]\[0\].*must be finite"),
    (image_labels([*GOOD, [5.0, 5, -4, 4, 0]], [0, 0]), r"labels\[0\]\['boxes'\]\[1\].*must not be negative"),
    (image_labels([[5.0, 5, 4, 0, 0]], [0]), r"labels\[0\]\['boxes'\]\[0\].*must not be 0"),
    (image_labels([[5.0, 5, 4, 4]], [0]), r"the boxes of image 0 have the shape \(1, 4\), expected \(n, 5\)"),
    (image_labels(GOOD, [0, 0]), r"image 0 has 1 boxes, but class_labels of the shape \(2,\)"),
    (image_labels(GOOD, [0.0]), "class_labels of image 0 must be integers, got torch.float32"),
    ([{"boxes": torch.tensor(GOOD)}], r"image 0 have no class_labels, only \['boxes'\]"),
    (image_labels(GOOD, [0]) * 2, "got labels of 2 images for a batch of 1 images"),
    (image_labels(GOOD, [0])[0], "got one mapping for a batch of 1 images"),
]


@pytest.mark.parametrize(("labels", "message"), BAD_LABELS)
def test_bad_labels_are_refused(moe_model, images, labels, message):
    with pytest.raises(ValueError, match=message):
        moe_model(images[:1], labels=labels, task="roofs")


def test_angles_in_degrees_are_pointed_out(moe_model, images):
    with pytest.warns(UserWarning, match="oriented_boxes_from_degrees"):
        moe_model(images[:1], labels=image_labels([[5.0, 5, 4, 4, 45]], [0]), task="roofs")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("sea", "unknown task 'sea'; the model's tasks: vehicles, roofs"),
        (None, r"several tasks \(vehicles, roofs\): give task=..., one name or one per image"),
        (["roofs"], "got 1 indices for a batch of 4 images"),
    ],
)
def test_bad_tasks_are_refused(moe_model, images, task, message):
    with pytest.raises(ValueError, match=message):
        moe_model(images, task=task)


@torch.no_grad()
def test_pipeline(model, tmp_path):
    """Horizontal hulls of what the processor gives, at the size of the original image."""
    from PIL import Image

    model.save_pretrained(tmp_path)
    S5ImageProcessor(do_resize=True, size={"height": 64, "width": 96}).save_pretrained(tmp_path)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    image = Image.effect_noise((192, 128), 60)
    found = pipeline("object-detection", model=str(tmp_path), image_processor=str(tmp_path))(image, threshold=0.2)
    outputs = model(**processor(image, return_tensors="pt"))
    expected = processor.post_process_oriented_object_detection(outputs, 0.2, target_sizes=[(128, 192)])[0]
    assert 0 < len(found) == len(expected["scores"])
    for entry, score, label in zip(found, expected["scores"], expected["labels"], strict=True):
        assert entry["score"] == pytest.approx(score.item(), abs=1e-5)
        assert entry["label"] == DETECTION_TASKS["vehicles"][label]


def test_boxes_may_be_refined_again():
    """A second pass takes the boxes of the first in place of the proposals; the scores are the mean of both."""
    torch.manual_seed(0)
    model = S5ForOrientedObjectDetection(micro_detection_config(head_initial_factor=20.0)).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        first = model(image)
        levels = model.necks[0](model.backbone(image).feature_maps)
        logits, deltas = model.roi_heads[0](levels, [first.pred_boxes[0]])
        model.config.roi_passes = 2
        second = model(image)
    expected = model.roi_heads[0].decode(first.pred_boxes[0], deltas)
    torch.testing.assert_close(second.pred_boxes[0], expected)
    mean = (first.logits[0].softmax(dim=1) + logits.softmax(dim=1)) / 2
    torch.testing.assert_close(second.logits[0].softmax(dim=1), mean)
    torch.testing.assert_close(second.proposals[0], first.proposals[0])
    assert (second.pred_boxes[0] - first.pred_boxes[0]).abs().max() > 0.1
    with pytest.raises(ValueError, match="roi_passes"):
        micro_detection_config(roi_passes=0)
