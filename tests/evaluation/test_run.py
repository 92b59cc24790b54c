"""The whole way: from names to a report, by the command line, and every wrong input."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, ViTConfig
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.evaluation import EvaluationSettings
from s5_hf.evaluation.data import check_classes, load_evaluation_data
from s5_hf.evaluation.pictures import draw_confusion_matrix
from s5_hf.evaluation.run import model_kind, run_evaluation
from s5_hf.metrics import ConfusionMatrix
from tests.evaluation.conftest import LABELS


def settings(folder, data, **changes):
    return EvaluationSettings(**{"model": str(folder), "dataset": "s5-image-mask", "data_dir": str(data), **changes})


def test_a_report_by_the_command_line(model_folder, fields, tmp_path):
    arguments = ["evaluate", str(model_folder), "--dataset", "s5-image-mask", "--data-dir", str(fields)]
    more = ["--output", str(tmp_path / "report"), "--left-out", "soil", "--window", "48"]
    result = CliRunner().invoke(app, [*arguments, *more, "--flips", "none,both"])
    assert result.exit_code == 0, result.output
    assert "mIoU" in result.output and "water" in result.output
    files = {path.name for path in (tmp_path / "report").iterdir()}
    assert files == {"results.json", "results.md", "confusion_matrix.png"}
    report = json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))
    matrix = ConfusionMatrix(3)
    matrix.counts += torch.tensor(report["confusion_matrix"])
    assert report["metric"] == "mIoU" and report["value"] == pytest.approx(100 * matrix.mean_iou([0]))
    assert report["unit"] == "percent"
    assert report["left_out"] == ["soil"] and report["task"] == "fields" and report["images"] == 5
    assert report["protocol"]["window"] == 48 and report["protocol"]["stride"] == 24
    assert report["protocol"]["flips"] == ["none", "both"]
    text = (tmp_path / "report" / "results.md").read_text(encoding="utf-8")
    assert f"| {report['mIoU']:.2f} |" in text and "- Classes: those of the model" in text
    assert f"| water | {report['per_class']['water']['IoU']:.2f} |" in text


def test_what_is_not_defined_is_null_and_a_dash(model_folder, fields, accelerator, tmp_path):
    """No image shows the class "snow", and no model predicts it."""
    results = run_evaluation(settings(model_folder, fields), accelerator)
    counts = np.array(results.scores["confusion_matrix"])
    counts[:, 2] = counts[2] = 0
    scores = {**results.scores, "confusion_matrix": counts.tolist()}
    scores["per_class"] = {**scores["per_class"], "water": {**scores["per_class"]["water"], "IoU": math.nan}}
    changed = type(results)(**{**vars(results), "scores": scores})
    changed.write(tmp_path)
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert written["per_class"]["water"]["IoU"] is None
    assert "| water | - |" in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_a_class_that_never_occurs_is_flagged_and_can_be_left_out(model_folder, fields, accelerator, tmp_path):
    """Masks without the class that the model predicts most."""
    predicted = np.array(run_evaluation(settings(model_folder, fields), accelerator).scores["confusion_matrix"]).sum(0)
    absent = int(predicted.argmax())
    name, others = LABELS[absent], [label for label in LABELS if label != LABELS[absent]]
    shutil.copytree(fields, tmp_path / "data")
    for path in (tmp_path / "data" / "val" / "masks").iterdir():
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.where(mask == absent, (absent + 1) % 3, mask).astype(np.uint8)).save(path)
    counted = run_evaluation(settings(model_folder, tmp_path / "data"), accelerator)
    left_out = run_evaluation(settings(model_folder, tmp_path / "data", leave_out_absent=True), accelerator)
    scores = counted.scores["per_class"]
    assert counted.scores["absent"] == left_out.scores["absent"] == [name] and scores[name]["IoU"] == 0
    total = sum(scores[other]["IoU"] for other in others)
    assert counted.scores["mIoU"] == pytest.approx(total / 3)
    assert left_out.scores["mIoU"] == pytest.approx(total / 2)
    text = counted.as_markdown()
    assert (
        f"- **In no mask of this split: {name}**. Predicted all the same, and so in the means with 0: {name}" in text
    )
    assert f"- Left out of the means: {name}" in left_out.as_markdown()
    assert "Predicted all the same" not in left_out.as_markdown()
    arguments = ["evaluate", str(model_folder), "--dataset", "s5-image-mask", "--data-dir", str(tmp_path / "data")]
    result = CliRunner().invoke(app, [*arguments, "--leave-out-absent", "--output", str(tmp_path / "report")])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))
    assert report["left_out"] == [name] and report["value"] == pytest.approx(left_out.scores["mIoU"])


def test_the_task_is_that_of_the_dataset_or_chosen(moe_folder, fields, accelerator):
    chosen = settings(moe_folder, fields, task="fields")
    assert run_evaluation(chosen, accelerator).task == "fields"
    with pytest.raises(ValueError, match=r"several tasks, choose one with .* fields, roads"):
        run_evaluation(settings(moe_folder, fields), accelerator)
    with pytest.raises(ValueError, match="no task 'forest'; its tasks: fields, roads"):
        run_evaluation(settings(moe_folder, fields, task="forest"), accelerator)


def test_other_classes_are_shown_side_by_side(model_folder, fields, accelerator):
    other = settings(model_folder, fields, options={"classes": ["soil", "water", "crop"]})
    with pytest.raises(ValueError, match="have other classes") as caught:
        run_evaluation(other, accelerator)
    assert "  model   (3): soil, crop, water\n  dataset (3): soil, water, crop" in str(caught.value)
    assert "--by-position" in str(caught.value)
    by_position = run_evaluation(EvaluationSettings(**{**vars(other), "by_position": True}), accelerator)
    assert list(by_position.scores["per_class"]) == ["soil", "water", "crop"]
    assert "- Classes: " not in by_position.as_markdown()
    data = load_evaluation_data("s5-image-mask", "val", str(fields), LABELS)
    with pytest.raises(ValueError, match=r"model   \(2\): a, b") as caught:
        check_classes(["a", "b"], data, by_position=True)
    assert "--by-position" not in str(caught.value)


# What is refused looks alike in the two tests of evaluation because it is a table of one wrong setting a row.
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dataset": "s5-lovedo"}, KeyError, "unknown dataset 's5-lovedo'. Did you mean 's5-loveda'"),
        ({"dataset": "s5-dior-r"}, ValueError, "s5-dior-r is not a segmentation dataset that can be evaluated"),
        ({"split": "dev"}, ValueError, 'Unknown split "dev". Should be one of'),
        ({"data_dir": "/not/there"}, FileNotFoundError, "does not exist: .*there"),
        ({"protocol": "quick"}, ValueError, "unknown protocol 'quick' for segmentation. Known: published"),
        ({"protocol_changes": {"stride": 5}}, ValueError, "stride 5 needs a window"),
        ({"left_out": ("sky",)}, ValueError, "left_out names sky; the classes: soil, crop, water"),
        ({"precision": "fp8"}, ValueError, "precision must be one of fp32, bf16"),
        ({"model": "/no/model"}, OSError, "/no/model"),
    ],
)
def test_bad_input(model_folder, fields, accelerator, tmp_path, changes, error, message):
    wrong = settings(model_folder, fields, **{"output": tmp_path / "report", **changes})
    with pytest.raises(error, match=message):
        run_evaluation(wrong, accelerator)
    assert not (tmp_path / "report").exists()


def test_kinds_of_models(model_folder):
    assert model_kind(AutoConfig.from_pretrained(model_folder)) == "segmentation"
    with pytest.raises(ValueError, match="type 'vit' cannot be evaluated; expected one for segmentation"):
        model_kind(ViTConfig())


def test_the_picture_of_a_confusion_matrix():
    counts = np.array([[3, 1, 0], [0, 0, 0], [0, 0, 5]])
    picture = draw_confusion_matrix(counts, ["a", "b", "c"], "title")
    pixels = np.asarray(picture)
    lines = (pixels == (225, 225, 225)).all(axis=2)  # around the cells
    top, left = np.flatnonzero(lines.sum(axis=1) > 100)[0], np.flatnonzero(lines.sum(axis=0) > 100)[0]
    corners = [[tuple(pixels[top + 52 * y + 3, left + 52 * x + 3].tolist()) for x in range(3)] for y in range(3)]
    assert corners[1] == [(255, 255, 255)] * 3  # a class that does not occur
    assert corners[2] == [(255, 255, 255), (255, 255, 255), (8, 48, 107)]  # all right: the darkest
    assert sum(corners[0][2]) > sum(corners[0][1]) > sum(corners[0][0]) > sum(corners[2][2])  # 0, 25, 75 and 100 %
    with pytest.raises(ValueError, match=r"2 labels for a confusion matrix of the shape \(3, 3\)"):
        draw_confusion_matrix(counts, ["a", "b"], "title")
