"""SegEarth-OV and SimFeatUp against their official code: tokens of every attention, kernels, maps and class ids."""

import hashlib

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from s5_hf.modeling import SegEarthOVForSemanticSegmentation, SegEarthOVImageProcessor, SimFeatUpUpsampler
from s5_hf.modeling.clip_dense_features import dense_features, position_embeddings
from s5_hf.modeling.prompt_templates import TEMPLATES
from tests.parity.fixtures import Sample, sample
from tests.parity.open_vocabulary_fixtures import TOLERANCE, arrays, clip_of, settings, under

IMAGES = {"other_size": "image_other_size", "same_count": "image_same_count"}
TOKENS = [name.removesuffix("/cls") for name in arrays("ov_clip_last_block") if name.endswith("/cls")]
CASES = settings("ov_segment")["cases"]


def assert_sampled(actual: torch.Tensor, expected: Sample) -> None:
    assert tuple(actual.shape) == tuple(expected.shape)
    assert_close(sample(actual, expected.step), expected.values, **TOLERANCE)


@pytest.fixture(scope="module")
def clip():
    return clip_of("ov_clip_last_block")


@torch.no_grad()
@pytest.mark.parametrize("name", TOKENS)
def test_tokens(clip, name):
    case, variant = name.split("/")
    fixture = arrays("ov_clip_last_block")
    layers = int(case.split("_")[1]) if case.startswith("last") else 1
    image = fixture[IMAGES.get(case, "image")]
    token, patches = dense_features(clip, image, variant.lower(), layers, keep_residual="residual" in case)
    assert_close(token, fixture[f"{name}/cls"], **TOLERANCE)
    assert_close(patches.flatten(2).transpose(1, 2), fixture[f"{name}/tokens"], **TOLERANCE)


@torch.no_grad()
def test_positions_on_another_grid_are_not_those_of_transformers(clip):
    fixture = arrays("ov_clip_last_block")
    embeddings = clip.vision_model.embeddings
    expected = fixture["position_embedding_other_size"]
    assert_close(position_embeddings(embeddings.position_embedding.weight, (6, 5)), expected[0], **TOLERANCE)
    plain = embeddings.interpolate_pos_encoding(torch.zeros(1, 31, 24), 48, 40)
    assert (plain - expected).abs().max() > 0.01


@torch.no_grad()
@pytest.mark.parametrize("kind", ["jbu_one", "jbu_stack"])
def test_simfeatup(kind):
    fixture = arrays("ov_simfeatup")
    upsampler = SimFeatUpUpsampler(channels=6, kind=kind).eval()
    upsampler.load_state_dict(under("ov_simfeatup", f"{kind}/state_dict/upsampler."))
    step = upsampler.up if kind == "jbu_one" else upsampler.up1
    pooled = fixture[f"{kind}/step1/pooled_guidance"]
    assert_close(functional.adaptive_avg_pool2d(fixture["guidance"], (6, 8)), pooled, **TOLERANCE)
    assert_close(step.range_kernels(pooled), fixture[f"{kind}/step1/range_kernel"], **TOLERANCE)
    assert_close(step.spatial_kernel(), fixture[f"{kind}/step1/spatial_kernel"], **TOLERANCE)
    kernels = step.kernels(pooled)
    assert_close(kernels, fixture[f"{kind}/step1/kernel_final"], **TOLERANCE)
    renormalised = kernels / kernels.sum(dim=1, keepdim=True)
    assert (renormalised - kernels).abs().max() > 1e-3  # so the tolerance above tells them apart
    assert_sampled(step(fixture[f"{kind}/step1/source"], pooled), fixture[f"{kind}/step1/output"])
    assert_sampled(upsampler(fixture["source"], fixture["guidance"]), fixture[f"{kind}/output"])
    if kind == "jbu_one":
        other = upsampler(fixture["source"], fixture["guidance_other_size"])
        assert_sampled(other, fixture["jbu_one/output_other_size"])


def official_model(case: dict) -> SegEarthOVForSemanticSegmentation:
    model = SegEarthOVForSemanticSegmentation.from_clip(
        clip_of("ov_segment"),
        classes=settings("ov_segment")["config"]["names"],
        attention=case["model_type"].lower(),
        last_n_layers=case["ssa_last_n_layers"],
        keep_residual=not case["ignore_residual"],
        upsampler="jbu_one" if case["feature_up"] else "none",
        cls_lambda=case["cls_token_lambda"],
        logit_scale=case["logit_scale"],
        window_size=case["slide_crop"],
        window_stride=case["slide_stride"],
    ).eval()
    if model.upsampler is not None:
        model.upsampler.load_state_dict(under("ov_segment", "simfeatup/upsampler."))
    model.query_features = arrays("ov_segment")["query_features"]
    return model


@torch.no_grad()
@pytest.mark.parametrize("name", CASES)
def test_maps(name):
    case, fixture = CASES[name], arrays("ov_segment")
    model, processor = official_model(case), SegEarthOVImageProcessor(do_resize=False)
    image = fixture.get(f"{case['image']}/resized", fixture[f"{case['image']}/image"])
    outputs = model(**processor(image.numpy(), return_tensors="pt"), output_size=case["original_size"])
    assert_sampled(outputs.logits[0].exp(), fixture[f"{name}/probabilities"])
    ids = processor.post_process_semantic_segmentation(outputs, threshold=case["prob_thd"], background=case["bg_idx"])[
        0
    ]
    assert torch.equal(ids, fixture[f"{name}/class_map"].long())


@torch.no_grad()
def test_the_text_of_a_query_is_the_mean_of_its_prompts():
    fixture = arrays("ov_segment")
    model = official_model(CASES["big"])
    assert_close(model.encode_queries(fixture["text_ids"]), fixture["text_features_ensemble"], **TOLERANCE)
    assert model.config.synonyms == [["background"], ["building", "roof", "house"], ["road"], ["water", "river"]]
    counts = torch.bincount(fixture["query_index"]).tolist()
    assert counts == [len(names) for names in model.config.synonyms]


@torch.no_grad()
def test_the_best_synonym_counts_and_not_the_mean():
    case, fixture = CASES["big"], arrays("ov_segment")
    model = official_model(case)
    pixels = SegEarthOVImageProcessor(do_resize=False)(fixture["big/resized"].numpy(), return_tensors="pt")
    similarities = model.query_similarities(pixels["pixel_values"])
    similarities = functional.interpolate(similarities, size=tuple(case["original_size"]), mode="bilinear")
    of_queries = (50 * similarities).softmax(dim=1)
    means = torch.stack([group.mean(dim=1) for group in of_queries.split([1, 3, 1, 2], dim=1)], dim=1)
    expected = fixture["big/probabilities"]
    assert (sample(means[0], expected.step) - expected.values).abs().max() > 0.01


def test_the_templates_are_those_of_the_official_code_in_its_order():
    assert len(TEMPLATES) == 80
    digest = hashlib.sha256("\n".join(TEMPLATES).encode("utf-8")).hexdigest()  # of ov_imagenet_templates.json
    assert digest == "4f976686fb651bb5803d4689dcd849f75efe0ef19a3c801355bc9a6f03c8a5af"


@pytest.mark.parametrize("name", ["big", "thin"])
def test_images_are_resized_by_their_longer_side(name):
    fixture, processor = arrays("ov_segment"), SegEarthOVImageProcessor(size=128)
    pixels = processor(fixture[f"{name}/image"].numpy(), do_normalize=False, return_tensors="pt")["pixel_values"][0]
    expected = fixture[f"{name}/resized"].permute(2, 0, 1)
    levels = (255 * pixels).round() - expected  # OpenCV rounds otherwise, by one level at most
    assert pixels.shape == expected.shape
    assert levels.abs().max() <= 1
    assert (levels != 0).float().mean() < 0.15
