"""The methods against their definitions, on micro models."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional

from s5_hf.semi_supervised import (
    FixMatch,
    LabelledBatch,
    Method,
    Supervised,
    UniMatchV2,
    UnlabelledBatch,
    WeightAverage,
    make_method,
    method_names,
    register_method,
)
from s5_hf.semi_supervised.batches import paste, swap_neighbours
from s5_hf.semi_supervised.channel_dropout import complementary_masks, scaled_channels
from s5_hf.semi_supervised.losses import consistency_loss, supervised_loss
from s5_hf.semi_supervised.method import METHODS
from s5_hf.semi_supervised.pseudo_labels import cutmix, evaluating, label_weak_views, predict


def labelled_batch(count=2):
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (count, 64, 64), generator=generator)
    labels[:, :5] = 255
    return LabelledBatch(torch.randn(count, 3, 64, 64, generator=generator), labels)


def unlabelled_batch(count=2, views=1, seed=2, partner=None):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.zeros(count, 64, 64, dtype=torch.bool)
    boxes[:, 10:30, 20:50] = True
    ignored = torch.zeros(count, 64, 64, dtype=torch.bool)
    ignored[0, 25:] = True
    return UnlabelledBatch(
        weak=torch.randn(count, 3, 64, 64, generator=generator),
        strong=tuple(torch.randn(count, 3, 64, 64, generator=generator) for _ in range(views)),
        ignored=ignored,
        boxes=(boxes,) * views,
        partner=partner,
    )


@pytest.mark.parametrize(
    ("count", "order"), [(2, [1, 0]), (3, [1, 2, 0]), (4, [1, 0, 3, 2]), (5, [1, 0, 3, 4, 2]), (6, [1, 0, 3, 2, 5, 4])]
)
def test_every_row_gets_another_row(count, order):
    assert swap_neighbours(torch.arange(count)).tolist() == order


def test_a_single_image_has_no_partner():
    with pytest.raises(ValueError, match="at least two unlabelled images"):
        swap_neighbours(torch.arange(1))


def test_everything_is_pasted_together(dense_model):
    unlabelled = unlabelled_batch(3)
    own, pasted = label_weak_views(dense_model, unlabelled)
    mixed = cutmix(unlabelled, 0, own, pasted, threshold=0.5)
    box = unlabelled.boxes[0][0]
    assert torch.equal(mixed.pixel_values[0, :, box], unlabelled.strong[0][1, :, box])
    assert torch.equal(mixed.pixel_values[0, :, ~box], unlabelled.strong[0][0, :, ~box])
    assert torch.equal(mixed.labels[0][box], own.labels[1][box])
    assert torch.equal(mixed.valid[0], ~(unlabelled.ignored[0] & ~box))
    confidence = torch.where(box, own.confidence[1], own.confidence[0])
    assert torch.equal(mixed.confident[0], (confidence >= 0.5) & mixed.valid[0])
    assert not mixed.valid.all()


def test_a_second_batch_is_the_partner(dense_model):
    partner = unlabelled_batch(2, seed=7)
    unlabelled = unlabelled_batch(2, partner=partner)
    own, pasted = label_weak_views(dense_model, unlabelled)
    expected = predict(dense_model, partner.weak)
    assert torch.equal(pasted.labels, expected.labels)
    mixed = cutmix(unlabelled, 0, own, pasted, threshold=0.5)
    box = unlabelled.boxes[0]
    assert torch.equal(mixed.pixel_values, paste(unlabelled.strong[0], partner.strong[0], box))
    assert torch.equal(mixed.labels, torch.where(box, expected.labels, own.labels))


def test_predictions_are_probabilities_of_the_eval_network(dense_model):
    dense_model.train()
    images = labelled_batch().pixel_values
    predicted = predict(dense_model, images)
    assert dense_model.training and not predicted.confidence.requires_grad
    confidence, labels = dense_model.eval()(images).logits.softmax(dim=1).max(dim=1)
    assert torch.equal(predicted.labels, labels)
    torch.testing.assert_close(predicted.confidence, confidence.detach())


def test_frozen_batch_norm_stays_frozen(dense_model):
    dense_model.train()
    dense_model.decoders.eval()
    with evaluating(dense_model):
        assert not dense_model.backbone.training
    assert dense_model.backbone.training and not dense_model.decoders[0].fusion.norm.training


def test_losses_are_means_over_the_right_pixels():
    logits = torch.randn(2, 3, 4, 4)
    labels = torch.randint(0, 3, (2, 4, 4))
    labels[0, :2] = 255
    expected = functional.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(supervised_loss(logits, labels), expected)
    confident, valid = torch.rand(2, 4, 4) > 0.5, torch.ones(2, 4, 4, dtype=torch.bool)
    valid[1] = False
    confident &= valid
    targets = torch.randint(0, 3, (2, 4, 4))
    per_pixel = functional.cross_entropy(logits, targets, reduction="none")
    expected = (per_pixel * confident).sum() / 16
    torch.testing.assert_close(consistency_loss(logits, targets, confident, valid), expected)


def test_nothing_to_learn_from_gives_zero_and_a_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    nothing = torch.zeros(1, 4, 4, dtype=torch.bool)
    labels = torch.full((1, 4, 4), 255)
    loss = supervised_loss(logits, labels) + consistency_loss(logits, labels, nothing, nothing)
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros_like(logits))


def test_supervised_reads_no_unlabelled_images(dense_model):
    batch = labelled_batch()
    dense_model.eval()
    output = Supervised()(dense_model, batch, None, 0)
    torch.testing.assert_close(output.loss, dense_model(batch.pixel_values, labels=batch.labels).loss)
    assert set(output.scalars) == {"loss_supervised"}


def test_fixmatch_is_half_the_sum_of_both_losses(dense_model):
    dense_model.eval()  # no dropout and no drop path, so that two forwards agree
    labelled, unlabelled = labelled_batch(), unlabelled_batch()
    own, pasted = label_weak_views(dense_model, unlabelled)
    threshold = own.confidence.median().item()
    output = FixMatch(threshold)(dense_model, labelled, unlabelled, 0)
    mixed = cutmix(unlabelled, 0, own, pasted, threshold)
    unsupervised = consistency_loss(dense_model(mixed.pixel_values).logits, mixed.labels, mixed.confident, mixed.valid)
    supervised = dense_model(labelled.pixel_values, labels=labelled.labels).loss
    torch.testing.assert_close(output.loss, (supervised + unsupervised) / 2)
    torch.testing.assert_close(output.scalars["mask_ratio"], mixed.confident.sum() / mixed.valid.sum())
    assert 0 < output.scalars["mask_ratio"] < 1
    assert output.class_counts.sum() == mixed.confident.sum()
    for label in range(3):
        assert output.class_counts[label] == ((mixed.labels == label) & mixed.confident).sum()


def test_fixmatch_gives_no_gradient_through_pseudo_labels(dense_model):
    """With a threshold that nothing reaches, the gradient is half of the supervised one."""
    dense_model.eval()
    labelled = labelled_batch()
    FixMatch(1.0)(dense_model, labelled, unlabelled_batch(), 0).loss.backward()
    own = dense_model.classifiers[0].weight.grad.clone()
    dense_model.zero_grad()
    dense_model(labelled.pixel_values, labels=labelled.labels).loss.backward()
    torch.testing.assert_close(own, dense_model.classifiers[0].weight.grad / 2)


@pytest.mark.parametrize("name", ["fixmatch", "unimatch_v2"])
def test_pseudo_labels_can_wait(dense_model, name):
    method = make_method(name, confidence_threshold=0.4, unlabelled_from_step=5)
    method.attach(dense_model)
    ratios = [
        method(dense_model, labelled_batch(), unlabelled_batch(views=2), step).scalars["mask_ratio"] for step in (4, 5)
    ]
    assert ratios[0] == 0 and ratios[1] > 0.5


class TestUniMatchV2:
    def test_loss(self, dense_model):
        dense_model.eval()
        method = UniMatchV2(confidence_threshold=0.4, channel_dropout=False)
        method.attach(dense_model)
        labelled, unlabelled = labelled_batch(), unlabelled_batch(views=2)
        output = method(dense_model, labelled, unlabelled, 0)
        own, pasted = label_weak_views(dense_model, unlabelled)
        losses = []
        for view in (0, 1):
            mixed = cutmix(unlabelled, view, own, pasted, 0.4)
            logits = dense_model(mixed.pixel_values).logits
            losses.append(consistency_loss(logits, mixed.labels, mixed.confident, mixed.valid))
        supervised = dense_model(labelled.pixel_values, labels=labelled.labels).loss
        torch.testing.assert_close(output.loss, (supervised + (losses[0] + losses[1]) / 2) / 2)
        assert losses[0] != losses[1]

    def test_the_teacher_labels_and_follows(self, dense_model):
        method = UniMatchV2(teacher_decay=0.9)
        method.attach(dense_model)
        start = dense_model.classifiers[0].bias.detach().clone()
        with torch.no_grad():
            dense_model.classifiers[0].bias += 1
        method.after_step(dense_model, step=0)  # decay 0: the teacher is the student
        torch.testing.assert_close(method.averaged.model.classifiers[0].bias, start + 1)
        with torch.no_grad():
            dense_model.classifiers[0].bias += 1
        method.after_step(dense_model, step=1)  # decay 1 / 2
        torch.testing.assert_close(method.averaged.model.classifiers[0].bias, start + 1.5)
        method.after_step(dense_model, step=999)  # decay 0.9
        torch.testing.assert_close(method.averaged.model.classifiers[0].bias, start + 1.55)

    def test_state_goes_into_a_checkpoint(self, dense_model):
        method, other = UniMatchV2(), UniMatchV2()
        method.attach(dense_model)
        with torch.no_grad():
            method.averaged.model.classifiers[0].bias.fill_(3)
        other.attach(dense_model)
        other.load_state_dict(method.state_dict())
        assert torch.equal(other.averaged.model.classifiers[0].bias, torch.full((3,), 3.0))

    def test_needs_its_teacher(self, dense_model):
        with pytest.raises(RuntimeError, match="attach"):
            UniMatchV2()(dense_model, labelled_batch(), unlabelled_batch(views=2), 0)

    def test_only_strong_views_lose_channels(self, dense_model):
        dense_model.eval()
        torch.manual_seed(0)
        method = UniMatchV2()
        method.attach(dense_model)
        images = torch.randn(6, 3, 64, 64)
        logits = method._logits(dense_model, images[:2], images[2:4], images[4:])
        plain = dense_model(images).logits.split(2)
        torch.testing.assert_close(logits[0], plain[0])
        assert not torch.allclose(torch.cat(logits[1:]), torch.cat(plain[1:]), atol=1e-3)
        torch.testing.assert_close(dense_model(images[:2]).logits, plain[0])  # the hook is gone


def test_channel_masks_are_complementary_for_half_of_the_images():
    torch.manual_seed(0)
    first, second = complementary_masks(8, 500, torch.device("cpu"))
    assert torch.equal(first + second, torch.full((8, 500), 2.0))
    kept = (first == 1).all(dim=1)
    assert kept.sum() == 4
    dropped = first[~kept]
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.1)


def test_scaled_channels(dense_model):
    images, masks = torch.randn(2, 3, 64, 64), torch.rand(2, 32)
    plain = dense_model.backbone(images).feature_maps
    with scaled_channels(dense_model.backbone, masks):
        scaled = dense_model.backbone(images).feature_maps
    for before, after in zip(plain, scaled, strict=True):
        torch.testing.assert_close(after, before * masks[:, :, None, None])


def test_weight_average_covers_buffers(dense_model):
    average = WeightAverage(dense_model)
    norm, averaged = dense_model.decoders[0].fusion.norm, average.model.decoders[0].fusion.norm
    before = norm.running_mean.clone()
    norm.running_mean += 2
    norm.num_batches_tracked.fill_(7)
    average.update(dense_model, 0.75)
    torch.testing.assert_close(averaged.running_mean, before + 0.5)
    assert averaged.num_batches_tracked == 7
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        average.update(dense_model, 1.5)


class TestRegistry:
    def test_names(self):
        assert {"supervised", "fixmatch", "unimatch_v2"} <= set(method_names())
        assert make_method("fixmatch", confidence_threshold=0.5) == FixMatch(0.5)

    def test_errors_name_the_choices(self):
        with pytest.raises(ValueError, match=r"unknown method 'fixmach'; known methods: .*fixmatch"):
            make_method("fixmach")
        with pytest.raises(ValueError, match="'fixmatch' has no option tau; its options: confidence_threshold"):
            make_method("fixmatch", tau=1)
        with pytest.raises(ValueError, match="between 0 and 1, got 95"):
            make_method("fixmatch", confidence_threshold=95)

    def test_a_new_method_registers_by_name(self, monkeypatch):
        monkeypatch.setattr("s5_hf.semi_supervised.method.METHODS", dict(METHODS))

        @register_method("half")
        @dataclass
        class Half(Method):
            def __call__(self, model, labelled, unlabelled, step):
                raise NotImplementedError

        assert make_method("half").name == "half"
        with pytest.raises(ValueError, match="'fixmatch' is registered already"):
            register_method("fixmatch")(Half)


class TestTeacher:
    def test_the_averaged_teacher_labels_for_fixmatch(self, dense_model):
        method = FixMatch(0.0, teacher="ema")
        method.attach(dense_model)
        assert method.teacher_model is method.averaged.model and method.has_teacher
        with torch.no_grad():  # the student calls everything class 0, the teacher class 1
            dense_model.classifiers[0].bias += torch.tensor([99.0, 0.0, 0.0])
            method.averaged.model.classifiers[0].bias += torch.tensor([0.0, 99.0, 0.0])
        for labeller, label in ((method, 1), (FixMatch(0.0), 0)):
            counts = labeller(dense_model, labelled_batch(), unlabelled_batch(), 0).class_counts
            assert counts.argmax() == label and counts.sum() == counts[label] > 0

    def test_decay_is_constant_or_warms_up_and_starts_at_the_switch(self):
        constant = FixMatch(teacher="ema", teacher_decay=0.9, unlabelled_from_step=3)
        assert [constant.decay_at(step) for step in range(6)] == pytest.approx([0, 1 / 2, 2 / 3, 0.9, 0.9, 0.9])
        warmup = FixMatch(teacher="ema", teacher_decay=0.6, unlabelled_from_step=3, teacher_schedule="warmup")
        assert [warmup.decay_at(step) for step in range(2, 7)] == pytest.approx([0, 0, 0.5, 0.6, 0.6])
        late = FixMatch(teacher="ema", teacher_decay=0.9, unlabelled_from_step=3, teacher_schedule="late")
        assert [late.decay_at(step) for step in range(2, 5)] == [0, 0.9, 0.9]
        assert UniMatchV2().decay_at(1) == 0.5, "as published"

    def test_the_student_alone_has_no_state(self, dense_model):
        method = FixMatch()
        method.attach(dense_model)
        method.after_step(dense_model, 0)
        assert not method.has_teacher and method.teacher_model is None and method.state_dict() == {}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"teacher": "mean"}, "teacher must be student or ema, got 'mean'"),
            ({"teacher_decay": 1.5}, r"teacher_decay must lie between 0 and 1, got 1\.5"),
            ({"teacher_schedule": "cosine"}, "teacher_schedule must be constant or late or warmup"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            FixMatch(**options)
