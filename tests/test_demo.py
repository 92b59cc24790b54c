"""The demonstration: every result is there, correct, and the same again."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForSemanticSegmentation

from s5_hf.demo import run_demo, segment
from s5_hf.synthetic import SCENE_LABELS, synthetic_scene


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of a small run, and the lines it reported."""
    folder = tmp_path_factory.mktemp("demo")
    lines = []
    run_demo(folder, seed=3, size=136, report=lines.append)
    return folder, lines


def test_leaves_scene_checkpoint_model_and_overview(results):
    folder, lines = results
    assert sorted(path.name for path in folder.iterdir()) == [
        "overview.png",
        "s5-vit-ti-random",
        "scene.png",
        "vit_ti_random.pth",
    ]
    assert [line.split()[0] for line in lines] == ["scene", "checkpoint", "converted", "segmented", "overview"]
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "scene.png")), synthetic_scene(136, 3).image)
    overview = Image.open(folder / "overview.png")
    assert overview.width > 3 * 136
    assert overview.height > 136


def test_the_model_is_the_official_checkpoint(results):
    folder, _ = results
    model = AutoModelForSemanticSegmentation.from_pretrained(folder / "s5-vit-ti-random")
    assert model.config.tasks == {"scene": list(SCENE_LABELS)}
    official = torch.load(folder / "vit_ti_random.pth", weights_only=True)["model"]
    assert torch.equal(model.classifiers[0].weight, official["module.semseghead.1.weight"])
    classes = segment(folder / "s5-vit-ti-random", synthetic_scene(136, 3))
    assert classes.shape == (136, 136)
    assert set(np.unique(classes)) <= set(range(len(SCENE_LABELS)))


def test_a_second_run_replaces_the_first_with_the_same(results):
    folder, _ = results
    before = {path: path.read_bytes() for path in folder.glob("*.png")}
    run_demo(folder, seed=3, size=136, report=lambda line: None)
    assert {path: path.read_bytes() for path in folder.glob("*.png")} == before
