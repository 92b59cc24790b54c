"""A training step hardly ever waits for the device: what would wait is counted on the CPU."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from s5_hf.semi_supervised.batches import swap_neighbours
from s5_hf.training.detection.kind import JointDetection
from s5_hf.training.kind import Training
from s5_hf.training.pretraining.kind import S4Pretraining
from s5_hf.training.pretraining.recipe import PretrainingRecipe
from s5_hf.training.segmentation.kind import JointSegmentation
from s5_hf.training.step_meter import StepMeter
from s5_hf.training.views.row_views import DrawnViews
from s5_hf.training.views.strong import blur_together, box_masks, colors_together
from s5_hf.training.views.strong_draws import StrongAugmentation, StrongDraws, draw_strong_parameters
from tests.training import detecting
from tests.training.finetuning import micro_recipe, micro_tasks
from tests.training.pretraining import MICRO, micro_data

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "host_waits.py"


@pytest.fixture(scope="module")
def counted_waits():
    specification = importlib.util.spec_from_file_location("host_waits", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.counted_waits


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (lambda values: values.sum().item(), "_local_scalar_dense"),
        (lambda values: values.tolist(), "tolist"),
        (lambda values: (values > 0).nonzero(), "nonzero"),
        (lambda values: values[values > 0], "index"),
        (lambda values: bool((values > 0).any()), "_local_scalar_dense"),
        (lambda values: values.new_tensor([1.0]), "new_tensor of host data"),
        (lambda values: torch.ones(2).to(values.device), "blocking transfer"),
        (lambda values: values.cpu(), "cpu"),
    ],
)
def test_questions_to_the_device_are_counted_and_those_to_the_host_are_not(counted_waits, ask, kind):
    on_device = torch.randn(4)
    with counted_waits([on_device]) as waits:
        ask(on_device * 2)
        torch.arange(3).tolist()
        (torch.arange(3) > 1).nonzero()
        torch.ones(3).to(on_device.device, non_blocking=True)
    assert dict(waits) == {kind: 1}


def test_what_is_sent_to_the_device_stays_on_the_host_as_well(counted_waits):
    host = torch.ones(4)
    with counted_waits() as waits:
        sent = host.to("cpu", non_blocking=True)
        assert host.tolist() == [1.0] * 4 and not waits
        sent.tolist()
    assert dict(waits) == {"tolist": 1}


def test_tensors_of_the_host_are_told_from_those_whose_memory_they_took_over(counted_waits):
    memory = np.ones(4, np.float32)
    with counted_waits([torch.from_numpy(memory)]) as waits:
        host = torch.from_numpy(memory)  # no mode sees this call
        assert host.tolist() == [1.0] * 4
        for _ in range(100):
            left = host.to("cpu", non_blocking=True) * 2
            del left
            assert torch.from_numpy(np.ones(4, np.float32)).tolist() == [1.0] * 4
    assert not waits


class Steps:
    """Steps of a kind of training as its loop makes them, on the CPU."""

    def __init__(self, kind):
        self.kind, accelerator = kind, Accelerator(cpu=True)
        kind.load(processes=1)
        self.model = kind.make_model()
        kind.attach(self.model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.meter = StepMeter(accelerator)
        self.batches = kind.batches(Training(accelerator, self.model), taken=0)
        self.make(0, next(self.batches))  # constants go to the device once

    def make(self, number, batch):
        output = self.kind.step(self.model, batch, number)
        output.loss.backward()
        self.meter.add(output)
        self.meter.close(number, stop=False)
        (report,) = self.meter.read(everything=True)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.kind.after_step(self.model, number)
        return report.values

    def weights(self):
        networks = (self.model, *self.kind.followers.values())
        return [tensor for network in networks for tensor in network.state_dict().values()]


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda: S4Pretraining(PretrainingRecipe.read(MICRO), micro_data()), 1),
        (lambda: S4Pretraining(PretrainingRecipe.read([*MICRO, "--threshold", "adaptive"]), micro_data()), 2),
        (lambda: S4Pretraining(PretrainingRecipe.read([*MICRO, "--method", "unimatch_v2"]), micro_data()), 2),
        (lambda: JointSegmentation(micro_recipe(), micro_tasks()), 2),
    ],
    ids=["fixmatch", "adaptive", "unimatch_v2", "moe"],
)
def test_a_step_waits_for_the_device_hardly_ever(counted_waits, make, most):
    steps = Steps(make())
    with counted_waits(steps.weights()) as waits:
        assert steps.make(1, next(steps.batches))["loss"] > 0
    assert 1 <= sum(waits.values()) <= most, dict(waits)


def test_a_step_of_a_detector_waits_for_the_device_less_than_thirty_times(counted_waits):
    """Two tasks with two images each; labels stay on the host, and images are made there, by workers."""
    steps = Steps(JointDetection(detecting.micro_recipe(), detecting.micro_tasks()))
    batch = next(steps.batches)
    with counted_waits([*steps.weights(), batch.pixel_values]) as waits:
        assert steps.make(1, batch)["loss"] > 0
    assert sum(len(image["boxes"]) for image in batch.labels) >= 2
    assert 10 < sum(waits.values()) < 30, dict(waits)


def test_what_makes_strong_views_of_all_images_at_once_asks_the_device_nothing(counted_waits):
    drawn = draw_strong_parameters(range(12), 16, StrongAugmentation())
    blurred = int((drawn.sigma > 0).sum())
    images = torch.rand(12, 3, 16, 16)
    with counted_waits([images]) as waits:
        moved = drawn.to(images.device)
        seen = colors_together(images, moved)
        blur_together(seen, moved.sigma, blurred)
        box_masks(moved.box, 16, images.device)
    assert not waits and 3 < blurred < 9 and not torch.equal(seen, images)


@pytest.mark.parametrize(("channels", "colors"), [(3, (0, 1, 2)), (5, (2, 1, 0)), (5, None)])
def test_strong_views_need_no_answer_of_a_device_that_has_none(channels, colors):
    images = torch.empty(6, 2, channels, 16, 16, device="meta")  # has shapes, and refuses to tell numbers
    draws = StrongDraws(StrongAugmentation(blur_probability=0.7), views=2)
    drawn = torch.stack([draws(seed, row) for seed, row in enumerate(images)])
    views = DrawnViews.moved(drawn, images.device)
    for view in range(2):
        seen, boxes = views.strong_rows(images, colors, view)
        masks = box_masks(boxes, 16, images.device)
        assert (seen.device.type, seen.shape) == ("meta", images.shape) and masks.shape == (6, 16, 16)


@pytest.mark.parametrize("count", range(2, 8))
def test_neighbours_are_swapped_by_slices(counted_waits, count):
    values = torch.arange(count)
    with counted_waits([values]) as waits:
        swapped = swap_neighbours(values)
    order = [index ^ 1 for index in range(count)]
    if count % 2:
        order[-3:] = [count - 2, count - 1, count - 3]
    assert torch.equal(swapped, values[torch.tensor(order)]) and not waits
