"""The later of two dates with the look of the earlier one: matched colours, translation, resuming, bad input."""

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from s5_hf.change import MaskCompareIdentify, find_scene_changes, map_scene_changes
from s5_hf.cli import app
from s5_hf.modeling import SRUITConfig, SRUITImageProcessor, SRUITModel
from s5_hf.predictors.torch_translator import TorchTranslator
from s5_hf.scenes import WindowSettings
from s5_hf.scenes.pair_looks import ColorMatching, PairTranslation, channel_statistics, choose_look
from s5_hf.scenes.scene_pairs import open_pair
from tests.change.parts import Colors, RedRegions, Roofs, pair
from tests.change.test_trained_model import Brighter, micro_model

SMALL = WindowSettings(window=32, overlap=0.5, batch_size=3)


@pytest.fixture
def dates(tmp_path):
    """Noise, the later date darker and of less contrast, except for a brighter field."""
    before = np.random.default_rng(0).integers(50, 120, (96, 80, 3), dtype=np.uint8)
    truth = np.zeros((96, 80), dtype=bool)
    truth[10:30, 20:50] = True
    after = before.copy()
    after[truth] += 100
    after = np.rint(after * 0.5 + (3, 10, 0)).astype(np.uint8)
    for name, pixels in (("before", before), ("after", after)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return before, after, truth


class Darkener(TorchTranslator):
    """Undoes what was done to the later date."""

    def predict(self, pixel_values):
        pixels = (pixel_values + 1) * 127.5
        return 2 * (pixels - torch.tensor([3.0, 10.0, 0.0])[:, None, None])


def translator(**settings):
    torch.manual_seed(0)
    model = SRUITModel(SRUITConfig(hidden_size=4, num_own_blocks=1))
    return Darkener(model, "before", image_mean=[0.5] * 3, image_std=[0.5] * 3, **settings)


def test_matched_colours_have_the_mean_and_the_deviation_of_the_first_date(dates, tmp_path):
    before, after, _ = dates
    with open_pair(tmp_path / "before.png", tmp_path / "after.png") as opened:
        (mean, deviation), of_after = channel_statistics(opened)
        np.testing.assert_allclose(mean, before.mean(axis=(0, 1)))
        np.testing.assert_allclose(deviation, before.std(axis=(0, 1)))
        np.testing.assert_allclose(of_after[1], after.std(axis=(0, 1)))
        matched = ColorMatching().applied(opened, tmp_path / "work", False, print)
        rows = matched.read_rows(0, 96)
        assert matched.fingerprint != opened.fingerprint and not (tmp_path / "work").exists()
    scaled = (after - after.mean(axis=(0, 1))) / after.std(axis=(0, 1)) * before.std(axis=(0, 1)) + mean
    assert np.abs(rows.after - scaled.clip(0, 255)).max() <= 0.501
    assert np.array_equal(rows.before, before)


def test_pixels_without_data_stay_so_and_do_not_count(dates, tmp_path):
    before, after, _ = dates
    alpha = np.full((96, 80, 1), 255, np.uint8)
    alpha[:20] = 0
    Image.fromarray(np.concatenate([after, alpha], axis=2)).save(tmp_path / "holes.png")
    with open_pair(tmp_path / "before.png", tmp_path / "holes.png") as opened:
        (mean, _), _ = channel_statistics(opened)
        rows = ColorMatching().applied(opened, tmp_path, False, print).read_rows(0, 96)
    np.testing.assert_allclose(mean, before[20:].mean(axis=(0, 1)))
    assert not rows.valid[:20].any() and rows.valid[20:].all() and not rows.after[:20].any()


@pytest.mark.parametrize("translated", [True, False])
def test_a_trained_model_sees_the_later_date_in_the_look_of_the_earlier_one(dates, tmp_path, translated):
    look = PairTranslation(translator(), SMALL) if translated else None
    detector = [Brighter(micro_model(), image_mean=[0.5] * 3, image_std=[0.25] * 3)]
    scenes = (tmp_path / "before.png", tmp_path / "after.png")
    map_scene_changes(detector, *scenes, tmp_path / "map.png", settings=SMALL, look=look, progress=False)
    found = np.asarray(Image.open(tmp_path / "map.png")) == 1
    assert np.array_equal(found, dates[2]) == translated
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


class Stopped(Darkener):
    """Is interrupted at a call."""

    calls = 0

    def predict(self, pixel_values):
        self.calls += 1
        if self.calls > 3:
            raise KeyboardInterrupt
        return super().predict(pixel_values)


def test_a_search_resumes_after_an_interrupted_translation(tmp_path):
    before, after, truth = pair(side=96, boxes=((4, 4, 20, 20), (25, 10, 75, 22)))
    for name, pixels in (("before", before), ("after", np.rint(after * 0.5 + (3, 10, 0)).astype(np.uint8))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    search, scenes = MaskCompareIdentify(RedRegions(), Colors(), Roofs()), ("before.png", "after.png")
    where = (search, *(tmp_path / scene for scene in scenes), tmp_path / "out")
    broken = Stopped(translator().model, "before", image_mean=[0.5] * 3, image_std=[0.5] * 3)
    with pytest.raises(KeyboardInterrupt):
        find_scene_changes(*where, window=48, look=PairTranslation(broken, SMALL))
    with pytest.raises(FileExistsError, match="holds the unfinished work of an earlier run"):
        find_scene_changes(*where, window=48, look=PairTranslation(translator(), SMALL))
    notes = []
    result = find_scene_changes(
        *where, window=48, look=PairTranslation(translator(), SMALL), resume=True, report=notes.append
    )
    assert any(note.startswith("resuming after row") for note in notes)
    came = {area.label: area.pixels for area in result.areas["roof"]}["roof came"]
    assert result.objects == {"roof": 2} and came == truth.sum()
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_looks_that_do_not_fit_are_refused(dates, tmp_path):
    with pytest.raises(ValueError, match=r"give a translator .* or match the colours .*, not both"):
        choose_look("my-translator", True)
    assert choose_look(None, False) is None and isinstance(choose_look(None, True), ColorMatching)
    refused = pytest.raises(ValueError, match="has its own bands or range of values: translate the scene first")
    with open_pair(tmp_path / "before.png", tmp_path / "after.png") as opened, refused:
        PairTranslation(translator(bands=[3, 2, 1])).applied(opened, tmp_path / "work", False, print)
    empty = np.zeros((96, 80, 4), np.uint8)
    Image.fromarray(empty).save(tmp_path / "empty.png")
    refused = pytest.raises(ValueError, match="hold no data at the same places")
    with open_pair(tmp_path / "before.png", tmp_path / "empty.png") as opened, refused:
        ColorMatching().applied(opened, tmp_path, False, print)


def test_the_command_translates_before_it_compares(dates, tmp_path, monkeypatch):
    translator().model.save_pretrained(tmp_path / "translator")
    SRUITImageProcessor().save_pretrained(tmp_path / "translator")
    monkeypatch.setattr("s5_hf.predictors.torch_translator.TorchTranslator", Darkener)
    detector = [Brighter(micro_model(), image_mean=[0.5] * 3, image_std=[0.25] * 3)]
    monkeypatch.setattr("s5_hf.change.map_changes.load_change_detectors", lambda *arguments: detector)
    scenes = [str(tmp_path / "before.png"), str(tmp_path / "after.png")]
    more = ["--model", "my-detector", "--window", "96", "--device", "cpu", "--translate", str(tmp_path / "translator")]
    result = CliRunner().invoke(app, ["change", *scenes, str(tmp_path / "map.png"), *more])
    assert result.exit_code == 0, result.output
    assert np.array_equal(np.asarray(Image.open(tmp_path / "map.png")) == 1, dates[2])
