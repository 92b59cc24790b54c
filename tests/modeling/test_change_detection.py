"""The change detector: what it computes, classes of both dates, experts, saving, and bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoConfig, AutoImageProcessor, AutoModel, ConvNextConfig

from s5_hf.hub.to_hub import stage_for_hub
from s5_hf.modeling import (
    S5ChangeDetectionConfig,
    S5ChangeImageProcessor,
    S5Dinov2Config,
    S5ForChangeDetection,
    S5ForSemanticSegmentation,
    S5ViTConfig,
)
from s5_hf.modeling.change_classes import date_ids, from_to_ids, from_to_labels, from_to_logits
from tests.conftest import MICRO_VIT, micro_segmentation_config, randomise

COVER = ["water", "ground", "building"]
DINO = {"hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}


def change_config(backbone=None, **changes):
    backbone = backbone or S5ViTConfig(**MICRO_VIT)
    return S5ChangeDetectionConfig(backbone, **{"decoder_channels": 16, "classifier_dropout": 0.0, **changes})


def from_to_config(**changes):
    return change_config(tasks={"cover": from_to_labels(COVER)}, date_classes={"cover": COVER}, **changes)


@pytest.fixture
def pairs():
    return torch.randn(3, 2, 3, 48, 64, generator=torch.Generator().manual_seed(1))


BACKBONES = {
    "vit_upernet": lambda: change_config(),
    "vit_dpt": lambda: change_config(S5ViTConfig(**MICRO_VIT, use_feature_pyramid=False), decoder="dpt"),
    "dinov2_dpt": lambda: change_config(
        S5Dinov2Config(**DINO, out_indices=[1, 2, 3, 4]), decoder="dpt", image_fit="resize"
    ),
    "convnext": lambda: change_config(
        ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, out_indices=[1, 2, 3, 4])
    ),
}


@torch.no_grad()
@pytest.mark.parametrize("name", BACKBONES)
def test_decodes_the_difference_of_the_maps_of_both_dates(name, pairs):
    model = randomise(S5ForChangeDetection(BACKBONES[name]())).eval()
    logits = model(pairs).logits
    assert logits.shape == (3, 2, 48, 64) and logits.isfinite().all()
    side = (42, 70) if name == "dinov2_dpt" else (48, 64)  # the nearest multiples of its patch
    before, after = (
        model.backbone(functional.interpolate(pairs[:, date], side, mode="bilinear", align_corners=True)).feature_maps
        for date in (0, 1)
    )
    decoded = model.decoders[0]([(one - other).abs() for one, other in zip(before, after, strict=True)])
    expected = functional.interpolate(model.classifiers[0](decoded), side, mode="bilinear", align_corners=True)
    expected = functional.interpolate(expected, (48, 64), mode="bilinear", align_corners=True)
    torch.testing.assert_close(logits, expected, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(model(pairs.flip(1)).logits, logits, atol=2e-5, rtol=1e-5)  # the order does not matter


def test_loss_counts_valid_pixels_and_reaches_the_encoder(pairs):
    model = randomise(S5ForChangeDetection(change_config())).train()
    labels = torch.randint(2, (3, 48, 64), generator=torch.Generator().manual_seed(2))
    labels[:, :9] = 255
    output = model(pairs, labels=labels)
    torch.testing.assert_close(output.loss, functional.cross_entropy(output.logits, labels, ignore_index=255))
    output.loss.backward()
    assert next(model.backbone.parameters()).grad.abs().sum() > 0


def test_hidden_states_are_by_pair(pairs):
    model = S5ForChangeDetection(change_config()).eval()
    assert model(pairs, output_hidden_states=True).hidden_states[-1].shape[:2] == (3, 2)


@torch.no_grad()
def test_from_to_logits_are_the_products_of_three_answers(pairs):
    model = randomise(S5ForChangeDetection(from_to_config())).eval()
    logits = model(pairs).logits
    assert logits.shape == (3, 10, 48, 64)
    torch.testing.assert_close(logits.logsumexp(1), torch.zeros(3, 48, 64), atol=1e-5, rtol=0)
    swapped = model(pairs.flip(1)).logits  # here the order matters: from A to B becomes from B to A
    as_matrix = logits[:, 1:].unflatten(1, (3, 3))
    torch.testing.assert_close(swapped[:, 1:].unflatten(1, (3, 3)), as_matrix.transpose(1, 2), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(swapped[:, 0], logits[:, 0], atol=1e-4, rtol=1e-4)


def test_from_to_loss_is_the_sum_of_three_cross_entropies():
    generator = torch.Generator().manual_seed(0)
    change, before, after = (torch.randn(1, count, 4, 4, generator=generator) for count in (2, 3, 3))
    dates = torch.randint(1, 4, (2, 1, 4, 4), generator=generator)
    dates[:, :, :2] = 0
    ids = from_to_ids(dates[0], dates[1], 3)
    total = functional.cross_entropy(from_to_logits(change, before, after), ids, reduction="sum")
    expected = functional.cross_entropy(change, (ids > 0).long(), reduction="sum")
    for logits, classes in ((before, dates[0]), (after, dates[1])):
        expected = expected + functional.cross_entropy(logits, classes - 1, ignore_index=-1, reduction="sum")
    torch.testing.assert_close(total, expected)


@given(st.integers(2, 15), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_ids_of_changes_and_classes_of_dates_are_each_others_inverse(count, seed):
    ids = torch.randint(0, 1 + count * count, (5, 5), generator=torch.Generator().manual_seed(seed))
    ids[0, 0] = 255
    before, after = date_ids(ids, count)
    assert torch.equal(from_to_ids(before, after, count), ids)
    assert before[0, 0] == after[0, 0] == 255
    assert ((before == 0) == (ids == 0)).all() and before[ids != 255].max() <= count


def test_ids_where_one_date_alone_names_a_class_are_ignored():
    before, after = torch.tensor([0, 1, 2, 255, 2]), torch.tensor([0, 0, 1, 1, 2])
    assert from_to_ids(before, after, 2).tolist() == [0, 255, 3, 255, 4]
    assert from_to_labels(["a", "b"]) == ["unchanged", "a to a", "a to b", "b to a", "b to b"]
    with pytest.raises(ValueError, match="2 to 15 classes, got 16"):
        from_to_labels([str(number) for number in range(16)])


def test_saves_loads_and_merges_experts(pairs, tmp_path):
    config = change_config(
        S5ViTConfig(**MICRO_VIT, num_experts=2, expert_channels=8),
        tasks={"levir": ["unchanged", "changed"], "cover": from_to_labels(COVER)},
        date_classes={"cover": COVER},
    )
    model = randomise(S5ForChangeDetection(config)).eval()
    model.save_pretrained(tmp_path)
    S5ChangeImageProcessor().save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert type(loaded) is S5ForChangeDetection
    assert loaded.config.date_classes == {"cover": COVER} and list(loaded.config.tasks) == ["levir", "cover"]
    with torch.no_grad():
        mixed = model(pairs, task=["cover", "levir", "cover"]).logits
        assert [len(image) for image in mixed] == [10, 2, 10]
        for task, row in (("levir", 1), ("cover", 2)):
            torch.testing.assert_close(loaded(pairs, task=task).logits[row], mixed[row])
            dense = loaded.merge_experts(task)
            torch.testing.assert_close(dense(pairs).logits[row], mixed[row], atol=1e-4, rtol=1e-4)
    assert dense.config.date_classes == {"cover": COVER}
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(processor) is S5ChangeImageProcessor


def test_a_new_task_leaves_the_others(pairs):
    model = randomise(S5ForChangeDetection(change_config())).eval()
    with torch.no_grad():
        former = model(pairs).logits
        model.add_task("cover", from_to_labels(COVER), date_classes=COVER)
        model.add_task("second", ["unchanged", "changed"], like="cover")
        torch.testing.assert_close(model(pairs, task="change").logits, former)
        assert [model(pairs, task=task).logits.shape[1] for task in ("cover", "second")] == [10, 2]


def test_starts_from_a_segmenter(pairs):
    dense = randomise(S5ForSemanticSegmentation(micro_segmentation_config(tasks={"fields": ["soil", "crop"]})))
    model = S5ForChangeDetection.from_dense(dense, {"change": ["unchanged", "changed"]}, 0, decoder_channels=16)
    for name, tensor in dense.decoders.state_dict().items():
        assert torch.equal(tensor, model.decoders.state_dict()[name]), name
    assert model(pairs).logits.shape == (3, 2, 48, 64)


def test_staged_for_the_hub_with_its_own_processor(tmp_path):
    S5ForChangeDetection(from_to_config()).save_pretrained(tmp_path / "model")
    (tmp_path / "stage").mkdir()
    stage_for_hub(tmp_path / "model", tmp_path / "stage", "me/changes")
    card = (tmp_path / "stage" / "README.md").read_text(encoding="utf-8")
    assert 'processor(before, after, return_tensors="pt")' in card and "change-detection" in card
    config = AutoConfig.from_pretrained(tmp_path / "stage", trust_remote_code=True)
    model = AutoModel.from_pretrained(tmp_path / "stage", trust_remote_code=True)
    assert config.date_classes == {"cover": COVER}
    assert model(torch.zeros(1, 2, 3, 32, 32)).logits.shape == (1, 10, 32, 32)
    assert (tmp_path / "stage" / "image_processing_s5_change.py").is_file()


def test_processor_makes_pairs_and_maps():
    before, after = (np.full((8, 12, 3), value, dtype=np.uint8) for value in (0, 255))
    mask = np.zeros((8, 12), dtype=np.uint8)
    processor = S5ChangeImageProcessor(image_mean=[0.5] * 3, image_std=[0.5] * 3)
    batch = processor([before, after], [after, after], [mask, mask], return_tensors="pt")
    assert batch["pixel_values"].shape == (2, 2, 3, 8, 12) and batch["labels"].shape == (2, 8, 12)
    assert batch["pixel_values"][0, :, 0, 0, 0].tolist() == [-1.0, 1.0]
    logits = torch.zeros(1, 10, 4, 4)
    logits[:, 6] = 1  # ground to building
    output = type("Output", (), {"logits": logits})
    ((first, second),) = processor.post_process_date_classes(output, 3, target_sizes=[(8, 8)])
    assert first.unique().tolist() == [2] and second.unique().tolist() == [3] and first.shape == (8, 8)


def test_bad_input_is_refused(pairs):
    model = S5ForChangeDetection(change_config())
    with pytest.raises(
        ValueError, match=r"\(batch, 2, channels, height, width\), before and after, got \(3, 3, 48, 64\)"
    ):
        model(pairs[:, 0])
    with pytest.raises(ValueError, match="2, channels"):
        model(pairs[:, :1])
    with pytest.raises(ValueError, match="1 channels, the model expects 3"):
        model(pairs[:, :, :1])
    with pytest.raises(ValueError, match="hold the values"):
        model(pairs, labels=torch.full((3, 48, 64), 2))
    with pytest.raises(ValueError, match="fuses no frozen teachers"):
        model.fuse_teachers([{"name": "dino"}])
    with pytest.raises(ValueError, match="must be from_to_labels"):
        change_config(tasks={"cover": ["a", "b"]}, date_classes={"cover": COVER})
    image = np.zeros((8, 8, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="only one date"):
        S5ChangeImageProcessor()(image)
    with pytest.raises(ValueError, match="8 x 8 pixels before, 1 of 8 x 9 after"):
        S5ChangeImageProcessor()(image, np.zeros((8, 9, 3), dtype=np.uint8))
