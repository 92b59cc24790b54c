"""Archives scored by an open-vocabulary model: pseudo-labels from the names of classes alone."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.curation import ImageSource, ScoreFolder, ScoreSettings, open_images, read_curation_recipe, score_images
from s5_hf.modeling.clip_dense_features import dense_features
from s5_hf.predictors.feature_segmenter import Segmenter
from tests.open_models import CLASSES, tiny_model, tiny_processor, write_tiny_model

PATCHES = np.random.default_rng(0).integers(0, 256, (2, 48, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def open_folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("models") / "open")


@pytest.fixture
def archive_of_two(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    for number, pixels in enumerate(PATCHES):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_features_are_the_mean_of_the_patches_of_all_windows(open_folder):
    segmenter = Segmenter.from_pretrained(open_folder, classes=CLASSES)
    assert segmenter.labels == ["background", "building", "road", "water"]
    prediction = segmenter(PATCHES)
    pixels = tiny_processor().image_processor(list(PATCHES), do_resize=False, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        assert torch.allclose(prediction.logits, segmenter.model(pixels).logits, atol=1e-5)
        windows = [
            dense_features(segmenter.model.clip, pixels[:, :, top : top + 32], "segearth")[1] for top in (0, 16)
        ]
    expected = torch.nn.functional.normalize(torch.stack(windows).mean(dim=(0, 3, 4)), dim=1)
    torch.testing.assert_close(prediction.features, expected, atol=1e-5, rtol=1e-4)
    assert segmenter.feature_size(32) == 8


def test_the_command_scores_by_names_and_refuses_others_in_its_folder(open_folder, archive_of_two, tmp_path):
    words = ["curate", "score", str(open_folder), str(tmp_path / "scores"), "--folder", str(archive_of_two)]
    words += ["--patch-size", "0", "--classes"]
    result = CliRunner().invoke(app, [*words, *CLASSES])
    assert result.exit_code == 0, result.output
    rows = ScoreFolder.open(tmp_path / "scores").take(np.arange(2), ["pseudo_mask"]).to_pylist()
    expected = Segmenter.from_pretrained(open_folder, classes=CLASSES)(PATCHES).logits.argmax(dim=1)
    for row, mask in zip(rows, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(row["pseudo_mask"]))), mask)
    assert CliRunner().invoke(app, [*words, *CLASSES]).exit_code == 0  # resumes
    other = CliRunner().invoke(app, [*words, "background", "building,house,roof", "road", "water"])
    assert isinstance(other.exception, ValueError) and "scores made with other settings" in str(other.exception)
    nameless = CliRunner().invoke(app, words[:-1])
    assert "takes any classes and has none yet" in str(nameless.exception)


@pytest.mark.parametrize(
    "settings",
    [
        {"attention": "sclip"},
        {"last_n_layers": 2},
        {"keep_residual": True},
        {"upsampler": "none"},
        {"cls_lambda": 0.0},
        {"logit_scale": 20.0},
        {"window_size": 16},
        {"window_stride": 8},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_the_fingerprint_follows_what_changes_predictions(settings):
    def fingerprint(**changes):
        model = tiny_model(**changes)
        model.encode_classes(["road", "tree"], tiny_processor())
        return Segmenter(model).fingerprint

    assert fingerprint() == fingerprint(window_batch_size=1)
    assert fingerprint() != fingerprint(**settings)


def test_the_fingerprint_follows_the_grouping_of_synonyms():
    model = tiny_model()
    model.encode_classes(["road,path", "tree"], tiny_processor())
    before = Segmenter(model).fingerprint
    queries = model.query_features.clone()
    model.encode_classes(["road", "path,tree"], tiny_processor())
    assert torch.equal(queries, model.query_features)
    assert Segmenter(model).fingerprint != before


def test_pseudo_masks_do_not_hold_more_classes_than_a_byte(archive_of_two, tmp_path):
    segmenter = Segmenter(tiny_model())
    segmenter.labels = [f"class {number}" for number in range(257)]
    images = open_images(ImageSource(folder=str(archive_of_two)))
    with pytest.raises(ValueError, match="hold up to 256 classes, the model has 257"):
        score_images(segmenter, images, tmp_path / "scores", ScoreSettings(pseudo_masks=True))
    assert not (tmp_path / "scores").exists()


def test_a_recipe_names_classes(tmp_path):
    path = tmp_path / "recipe.yaml"
    lines = "output: o\nmodel: m\nselect: {strategy: entropy}\ncandidates: {folder: b}\n"
    path.write_text(f"{lines}classes: ['building,roof', road]\n", encoding="utf-8")
    assert read_curation_recipe(path).classes == ["building,roof", "road"]
    for wrong in ("building", "[1, 2]"):
        path.write_text(f"{lines}classes: {wrong}\n", encoding="utf-8")
        with pytest.raises(ValueError, match="classes must be"):
            read_curation_recipe(path)
    path.write_text("output: o\nmodel: m\ncandidates: {folder: b}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"lacks labelled: the strategy .* needs labelled images"):
        read_curation_recipe(path)
