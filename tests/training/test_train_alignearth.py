"""AlignEarth on a few pairs: what it learns, what it leaves, that it resumes exactly, and what is refused."""

import json

import pytest
import torch
from PIL import Image
from transformers import CLIPModel

from s5_hf.modeling import SegEarthOVForSemanticSegmentation
from s5_hf.training import read_log
from s5_hf.training.alignearth.kind import alignment_losses
from s5_hf.training.alignearth.pairs import find_pairs
from s5_hf.training.alignearth.recipe import AlignEarthDataSettings
from tests.open_models import tiny_model
from tests.training.pretraining import random_samples, run_example

SMALL = [
    *("--crop_size", "16", "--batch_size", "4", "--num_workers", "0", "--warmup_steps", "0"),
    *("--learning_rate", "3e-3", "--trackers", "none", "--logging_steps", "1"),
]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A CLIP, and a folder with six pairs: radar is the red channel, and its files end differently."""
    folder = tmp_path_factory.mktemp("alignearth")
    tiny_model().clip.save_pretrained(folder / "start")
    for name in ("optical", "radar"):
        (folder / "pairs" / name).mkdir(parents=True)
    for sample in random_samples(6, 1, size=24):
        image = Image.fromarray(sample["image"])
        image.save(folder / "pairs" / "optical" / f"{sample['id']}.png")
        image.getchannel(0).save(folder / "pairs" / "radar" / f"{sample['id']}.tif")
    return folder


def run(folder, parts, *arguments):
    words = ["--clip", str(parts / "start"), "--data_dir", str(parts / "pairs")]
    run_example("train_alignearth", folder, [*SMALL, *words, *arguments])
    return CLIPModel.from_pretrained(folder / "clip").state_dict()


def test_the_student_comes_near_the_teacher_and_resumes_exactly(tmp_path, parts):
    settings = ("--total_steps", "8", "--checkpoint_steps", "4")
    whole = run(tmp_path, parts, *settings)
    log = read_log(tmp_path)
    assert log[0]["loss"] == pytest.approx(sum(log[0][name] for name in ("contrast", "image", "patch")), rel=1e-4)
    assert log[-1]["image"] + log[-1]["patch"] < log[0]["image"] + log[0]["patch"]
    start = CLIPModel.from_pretrained(parts / "start").state_dict()
    changed = {name for name, tensor in whole.items() if not torch.equal(tensor, start[name])}
    assert all(name.startswith(("vision_model.", "visual_projection.")) for name in changed)
    assert "visual_projection.weight" in changed
    (tmp_path / "checkpoints" / "step-00000008").rename(tmp_path / "lost")
    again = run(tmp_path, parts, *settings, "--resume", "auto")
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())
    settings = json.loads((tmp_path / "clip" / "preprocessor_config.json").read_text(encoding="utf-8"))
    assert settings["size"] == {"shortest_edge": 32} and settings["image_mean"] == AlignEarthDataSettings().image_mean
    model = SegEarthOVForSemanticSegmentation.from_clip(str(tmp_path / "clip"), upsampler="none", last_n_layers=2)
    assert torch.equal(model.clip.state_dict()["visual_projection.weight"], whole["visual_projection.weight"])


def test_each_loss():
    images, patches = torch.eye(3), torch.ones(3, 3, 2, 2)
    same = alignment_losses((images, patches), (images, 2 * patches), torch.tensor(100.0), "cosine")
    assert [value.item() for value in same.values()] == pytest.approx([0, 0, 0], abs=1e-5)
    other = alignment_losses((images, patches), (images.roll(1, 0), 2 * patches), torch.tensor(1.0), "squared")
    expected = -torch.tensor([0.0, 0.0, 1.0]).log_softmax(dim=0)[0].item()
    assert [value.item() for value in other.values()] == pytest.approx([expected, 1, 1])


def test_bad_settings(tmp_path, parts):
    with pytest.raises(ValueError, match="are all 0: there is nothing to learn"):
        run(tmp_path, parts, "--contrast_weight", "0", "--image_weight", "0", "--patch_weight", "0")
    with pytest.raises(ValueError, match="batch_size is 1, expected 2 or more"):
        run(tmp_path, parts, "--batch_size", "1")
    with pytest.raises(ValueError, match="crop_size is 20, expected a multiple of the patches of 8 px"):
        run(tmp_path, parts, "--crop_size", "20")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*optical"):
        find_pairs(tmp_path)
    for name in ("optical", "radar"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        find_pairs(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "optical" / "a.png")
    with pytest.raises(ValueError, match=r"1 images have no partner of their name in the other folder \(a\)"):
        find_pairs(tmp_path)
    Image.new("RGB", (8, 9)).save(tmp_path / "radar" / "a.png")
    with pytest.raises(ValueError, match=r"a\.png differ in size: 8 x 8 and 8 x 9 pixels"):
        find_pairs(tmp_path)[0]
