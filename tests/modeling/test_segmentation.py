"""The segmentation model: mixed batches, losses, experts in and out, new tasks, other backbones, bad input."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoModelForSemanticSegmentation, ConvNextConfig, Dinov2Config, SwinConfig

from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTBackbone, S5ViTConfig
from s5_hf.modeling.tasks import group_rows
from tests.conftest import MICRO_TASKS, MICRO_VIT, micro_segmentation_config, randomise
from tests.numerics import assert_equal_but_for_rounding


@pytest.fixture
def images():
    return torch.randn(4, 3, 48, 64, generator=torch.Generator().manual_seed(1))


def labels_for(images, num_labels):
    generator = torch.Generator().manual_seed(2)
    return torch.randint(num_labels, (images.shape[0], *images.shape[2:]), generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (60, 60), (33, 70), (16, 16), (7, 9)])
def test_logits_have_the_size_of_the_image(dense_model, size):
    logits = dense_model(torch.randn(1, 3, *size)).logits
    assert logits.shape == (1, 3, *size)
    assert logits.isfinite().all()


@torch.no_grad()
def test_cropped_logits_are_those_of_the_padded_image(dense_model, images):
    cropped = images[:, :, :45, :50]
    padded = functional.pad(cropped, (0, 14, 0, 3))
    assert torch.equal(dense_model(cropped).logits, dense_model(padded).logits[:, :, :45, :50])


def test_loss_is_the_mean_over_valid_pixels(dense_model, images):
    labels = labels_for(images, 3)
    labels[:, :10] = 255
    output = dense_model(images, labels=labels)
    expected = functional.cross_entropy(output.logits, labels, ignore_index=255)
    torch.testing.assert_close(output.loss, expected)
    assert set(output.task_losses) == {"fields"}
    torch.testing.assert_close(output.task_losses["fields"], expected)


def test_ignored_images_give_no_loss_and_no_gradient(dense_model, images):
    output = dense_model(images, labels=torch.full((4, 48, 64), 255))
    assert output.loss.item() == 0.0
    output.loss.backward()
    assert all(not parameter.grad.any() for parameter in dense_model.parameters() if parameter.grad is not None)


def test_ignore_index_belongs_to_the_task(images):
    config = micro_segmentation_config(num_experts=2)
    config.ignore_index = {"fields": 3, "roads": 9}
    model = randomise(S5ForSemanticSegmentation(config)).eval()
    labels = labels_for(images, 3)
    labels[:, :, :20] = 3
    torch.testing.assert_close(
        model(images, labels=labels, task="fields").loss,
        functional.cross_entropy(model(images, task="fields").logits, labels, ignore_index=3),
    )
    with pytest.raises(
        ValueError, match=r"task 'roads' hold the values \[2, 3\], expected 0..1 or the ignore index 9"
    ):
        model(images, labels=labels, task="roads")


def test_mixed_batch_equals_one_forward_per_task(moe_model, images):
    """Logits, losses and every gradient, for an unsorted batch."""
    tasks = ["roads", "fields", "roads", "fields"]
    labels = torch.where(torch.tensor([True, False, True, False])[:, None, None], 1, 2).expand(4, 48, 64)
    mixed = moe_model(images, labels=labels, task=tasks)
    mixed.loss.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in moe_model.named_parameters()}
    moe_model.zero_grad()
    separate = {}
    for task in MICRO_TASKS:
        rows = [row for row, name in enumerate(tasks) if name == task]
        separate[task] = moe_model(images[rows], labels=labels[rows], task=task)
        for row, logits in zip(rows, separate[task].logits, strict=True):
            torch.testing.assert_close(mixed.logits[row], logits, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(mixed.task_losses[task], separate[task].loss, rtol=1e-5, atol=1e-6)
    total = sum(output.loss for output in separate.values())
    torch.testing.assert_close(mixed.loss, total, rtol=1e-5, atol=1e-6)
    total.backward()
    for name, parameter in moe_model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_hidden_states_of_a_mixed_batch_come_in_its_order(moe_model, images):
    mixed = moe_model(images, task=["roads", "fields", "roads", "fields"], output_hidden_states=True)
    alone = moe_model(images[1:2], task="fields", output_hidden_states=True)
    torch.testing.assert_close(mixed.hidden_states[-1][1:2], alone.hidden_states[-1], rtol=1e-5, atol=1e-5)


def test_task_weights(moe_model, images):
    labels = torch.zeros(4, 48, 64, dtype=torch.long)
    tasks = ["fields", "fields", "roads", "roads"]
    output = moe_model(images, labels=labels, task=tasks, task_weights={"fields": 0.0, "roads": 2.0})
    torch.testing.assert_close(output.loss, 2 * output.task_losses["roads"])
    with pytest.raises(ValueError, match=r"task_weights names \['sea'\]; the model's tasks: fields, roads"):
        moe_model(images, labels=labels, task=tasks, task_weights={"sea": 1.0})


@torch.no_grad()
@pytest.mark.parametrize("task", list(MICRO_TASKS))
def test_merged_model_is_dense_and_equal(moe_model, images, task, tmp_path):
    merged = moe_model.merge_experts(task)
    assert merged.config.tasks == {task: MICRO_TASKS[task]}
    assert merged.config.backbone_config.num_experts == 0
    assert merged.config.num_labels == len(MICRO_TASKS[task])
    expected = moe_model(images, task=task).logits
    assert_equal_but_for_rounding(merged(images).logits, expected)
    merged.save_pretrained(tmp_path)
    loaded = AutoModelForSemanticSegmentation.from_pretrained(tmp_path)
    assert_equal_but_for_rounding(loaded(images).logits, merged(images).logits)
    assert list(moe_model.config.tasks) == list(MICRO_TASKS), "the model itself stays as it was"


@torch.no_grad()
def test_experts_start_as_the_dense_model(dense_model, images):
    model = S5ForSemanticSegmentation.from_dense(dense_model, MICRO_TASKS, expert_channels=8).eval()
    assert model.backbone.config.num_experts == 2
    dense = dense_model.backbone(images).feature_maps
    for index, task in enumerate(MICRO_TASKS):
        for left, right in zip(model.backbone(images, expert_index=index).feature_maps, dense, strict=True):
            assert_equal_but_for_rounding(left, right)
        features = model.decode_features(dense, task)
        assert_equal_but_for_rounding(features, dense_model.decode_features(dense))


@torch.no_grad()
def test_from_dense_without_experts_shares_the_backbone(dense_model, images, tmp_path):
    dense_model.save_pretrained(tmp_path)
    model = S5ForSemanticSegmentation.from_dense(str(tmp_path), MICRO_TASKS, expert_channels=0, ignore_index=9)
    assert model.backbone.config.num_experts == 0
    assert model.config.ignore_index_of("roads") == 9
    for left, right in zip(
        model.backbone(images).feature_maps, dense_model.backbone(images).feature_maps, strict=True
    ):
        assert_equal_but_for_rounding(left, right)


def test_experts_start_from_dense_models_only(moe_model):
    with pytest.raises(ValueError, match="must be dense and of one task"):
        S5ForSemanticSegmentation.from_dense(moe_model, MICRO_TASKS, expert_channels=8)


def test_experts_belong_to_the_vit():
    swin = S5ForSemanticSegmentation(
        S5SegmentationConfig(backbone_config=OTHER_BACKBONES["swin"], tasks={"a": ["x", "y"]}, decoder_channels=16)
    )
    with pytest.raises(ValueError, match="experts belong to the S5 ViT, the backbone is a 'swin'"):
        S5ForSemanticSegmentation.from_dense(swin, MICRO_TASKS)
    shared = S5ForSemanticSegmentation.from_dense(swin, MICRO_TASKS, expert_channels=0)
    assert list(shared.config.tasks) == list(MICRO_TASKS)


@torch.no_grad()
def test_added_task_leaves_the_others_alone(moe_model, images, tmp_path):
    before = {task: moe_model(images, task=task).logits for task in MICRO_TASKS}
    moe_model.add_task("coast", ["land", "sea", "beach", "cliff"], ignore_index=7, like="roads")
    for task, logits in before.items():
        assert torch.equal(moe_model(images, task=task).logits, logits)
    assert moe_model(images, task="coast").logits.shape[1] == 4
    assert moe_model.config.ignore_index_of("coast") == 7
    features = moe_model.backbone(images, expert_index=2).feature_maps
    for left, right in zip(features, moe_model.backbone(images, expert_index=1).feature_maps, strict=True):
        assert_equal_but_for_rounding(left, right)  # the new expert starts as the one it is like
    moe_model.save_pretrained(tmp_path)
    loaded = S5ForSemanticSegmentation.from_pretrained(tmp_path)
    assert list(loaded.config.tasks) == [*MICRO_TASKS, "coast"]
    assert_equal_but_for_rounding(loaded(images, task="coast").logits, moe_model(images, task="coast").logits)
    with pytest.raises(ValueError, match="already has a task 'coast'"):
        moe_model.add_task("coast", ["a", "b"])


@torch.no_grad()
def test_a_task_added_to_a_dense_model_gives_mdf(dense_model, images):
    before = dense_model(images).logits
    dense_model.add_task("roads", ["ground", "road"])
    assert torch.equal(dense_model(images, task="fields").logits, before)
    assert dense_model(images, task="roads").logits.shape[1] == 2


@torch.no_grad()
def test_segmenter_on_a_pretrained_backbone(images, tmp_path):
    backbone = randomise(S5ViTBackbone(S5ViTConfig(**MICRO_VIT))).eval()
    backbone.save_pretrained(tmp_path)
    model = S5ForSemanticSegmentation.from_backbone(str(tmp_path), MICRO_TASKS, decoder_channels=16)
    for left, right in zip(model.backbone(images).feature_maps, backbone(images).feature_maps, strict=True):
        assert_equal_but_for_rounding(left, right)
    assert model(images, task="roads").logits.shape == (4, 2, 48, 64)


OTHER_BACKBONES = {
    "swin": SwinConfig(
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 2],
        window_size=4,
        out_indices=[1, 2, 3, 4],
        image_size=64,
    ),
    "convnext": ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], out_indices=[1, 2, 3, 4]),
    "dinov2": Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        patch_size=14,
        image_size=56,
        out_indices=[1, 2, 3, 4],
    ),
}


@pytest.mark.parametrize("family", list(OTHER_BACKBONES))
def test_any_auto_backbone_can_stand_in(family, images, tmp_path):
    config = S5SegmentationConfig(backbone_config=OTHER_BACKBONES[family], tasks=MICRO_TASKS, decoder_channels=16)
    model = S5ForSemanticSegmentation(config)
    labels = torch.zeros(4, 48, 64, dtype=torch.long)
    output = model(images, labels=labels, task=["fields", "fields", "roads", "roads"])
    assert [tuple(logits.shape) for logits in output.logits] == [(3, 48, 64)] * 2 + [(2, 48, 64)] * 2
    output.loss.backward()
    model.eval().save_pretrained(tmp_path)
    loaded = AutoModelForSemanticSegmentation.from_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images, task="roads").logits, model(images, task="roads").logits)


def test_every_parameter_learns(moe_model, images):
    """Nothing is left out of the gradient, so distributed training needs no search for unused parameters."""
    labels = torch.zeros(4, 48, 64, dtype=torch.long)
    moe_model(images, labels=labels, task=["fields", "roads"] * 2).loss.backward()
    assert [name for name, parameter in moe_model.named_parameters() if parameter.grad is None] == []


def test_gradient_checkpointing_reaches_the_backbone(dense_model):
    dense_model.gradient_checkpointing_enable()
    assert all(layer.gradient_checkpointing for layer in dense_model.backbone.encoder.layers)


def test_new_weights_are_drawn_for_every_part():
    torch.manual_seed(0)
    model = S5ForSemanticSegmentation(micro_segmentation_config(num_experts=2))
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            assert 0.001 < parameter.std().item() < 2, name
        elif name.endswith("bias"):
            assert not parameter.any(), name
        else:
            assert (parameter == 1).all(), name


def test_new_classifiers_are_unsure():
    # A classifier of large weights is sure of nonsense, and FixMatch then learns from it.
    torch.manual_seed(0)
    config = S5SegmentationConfig(backbone_config=S5ViTConfig(**MICRO_VIT), tasks=MICRO_TASKS, decoder_channels=512)
    model = S5ForSemanticSegmentation(config)
    model.add_task("rails", ["ground", "rail"])
    for classifier in model.classifiers:
        assert classifier.weight.std().item() == pytest.approx(config.initializer_range, rel=0.15)
        assert not classifier.bias.any()


def test_loading_reports_nothing_missing(dense_model, tmp_path):
    dense_model.save_pretrained(tmp_path)
    _, info = S5ForSemanticSegmentation.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


BAD_CALLS = [
    ({"task": "sea"}, "unknown task 'sea'; the model's tasks: fields, roads"),
    ({}, r"several tasks \(fields, roads\): give task=..., one name or one per image"),
    ({"task": ["fields"]}, "got 1 indices for a batch of 4 images"),
    ({"task": ["fields", "sea", "fields", "fields"]}, "unknown task 'sea'"),
    ({"task": "roads", "labels": torch.full((4, 48, 64), 2)}, r"hold the values \[2\], expected 0..1"),
    ({"task": "roads", "labels": torch.full((4, 48, 64), -1)}, r"hold the values \[-1\], expected 0..1"),
    ({"task": "roads", "labels": torch.zeros(4, 48, 60).long()}, r"\(4, 48, 60\), the images ask for \(4, 48, 64\)"),
    ({"task": "roads", "labels": torch.zeros(3, 48, 64).long()}, r"\(3, 48, 64\), the images ask for \(4, 48, 64\)"),
    ({"task": "roads", "labels": torch.zeros(4, 48, 64)}, "labels must be integers, got torch.float32"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_CALLS)
def test_bad_calls_are_refused(moe_model, images, arguments, message):
    with pytest.raises(ValueError, match=message):
        moe_model(images, **arguments)


@pytest.mark.parametrize(
    ("shape", "message"), [((2, 1, 32, 32), "1 channels, the model expects 3"), ((0, 3, 32, 32), "is empty")]
)
def test_unfit_images_are_refused(dense_model, shape, message):
    with pytest.raises(ValueError, match=message):
        dense_model(torch.zeros(shape))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_groups_cover_every_row_once_and_restore_the_order(index):
    groups = group_rows(index, len(index), 5)
    rows = torch.arange(len(index))
    in_order = groups.sort(rows)
    assert torch.equal(groups.restore(in_order), rows)
    covered = []
    for group in groups:
        members = in_order[group.start : group.stop].tolist()
        assert {index[row] for row in members} == {group.index}
        covered += members
    assert sorted(covered) == rows.tolist()
    if index == sorted(index):
        assert groups.order is None, "sorted rows are not copied"


def test_a_mixed_batch_gives_the_logits_of_each_task_and_their_places(moe_model, images):
    tasks = ["roads", "fields", "roads", "fields"]
    batch = torch.cat([images, images.flip(-1)])[:4]
    with torch.no_grad():
        outputs = moe_model(batch, task=tasks)
        alone = moe_model(batch, task="roads")
    assert outputs.task_rows == {"fields": [1, 3], "roads": [0, 2]}
    for name, rows in outputs.task_rows.items():
        assert outputs.task_logits[name].shape[:2] == (2, len(MICRO_TASKS[name]))
        assert all(
            torch.equal(outputs.logits[row], logits)
            for row, logits in zip(rows, outputs.task_logits[name], strict=True)
        )
    assert torch.is_tensor(alone.logits) and alone.task_logits is None and alone.task_rows is None


def test_the_model_gives_the_joint_loss_with_class_weights_and_a_count_of_all_processes(moe_model, images):
    batch, tasks = torch.cat([images, images.flip(-1)])[:4], ["roads", "fields", "roads", "fields"]
    labels = torch.randint(0, 2, (4, *batch.shape[2:]), generator=torch.Generator().manual_seed(0))
    labels[:, :5] = 254
    weights = {"roads": torch.tensor([1.0, 3.0])}
    counts = []

    def doubled(count):
        counts.append(count.item())
        return 2.0 * count

    with torch.no_grad():
        outputs = moe_model(
            batch,
            labels,
            task=tasks,
            task_weights={"fields": 0.5},
            class_weights=weights,
            ignore_index=254,
            reduce_count=doubled,
        )
    expected = {
        name: functional.cross_entropy(logits, labels[outputs.task_rows[name]], weights.get(name), ignore_index=254)
        for name, logits in outputs.task_logits.items()
    }
    valid = labels[:, 5:]
    assert counts == [valid[1::2].numel(), (1 + 2 * valid[0::2]).sum().item()]
    for name, loss in expected.items():
        torch.testing.assert_close(outputs.task_losses[name], loss / 2)
    torch.testing.assert_close(outputs.loss, (0.5 * expected["fields"] + expected["roads"]) / 2)
    with pytest.raises(ValueError, match=r"class_weights names \['rivers'\]"):
        moe_model(batch, labels, task=tasks, class_weights={"rivers": weights["roads"]})
