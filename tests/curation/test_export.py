"""The exported dataset, its card, kill -9, the report, recipes and the command line."""

import base64
import io
import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import load_dataset
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.curation import ScoreSettings, score_images
from s5_hf.curation.curated_dataset import DatasetSettings, write_curated_dataset
from s5_hf.curation.recipe import read_curation_recipe
from s5_hf.curation.report import write_curation_report
from s5_hf.curation.selection import SelectionSettings
from s5_hf.curation.selection_folder import make_selection
from s5_hf.curation.sources import ImageSource, open_images
from s5_hf.recipes import find_recipe
from tests.fresh_process import RUN_FILE, FreshProcess

ROOT = Path(__file__).resolve().parents[2]
ALL = SelectionSettings(
    target=21, strategy="entropy", minimum_contrast=None, minimum_coherence=None, duplicates="keep"
)

SCRIPT = """
import sys
from s5_hf.curation.curated_dataset import DatasetSettings, write_curated_dataset
from s5_hf.curation.score_table import ScoreFolder
from s5_hf.curation.selection_folder import SelectionFolder
from s5_hf.curation.sources import ImageSource, open_images

selection, scores, archive, output = sys.argv[1:]
images = open_images(ImageSource(folder=archive))
settings = DatasetSettings(shard_bytes=15_000)
write_curated_dataset(SelectionFolder.open(selection), ScoreFolder.open(scores), images, output, settings)
"""


@pytest.fixture(scope="module")
def scores(segmenter, archive, tmp_path_factory):
    settings = ScoreSettings(patch_size=64, part_size=5, background="soil", batch_size=4, pseudo_masks=True)
    return score_images(
        segmenter, open_images(ImageSource(folder=str(archive))), tmp_path_factory.mktemp("s"), settings
    )


@pytest.fixture(scope="module")
def selection(scores, tmp_path_factory):
    return make_selection(scores, tmp_path_factory.mktemp("selection"), ALL)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_dataset_holds_what_was_selected(selection, scores, images, archive, tmp_path):
    folder = write_curated_dataset(selection, scores, images, tmp_path / "dataset", DatasetSettings(title="Mine"))
    samples = list(load_dataset("rs4p-1m", data_dir=str(folder), split="train", streaming=True))
    facts = {row["id"]: row for row in selection.chosen().to_pylist()}
    assert [sample["id"] for sample in samples] == [row["id"] for row in selection.chosen().sort_by("row").to_pylist()]
    for sample in samples:
        row = facts[sample["id"]]
        whole = Image.open(archive / f"{row['id'].split('@')[0]}.png")
        window = (row["left"], row["top"], row["left"] + row["width"], row["top"] + row["height"])
        assert np.array_equal(np.asarray(sample["image"]), np.asarray(whole.crop(window)))
        assert (sample["entropy"], sample["cluster"], sample["source"]) == (row["entropy"], None, row["source"])
        counts = np.bincount(np.asarray(sample["pseudo_mask"]).reshape(-1), minlength=3)
        assert counts.tolist() == row["class_counts"]
    assert len(load_dataset(str(folder), split="train")) == 21
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "# Mine" in card
    assert "0 soil, 1 crop, 2 water" in card
    assert scores.metadata["fingerprint"] in card


def test_whole_images_keep_their_bytes_and_cut_ones_are_encoded_as_asked(selection, scores, images, archive, tmp_path):
    for encoding, magic in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8"), ("webp", b"RIFF")):
        folder = write_curated_dataset(
            selection, scores, images, tmp_path / encoding, DatasetSettings(encoding=encoding)
        )
        raw = load_dataset(str(folder), split="train").with_format("arrow")[:].to_pylist()
        for row in raw:
            if "@" in row["id"]:
                assert row["image"]["bytes"].startswith(magic)
            else:
                assert row["image"]["bytes"] == (archive / f"{row['id']}.png").read_bytes()
        cut = next(row for row in raw if "@" in row["id"])
        if encoding == "webp":
            assert np.array_equal(
                np.asarray(Image.open(io.BytesIO(cut["image"]["bytes"]))),
                np.asarray(Image.open(archive / f"{cut['id'].split('@')[0]}.png"))[:64, :64],
            )


def test_a_finished_export_is_left_alone_and_another_is_refused(selection, scores, images, tmp_path):
    folder = write_curated_dataset(selection, scores, images, tmp_path / "dataset")
    before = contents(folder)
    write_curated_dataset(selection, scores, images, folder)
    assert contents(folder) == before
    other = make_selection(scores, tmp_path / "other", SelectionSettings(**{**vars(ALL), "target": 5}))
    with pytest.raises(ValueError, match="holds another export: its digest was"):
        write_curated_dataset(other, scores, images, folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(ValueError, match="is not empty"):
        write_curated_dataset(selection, scores, images, tmp_path / "mine")


def test_what_does_not_belong_together(selection, scores, segmenter, archive, images, tmp_path):
    fewer = open_images(ImageSource(folder=str(archive / "north")))
    with pytest.raises(ValueError, match="scores of 12 images, the sources have 6"):
        write_curated_dataset(selection, scores, fewer, tmp_path / "a")
    other = score_images(segmenter, images, tmp_path / "scores", ScoreSettings(patch_size=32))
    with pytest.raises(ValueError, match="was not selected from the scores"):
        write_curated_dataset(selection, other, images, tmp_path / "b")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_killed_and_run_again_equals_uninterrupted(selection, scores, images, archive, tmp_path):
    output = tmp_path / "killed"
    process = FreshProcess(SCRIPT, selection.path, scores.path, archive, output, OMP_NUM_THREADS="1")
    deadline = time.monotonic() + 120
    while process.returncode is None and not (output / "data" / "train-00001.parquet").exists():
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    process.kill()
    write_curated_dataset(selection, scores, images, output, DatasetSettings(shard_bytes=15_000))
    whole = write_curated_dataset(
        selection, scores, images, tmp_path / "whole", DatasetSettings(shard_bytes=15_000, title="killed")
    )
    assert len(list((whole / "data").iterdir())) > 5
    theirs, ours = contents(output), contents(whole)
    for files in (theirs, ours):
        files["README.md"] = re.sub(rb"# (killed|Curated patches)\n", b"# Title\n", files["README.md"])
    assert theirs == ours


def test_report_holds_its_pictures(selection, scores, images, tmp_path):
    path = write_curation_report(selection, scores, images, tmp_path / "report.html", "Mine & yours")
    page = path.read_text(encoding="utf-8")
    assert "<title>Mine &amp; yours</title>" in page
    assert "http" not in page.replace("http-equiv", "")
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    # Lowest and highest, 18 patches each, every one with its pseudo-mask.
    assert len(pictures) == 2 * 18 * 2
    sizes = {Image.open(io.BytesIO(base64.b64decode(picture))).size for picture in pictures}
    assert (160, 160) in sizes
    histogram = selection.summary["entropy_histogram"]
    bars = sum(1 for group in ("candidates", "chosen") for count in histogram[group] if count)
    assert page.count("<title>") == 1 + bars


@pytest.fixture
def recipe(model_folder, labelled_tiles, archive, tmp_path):
    content = {
        "output": str(tmp_path / "curated"),
        "model": str(model_folder),
        "labelled": {
            "dataset": "s5-image-mask",
            "data_dir": str(labelled_tiles),
            "options": {"classes": ["soil", "crop", "water"]},
        },
        "candidates": [{"folder": str(archive), "name": "archive"}],
        "exclude_images": [{"folder": str(archive / "north")}],
        "score": {"patch_size": 64, "background": "soil"},
        "cluster": {"num_clusters": 2, "compare": [2, 3]},
        "select": {"target": 5, "unfilled": "hand_on"},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_recipe_from_the_command_line(recipe):
    result = CliRunner().invoke(app, ["curate", "run", str(recipe)], catch_exceptions=False)
    assert result.exit_code == 0
    curated = recipe.parent / "curated"
    assert {path.name for path in curated.iterdir()} == {
        "labelled-scores",
        "scores",
        "prototypes.safetensors",
        "selection",
        "dataset",
        "report.html",
    }
    dataset = load_dataset("rs4p-1m", data_dir=str(curated / "dataset"), split="train")
    assert len(dataset) == 5
    assert {sample["source"] for sample in dataset} == {"archive/south"}
    assert "<h3>Cluster" in (curated / "report.html").read_text(encoding="utf-8")
    before = contents(curated)
    CliRunner().invoke(app, ["curate", "run", str(recipe)], catch_exceptions=False)
    assert contents(curated) == before


def test_steps_from_the_command_line(model_folder, labelled_tiles, archive, tmp_path):
    def call(*arguments):
        result = CliRunner().invoke(app, ["curate", *map(str, arguments)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    options = ["--patch-size", 64, "--background", "none"]
    labelled = ["--dataset", "s5-image-mask", "--data-dir", labelled_tiles]
    classes = ["--option", 'classes=["soil", "crop", "water"]']
    call("score", model_folder, tmp_path / "labelled", *labelled, *classes, *options)
    assert "21 patches of 12 images" in call(
        "score", model_folder, tmp_path / "scores", "--folder", f"mine={archive}", *options
    )
    output = call("cluster", tmp_path / "labelled", tmp_path / "p.safetensors", "--clusters", 2, "--compare", 3)
    assert "silhouette" in output
    call("hash", tmp_path / "hashes.txt", "--folder", archive / "north", "--patch-size", 64)
    lists = ["--prototypes", tmp_path / "p.safetensors", "--exclude-hashes", tmp_path / "hashes.txt"]
    output = call(
        "select", tmp_path / "scores", tmp_path / "selection", "--target", 4, *lists, "--unfilled", "hand_on"
    )
    assert re.search(r"4 +chosen", output)
    call("export", tmp_path / "selection", tmp_path / "scores", tmp_path / "out", "--folder", f"mine={archive}")
    assert (tmp_path / "out-report.html").is_file()
    samples = list(load_dataset("rs4p-1m", data_dir=str(tmp_path / "out"), split="train", streaming=True))
    assert [sample["id"].split("/")[:2] for sample in samples] == [["mine", "south"]] * 4


def test_example_runs_its_recipe(recipe):
    environment = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    process = FreshProcess(RUN_FILE, ROOT / "examples" / "curate_rs4p.py", recipe, **environment)
    output = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "curating 5 patches on 1 processes" in output
    assert json.loads((recipe.parent / "curated" / "selection" / "summary.json").read_text())["counts"]["chosen"] == 5


def test_the_tiny_recipe_is_well_formed():
    recipe = read_curation_recipe(find_recipe("curate_tiny", "curation"))
    assert recipe.select.target == 40
    assert recipe.score.pseudo_masks
    assert recipe.candidates == (ImageSource(folder="tiny/archive/images", name="archive"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"selct": {}}, "unknown key 'selct', did you mean 'select'"),
        ({"select": {"target": "many"}}, r"select.target must be int, got 'many'"),
        ({"select": {"target": 0}}, "target must be at least 1, got 0"),
        ({"score": {"patchsize": 3}}, "score has an unknown key 'patchsize', did you mean 'patch_size'"),
        ({"cluster": [3]}, r"cluster must be a mapping of names to values, got \[3\]"),
        ({"cluster": {"compare": ["a"]}}, r"cluster.compare must be .*Sequence\[int\], got \['a'\]"),
        ({"candidates": [{"name": "x"}]}, "either folder or dataset"),
        ({"model": None}, "the recipe.model must be str, got None"),
    ],
)
def test_bad_recipes_are_named(recipe, change, message):
    content = {**yaml.safe_load(recipe.read_text(encoding="utf-8")), **change}
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValueError, match=f"recipe.yaml: .*{message}"):
        read_curation_recipe(recipe)


def test_recipes_that_are_no_recipes(recipe):
    content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    del content["model"]
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValueError, match="the recipe lacks model"):
        read_curation_recipe(recipe)
    recipe.write_text("[a, b", encoding="utf-8")
    with pytest.raises(ValueError, match="not valid YAML"):
        read_curation_recipe(recipe)
    recipe.write_text("- a", encoding="utf-8")
    with pytest.raises(ValueError, match="a recipe is a mapping of names to values, got list"):
        read_curation_recipe(recipe)
