"""Maps of cubes: what the training gains, resuming, files, and what is refused."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.hyperspectral import (
    ArrayCube,
    CubeScores,
    FirstLabels,
    SpecialRecipe,
    SpecialTraining,
    ValueStretch,
    classify_cube,
)
from s5_hf.hyperspectral.first_labels import confidence, scores_of_labels
from s5_hf.hyperspectral.label_refinement import class_likelihoods, fit_spectra, refine_labels
from s5_hf.modeling import MambaHSIConfig, MambaHSIForSemanticSegmentation
from s5_hf.modeling.linear_recurrence import linear_recurrence
from s5_hf.synthetic import synthetic_cube
from s5_hf.training import carry_out
from tests.fresh_process import run_in_processes
from tests.numerics import assert_equal_but_for_rounding
from tests.open_models import write_tiny_model
from tests.training.pretraining import stop_after_step

LABELS = ["soil", "crop", "water"]


@pytest.fixture(scope="module")
def made():
    return synthetic_cube(seed=1, side=24, bands=12, num_labels=3, patch_size=1.5)


def tiny(**settings):
    return SpecialRecipe.make(
        **{"epochs": 4, "warmup_epochs": 2, "iterations": 1, "samples": 60, "window": 16, "logging_steps": 1}
        | settings
    )


def known(made):
    values = made.values
    stretch = ValueStretch.between_quantiles([values], 0.0001, values.size)
    return CubeScores(ArrayCube(values), stretch, scores_of_labels(made.first_labels, 3), LABELS)


def first_labels(made, folder):
    path = folder / "first.png"
    Image.fromarray(made.first_labels).save(path)
    return FirstLabels(labels=LABELS, label_file=path)


def test_first_labels_get_better(tmp_path):
    made = synthetic_cube(seed=0, side=32, bands=16, num_labels=3)
    recipe = tiny(epochs=4, iterations=15, samples=300, window=64, learning_rate=0.003)
    network = tmp_path / "network"
    first = first_labels(made, tmp_path)
    result = classify_cube(ArrayCube(made.values), tmp_path / "map.png", first, recipe, network=network)
    found = np.asarray(Image.open(tmp_path / "map.png"))
    before, after = ((labels == made.truth).mean() for labels in (made.first_labels, found))
    assert before == pytest.approx(0.7, abs=0.01)
    assert after > before + 0.1
    assert result.changed == pytest.approx((found != made.first_labels).mean())
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "map_first.png")), made.first_labels)
    sidecar = json.loads((tmp_path / "map.json").read_text(encoding="utf-8"))
    assert sidecar["id2label"] == dict(zip("012", LABELS, strict=True))
    assert [area.pixels for area in result.areas] == np.bincount(found.reshape(-1), minlength=3).tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "first.png", "map.json", "map.png", "map_first.json", "map_first.png", "network",
    ]  # fmt: skip
    inputs = AutoImageProcessor.from_pretrained(network)(np.asarray(made.values, np.float32), return_tensors="pt")
    with torch.no_grad():
        logits = AutoModelForSemanticSegmentation.from_pretrained(network).eval()(**inputs).logits
    assert (logits[0].argmax(0).numpy() == found).mean() > 0.99
    with pytest.raises(FileExistsError, match="network exists already"):
        classify_cube(ArrayCube(made.values), tmp_path / "other.png", first, recipe, network=network)


def test_an_interrupted_map_resumes_to_the_same(made, tmp_path, monkeypatch):
    from s5_hf.hyperspectral import classification

    arguments = (first_labels(made, tmp_path), tiny())
    classify_cube(ArrayCube(made.values), tmp_path / "whole.png", *arguments)

    def broken(known, model, windows):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(classification, "_predicted", broken)
        with pytest.raises(KeyboardInterrupt):
            classify_cube(ArrayCube(made.values), tmp_path / "map.png", *arguments)
    with pytest.raises(FileExistsError, match=r"\.map\.png\.partial"):
        classify_cube(ArrayCube(made.values), tmp_path / "map.png", *arguments)
    with pytest.raises(ValueError, match="the unfinished work of another cube"):
        classify_cube(ArrayCube(made.values + 1), tmp_path / "map.png", *arguments, resume=True)
    classify_cube(ArrayCube(made.values), tmp_path / "map.png", *arguments, resume=True)
    assert (tmp_path / "map.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert not (tmp_path / ".map.png.partial").exists()


def weights(folder):
    return MambaHSIForSemanticSegmentation.from_pretrained(folder / "network").state_dict()


def test_a_training_resumes_in_the_middle_of_a_round(made, tmp_path):
    """The refined labels come from the weights at the beginning of the round; they must come back."""
    carry_out(SpecialTraining(tiny(output_dir=str(tmp_path / "whole")), known(made)))
    parts = str(tmp_path / "parts")
    first = SpecialTraining(tiny(output_dir=parts, checkpoint_steps=1), known(made))
    steps = 11  # of 16; rounds have 4, and the second half refines
    stop_after_step(first, steps)
    carry_out(SpecialTraining(tiny(output_dir=parts, checkpoint_steps=1, resume="auto"), known(made)))
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(tensor, weights(tmp_path / "parts")[name]), name


TWO = """
import sys
from pathlib import Path
from tests.hyperspectral.test_classification import known, tiny
from s5_hf.hyperspectral import SpecialTraining
from s5_hf.synthetic import synthetic_cube
from s5_hf.training import carry_out
made = synthetic_cube(seed=1, side=24, bands=12, num_labels=3, patch_size=1.5)
carry_out(SpecialTraining(tiny(output_dir=sys.argv[1]), known(made)))
"""


def test_two_processes_equal_one(made, tmp_path):
    carry_out(SpecialTraining(tiny(output_dir=str(tmp_path / "one"), gradient_accumulation=2), known(made)))
    run_in_processes(2, TWO, tmp_path / "two")
    for name, tensor in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], tensor, rtol=0, atol=2e-4, msg=name)


def test_network_by_the_auto_class(tmp_path):
    model = MambaHSIForSemanticSegmentation(MambaHSIConfig(num_channels=6, num_labels=3)).eval()
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSemanticSegmentation.from_pretrained(tmp_path)
    cube = torch.rand(2, 6, 9, 7, generator=torch.Generator().manual_seed(0))
    labels = torch.full((2, 9, 7), 255)
    labels[:, 0, 0] = 1
    output = loaded(cube, labels=labels)
    assert output.logits.shape == (2, 3, 9, 7)
    assert torch.equal(output.logits, model(cube).logits)
    expected = -output.logits.log_softmax(dim=1)[:, 1, 0, 0].mean()
    assert_equal_but_for_rounding(output.loss.detach(), expected.detach())
    with pytest.raises(ValueError, match=r"expected pixel_values \(batch, 6, height, width\)"):
        loaded(cube[:, :5])
    with pytest.raises(ValueError, match="hidden_size is 10"):
        MambaHSIConfig(hidden_size=10)


@pytest.mark.parametrize("places", [1, 2, 3, 16, 50])
def test_recurrence_and_its_gradients(places):
    generator = torch.Generator().manual_seed(places)
    decay, inputs = torch.rand(2, 2, places, 3, dtype=torch.float64, generator=generator)
    decay, inputs = decay.requires_grad_(), inputs.requires_grad_()
    state, states = torch.zeros(2, 3, dtype=torch.float64), []
    for place in range(places):
        state = decay[:, place] * state + inputs[:, place]
        states.append(state)
    expected, found = torch.stack(states, dim=1), linear_recurrence(decay, inputs)
    assert_equal_but_for_rounding(found.detach(), expected.detach())
    factors = torch.rand(expected.shape, dtype=torch.float64, generator=generator)
    for one, other in zip(
        torch.autograd.grad((found * factors).sum(), (decay, inputs)),
        torch.autograd.grad((expected * factors).sum(), (decay, inputs)),
        strict=True,
    ):
        assert_equal_but_for_rounding(one, other)


def test_scores_of_labels():
    scores = scores_of_labels(np.array([[0, 2, 255]]), 3)
    np.testing.assert_allclose(scores[:, 0, 0], [0.9, 0.05, 0.05], rtol=1e-6)
    assert scores[:, 0, 1].argmax() == 2
    assert not scores[:, 0, 2].any()
    np.testing.assert_allclose(confidence(scores)[0], [0.85, 0.85, 0], rtol=1e-6)


def test_refinement_of_few_pixels_is_no_error():
    """The official code breaks off with fewer than five confident pixels of a class."""
    probabilities = np.zeros((3, 2, 3), dtype=np.float32)
    probabilities[0], probabilities[1] = 0.6, 0.3
    refined = refine_labels(probabilities, np.zeros((2, 3, 2)), np.ones((2, 3), bool), np.random.default_rng(0))
    assert refined.confident.sum() == 1 and not refined.hard.any()
    np.testing.assert_array_equal(refined.targets[:, refined.confident][:, 0], [1, 0, 0])


def test_likelihoods_do_not_vanish_far_from_every_class():
    generator = np.random.default_rng(0)
    mixtures = [fit_spectra(generator.normal(place, 1, (60, 2)), generator) for place in (0, 5)]
    found = class_likelihoods(np.array([[-1000.0, 0.0], [1000.0, 0.0]]), [*mixtures, None])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found[:, 2] == 0).all()


def test_command_with_a_map_of_labels(made, tmp_path, monkeypatch):
    from scipy.io import savemat

    monkeypatch.chdir(tmp_path)
    savemat("cube.mat", {"cube": made.values})
    first_labels(made, tmp_path)
    words = ["hyperspectral", "cube.mat", "map.png", "--first-labels", "first.png", "--classes", *LABELS]
    result = CliRunner().invoke(app, [*words, "--epochs", "1"], catch_exceptions=False)
    assert result.exit_code == 0 and "map_first.png" in result.output
    for extra, message in (
        (["--bands", "1-3"], "expected 4 bands or more"),
        (["--classes", "soil", "soil", "water"], "each once"),
        (["--variable", "other"], "no cube called 'other'"),
    ):
        with pytest.raises(ValueError, match=message):
            CliRunner().invoke(app, [*words, "--overwrite", *extra], catch_exceptions=False)
    assert CliRunner().invoke(app, [*words, "--bands", "all"]).exit_code == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.zeros((5, 5), np.uint8), "expected 24 x 24 labels"), (np.full((24, 24), 7, np.uint8), "the value 7")],
)
def test_a_map_that_does_not_fit_is_refused(made, tmp_path, labels, message):
    Image.fromarray(labels).save(tmp_path / "first.png")
    first = FirstLabels(labels=LABELS, label_file=tmp_path / "first.png")
    with pytest.raises(ValueError, match=message):
        classify_cube(ArrayCube(made.values), tmp_path / "map.png", first, tiny())
    with pytest.raises(ValueError, match="give one of them"):
        FirstLabels()


def test_a_cube_without_any_first_label_is_refused(made, tmp_path):
    Image.fromarray(np.full((24, 24), 255, np.uint8)).save(tmp_path / "first.png")
    first = FirstLabels(labels=LABELS, label_file=tmp_path / "first.png")
    with pytest.raises(ValueError, match="no pixel of cube has both data and a first label"):
        classify_cube(ArrayCube(made.values), tmp_path / "map.png", first, tiny())


@pytest.mark.parametrize(
    "options", [["--wavelengths", "centres.txt", "--picture", "cie"], ["--picture-bands", "7,4,1"]]
)
def test_command_with_a_model_that_knows_words(made, tmp_path, monkeypatch, options):
    from scipy.io import savemat

    monkeypatch.chdir(tmp_path)
    savemat("cube.mat", {"cube": made.values})
    (tmp_path / "centres.txt").write_text("\n".join(map(str, made.wavelengths)), encoding="utf-8")
    write_tiny_model(tmp_path / "model")
    words = ["hyperspectral", "cube.mat", "map.png", "--segmenter", "model", "--epochs", "1"]
    result = CliRunner().invoke(app, [*words, *options, "--classes", "soil", "crop,field"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    picture = np.asarray(Image.open("map_picture.png"))
    assert picture.shape == (24, 24, 3) and picture.std() > 10
    assert set(np.unique(np.asarray(Image.open("map_first.png")))) <= {0, 1}
    with pytest.raises(ValueError, match="does not say the wavelengths"):
        CliRunner().invoke(app, [*words, "--overwrite", "--classes", "soil", "crop"], catch_exceptions=False)
