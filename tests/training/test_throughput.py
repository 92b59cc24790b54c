import copy

import pytest
import torch

from s5_hf.training import throughput
from s5_hf.training.detection import kind as detection_kind
from s5_hf.training.detection.kind import JointDetection
from s5_hf.training.detection.model import joint_detector
from s5_hf.training.masked_autoencoding import kind as mae_kind
from s5_hf.training.masked_autoencoding.kind import MaskedAutoencoding
from s5_hf.training.masked_autoencoding.recipe import MAERecipe
from s5_hf.training.peaks import named_peak
from s5_hf.training.pretraining import kind as pretraining_kind
from s5_hf.training.pretraining.kind import S4Pretraining
from s5_hf.training.pretraining.recipe import PretrainingRecipe
from s5_hf.training.segmentation import kind as segmentation_kind
from s5_hf.training.segmentation.kind import JointSegmentation
from s5_hf.training.throughput import PassFlops, StepWork, Throughput, detector_flops, segmenter_flops
from tests.training.detecting import micro_recipe as detection_recipe
from tests.training.detecting import micro_tasks as detection_tasks
from tests.training.finetuning import micro_recipe as segmentation_recipe
from tests.training.finetuning import micro_tasks as segmentation_tasks
from tests.training.pretraining import MICRO, micro_data

PEAK = 1e12


def test_rates(monkeypatch):
    clock = iter([10.0, 14.0])
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    values = Throughput(images_per_step=8, flops_per_step=50.0, peak_flops=100.0).measure(0, 2)
    assert values == {"seconds_per_step": 2.0, "images_per_second": 4.0, "mfu": 0.25}


def test_validation_and_saving_do_not_count(monkeypatch):
    clock = iter([10.0, 12.0, 17.0, 19.0])
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    rates = Throughput(images_per_step=8)
    with rates.paused():
        pass
    assert rates.measure(4, 8) == {"seconds_per_step": 1.0, "images_per_second": 8.0}


@pytest.mark.parametrize(
    ("begin", "end", "images", "flops"),
    [(0, 4, 4 * 2, 4 * 10), (4, 8, 2 * 2 + 2 * 6, 2 * 10 + 2 * 50), (6, 8, 2 * 6, 2 * 50), (8, 10, 2 * 6, 2 * 50)],
)
def test_steps_of_a_first_phase_count_as_what_they_do(monkeypatch, begin, end, images, flops):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    rates = Throughput(6, 50.0, 100.0, first_steps=6, first_work=StepWork(2, 10.0))
    expected = {"seconds_per_step": 2 / (end - begin), "images_per_second": images / 2, "mfu": flops / 2 / 100}
    assert rates.measure(begin, end) == pytest.approx(expected)


def test_flops_of_a_step():
    assert PassFlops(2.0, 5.0).of_step(trained=7, labelled_by_network=5) == 7 * 7.0 + 5 * 2.0


def test_flops_grow_with_the_tokens_and_the_backward_pass_costs_about_twice_the_forward(dense_model):
    small, large = segmenter_flops(dense_model, (3, 64, 64)), segmenter_flops(dense_model, (3, 128, 128))
    assert large.forward == pytest.approx(4 * small.forward, rel=0.2)
    fc1 = 2 * 16 * 32 * 128  # one of the multiplications that must be in it: tokens x width x inner width
    assert small.forward > 4 * 2 * fc1
    assert 1.6 < small.backward / small.forward < 2.05  # the images need no gradient


def test_counting_changes_no_mode_weight_statistic_or_gradient(dense_model):
    model = copy.deepcopy(dense_model).train()
    norm = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d))
    norm.eval()  # frozen, as `freeze_batch_norm` does
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    segmenter_flops(model, (3, 64, 64))
    assert [module.training for module in model.modules()] == modes and not norm.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_frozen_encoder_has_no_backward_pass_and_low_rank_adapters_half_of_one(dense_model):
    model = copy.deepcopy(dense_model)
    whole = segmenter_flops(model, (3, 64, 64))
    model.backbone.requires_grad_(False)
    assert segmenter_flops(model, (3, 64, 64)).backward < 0.8 * whole.backward
    pytest.importorskip("peft")
    tasks = segmentation_tasks()
    counted = []
    for words in ((), ("--lora_rank", "1")):
        kind = JointSegmentation(segmentation_recipe("--decoder_channels", "8", *words), tasks)
        counted.append(segmenter_flops(segmentation_kind.TaskView(kind.make_model(), "blocks"), (3, 64, 64)))
    dense, adapted = counted
    assert dense.forward < adapted.forward < 1.2 * dense.forward
    assert adapted.backward < 0.9 * dense.backward


@pytest.mark.parametrize(
    ("module", "make"),
    [
        (pretraining_kind, lambda: S4Pretraining(PretrainingRecipe.read(MICRO), micro_data())),
        (segmentation_kind, lambda: JointSegmentation(segmentation_recipe(), segmentation_tasks())),
        (detection_kind, lambda: JointDetection(detection_recipe(), detection_tasks())),
        (
            mae_kind,
            lambda: MaskedAutoencoding(
                MAERecipe.make(hidden_size=32, num_hidden_layers=4, num_attention_heads=4, decoder_hidden_size=32),
                [{"image": sample["image"]} for sample in micro_data().labelled],
            ),
        ),
    ],
    ids=["s4p", "segmentation", "detection", "mae"],
)
def test_every_training_measures_its_share_of_a_known_peak(monkeypatch, module, make):
    monkeypatch.setattr(module, "peak_flops", lambda device: PEAK)
    kind = make()
    kind.load(processes=1)
    model = kind.make_model()
    model.train()
    counted = kind.make_throughput(model, processes=2)
    assert counted.peak_flops == PEAK and counted.work.flops > 1e6
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(layer.training for layer in model.modules())


@pytest.mark.parametrize("peak", [None, PEAK])
def test_the_supervised_phase_of_pre_training_has_no_unlabelled_images(monkeypatch, peak):
    monkeypatch.setattr(pretraining_kind, "peak_flops", lambda device: peak)
    words = [*MICRO, "--unlabelled_from_step", "6", "--gradient_accumulation", "3"]
    kind = S4Pretraining(PretrainingRecipe.read(words), micro_data())
    kind.load(processes=2)
    model = kind.make_model()
    rates = kind.make_throughput(model, processes=2)
    assert (rates.first_steps, rates.first_work.images, rates.work.images) == (6, 3 * 2 * 2, 3 * (2 + 4) * 2)
    flops = segmenter_flops(model, (3, 64, 64))
    expected = (3 * flops.of_step(2), 3 * flops.of_step(2 + 4, 4)) if peak else (0, 0)
    assert (rates.first_work.flops, rates.work.flops) == expected


def test_the_flops_of_a_detector_follow_the_proposals_it_samples():
    tasks, flops = detection_tasks(), []
    for count in ("16", "32"):
        recipe = detection_recipe("--roi_samples", count)
        model = joint_detector(recipe.model, tasks, 64, 3)
        flops.append(detector_flops(model, "ships", 64, 3).forward)
    head = 2 * 16 * (16 * 49 * 32 + 32 * 32 + 32 * (3 + 5))
    assert flops[1] - flops[0] == head


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989.4e12),
        ("NVIDIA H200 NVL", 835.5e12),
        ("NVIDIA H100 80GB HBM3", 989.4e12),
        ("NVIDIA H100 PCIe", 756.5e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
        ("NVIDIA A10G", None),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362.05e12),
        ("Tesla V100-PCIE-16GB", 112e12),
        ("Tesla V100-SXM2-16GB", 125e12),
        ("NVIDIA RTX 6000 Ada Generation", 364.2e12),
        ("NVIDIA GeForce RTX 4090", 165.2e12),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA GeForce RTX 3090 Ti", None),
        ("Some other GPU", None),
    ],
)
def test_peaks_by_name(name, peak):
    assert named_peak(name) == peak
