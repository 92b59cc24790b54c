"""The joint step: one mixed forward is as good as one per task; losses, class weights, and where they begin."""

import pytest
import torch
from torch.nn import functional

from s5_hf.modeling.segmentation_loss import masked_cross_entropy
from s5_hf.training.joint.model import TaskView
from s5_hf.training.joint.step import JointBatch, TaskLoss
from s5_hf.training.segmentation.step import SegmentationStep

TASKS = ["fields", "fields", "roads", "roads"]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (4, 48, 64), generator=generator)
    labels[:, :, :9] = 255
    return JointBatch(torch.randn(4, 3, 48, 64, generator=generator), labels, TASKS)


def training(model):
    """Batch norm of the batch, nothing random."""
    model.dropout.p = 0.0
    for layer in model.backbone.encoder.layers:
        layer.drop_path_rate = 0.0
    return model.train()


def gradients(model):
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    return found


def test_one_mixed_forward_equals_one_per_task(moe_model, batch):
    """Losses and every gradient, with batch norm in train mode and class weights."""
    model = training(moe_model)
    step = SegmentationStep({"roads": TaskLoss(weight=0.5, class_weights=torch.tensor([1.0, 3.0]))})
    mixed = step(model, batch, epoch=0)
    mixed.loss.backward()
    together = gradients(model)
    parts = []
    for rows in (slice(0, 2), slice(2, 4)):
        parts.append(step(model, JointBatch(batch.pixel_values[rows], batch.labels[rows], TASKS[rows]), epoch=0))
        parts[-1].loss.backward()
    torch.testing.assert_close(mixed.loss, sum(part.loss for part in parts), rtol=1e-5, atol=1e-5)
    for part in parts:
        for name, value in part.scalars.items():
            torch.testing.assert_close(mixed.scalars[name], value, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients(model).items():
        # Relative to the largest of the tensor: gradients that vanish in exact arithmetic are rounding noise.
        assert (together[name] - gradient).abs().max() <= 1e-5 * max(1.0, gradient.abs().max().item()), name


def test_weights_and_starts(moe_model, batch):
    step = SegmentationStep({"fields": TaskLoss(weight=2.0, from_epoch=3), "roads": TaskLoss(weight=0.5)})
    with torch.no_grad():
        early, late = step(moe_model, batch, epoch=2), step(moe_model, batch, epoch=3)
    fields, roads = early.scalars["loss/fields"], early.scalars["loss/roads"]
    torch.testing.assert_close(early.loss, 0.5 * roads)
    torch.testing.assert_close(late.loss, 2 * fields + 0.5 * roads)


def test_a_loss_that_has_not_begun_gives_gradients_of_zero(moe_model, batch):
    SegmentationStep({"roads": TaskLoss(from_epoch=1)})(moe_model, batch, epoch=0).loss.backward()
    assert moe_model.classifiers[1].weight.grad.abs().max() == 0
    assert moe_model.classifiers[0].weight.grad.abs().max() > 0


def test_the_weighted_loss_is_torch_s_cross_entropy():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 4, 8, 8, generator=generator)
    labels = torch.randint(0, 4, (3, 8, 8), generator=generator)
    labels[0] = 255
    weights = torch.tensor([0.1, 1.0, 2.0, 0.0])
    for chosen in (None, weights):
        expected = functional.cross_entropy(logits, labels, weight=chosen, ignore_index=255)
        torch.testing.assert_close(masked_cross_entropy(logits, labels, class_weights=chosen), expected)


def test_a_batch_without_labels_gives_zero():
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = masked_cross_entropy(logits, torch.full((2, 4, 4), 255), class_weights=torch.ones(3))
    loss.backward()
    assert loss.item() == 0 and logits.grad.abs().max() == 0


def test_a_view_of_one_task(moe_model, batch):
    view = TaskView(moe_model, "roads")
    with torch.no_grad():
        expected = moe_model(batch.pixel_values, task="roads").logits
        assert torch.equal(view(batch.pixel_values).logits, expected)


def test_micro_batches_count_as_one_batch(moe_model, batch):
    """The mean of their losses is the loss of all their pixels, however the padding is divided, class weights too."""
    step = SegmentationStep({"roads": TaskLoss(class_weights=torch.tensor([1.0, 3.0]))})
    batch.labels[0] = batch.labels[2, 20:] = 255
    halves = [
        JointBatch(batch.pixel_values[rows], batch.labels[rows], ["fields", "roads"]) for rows in ([0, 2], [1, 3])
    ]
    with torch.no_grad():
        whole = step(moe_model.eval(), batch, epoch=0)
        parts = [step(moe_model, half, epoch=0) for half in step.counted_together(halves)]
        alone = [step(moe_model, half, epoch=0) for half in halves]
    torch.testing.assert_close(sum(part.loss for part in parts) / 2, whole.loss, rtol=1e-5, atol=1e-6)
    assert abs(sum(part.loss for part in alone) / 2 - whole.loss) > 1e-3, "the halves differ in their pixels"
    assert step.counted_together(halves[:1])[0] is halves[0]
