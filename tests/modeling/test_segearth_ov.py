"""SegEarth-OV as a model of this package: classes by name, any size, batches, folders, and what is refused."""

import socket

import pytest
import torch
from torch.nn import functional
from transformers import AutoConfig, AutoImageProcessor, AutoModelForSemanticSegmentation, AutoProcessor

from s5_hf.modeling import (
    SegEarthOVConfig,
    SegEarthOVForSemanticSegmentation,
    SegEarthOVImageProcessor,
    SegEarthOVProcessor,
    SimFeatUpUpsampler,
)
from s5_hf.modeling.adaptive_convolution import adaptive_convolution, neighbour_products
from tests.numerics import assert_equal_but_for_rounding
from tests.open_models import CLASSES, tiny_model, tiny_processor, write_tiny_model


@pytest.fixture(scope="module")
def model():
    made = tiny_model(upsampler="jbu_one", window_batch_size=3)
    made.encode_classes(CLASSES, tiny_processor())
    return made


def images(*size):
    return torch.randn(*size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (41, 35), (3, 5)])
def test_any_size_and_any_batch(model, size):
    pixels = images(3, 3, *size)
    logits = model(pixels).logits
    assert (logits.shape, logits.dtype) == ((3, 4, *size), torch.float32)
    singles = torch.cat([model(image[None]).logits for image in pixels])
    torch.testing.assert_close(logits, singles, rtol=1e-5, atol=1e-5)
    assert torch.equal(logits, model(pixels).logits), "nothing is dropped in eval mode"
    total = logits.exp().sum(dim=1)
    assert total.max() <= 1.0001  # the best synonym of each class, of all synonyms that share 1
    assert total.min() > 0.25


@torch.no_grad()
def test_windows_of_several_images_share_a_forward_pass(model, monkeypatch):
    seen, original = [], model.window_similarities
    monkeypatch.setattr(model, "window_similarities", lambda windows: seen.append(windows) or original(windows))
    pixels = images(3, 3, 32, 48)
    model(pixels)
    assert [tuple(windows.shape) for windows in seen] == [(3, 3, 32, 32)] * 2  # two windows of each image
    expected = [pixels[0, ..., :32], pixels[0, ..., 16:], pixels[1, ..., :32]]
    assert torch.equal(seen[0], torch.stack(expected))


@torch.no_grad()
def test_overlapping_windows_are_averaged(model):
    pixels = images(1, 3, 32, 48)
    similarities = model.query_similarities(pixels)
    first, second = model.window_similarities(torch.cat([pixels[..., :32], pixels[..., 16:]]))
    assert_equal_but_for_rounding(similarities[0, :, :, 16:32], (first[:, :, 16:] + second[:, :, :16]) / 2)
    assert_equal_but_for_rounding(similarities[0, :, :, :16], first[:, :, :16])


@torch.no_grad()
def test_output_size_resizes_before_the_softmax(model):
    pixels = images(1, 3, 40, 40)
    fine = model(pixels, output_size=(61, 55)).logits
    resized = functional.interpolate(model.query_similarities(pixels), size=(61, 55), mode="bilinear")
    of_queries = (50 * resized).softmax(dim=1)
    assert_equal_but_for_rounding(fine.exp()[0, 1], of_queries[0, 1:4].amax(dim=0))
    assert_equal_but_for_rounding(fine.exp()[0, 0], of_queries[0, 0])


@torch.no_grad()
@pytest.mark.parametrize("upsampler", ["none", "bilinear", "jbu_one", "jbu_stack"])
@pytest.mark.parametrize("attention", ["vanilla", "naclip", "segearth"])
def test_settings_give_different_maps_of_the_same_size(upsampler, attention):
    model = tiny_model(upsampler=upsampler, attention=attention, classes=CLASSES)
    model.encode_classes(CLASSES, tiny_processor())
    logits = model(images(1, 3, 24, 32)).logits
    assert logits.shape == (1, 4, 24, 32)
    model.config.attention = "clearclip"
    assert not torch.allclose(model(images(1, 3, 24, 32)).logits, logits, atol=1e-3)


@torch.no_grad()
def test_a_folder_gives_the_same_maps_and_takes_new_classes(tmp_path):
    folder = write_tiny_model(tmp_path / "open", CLASSES, upsampler="jbu_stack", attention="sclip", last_n_layers=2)
    loaded = AutoModelForSemanticSegmentation.from_pretrained(folder).eval()
    assert isinstance(loaded, SegEarthOVForSemanticSegmentation)
    assert isinstance(AutoConfig.from_pretrained(folder), SegEarthOVConfig)
    assert isinstance(AutoImageProcessor.from_pretrained(folder), SegEarthOVImageProcessor)
    processor = AutoProcessor.from_pretrained(folder)
    assert isinstance(processor, SegEarthOVProcessor)
    assert processor.image_processor.size == {"longest_edge": 64}
    assert loaded.config.id2label == {0: "background", 1: "building", 2: "road", 3: "water"}
    pixels = images(2, 3, 40, 33)
    torch.manual_seed(0)
    original = tiny_model(upsampler="jbu_stack", attention="sclip", last_n_layers=2)
    original.encode_classes(CLASSES, tiny_processor())
    assert torch.equal(loaded.query_features, original.query_features)
    assert torch.equal(loaded(pixels).logits, original(pixels).logits)

    loaded.encode_classes(["car", "tree,forest"])  # with the tokenizer of the folder
    assert loaded.config.id2label == {0: "car", 1: "tree"}
    assert loaded(pixels).logits.shape == (2, 2, 40, 33)
    loaded.save_pretrained(tmp_path / "other")
    again = SegEarthOVForSemanticSegmentation.from_pretrained(tmp_path / "other").eval()
    assert torch.equal(again(pixels).logits, loaded(pixels).logits)


def test_new_weights_start_as_published():
    model = tiny_model(upsampler="jbu_one", classes=CLASSES)
    assert model.upsampler.up.range_temp == 0
    assert model.upsampler.up.sigma_spatial == 1
    assert model.upsampler.fixup_proj[1].weight.abs().max() <= 8**-0.5
    assert model.query_features.shape == (6, 8)


def test_names_are_text_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "names.txt").write_text("road", encoding="utf-8")
    names = [
        *("{0.__class__}", "https://example.org", "$(touch executed)", "__import__('os').mkdir('executed')"),
        *("file://names.txt", "names.txt", "@names.txt", "%s{}\\n"),
    ]
    model, processor = tiny_model(), tiny_processor()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket, "socket", lambda *arguments, **settings: pytest.fail("a name was fetched"))
    read, tokenize = [], processor.tokenizer
    monkeypatch.setattr(processor, "tokenizer", Listening(tokenize, read))
    model.encode_classes(names, processor)
    assert list(model.config.id2label.values()) == names
    assert [prompts[39] for prompts in read] == [f"a photo of a {name}." for name in names]
    assert model.query_features.norm(dim=1).tolist() == pytest.approx([1] * len(names))
    assert {path.name for path in tmp_path.iterdir()} == {"names.txt"}


class Listening:
    """A tokenizer that keeps what it was given."""

    def __init__(self, tokenizer, read):
        self.tokenizer, self.read = tokenizer, read
        self.eos_token_id = tokenizer.eos_token_id

    def __call__(self, prompts):
        self.read.append(prompts)
        return self.tokenizer(prompts)


def test_prompts_are_padded_behind_their_end():
    processor = tiny_processor()
    tokens = processor.encode_queries(["road", "house"], 77)
    assert tokens.shape[:2] == (2, 80)
    end = processor.tokenizer.eos_token_id
    assert (tokens[:, :, -1] == end).all()
    shortest = processor.tokenizer("a photo of a road.")["input_ids"]
    assert tokens[0, 39, : len(shortest)].tolist() == shortest
    assert (tokens[0, 39, len(shortest) :] == end).all()


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "there are no classes"),
        ("road", "expected a list of strings"),
        (["road", "building,,house"], "'building,,house' has an empty name"),
        (["road", ""], "'' has an empty name"),
        (["road", "road"], "the name 'road' comes twice"),
        (["road", "way, road"], "the name 'road' comes twice"),
        (["road", "x" * 80], "takes 77; expected shorter names"),
    ],
)
def test_classes_that_are_refused(classes, message):
    model = tiny_model(classes=["car"])
    with pytest.raises(ValueError, match=message):
        model.encode_classes(classes, tiny_processor())
    assert model.config.classes == ["car"], "a refusal changes nothing"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention": "SegEarth"}, "expected one of vanilla"),
        ({"upsampler": "nearest"}, "expected one of none, bilinear"),
        ({"last_n_layers": 13}, "last_n_layers is 13, expected a whole number from 1 to 12"),
        ({"window_size": 15}, "window_size is 15, expected a whole number from 16"),
        ({"window_stride": 225}, "window_stride is 225, expected a whole number from 1 to 224"),
        ({"window_batch_size": 0}, "window_batch_size is 0"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SegEarthOVConfig(**settings)


def test_what_is_missing_is_said():
    model = tiny_model()
    with pytest.raises(ValueError, match="no classes yet: call encode_classes"):
        model(images(1, 3, 32, 32))
    with pytest.raises(OSError, match="give encode_classes a SegEarthOVProcessor"):
        model.encode_classes(CLASSES)
    with pytest.raises(ValueError, match="4 channels, the model expects 3"):
        model(images(1, 4, 32, 32))


def obvious_convolution(source, kernels):
    """The same by unfolding everything."""
    batch_size, taps, height, width = kernels.shape
    patches = functional.unfold(source, round(taps**0.5)).view(batch_size, source.shape[1], taps, height, width)
    return torch.einsum("bcphw,bphw->bchw", patches, kernels)


@pytest.mark.parametrize(("height", "width", "diameter"), [(8, 16, 11), (13, 6, 7), (1, 1, 3), (20, 9, 1)])
def test_adaptive_convolution_and_its_gradient(height, width, diameter):
    source = images(2, 3, height + diameter - 1, width + diameter - 1).double()
    kernels = images(2, diameter**2, height, width).double()
    weights = images(2, 3, height, width).double()
    results = []
    for function in (adaptive_convolution, obvious_convolution):
        inputs = [source.clone().requires_grad_(), kernels.clone().requires_grad_()]
        output = function(*inputs)
        results.append([output, *torch.autograd.grad((output * weights).sum(), inputs)])
    for own, expected in zip(*results, strict=True):
        torch.testing.assert_close(own, expected)
    with pytest.raises(ValueError, match="do not fit a source"):
        adaptive_convolution(source[:, :, 1:], kernels)
    centres = weights.clone().requires_grad_()
    padded = source.clone().requires_grad_()
    products = neighbour_products(centres, padded)
    # The sum over pixels and taps of kernel * product is linear in each of three, so that its gradient is known.
    torch.testing.assert_close((products * kernels).sum(), (results[1][0] * weights).sum())
    of_centres, of_padded = torch.autograd.grad((products * kernels).sum(), (centres, padded))
    torch.testing.assert_close(of_centres, results[1][0])
    torch.testing.assert_close(of_padded, results[1][1])
    with pytest.raises(ValueError, match="do not fit a source"):
        neighbour_products(centres, padded[:, :2])


def test_an_upsampler_says_which_grids_it_takes():
    assert [SimFeatUpUpsampler(4, kind).smallest_grid for kind in ("jbu_one", "jbu_stack")] == [3, 2]
    guidance = torch.zeros(1, 3, 32, 48)
    assert SimFeatUpUpsampler(4, "jbu_stack")(torch.zeros(1, 4, 2, 3), guidance).shape == (1, 4, 32, 48)
    with pytest.raises(
        ValueError, match=r"grid of \(2, 3\) is too small for kernels of radius 5: expected at least 3"
    ):
        SimFeatUpUpsampler(4)(torch.zeros(1, 4, 2, 3), guidance)
    with pytest.raises(ValueError, match="expected one of jbu_one, jbu_stack"):
        SimFeatUpUpsampler(4, "bilinear")


def test_uncertain_pixels_become_background(model):
    processor = SegEarthOVImageProcessor(size=64)
    with torch.no_grad():
        outputs = model(images(2, 3, 32, 32))
    best, ids = outputs.logits.exp().max(dim=1)
    threshold = best.median().item()
    maps = processor.post_process_semantic_segmentation(outputs, threshold=threshold, background=3)
    assert torch.equal(torch.stack(maps), ids.where(best >= threshold, 3))
    assert torch.equal(torch.stack(processor.post_process_semantic_segmentation(outputs)), ids)
    with pytest.raises(ValueError, match="background is 4"):
        processor.post_process_semantic_segmentation(outputs, threshold=0.5, background=4)


def test_images_and_masks_are_resized_together():
    processor = SegEarthOVImageProcessor(size=64)
    image, mask = torch.zeros(50, 100, 3, dtype=torch.uint8).numpy(), torch.ones(50, 100, dtype=torch.uint8).numpy()
    made = processor(image, segmentation_maps=mask, return_tensors="pt")
    assert (made["pixel_values"].shape, made["labels"].shape) == ((1, 3, 32, 64), (1, 32, 64))
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    assert_equal_but_for_rounding(made["pixel_values"][0, :, 0, 0], -mean / std)
    with pytest.raises(ValueError, match=r"expected .*longest_edge"):
        SegEarthOVImageProcessor(size={"height": 3, "width": 4})
