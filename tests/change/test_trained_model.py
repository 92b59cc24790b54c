"""A trained change detector on scenes and on datasets: windows, missing data, grids, scores, bad input."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from s5_hf.change import map_scene_changes
from s5_hf.cli import app
from s5_hf.evaluation import EvaluationSettings, run_evaluation
from s5_hf.export import export_model
from s5_hf.modeling import S5ChangeDetectionConfig, S5ChangeImageProcessor, S5ForChangeDetection, S5ViTConfig
from s5_hf.modeling.change_classes import date_ids, from_to_labels
from s5_hf.predictors.torch_change import TorchChangeDetector
from s5_hf.scenes import WindowSettings
from tests.change.test_scene_changes import write_scene
from tests.conftest import MICRO_VIT, randomise
from tests.training.changing import write_pairs

rasterio = pytest.importorskip("rasterio", reason="scenes with coordinates need the extra geo")

SMALL = WindowSettings(window=32, overlap=0.5, batch_size=3)


class Brighter(TorchChangeDetector):
    """Says "changed" where the red of the second date is brighter by 60."""

    def predict(self, pixel_values):
        red = (pixel_values[:, self.channels] - pixel_values[:, 0]) * 0.25 * 255
        return torch.stack([torch.full_like(red, 60.0), red], dim=1) - 60


def micro_model(**changes):
    config = S5ChangeDetectionConfig(S5ViTConfig(**MICRO_VIT), decoder_channels=16, **changes)
    return randomise(S5ForChangeDetection(config)).eval()


@pytest.fixture
def brighter():
    return [Brighter(micro_model(), image_mean=[0.5] * 3, image_std=[0.25] * 3)]


@pytest.fixture
def dates():
    before = np.random.default_rng(0).integers(50, 90, (70, 90, 3), dtype=np.uint8)
    after = before.copy()
    truth = np.zeros((70, 90), dtype=bool)
    truth[10:30, 20:50], truth[55:, 80:] = True, True
    after[truth] += 100
    return before, after, truth


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def test_windows_find_what_the_model_sees_and_missing_data_of_either_date_stays_so(brighter, dates, tmp_path):
    before, after, truth = dates
    before[:5], after[:, :7] = 0, 0
    scenes = (
        write_scene(tmp_path / "before.tif", before, nodata=0),
        write_scene(tmp_path / "after.tif", after, nodata=0),
    )
    result = map_scene_changes(brighter, *scenes, tmp_path / "out", settings=SMALL)
    expected = truth.astype(np.uint8)
    expected[:5], expected[:, :7] = 255, 255
    np.testing.assert_array_equal(read(result.files.classes), expected)
    assert result.files.classes.name == "after_change.tif"
    assert {area.label: area.pixels for area in result.areas} == {
        "unchanged": int((expected == 0).sum()),
        "changed": int((expected == 1).sum()),
    }
    with pytest.raises(FileExistsError, match="exists already"):
        map_scene_changes(brighter, *scenes, tmp_path / "out", settings=SMALL)
    again = map_scene_changes("nowhere", *scenes, tmp_path / "out", settings=SMALL, resume=True)
    assert again.areas == result.areas  # a finished map needs no model


def test_a_second_scene_on_another_grid_is_brought_to_the_first(brighter, dates, tmp_path):
    before, after, truth = dates
    first = write_scene(tmp_path / "before.tif", before)
    wider = np.pad(after, ((4, 0), (6, 0), (0, 0)), mode="edge")
    second = write_scene(tmp_path / "after.tif", wider, left=500_000.0 - 6, top=4_500_000.0 + 4)
    lines = []
    result = map_scene_changes(brighter, first, second, tmp_path / "map.tif", settings=SMALL, report=lines.append)
    np.testing.assert_array_equal(read(result.files.classes), truth)
    assert any("lies on another grid" in line for line in lines)


def test_bad_scenes_and_models_are_refused_and_nothing_is_left(brighter, dates, tmp_path):
    before, _, _ = dates
    scene = write_scene(tmp_path / "before.tif", before)
    other = write_scene(tmp_path / "far.tif", before, left=900_000.0)
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="are the same file"):
        map_scene_changes(brighter, scene, scene, tmp_path / "out")
    with pytest.raises(ValueError, match="do not overlap"):
        map_scene_changes(brighter, scene, other, tmp_path / "out")
    with pytest.raises(ValueError, match="would replace the scene"):
        map_scene_changes(brighter, scene, other, scene)
    S5ViTConfig(**MICRO_VIT).save_pretrained(tmp_path / "encoder")
    with pytest.raises(ValueError, match="'s5_vit'; expected a change detector"):
        map_scene_changes(tmp_path / "encoder", scene, other, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(ValueError, match="'s5_change_detection' model, expected a segmenter or a detector"):
        export_model(micro_model(), tmp_path / "model.pt2", "torch-export")


def save(model, folder):
    model.save_pretrained(folder)
    S5ChangeImageProcessor(image_mean=[0.5] * 3).save_pretrained(folder)
    return folder


def test_command_with_a_trained_model(dates, tmp_path):
    before, after, _ = dates
    scenes = [
        str(write_scene(tmp_path / f"{name}.tif", date)) for name, date in (("before", before), ("after", after))
    ]
    model, out = str(save(micro_model(), tmp_path / "model")), tmp_path / "out"
    run = CliRunner().invoke(app, ["change", *scenes, str(out), "--model", model, "--window", "64"])
    assert run.exit_code == 0, run.output
    assert read(out / "after_change.tif").shape == (70, 90) and "changed" in run.output
    assert json.loads((out / "after_change.json").read_text(encoding="utf-8"))["id2label"] == {
        "0": "unchanged",
        "1": "changed",
    }
    for words in (["--model", model, "--classes", "roof"], ["--window", "64"], ["--model", model, "--dates", "a,b"]):
        assert CliRunner().invoke(app, ["change", *scenes, str(out), *words]).exit_code == 2


def test_evaluation_scores_changes(tmp_path):
    data = write_pairs(tmp_path / "pairs", train=1, val=3)
    model = save(micro_model(), tmp_path / "model")
    settings = EvaluationSettings(str(model), "s5-image-pair-mask", str(data), "val", output=tmp_path / "report")
    results = run_evaluation(settings)
    counts = np.array(results.scores["confusion_matrix"])
    assert counts.sum() == 3 * 32 * 32 and counts[1].sum() == 3 * 144
    iou = 100 * counts[1, 1] / (counts.sum() - counts[0, 0])
    assert results.scores["change"]["IoU"] == pytest.approx(iou)
    assert results.published() == ("F1", pytest.approx(2 * iou / (1 + iou / 100)))
    assert "| F1 | IoU |" in (tmp_path / "report" / "results.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="s5-image-mask is not a change dataset"):
        run_evaluation(EvaluationSettings(str(model), "s5-image-mask", str(data), "val"))


def write_second(root, count=2):
    """SECOND's layout: classes of both dates where something changed."""
    from PIL import Image

    rng = np.random.default_rng(1)
    for index in range(count):
        before, after = (np.zeros((32, 32), dtype=np.uint8) for _ in range(2))
        before[4:20, 4:20], after[4:20, 4:20] = 1 + index, 5
        content = {"im1": rng.integers(0, 255, (32, 32, 3), dtype=np.uint8), "label1": before, "label2": after}
        for folder, pixels in {**content, "im2": content["im1"][::-1]}.items():
            path = root / "test" / folder / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return root


def test_evaluation_from_what_to_what(tmp_path):
    from s5_hf.dataset_builders.labels import SECOND_LABELS

    data, classes = write_second(tmp_path / "second"), list(SECOND_LABELS[1:])
    model = save(
        micro_model(tasks={"second": from_to_labels(classes)}, date_classes={"second": classes}), tmp_path / "model"
    )
    results = run_evaluation(EvaluationSettings(str(model), "s5-second", str(data)))
    assert {"F1", "IoU", "sek", "fscd", "score", "miou"} == set(results.scores["change"])
    counts = torch.tensor(results.scores["confusion_matrix"])
    references = counts.sum(dim=1).nonzero().flatten()
    assert [[int(date) for date in pair] for pair in zip(*date_ids(references, 6), strict=True)] == [
        [0, 0],
        [1, 5],
        [2, 5],
    ]
    binary = run_evaluation(EvaluationSettings(str(save(micro_model(), tmp_path / "binary")), "s5-second", str(data)))
    assert binary.data.labels == ("unchanged", "changed") and set(binary.scores["change"]) == {"F1", "IoU"}
    other = ["a", "b"]
    wrong = micro_model(tasks={"x": from_to_labels(other)}, date_classes={"x": other})
    with pytest.raises(ValueError, match="the model tells from what to what, with a, b; s5-second has the classes"):
        run_evaluation(EvaluationSettings(str(save(wrong, tmp_path / "wrong")), "s5-second", str(data)))
