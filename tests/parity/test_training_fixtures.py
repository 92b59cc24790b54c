"""Training steps of the official code, repeated with this package's networks, methods and joint steps.

The official optimizer decays every parameter (its no-decay rule never matches); so does this test.
"""

import pytest
import torch

from s5_hf.modeling import S5ForSemanticSegmentation
from s5_hf.semi_supervised import FixMatch, LabelledBatch, UnlabelledBatch
from s5_hf.semi_supervised.batches import paste
from s5_hf.semi_supervised.pseudo_labels import cutmix, label_weak_views
from s5_hf.training.joint.step import JointBatch, TaskLoss
from s5_hf.training.segmentation.model import joint_model
from s5_hf.training.segmentation.recipe import SegmentationModelSettings
from s5_hf.training.segmentation.step import SegmentationStep
from s5_hf.training.segmentation.task_data import TaskData
from tests.parity.conftest import assert_close


def load_for_training(folder):
    """As the fixtures were made: no drop path, no dropout, batch norm in train mode."""
    return S5ForSemanticSegmentation.from_pretrained(
        folder, backbone_config={"drop_path_rate": 0.0}, classifier_dropout=0.0
    )


class WeightChanges:
    """Compares weight changes with the official ones, wherever the gradient is more than rounding noise.

    Adam divides a gradient by its own size: an element whose gradient is noise (key biases and biases in front of
    batch norm, whose gradient is zero in exact arithmetic) moves by the full step in a random direction. Such
    elements are left out and counted.
    Left out too: tensors that nothing uses; the official run shrinks them by weight decay, here they are buffers.
    """

    def __init__(self, model):
        self.before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self.significant = {name: torch.ones_like(p, dtype=torch.bool) for name, p in model.named_parameters()}

    def see_gradients(self, model):
        for name, parameter in model.named_parameters():
            size = parameter.grad.abs()
            self.significant[name] &= (size > 3e-5) | (size.max() == 0)

    def assert_equal(self, model, after):
        kept = sum(int(mask.sum()) for mask in self.significant.values())
        assert kept > 0.9 * sum(mask.numel() for mask in self.significant.values())
        for name, tensor in model.state_dict().items():
            if name.endswith("cls_token") or "unused_classifier" in name:
                assert torch.equal(tensor, self.before[name]), name
                continue
            change, expected = (tensor - self.before[name]).double(), (after[name] - self.before[name]).double()
            # Of the last step the compact fixtures hold every ninth weight of a matrix, the others are zero there.
            kept = after[name] != 0 if tensor.ndim > 1 else torch.ones_like(tensor, dtype=torch.bool)
            kept = kept & self.significant.get(name, kept)
            change, expected = change[kept], expected[kept]
            assert (change - expected).norm() <= 1e-3 * expected.norm() + 1e-7, name
        # Every step starts from the official weights, so that the noise of one does not enter the next.
        model.load_state_dict(after)
        self.before = {name: tensor.clone() for name, tensor in after.items()}


def unlabelled_batch(fixture):
    """The official batch: CutMix pastes from a second one."""

    def batch(suffix, partner):
        return UnlabelledBatch(
            weak=fixture[f"img_u_w{suffix}"],
            strong=(fixture[f"img_u_s{suffix}"],),
            ignored=fixture[f"ignore_mask{suffix}"] == 255,
            boxes=(fixture["cutmix_box"] == 1,),
            partner=partner,
        )

    return batch("", partner=batch("_mix", partner=None))


def assert_same_pseudo_labels(model, batch, fixture):
    """What the official step learns from: labels, confidence and ignored pixels after CutMix."""
    own, pasted = label_weak_views(model, batch)
    mixed = cutmix(batch, 0, own, pasted, threshold=0.95)
    assert_close(mixed.pixel_values, fixture["img_u_s_cutmixed"])
    assert_close(paste(own.confidence, pasted.confidence, batch.boxes[0]), fixture["confidence"])
    assert torch.equal(mixed.labels, fixture["pseudo_label"])
    assert torch.equal(~mixed.valid, fixture["ignore_cutmixed"] == 255)


def test_fixmatch_steps(converted, arrays):
    """The method of this package gives the official pseudo-labels, losses, gradients and weight changes."""
    data = arrays("micro_s4p_train_io")
    model = load_for_training(converted("micro_s4p_train_before")).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01)
    changes, method = WeightChanges(model), FixMatch()
    steps = sum(key.endswith("_lr") for key in data)
    assert steps >= 2
    for step in range(steps):
        fixture = {key[3:]: value for key, value in data.items() if key.startswith(f"s{step}_")}
        optimizer.param_groups[0]["lr"] = fixture["lr"].item()
        labelled, unlabelled = LabelledBatch(fixture["img_x"], fixture["mask_x"]), unlabelled_batch(fixture)
        assert_same_pseudo_labels(model, unlabelled, fixture)
        output = method(model, labelled, unlabelled, step)
        expected = {"loss_supervised": "loss_x", "loss_unsupervised": "loss_u", "mask_ratio": "mask_ratio"}
        for name, official in expected.items():
            torch.testing.assert_close(output.scalars[name], fixture[official], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(output.loss.detach(), fixture["total"], rtol=1e-4, atol=1e-6)
        optimizer.zero_grad()
        output.loss.backward()
        if step == 0:
            assert_close(model.backbone.embeddings.projection.weight.grad, fixture["grad_patch_embed_weight"])
            gradient_norm = model.backbone.embeddings.position_embeddings.grad.norm()
            torch.testing.assert_close(gradient_norm, fixture["gradnorm_pos_embed"], rtol=1e-4, atol=1e-6)
        changes.see_gradients(model)
        optimizer.step()
        after = S5ForSemanticSegmentation.from_pretrained(converted(f"micro_s4p_train_after{step + 1}")).state_dict()
        changes.assert_equal(model, after)


@pytest.mark.parametrize("mixed", [False, True], ids=["one forward per task", "one mixed forward"])
def test_joint_steps(converted, arrays, mixed):
    data = arrays("micro_mdf_train_io")
    model = load_for_training(converted("micro_mdf_train_before")).train()
    names = list(model.config.tasks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05)
    changes = WeightChanges(model)
    for step in range(2):
        fixture = {key[3:]: value for key, value in data.items() if key.startswith(f"s{step}_")}
        weights = {"vaihingen": float(step)}
        images = [fixture[f"img_{name}"] for name in names]
        masks = [fixture[f"mask_{name}"] for name in names]
        if mixed:
            output = model(
                torch.cat(images),
                labels=torch.cat(masks),
                task=[name for name, batch in zip(names, images, strict=True) for _ in batch],
                task_weights=weights,
            )
            losses, total = output.task_losses, output.loss
        else:
            outputs = [
                model(batch, labels=mask, task=name, task_weights=weights)
                for name, batch, mask in zip(names, images, masks, strict=True)
            ]
            losses = {name: value for output in outputs for name, value in output.task_losses.items()}
            total = sum(output.loss for output in outputs)
        for name in names:
            weighted = weights.get(name, 1.0) * losses[name].detach()
            torch.testing.assert_close(weighted, fixture[f"loss_{name}"], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(total.detach(), fixture["total"], rtol=1e-4, atol=1e-6)

        optimizer.zero_grad()
        total.backward()
        changes.see_gradients(model)
        optimizer.step()
        after = S5ForSemanticSegmentation.from_pretrained(converted(f"micro_mdf_train_after{step + 1}")).state_dict()
        changes.assert_equal(model, after)


def test_joint_steps_of_the_training_loop(converted, arrays):
    """The step of examples/finetune_segmentation.py gives the official losses and weight changes.

    An epoch has one step here: Vaihingen's loss begins in the second.
    """
    data = arrays("micro_mdf_train_io")
    model = load_for_training(converted("micro_mdf_train_before")).train()
    names = list(model.config.tasks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05)
    changes = WeightChanges(model)
    joint_step = SegmentationStep({"vaihingen": TaskLoss(from_epoch=1)})
    for step in range(2):
        fixture = {key[3:]: value for key, value in data.items() if key.startswith(f"s{step}_")}
        masks = []
        for name in names:  # the loop's views mark ignored pixels with 255, whatever the dataset does
            mask = fixture[f"mask_{name}"]
            masks.append(mask.where(mask != model.config.ignore_index_of(name), 255))
        batch = JointBatch(
            torch.cat([fixture[f"img_{name}"] for name in names]),
            torch.cat(masks),
            [name for name in names for _ in fixture[f"img_{name}"]],
        )
        output = joint_step(model, batch, epoch=step)
        for name in names:
            weighted = output.scalars[f"loss/{name}"] * (name != "vaihingen" or step == 1)
            torch.testing.assert_close(weighted, fixture[f"loss_{name}"], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(output.loss.detach(), fixture["total"], rtol=1e-4, atol=1e-6)
        optimizer.zero_grad()
        output.loss.backward()
        changes.see_gradients(model)
        optimizer.step()
        after = S5ForSemanticSegmentation.from_pretrained(converted(f"micro_mdf_train_after{step + 1}")).state_dict()
        changes.assert_equal(model, after)


def test_start_of_fine_tuning(converted):
    """What examples/finetune_segmentation.py starts from is the official initialisation."""
    official = S5ForSemanticSegmentation.from_pretrained(converted("micro_mdf_init_after"))
    tasks = [
        TaskData(name, tuple(labels), ((0, 0, 0),), official.config.ignore_index_of(name), [{}], None)
        for name, labels in official.config.tasks.items()
    ]
    settings = SegmentationModelSettings(segmenter=str(converted("micro_s4p_upernet")), expert_channels=8)
    ours = joint_model(settings, tasks, crop_size=64, channels=3)
    assert ours.training and ours.config.to_dict()["tasks"] == official.config.to_dict()["tasks"]
    for name, tensor in official.state_dict().items():
        if not name.startswith("classifiers."):  # the official heads keep their own random values
            assert torch.equal(ours.state_dict()[name], tensor), name
