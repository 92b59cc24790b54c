"""A model that was trained with a class map carries it, and its evaluation translates masks by it."""

import json

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from PIL import Image
from transformers import AutoConfig
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.evaluation import EvaluationSettings, run_evaluation
from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig
from s5_hf.training.run_folder import read_log
from s5_hf.training.segmentation.class_map import ClassMap
from tests.conftest import micro_segmentation_config
from tests.training.finetuning import MICRO
from tests.training.pretraining import example, random_samples

STORED = {"dataset": "s5-image-mask", "values": {"0": 0, "7": 1, "8": 1, "9": 255, "255": 255}}


def write_city(folder, values=(0, 7, 9)):
    """Images below `train` and `val` whose masks hold 0 (land), 7 (building) and 9 (to be ignored)."""
    for split, seed in (("train", 1), ("val", 2)):
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for index, sample in enumerate(random_samples(3, seed)):
            mask = np.array(values, dtype=np.uint8)[np.asarray(sample["mask"])]
            Image.fromarray(np.asarray(sample["image"])).save(folder / split / "images" / f"{index}.png")
            Image.fromarray(mask).save(folder / split / "masks" / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    return write_city(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def trained(city, tmp_path_factory):
    """A segmenter fine-tuned for two steps, with a class map of a recipe."""
    folder = tmp_path_factory.mktemp("run")
    words = ["--datasets", "city", "--city.data_dir", str(city), "--city.classes", "land", "building"]
    words += ["--city.class_map", "0:land", "7:building", "8:1", "9:ignore", "--mode", "mdf", "--total_steps", "2"]
    AcceleratorState._reset_state(reset_partial_state=True)
    example("finetune_segmentation").main([*MICRO, *words, "--output_dir", str(folder)])
    return folder / "segmenter"


def settings(model, data, **changes):
    return EvaluationSettings(**{"model": str(model), "dataset": "s5-image-mask", "data_dir": str(data), **changes})


def test_training_writes_the_class_map_to_the_configuration(trained):
    config = AutoConfig.from_pretrained(trained)
    assert config.class_maps == {"city": STORED}
    written = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    assert written["tasks"][0]["class_map"] == STORED and "class_maps" not in written


def test_training_logs_the_number_that_evaluation_reports(trained, city, accelerator):
    """In percent, and for each class."""
    logged = next(entry for entry in reversed(read_log(trained.parent)) if "validation/city/miou" in entry)
    results = run_evaluation(settings(trained, city, protocol="original"), accelerator)
    assert (
        logged["validation/city/miou"] == pytest.approx(results.scores["mIoU"], abs=1e-3)
        and logged["validation/city/miou"] > 1
    )
    for label, row in results.scores["per_class"].items():
        assert logged[f"validation/city/iou/{label}"] == pytest.approx(row["IoU"], abs=1e-3)
    assert results.headline() == f"mIoU {logged['validation/city/miou']:.2f}"


def test_the_class_map_stays_through_saving_and_merging(tmp_path):
    config = micro_segmentation_config(num_experts=2)
    first, second = config.tasks
    config.class_maps = {second: STORED}
    model = S5ForSemanticSegmentation(config)
    model.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).class_maps == {second: STORED}
    assert model.merge_experts(second).config.class_maps == {second: STORED}
    assert model.merge_experts(first).config.class_maps == {}
    assert S5SegmentationConfig().class_maps == {}


def test_evaluation_translates_masks_by_the_class_map(trained, city, accelerator, tmp_path):
    """The counts are those of masks that hold the classes themselves."""
    results = run_evaluation(settings(trained, city), accelerator)
    translated = write_city(tmp_path / "translated", values=(0, 1, 255))
    expected = run_evaluation(settings(trained, translated, apply_class_map=False), accelerator)
    assert results.scores["confusion_matrix"] == expected.scores["confusion_matrix"]
    assert np.sum(results.scores["confusion_matrix"]) > 0
    assert list(results.scores["per_class"]) == ["land", "building"]
    assert "by its class map (0: land, 7: building, 8: building, 9: ignored, 255: ignored)" in results.as_markdown()
    assert results.as_json()["class_map"] == STORED["values"] and expected.as_json()["class_map"] is None


def test_evaluation_with_a_class_map_by_the_command_line(trained, city, tmp_path):
    arguments = ["evaluate", str(trained), "--dataset", "s5-image-mask", "--data-dir", str(city)]
    result = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "report")])
    assert result.exit_code == 0, result.output
    refused = CliRunner().invoke(app, [*arguments, "--no-class-map", "--output", str(tmp_path / "other")])
    assert refused.exit_code != 0 and "expected 0..1" in f"{refused.exception} {refused.output}"


def test_options_that_say_what_masks_hold_come_before_the_class_map(trained, city, accelerator):
    mapped = {"classes": ["land", "building"], "value_map": {"0": 0, "7": 1}, "ignore_values": [9]}
    by_options = run_evaluation(settings(trained, city, options=mapped), accelerator)
    by_map = run_evaluation(settings(trained, city), accelerator)
    assert by_options.data.class_map is None
    assert by_options.scores["confusion_matrix"] == by_map.scores["confusion_matrix"]


def test_masks_that_a_class_map_does_not_name_are_refused(trained, accelerator, tmp_path):
    other = write_city(tmp_path / "other", values=(0, 3, 9))
    with pytest.raises(ValueError, match=r"city\.class_map leaves the mask values \[3\] of .*0\.png unmapped"):
        run_evaluation(settings(trained, other), accelerator)


def test_a_class_map_is_refused_where_there_is_none(model_folder, fields, accelerator):
    with pytest.raises(ValueError, match="has no class map for its task 'fields'"):
        run_evaluation(settings(model_folder, fields, apply_class_map=True), accelerator)


def test_a_class_map_in_a_configuration_reads_as_it_was_parsed():
    parsed = ClassMap.parse(["0:land", "7:building", "8:1", "9:ignore"], ["land", "building"], 255, "city")
    assert parsed.values == STORED["values"]
    assert ClassMap.from_values(STORED["values"], "city") == parsed
