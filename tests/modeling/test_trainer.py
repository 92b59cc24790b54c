"""The models in the Trainer of transformers: accumulated gradients, what an evaluation returns, a batch of one."""

import math

import pytest
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from s5_hf.modeling import S5ForOrientedObjectDetection, S5ForSemanticSegmentation
from tests.conftest import micro_segmentation_config, randomise
from tests.modeling.detection_models import micro_detection_config, painted_scene

BOXES = torch.tensor([[40.0, 40.0, 30.0, 16.0, 0.4], [80.0, 60.0, 20.0, 20.0, 0.0]])
CLASSES = torch.tensor([0, 2])


class Repeated(Dataset):
    """The same image `length` times."""

    def __init__(self, row, length):
        self.row, self.length = row, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index >= self.length:
            raise IndexError(index)
        return self.row


def segmenter(num_experts=0):
    torch.manual_seed(0)
    config = micro_segmentation_config(num_experts, drop_path_rate=0.0)
    config.classifier_dropout = 0.0
    return randomise(S5ForSemanticSegmentation(config))


def detector(num_experts=0):
    torch.manual_seed(0)
    # More samples than there are anchors or proposals: nothing is left to chance.
    return S5ForOrientedObjectDetection(micro_detection_config(num_experts, rpn_samples=10**6, roi_samples=10**6))


def segmentation_row(task=None):
    generator = torch.Generator().manual_seed(1)
    row = {
        "pixel_values": torch.randn(3, 32, 48, generator=generator),
        "labels": torch.randint(2, (32, 48), generator=generator),
    }
    return row if task is None else {**row, "task": task}


def detection_row(task=None):
    row = {
        "pixel_values": painted_scene(BOXES, CLASSES, 96),
        "labels": {"boxes": BOXES, "class_labels": CLASSES},
    }
    return row if task is None else {**row, "task": task}


def collate(rows):
    batch = {"pixel_values": torch.stack([row["pixel_values"] for row in rows])}
    labels = [row["labels"] for row in rows]
    batch["labels"] = torch.stack(labels) if isinstance(labels[0], torch.Tensor) else labels
    if "task" in rows[0]:
        batch["task"] = [row["task"] for row in rows]
    return batch


def trainer_of(model, row, folder, length=8, **settings):
    arguments = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        max_grad_norm=1e9,
        optim="sgd",
        logging_steps=1,
        **settings,
    )
    data = Repeated(row, length)
    return Trainer(model, arguments, train_dataset=data, eval_dataset=data, data_collator=collate)


MODELS = [
    (segmenter, 0, segmentation_row()),
    (segmenter, 2, segmentation_row("fields")),
    (detector, 0, detection_row()),
    (detector, 2, detection_row("vehicles")),
]


@pytest.mark.parametrize(("build", "num_experts", "row"), MODELS, ids=["segmenter", "moe", "detector", "moe-detector"])
def test_accumulated_gradients_give_the_loss_and_step_of_one_large_batch(build, num_experts, row, tmp_path):
    """Of eight copies of one image, as 8 x 1, 4 x 2 and 2 x 4: loss, norm of the gradient and weights are the same."""
    results = []
    for size, steps in ((8, 1), (4, 2), (2, 4)):
        model = build(num_experts)
        settings = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps}
        trainer = trainer_of(model, row, tmp_path, max_steps=1, learning_rate=0.1, **settings)
        trainer.train()
        log = next(entry for entry in trainer.state.log_history if "loss" in entry)
        weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
        results.append((log["loss"], log["grad_norm"], weights))
    for loss, norm, weights in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=2e-3, abs=2e-3)  # logged with four digits
        assert norm == pytest.approx(results[0][1], rel=1e-3)
        torch.testing.assert_close(weights, results[0][2], rtol=1e-3, atol=1e-4)


def test_an_evaluation_returns_the_logits_alone(tmp_path):
    trainer = trainer_of(segmenter(), segmentation_row(), tmp_path, length=5, per_device_eval_batch_size=2)
    prediction = trainer.predict(trainer.eval_dataset)
    assert prediction.predictions.shape == (5, 3, 32, 48)
    assert prediction.label_ids.shape == (5, 32, 48)
    assert math.isfinite(prediction.metrics["test_loss"])


def test_an_evaluation_of_a_detector_returns_its_predictions(tmp_path):
    settings = {"per_device_eval_batch_size": 2, "eval_do_concat_batches": False}
    trainer = trainer_of(detector().eval(), detection_row(), tmp_path, length=3, **settings)
    prediction = trainer.predict(trainer.eval_dataset)
    assert [len(batch) for batch in prediction.predictions] == [3, 3], "logits, boxes and image sizes"
    logits, boxes, sizes = prediction.predictions[0]
    assert len(logits) == len(boxes) == len(sizes) == 2
    assert logits[0].shape[1] == 4 and boxes[0].shape[1] == 5 and len(logits[0]) == len(boxes[0])


def test_a_last_batch_of_one_image_does_not_end_the_training(tmp_path):
    settings = {"per_device_train_batch_size": 2, "num_train_epochs": 1, "learning_rate": 0.01}
    trainer = trainer_of(segmenter(), segmentation_row(), tmp_path, length=3, **settings)
    trainer.train()
    assert trainer.state.global_step == 2
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2 and all(math.isfinite(loss) for loss in losses)
    assert all(tensor.isfinite().all() for tensor in trainer.model.state_dict().values())


@pytest.mark.parametrize("size", [(32, 48), (16, 16)])
def test_one_image_in_training_uses_running_statistics_where_there_is_one_value_per_channel(size):
    model = segmenter().train()
    norm = model.decoders[0].pool_convs[0].norm
    kept = norm.running_mean.clone(), norm.running_var.clone()
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    output = model(images, labels=torch.zeros(1, *size, dtype=torch.long))
    output.loss.backward()
    assert output.logits.isfinite().all()
    assert torch.equal(norm.running_mean, kept[0]) and torch.equal(norm.running_var, kept[1])
    assert model.decoders[0].pool_convs[0].conv.weight.grad.abs().sum() > 0
    with torch.no_grad():
        value = torch.randn(1, 16, 1, 1)
        torch.testing.assert_close(norm(value), norm.eval()(value))
