"""Images of one date with the look of the other: the network, its losses, training, resuming, and what is refused."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.modeling import SRUITConfig, SRUITImageProcessor, SRUITModel
from s5_hf.synthetic import synthetic_change
from s5_hf.training import ImageTranslation, TranslationRecipe, carry_out, read_log
from s5_hf.training.translation.network import TranslationNetwork
from s5_hf.training.translation.recipe import TranslatorSettings
from s5_hf.training.translation.validation import validate_translator
from tests.fresh_process import run_in_processes
from tests.training.best_weights import assert_best_kept, assert_same_best
from tests.training.pretraining import stop_after_step

SIZES = {"hidden_size": 4, "num_own_blocks": 1, "num_shared_blocks": 1}
DISCRIMINATORS = {"discriminator_size": 4, "discriminator_layers": 2}


def reddened(pixels):
    """The look of the second date."""
    return (pixels * np.array([1.0, 0.5, 0.4])).astype(np.uint8)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """unlabelled/before and unlabelled/after, no masks."""
    folder = tmp_path_factory.mktemp("pairs")
    for number in range(6):
        pixels = synthetic_change(64, number).before
        for date, seen in (("before", pixels), ("after", reddened(pixels))):
            path = folder / "unlabelled" / date / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(seen).save(path)
    return folder


def tiny(pairs, **settings):
    run = {"num_workers": 0, "total_steps": 4, "batch_size": 4, "checkpoint_steps": 1, "trackers": ["none"]}
    data = {"data_dir": str(pairs), "split": "unlabelled", "crop_size": 32}
    return TranslationRecipe.make(**{**SIZES, **DISCRIMINATORS, **run, **data, **settings})


def weights(folder):
    return SRUITModel.from_pretrained(folder / "translator").state_dict()


def network():
    torch.manual_seed(0)
    return TranslationNetwork.of_recipe(TranslatorSettings(**SIZES, **DISCRIMINATORS), 3)


def gradients(network, loss):
    """The sum of the absolute gradients of translator and discriminators."""
    network.zero_grad()
    loss.backward(retain_graph=True)
    parts = (network.translator, network.discriminators)
    return [sum(p.grad.abs().sum().item() for p in part.parameters() if p.grad is not None) for part in parts]


def test_every_loss_reaches_its_own_network_only():
    own = network()
    losses = own(torch.rand(2, 2, 3, 32, 32) * 2 - 1)
    assert all(value.ndim == 0 and value > 0 for value in losses.values())
    for name, loss in losses.items():
        of_generators, of_discriminators = gradients(own, loss)
        assert (of_generators > 0) == (name != "discriminator"), name
        assert (of_discriminators > 0) == (name == "discriminator"), name


def test_both_dates_start_alike():
    model = network().translator
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(model.translate(image, "before"), model.translate(image, "after"))


def test_one_backward_gives_what_two_optimizers_would_see():
    own, images = network(), torch.rand(2, 2, 3, 32, 32) * 2 - 1
    losses = own(images)
    sum(losses.values()).backward()
    together = {name: parameter.grad.clone() for name, parameter in own.named_parameters()}
    for part, names in (("translator", ("adversarial", "cycle", "self")), ("discriminators", ("discriminator",))):
        own.zero_grad()
        losses = own(images)
        sum(losses[name] for name in names).backward()
        for name, parameter in own.named_parameters():
            if name.startswith(part):
                torch.testing.assert_close(together[name], parameter.grad, msg=name)


def test_sizes_dates_and_shared_layers():
    torch.manual_seed(0)
    model = SRUITModel(SRUITConfig(**SIZES)).eval()
    for height, width in ((32, 32), (5, 3), (33, 46)):
        with torch.no_grad():
            out = model(torch.rand(1, 3, height, width) * 2 - 1, to="before").pixel_values
        assert out.shape == (1, 3, height, width) and out.abs().max() <= 1
    image = torch.rand(1, 3, 32, 32)
    assert not torch.equal(model.translate(image, "before"), model.translate(image, "after"))
    both = [model.translate(image, date).sum() for date in ("before", "after")]
    for loss in both:  # the blocks in the middle belong to both directions
        model.zero_grad()
        loss.backward()
        for shared in (model.shared_encoder, model.shared_decoder):
            assert all(p.grad is not None for p in shared.parameters())
    with pytest.raises(ValueError, match="to is 'now', expected before or after"):
        model.translate(image, "now")
    with pytest.raises(ValueError, match=r"expected pixel_values \(batch, 3, height, width\), got \(1, 4, 8, 8\)"):
        model(torch.rand(1, 4, 8, 8))
    with pytest.raises(ValueError, match="hidden_size is 0, expected 1 or more"):
        SRUITConfig(hidden_size=0)


def test_the_processor_takes_images_to_the_range_of_the_network_and_back():
    processor = SRUITImageProcessor()
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    values = processor(pixels, return_tensors="pt")["pixel_values"]
    assert values.min() == -1 and values.max() == 1

    class Output:
        pixel_values = values

    (back,) = processor.post_process_translation(Output)
    assert np.array_equal(back, pixels)
    with pytest.raises(ValueError, match=r"expected 0\.5 for every channel"):
        SRUITImageProcessor(image_mean=(0.4, 0.5, 0.5))


def test_a_training_resumes_exactly_and_leaves_a_translator(pairs, tmp_path):
    chosen = {"selection": "validation", "validation_split": "unlabelled", "validation_steps": 2}
    chosen |= {"validation_count": 2, "deterministic": True}
    carry_out(ImageTranslation(tiny(pairs, output_dir=str(tmp_path / "whole"), **chosen)))
    parts = {"output_dir": str(tmp_path / "parts"), **chosen}
    first = ImageTranslation(tiny(pairs, **parts))
    stop_after_step(first, 2)
    carry_out(ImageTranslation(tiny(pairs, **parts, resume="auto")))
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(tensor, weights(tmp_path / "parts")[name]), name
    logged = {key for entry in read_log(tmp_path / "whole") for key in entry}
    assert {"adversarial", "cycle", "self", "discriminator", "validation/psnr/untranslated"} <= logged

    assert assert_best_kept(tmp_path / "whole", "translator", "psnr")["unit"] == "dB"
    assert_same_best(tmp_path / "whole", tmp_path / "parts")
    assert (tmp_path / "whole" / "panels" / "step_00000004.png").is_file()

    folder = tmp_path / "whole" / "translator"
    model, processor = AutoModel.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder)
    assert type(model) is SRUITModel and type(processor) is SRUITImageProcessor
    assert not any("discriminator" in name for name in model.state_dict())
    inputs = processor(synthetic_change(64, 1).before, return_tensors="pt")
    (image,) = processor.post_process_translation(model(**inputs, to="after"))
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8

    again = tiny(pairs, output_dir=str(tmp_path / "again"), translator=str(folder), total_steps=1, learning_rate=0.0)
    carry_out(ImageTranslation(again))
    assert all(
        torch.equal(tensor, weights(tmp_path / "again")[n]) for n, tensor in weights(tmp_path / "whole").items()
    )
    (tmp_path / "whole" / "checkpoints").rename(tmp_path / "checkpoints")
    with pytest.raises(FileExistsError, match="translator exists already"):
        carry_out(ImageTranslation(tiny(pairs, output_dir=str(tmp_path / "whole"))))


class Mirror(torch.nn.Module):
    """A translator that gives images back as they are."""

    def translate(self, pixel_values, to):
        return pixel_values


def test_translated_images_are_compared_with_the_other_date():
    before, after = np.full((8, 8, 3), 100, np.uint8), np.full((8, 8, 3), 110, np.uint8)
    samples = [{"image_before": before, "image_after": after}, {"image_before": before, "image_after": before}]
    scores = validate_translator(Mirror(), samples, None, Accelerator())
    expected = 10 * np.log10(255**2 / 50)  # half of the pixels differ by 10
    assert scores == pytest.approx(dict.fromkeys(("psnr", "psnr/after", "psnr/before", "psnr/untranslated"), expected))
    assert validate_translator(Mirror(), samples[1:], None, Accelerator())["psnr"] == float("inf")


class Precise(ImageTranslation):
    """In float64: Adam makes whole steps of gradients near 0, so that the rounding of float32 would be seen."""

    def make_model(self):
        return super().make_model().double()

    def step(self, model, batch, step):
        return super().step(model, {"image": batch["image"].double()}, step)


TWO = """
import sys
from pathlib import Path
from tests.translation.test_translation import Precise, tiny
from s5_hf.training import carry_out
carry_out(Precise(tiny(Path(sys.argv[1]), output_dir=sys.argv[2], batch_size=2)))
"""


def test_two_processes_with_half_the_batch_equal_one(pairs, tmp_path):
    carry_out(Precise(tiny(pairs, output_dir=str(tmp_path / "one"))))
    run_in_processes(2, TWO, pairs, tmp_path / "two")
    two = weights(tmp_path / "two")
    for name, tensor in weights(tmp_path / "one").items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-9, msg=name)


def redness(pixels):
    """How much more red than green and blue."""
    return (pixels[..., 0] - pixels[..., 1:].astype(float).mean(axis=-1)).mean()


def test_a_look_is_learned(pairs, tmp_path):
    """Reddened images: after a few steps translations are red to the second date, and not to the first."""
    steps = {"total_steps": 60, "learning_rate": 2e-3, "checkpoint_steps": 60}
    carry_out(ImageTranslation(tiny(pairs, output_dir=str(tmp_path), **steps)))
    model = AutoModel.from_pretrained(tmp_path / "translator").eval()
    processor = AutoImageProcessor.from_pretrained(tmp_path / "translator")
    before = synthetic_change(64, 11).before
    dates = {"after": before, "before": reddened(before)}  # by the date whose look they get
    with torch.no_grad():
        seen = {
            to: processor.post_process_translation(model(**processor(image, return_tensors="pt"), to=to))[0]
            for to, image in dates.items()
        }
    truly = redness(dates["before"]) - redness(dates["after"])
    assert truly > 20
    assert redness(seen["after"]) - redness(seen["before"]) > 0.5 * truly


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "s5-loveda"}, "is for segmentation, expected one with pairs of two dates"),
        ({"crop_size": 34}, "crop_size is 34, expected a multiple of 4, and 16 or more with 2 discriminator_layers"),
        ({"discriminator_layers": 4}, "and 64 or more"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"cycle_weight": -1.0}, "cycle_weight"),
        ({"image_mean": [0.4, 0.5, 0.5]}, r"expected 0\.5 for every channel"),
    ],
)
def test_settings_that_are_refused(pairs, settings, message):
    with pytest.raises(ValueError, match=message):
        tiny(pairs, **settings)


@pytest.mark.parametrize(
    ("split", "message"),
    [("none", "selection: validation needs a validation_split"), ("test", "are what one reports, so it must not")],
)
def test_weights_are_not_chosen_on_nothing_or_on_what_is_reported(pairs, tmp_path, split, message):
    recipe = tiny(pairs, output_dir=str(tmp_path / "run"), selection="validation", validation_split=split)
    with pytest.raises(ValueError, match=message):
        carry_out(ImageTranslation(recipe))
