"""UniMatch V2 against its official code: losses of given logits, and three training steps."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from transformers.utils import ModelOutput

from s5_hf.conversion.unimatch_v2_layout import join_attention, unimatch_v2_name
from s5_hf.semi_supervised import LabelledBatch, UniMatchV2, UnlabelledBatch, WeightAverage, unimatch_v2
from s5_hf.semi_supervised.losses import hard_pixel_loss
from s5_hf.semi_supervised.pseudo_labels import cutmix, label_weak_views
from s5_hf.training.optimizer import make_optimizer
from s5_hf.training.schedules import learning_rate_factor
from tests.parity.ssl_fixtures import TOLERANCE, load, micro_model, parameter_names, summary


class GivenLogits(nn.Module):
    """A network that answers with logits from a file."""

    def __init__(self, weak, labelled, strong):
        super().__init__()
        self.weak, self.logits = weak, nn.Parameter(torch.cat([labelled, strong]))

    def forward(self, images):
        return ModelOutput(logits=self.logits if len(images) == len(self.logits) else self.weak)


class State(nn.Module):
    """Parameters and a buffer for the average of weights."""

    def __init__(self, tensors):
        super().__init__()
        self.scale, self.weak = nn.Parameter(tensors["backbone.scale"]), nn.Parameter(tensors["head.weak"])
        self.register_buffer("buf", tensors["buf"])


def test_losses_of_given_logits():
    data, scalars = load("unimatch_v2_losses"), load("unimatch_v2_losses", "scalars/")
    model = GivenLogits(data["logits/weak_by_teacher"], data["logits/labelled"], data["logits/strong_views"])
    strong = data["strong_images_before"]
    unlabelled = UnlabelledBatch(
        weak=torch.zeros(3, 3, 12, 10),
        strong=tuple(strong),
        ignored=data["ignore_mask"] == 255,
        boxes=(data["boxes1"] == 1, data["boxes2"] == 1),
        reverse=True,
    )
    labelled = LabelledBatch(torch.zeros(2, 3, 12, 10), data["labels"].long())
    threshold = scalars["confidence_threshold"].item()
    method = UniMatchV2(teacher="student", channel_dropout=False, confidence_threshold=threshold)
    model.backbone = None
    output = method(model, labelled, unlabelled, step=int(scalars["iteration"]))
    output.loss.backward()
    assert_close(output.loss.double().detach(), scalars["loss_all"], **TOLERANCE)
    assert_close(output.scalars["loss_supervised"].double(), scalars["loss_x"], **TOLERANCE)
    assert_close(output.scalars["loss_unsupervised"].double(), scalars["loss_s"], **TOLERANCE)
    gradient = model.logits.grad.split([2, 6])
    assert_close(gradient[0], data["grad/logits_labelled"], **TOLERANCE)
    assert_close(gradient[1], data["grad/logits_strong"], **TOLERANCE)
    own, pasted = label_weak_views(model, unlabelled)
    for view in (0, 1):
        mixed = cutmix(unlabelled, view, own, pasted, threshold)
        assert_close(mixed.pixel_values, data["strong_images_cutmixed"][view])


def test_the_teacher_follows_with_its_buffers():
    states = {name: State(load("unimatch_v2_losses", f"{name}/")) for name in ("teacher_before", "student_after")}
    iteration = int(load("unimatch_v2_losses", "scalars/")["iteration"])
    average = WeightAverage(states["teacher_before"])
    method = UniMatchV2()
    average.update(states["student_after"], method.decay_at(iteration))
    expected = State(load("unimatch_v2_losses", "teacher_after/"))
    for name, tensor in expected.state_dict().items():
        assert_close(average.model.state_dict()[name], tensor, msg=name)
    assert method.decay_at(0) == 0 and method.decay_at(1) == 0.5 and method.decay_at(999) == 0.996


@pytest.mark.parametrize("case", ["min_kept_binds", "threshold_binds", "too_few_pixels"])
def test_hard_pixels(case):
    data = load("unimatch_v2_losses")
    threshold, min_kept = data[f"ohem_{case}/threshold_and_min_kept"].tolist()
    logits = data["logits/labelled"]
    loss = hard_pixel_loss(logits, data["labels"].long(), threshold, int(min_kept))
    assert_close(loss.double(), data[f"ohem_{case}/loss"], **TOLERANCE)
    nothing = torch.full_like(data["labels"].long(), 255)
    assert hard_pixel_loss(logits, nothing, threshold, int(min_kept)) == 0, "all ignored: 0, not NaN"


def published_change(model, start):
    """Summaries of the change since the start, by published name."""
    state = {name: tensor - start[name] for name, tensor in model.state_dict().items()}
    return {key: summary(tensor) for key, tensor in published(state).items()}


def published(state):
    return join_attention({unimatch_v2_name(name): tensor for name, tensor in state.items()})


def assert_same_summaries(found, expected, names):
    for name, row in zip(names, expected, strict=True):
        if not name.endswith("attn.qkv.bias"):  # the gradient of its key third is rounding noise
            assert (found[name] - row).norm() <= 2e-3 * row.norm() + 1e-7, name


def test_three_training_steps(tmp_path, monkeypatch):
    batch, data = load("micro", "batch/"), load("unimatch_v2_train")
    scalars, names = load("unimatch_v2_train", "scalars/"), parameter_names("unimatch_v2_train")
    model = micro_model(tmp_path).train()
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = make_optimizer(model, 2e-3, 0.01, encoder_rate=0.25, decay_everything=True)
    method = UniMatchV2(confidence_threshold=0.65)
    method.attach(model)
    for step in range(3):
        first = 2.0 * data["dropout_bernoulli"][step]
        masks = torch.stack([first, 2 - first])
        masks[:, data["dropout_rows_kept_whole"][step]] = 1
        monkeypatch.setattr(unimatch_v2, "complementary_masks", lambda *size, masks=masks: tuple(masks))
        unlabelled = UnlabelledBatch(
            weak=batch["weak"],
            strong=(batch["strong1"], batch["strong2"]),
            ignored=data["ignore_mask"][step] == 255,
            boxes=tuple(data["boxes_step_view"][step] == 1),
            reverse=True,
        )
        factor = learning_rate_factor("poly", max(0, step - 1), 8)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        assert optimizer.param_groups[0]["lr"] == pytest.approx(scalars["lr_used_backbone"][step].item())
        output = method(model, LabelledBatch(batch["labelled"], batch["labels"].long()), unlabelled, step)
        for ours, official in (("loss_supervised", "loss_x"), ("loss_unsupervised", "loss_s")):
            assert_close(output.scalars[ours].double(), scalars[official][step], rtol=1e-5, atol=1e-5)
        assert_close(output.loss.detach().double(), scalars["loss_all"][step], rtol=1e-5, atol=1e-5)
        optimizer.zero_grad()
        output.loss.backward()
        zero = torch.zeros(())
        gradients = {
            name: parameter.grad if parameter.grad is not None else zero.expand_as(parameter)
            for name, parameter in model.named_parameters()
        }
        found = {key: summary(tensor) for key, tensor in published(gradients).items()}
        assert_same_summaries(found, data["checks/gradient"][step], names)
        optimizer.step()
        method.after_step(model, step)
        assert_same_summaries(published_change(model, start), data["checks/student_change_from_start"][step], names)
        teacher = published_change(method.teacher_model, start)
        assert_same_summaries(teacher, data["checks/teacher_change_from_start"][step], names)
    for who, network in (("student", model), ("teacher", method.teacher_model)):
        state = published(network.state_dict())
        for name, tensor in load("unimatch_v2_train", f"after3/{who}/").items():
            assert_close(state[name], tensor, **TOLERANCE, msg=f"{who} {name}")
