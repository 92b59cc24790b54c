"""Trainings from the command line of an installed package: recipes by name, dry runs, `python -m s5_hf.training`."""

import re
import shutil
import sys

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from huggingface_hub import constants
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.dataset_builders.registry import get_entry
from s5_hf.recipes import shipped_recipes
from s5_hf.synthetic import BOX_LABELS, SCENE_LABELS, write_synthetic_dataset
from s5_hf.training import PairTaskData, run_training
from s5_hf.training import dry_run as checks
from s5_hf.training.__main__ import main as start
from s5_hf.training.change.data import CHANGE_COLORS
from s5_hf.training.detection.data import DetectionTaskData
from s5_hf.training.pretraining.data import SegmentationData
from s5_hf.training.programs import PROGRAMS
from s5_hf.training.roads.kind import RoadData
from s5_hf.training.segmentation.task_data import TaskData
from tests.fresh_process import FreshProcess
from tests.training.changing import pair_data, pair_samples
from tests.training.detecting import painted_samples
from tests.training.pretraining import MICRO, micro_data, random_samples
from tests.training.road_samples import road_samples

TRAININGS = [recipe for recipe in shipped_recipes() if recipe.kind in PROGRAMS]
TINY = [
    *("--hidden-size", "32", "--num-hidden-layers", "4", "--num-attention-heads", "2"),
    *("--decoder-channels", "16", "--crop-size", "64"),
]


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S5_HF_HOME", str(tmp_path / "store"))
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """train/ and val/ with images and masks, and a folder of images."""
    folder = tmp_path_factory.mktemp("scenes")
    for split, count in (("train", 8), ("val", 2)):
        write_synthetic_dataset(folder / split, count=count, size=96, seed=count)
    shutil.copytree(folder / "train" / "images", folder / "archive")
    return folder


def files_of(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def data_of(recipe):
    """A handful of random images in the classes of what a recipe names."""
    kind = recipe.kind
    if kind in ("mae", "simfeatup"):
        return random_samples(4, 0)
    if kind == "roads":
        return RoadData(road_samples(2), road_samples(1))
    if kind == "captioning":
        words = {"mask": None, "captions": ["a roof appears ."] * 5}
        return [
            {"image_before": one["image"], "image_after": one["image"], **words} for one in random_samples(4, 0)
        ], None
    if kind == "reasoning":
        words = {"question": "where is it?", "answer": "There."}
        return [{**sample, "mask": sample["mask"] == 1, **words} for sample in random_samples(4, 0)], None
    if kind == "alignearth":
        return [{**sample, "image": np.tile(sample["image"], 2)} for sample in random_samples(4, 0)]
    if kind == "s4p":
        samples = micro_data()
        if recipe.name == "s4p_by_names_tiny":
            return samples
        labels = get_entry("s5-isaid").labels_of()
        return SegmentationData(
            "isaid", labels, [(0, 0, 0)] * len(labels), 255, samples.labelled, samples.unlabelled, samples.validation
        )
    if kind == "translation":
        return pair_samples(4, 1)
    if kind == "change":
        return pair_data(labelled=pair_samples(8, 1), unlabelled=pair_samples(16, 2))
    read = PROGRAMS[kind].recipe.read([str(recipe.path)])
    known = {settings.name: get_entry(settings.dataset).labels_of(getattr(settings, "config", None) or None)
             for settings in read.datasets}  # fmt: skip
    labels = {settings.name: tuple(settings.classes) or known[settings.name] for settings in read.datasets}
    if kind == "detection":
        images = painted_samples(4, 1, 2)
        return [DetectionTaskData(name, own, images, None, unlabelled=images) for name, own in labels.items()]
    if kind == "joint_change":
        return [
            PairTaskData(name, own, CHANGE_COLORS, 255, pair_samples(4, 1), pair_samples(2, 2))
            for name, own in labels.items()
        ]
    return [
        TaskData(name, own, [(0, 0, 0)] * len(own), 255, two_classes(4), two_classes(2))
        for name, own in labels.items()
    ]


def two_classes(count):
    samples = random_samples(count, 1)
    return [{**sample, "mask": np.minimum(sample["mask"], 1)} for sample in samples]


@pytest.mark.parametrize("recipe", TRAININGS, ids=lambda recipe: recipe.name)
def test_a_dry_run_of_every_recipe_checks_everything_and_leaves_nothing(recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(checks, "free_bytes", lambda path: 10**12)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    small = ["--batch-size", "2"] if recipe.kind not in ("s4p", "change") else []
    if "vit_h" in recipe.name or "vit_l" in recipe.name:
        small += ["--crop-size", "128"] if recipe.kind != "detection" else ["--image-size", "256"]
    written = recipe.path.read_text(encoding="utf-8")
    if "encoder: required" in written or recipe.name == "detection_pretrained_cpu":
        small += ["--encoder", "none"]
    if recipe.name == "s4p_by_names_tiny":
        small += ["--classes", "red", "green", "blue,azure"]
    if recipe.kind == "captioning":
        small += ["--freeze-encoder", "false"]
    if recipe.kind == "reasoning":
        small += ["--language-model", "none", "--mask-former", "none"]
    run_training(recipe.kind, [recipe.name, "--dry-run", *small], data_of(recipe))
    said = capsys.readouterr().out
    assert re.search(r"^first batch  .*: \(\d+, (?:\d+, )?3, (\d+), \1\), float32$", said, re.MULTILINE)
    assert re.search(r"^network      [\d.]+ M parameters, from ", said, re.MULTILINE)
    assert said.splitlines()[-1].startswith("All is well.")
    if "vit" in recipe.name and recipe.kind in ("segmentation", "detection"):
        assert "they would be downloaded from the official release, lianglyu/S5" in said
    named = re.findall(r"[\w-]+/(?:dinov2|mit|clip|sam)-[\w-]+", written)
    assert said.count("weights: not fetched; the run reads them from the Hub repository") == len(named)
    assert all(f"repository {name}, or its cache" in said for name in named)
    assert files_of(tmp_path) == set()


def test_a_dry_run_says_what_the_run_then_does(scenes, tmp_path):
    words = ["train", "s4p", "s4p_tiny_cpu", "--labelled-dir", str(scenes), "--labelled-count", "4", *TINY]
    words += ["--classes", *SCENE_LABELS, "--total-steps", "2", "--warmup-steps", "0", "--trackers", "none"]
    checked = CliRunner().invoke(app, [*words, "--dry-run"], catch_exceptions=False).output
    assert "data         labelled: 4 samples\n" in checked and "data         unlabelled: 4 samples\n" in checked
    assert f"classes      image_mask: 6 ({', '.join(SCENE_LABELS)})\n" in checked
    assert "first batch  0.pixel_values: (4, 3, 64, 64), float32\n" in checked
    assert "from random weights" in checked and "runs/s4p_tiny_cpu: a new run\n" in checked
    assert files_of(tmp_path) == set()

    AcceleratorState._reset_state(reset_partial_state=True)
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    run = tmp_path / "runs" / "s4p_tiny_cpu"
    assert (run / "segmenter" / "model.safetensors").is_file()
    taken = sum(path.stat().st_size for path in (run / "checkpoints").rglob("*") if path.is_file())
    parameters = float(re.search(r"network      ([\d.]+) M", checked)[1]) * 1e6
    assert 0.7 < taken / (checks.BYTES_PER_PARAMETER * parameters) < 2.5  # a tiny network has much beside its weights

    with pytest.raises(RuntimeError, match="holds checkpoints already, up to step-00000002"):
        CliRunner().invoke(app, [*words, "--dry-run"], catch_exceptions=False)
    AcceleratorState._reset_state(reset_partial_state=True)
    again = CliRunner().invoke(app, [*words, "--resume", "auto", "--dry-run"], catch_exceptions=False).output
    assert "resumed from the checkpoint step-00000002" in again

    start = ["--segmenter", str(run / "segmenter"), "--hidden-size", "null", "--output-dir", "runs/second"]
    AcceleratorState._reset_state(reset_partial_state=True)
    second = CliRunner().invoke(app, [*words, *start, "--dry-run"], catch_exceptions=False).output
    assert f"from the segmenter {run}/segmenter; its weights: the folder {run}/segmenter, " in second
    (run / "segmenter" / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="segmenter holds no weights"):
        CliRunner().invoke(app, [*words, *start, "--dry-run"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (["--classes", "a", "b"], ValueError, "class"),
        (["--labelled-dir", "nowhere"], FileNotFoundError, "nowhere"),
        (["--crop-size", "100"], ValueError, "100 is not a multiple of the patch size"),
        (["--encoder", "s5-vit-ti"], FileNotFoundError, "no published weights of s5-vit-ti"),
        (["--encoder", "no-folder"], FileNotFoundError, "there is no model folder no-folder"),
        (["--total-stepz", "3"], ValueError, "total-stepz"),
    ],
    ids=["classes", "data", "crop", "unpublished", "folder", "key"],
)
def test_a_dry_run_finds_what_a_run_would_stumble_over(words, kind, message, scenes, tmp_path):
    start = ["s4p_tiny_cpu", "--labelled-dir", str(scenes), "--labelled-count", "4", "--classes", *SCENE_LABELS]
    with pytest.raises(kind, match=message):
        run_training("s4p", [*start, *words, "--dry-run"])
    assert files_of(tmp_path) == set()


def test_a_dry_run_finds_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "free_bytes", lambda path: 1_000_000)
    with pytest.raises(OSError, match=r"runs/s4p: 4 checkpoints of about 0\.\d\d GB each do not fit .* 0.00 GB are"):
        run_training("s4p", [*MICRO, "--dry-run"], micro_data())


def test_oriented_boxes_and_images_without_labels_are_checked_too(scenes, capsys):
    names = ["--datasets", "houses", "--houses.data-dir", str(scenes), "--houses.classes", *BOX_LABELS]
    run_training("detection", ["detection_tiny_cpu", "--dry-run", *names])
    assert f"classes      houses: {len(BOX_LABELS)} " in capsys.readouterr().out
    AcceleratorState._reset_state(reset_partial_state=True)
    run_training("mae", ["mae_tiny_cpu", "--dry-run", "--data-dir", str(scenes / "archive"), "--crop-size", "64"])
    said = capsys.readouterr().out
    assert "data         images: 8 samples\n" in said and "first batch  images: (16, 3, 64, 64), float32\n" in said


def test_names_of_recipes_are_listed(capsys):
    result = CliRunner().invoke(app, ["train", "segmentation", "--list-recipes"], catch_exceptions=False)
    names = [line.split()[0] for line in result.output.splitlines()[:-1]]
    assert names == [recipe.name for recipe in shipped_recipes("segmentation")]
    for words in (["--list-recipes"], ["--list-recipes", "s4p", "no-recipe"]):
        listed = CliRunner().invoke(app, ["train", *words], catch_exceptions=False)
        assert listed.exit_code == 0 and f"s5-hf train segmentation RECIPE\n{result.output}" in listed.output
        assert all(f"\n{recipe.name} " in listed.output for recipe in TRAININGS)


def test_the_help_of_a_training_names_every_key():
    result = CliRunner().invoke(app, ["train", "segmentation", "--help"], catch_exceptions=False)
    assert "--learning-rate: highest learning rate [5e-05]\n" in result.output
    assert "  class_weights: weight of each class in the loss" in result.output
    assert "%%" not in result.output


def test_the_module_is_what_a_launcher_starts(scenes, tmp_path):
    words = ["s4p", "s4p_tiny_cpu", "--labelled-dir", str(scenes), "--labelled-count", "4", "--classes", *SCENE_LABELS]
    code = (
        "import os, runpy, sys\n"
        "os.chdir(sys.argv.pop(1))\n"
        "runpy.run_module('s5_hf.training', run_name='__main__', alter_sys=True)\n"
    )
    process = FreshProcess(code, tmp_path, *words, *TINY, "--dry-run", ACCELERATE_USE_CPU="true")
    output = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert any(line.startswith("All is well.") for line in output.splitlines()[-2:])


def test_the_module_needs_the_name_of_a_training(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["training", "nothing"])
    with pytest.raises(
        ValueError,
        match="must name a training: s4p, mae, simfeatup, alignearth, captioning, reasoning, translation, "
        "segmentation, change, joint_change, detection, roads; got 'nothing'",
    ):
        start()
