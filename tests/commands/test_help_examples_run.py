"""Examples in the help of `s5-hf` run: on tiny models and synthetic images that have the names of the examples."""

import shlex
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.modeling import (
    S5DetectionConfig,
    S5ForOrientedObjectDetection,
    S5ForSemanticSegmentation,
    S5ImageProcessor,
    S5SegmentationConfig,
    S5ViTConfig,
    S5ViTModel,
    SamRoadConfig,
    SamRoadForRoadGraph,
    SRUITConfig,
    SRUITImageProcessor,
    SRUITModel,
)
from s5_hf.synthetic import BOX_LABELS, synthetic_cube, synthetic_scene, write_synthetic_dataset
from tests.commands.test_help_examples import COMMANDS, examples_of
from tests.open_models import write_tiny_model
from tests.reasoning_models import write_tiny_reasoner

LABELS = ["field", "building", "road"]
VIT = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 64}
# Which example of a command is run, what is added to it, and a file that it writes.
# Rows look alike because they are a table of commands.
RUN = {
    "models": (0, "", None),
    "datasets": (0, "", None),
    "convert": (2, "", "my-model.pth"),
    "evaluate": (0, "", "evaluation/results.json"),
    "sample-points": (0, "", "points.gpkg"),
    "accuracy": (0, "", "accuracy/errors.tif"),
    "predict": (0, "", "maps/city.tif"),
    "view": (1, "", "city.html"),
    "hyperspectral": (1, "--epochs 1", "map.png"),
    "change": (1, "", "changes/2024_road_change.tif"),
    "evaluate-change": (0, "", "change-evaluation/results.json"),
    "ask": (0, "--window 64", "fields.tif"),
    "translate": (0, "--window 64", "2024_like_2019.tif"),
    "detect": (0, "", "detections/a.json"),
    "roads": (1, "", "roads.geojson"),
    "inspect": (1, "--workers 1", None),
    "prepare-scenes": (1, "--tile-size 16 --workers 1", "data/houses/dataset.json"),
}
CURATION = {  # in this order: each reads what the ones before it wrote
    "curate score": "--patch-size 64 --batch-size 8",
    "curate cluster": "",
    "curate hash": "--patch-size 64",
    "curate select": "--target 2 --unfilled hand_on",
    "curate export": "",
}
NOT_RUN = {
    "pull": "the official release, over the network",
    "push": "the Hub",
    "demo": "takes minutes; tests/demo runs it in small",
    "convert-boxes": "tests/preparation/test_box_labels.py runs it",
    "score-roads": "tests/roads/test_scoring.py runs it",
    "convert-graph": "tests/roads/test_scoring.py runs it",
    "check-submission": "tests/scenes/detection/test_submission_check.py runs it",
    "export": "takes a minute; tests/export writes every format",
    "prepare": "the publishers' files; tests/preparation cuts small ones",
    "label-shares": "the publishers' files; tests/preparation cuts small ones",
    "train s4p": "tests/training runs every training",
    "train mae": "tests/training runs every training",
    "train simfeatup": "tests/training runs every training",
    "train alignearth": "tests/training runs every training",
    "train captioning": "tests/captioning runs it",
    "train reasoning": "tests/training runs every training",
    "train translation": "tests/translation runs it",
    "train segmentation": "tests/training runs every training",
    "train detection": "tests/training runs every training",
    "train change": "tests/training runs every training",
    "train joint_change": "tests/training runs every training",
    "train roads": "tests/training runs every training",
    "mosaic": "tests/scenes/segmentation/test_mosaic.py runs it on maps with coordinates",
    "init": "tests/project runs it",
    "run": "takes minutes; tests/project runs one in small",
    "curate run": "takes a minute; tests/curation runs recipes",
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with everything that the examples name."""
    folder = tmp_path_factory.mktemp("workplace")
    torch.manual_seed(0)
    config = S5SegmentationConfig(backbone_config=S5ViTConfig(**VIT), tasks={"loveda": LABELS}, decoder_channels=16)
    detector = S5DetectionConfig(
        backbone_config=S5ViTConfig(**VIT), tasks={"scene": BOX_LABELS}, proposals_per_level=20, max_proposals=20
    )
    for name in ("my-model", "my-segmenter"):
        S5ForSemanticSegmentation(config).save_pretrained(folder / name)
        S5ImageProcessor().save_pretrained(folder / name)
    S5ForOrientedObjectDetection(detector).save_pretrained(folder / "my-detector")
    S5ImageProcessor().save_pretrained(folder / "my-detector")
    roads = SamRoadConfig(S5ViTConfig(**VIT), feature_channels=16, topology_channels=16, topology_heads=2)
    SamRoadForRoadGraph(roads).save_pretrained(folder / "my-road-model")
    S5ImageProcessor().save_pretrained(folder / "my-road-model")
    write_tiny_model(folder / "my-open-model")
    write_tiny_reasoner(folder / "my-reasoner")
    SRUITModel(SRUITConfig(hidden_size=4)).save_pretrained(folder / "my-translator")
    SRUITImageProcessor().save_pretrained(folder / "my-translator")
    S5ViTModel(S5ViTConfig(**VIT)).save_pretrained(folder / "my-encoder")
    S5ImageProcessor().save_pretrained(folder / "my-encoder")
    for name, count in (("my-tiles/train", 40), ("my-tiles/val", 2), ("benchmark/val", 2)):
        write_synthetic_dataset(folder / name, count=count, size=64)
        for mask in (folder / name / "masks").iterdir():
            Image.fromarray(np.asarray(Image.open(mask)) % len(LABELS)).save(mask)
    write_synthetic_dataset(folder / "my-archive", count=4, size=64, seed=500)
    (folder / "my-archive/images").rename(folder / "archive")
    write_images(folder)
    write_cube(folder)
    for number, part in enumerate(("before", "after", "mask")):
        (folder / "my-pairs/val" / part).mkdir(parents=True)
        pixels = np.asarray(Image.open(folder / "city.jpg")) if number < 2 else np.zeros((96, 96), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "my-pairs/val" / part / "a.png")
    write_survey(folder)
    return folder


def write_survey(folder):
    """A georeferenced scene with polygons, where the extra geo is installed."""
    if find_spec("pyogrio"):
        from tests.geo_project import synthetic_pairs, write_geo_project

        project = write_geo_project(
            folder / "survey", synthetic_pairs(1, 96), ["house"] * 6, scenes=1, columns=1, rows=1, labels="houses.gpkg"
        )
        project.labels.rename(folder / "houses.gpkg")
        project.paths[0].rename(folder / "2023_a.tif")
        write_map(folder, project.masks["scene_0"])


def write_map(folder, ids):
    """A map of the survey, and polygons as its reference."""
    import rasterio
    import rasterio.features
    import shapely.geometry

    from tests.geo_project import write_polygons

    with rasterio.open(folder / "2023_a.tif") as scene:
        place = {"crs": scene.crs, "transform": scene.transform}
    ids = np.where(ids == 255, 0, ids % 3)
    shapes = rasterio.features.shapes(ids, transform=place["transform"])
    polygons = [(shapely.geometry.shape(outline), int(class_id)) for outline, class_id in shapes]
    write_polygons(folder / "reference.gpkg", polygons, [f"class {class_id}" for class_id in range(3)], place["crs"])
    with rasterio.open(folder / "city-map.tif", "w", count=1, width=96, height=96, dtype="uint8", **place) as file:
        file.write(ids, 1)


def write_cube(folder):
    """A hyperspectral cube with its uncertain first labels."""
    cube = synthetic_cube(seed=0, side=16, bands=8, num_labels=3)
    savemat(folder / "cube.mat", {"cube": cube.values})
    Image.fromarray(cube.first_labels).save(folder / "first.png")


def write_images(folder):
    scene = Image.fromarray(synthetic_scene(size=96, seed=3).image)
    (folder / "scenes").mkdir()
    scene.save(folder / "scenes/a.png")
    scene.save(folder / "city.jpg")
    for name in ("city.tif", "2019.tif", "2024.tif"):
        scene.save(folder / name)
    Image.fromarray(np.tile(np.arange(96, dtype=np.uint8) // 20, (96, 1))).save(folder / "classes.png")
    for name in ("mine/train/images", "mine/train/masks"):
        (folder / name).mkdir(parents=True)
    scene.save(folder / "mine/train/images/a.png")
    Image.fromarray(np.tile(np.arange(96, dtype=np.uint8) // 32, (96, 1))).save(folder / "mine/train/masks/a.png")


def run(folder, monkeypatch, example, more):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("S5_HF_HOME", str(folder / "store"))
    words = [*shlex.split(example)[1:], *more.split()]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, f"{example}: {result.output}"


def test_every_command_is_run_or_excused():
    assert sorted(" ".join(path) for path in COMMANDS) == sorted([*RUN, *CURATION, *NOT_RUN])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("command", RUN)
def test_an_example_of_the_help_runs(command, workplace, monkeypatch):
    if command in ("predict", "prepare-scenes", "sample-points", "accuracy", "ask", "change", "translate"):
        pytest.importorskip("pyogrio", reason="scenes and polygons need: pip install 's5_hf[geo]'")
    index, more, written = RUN[command]
    run(workplace, monkeypatch, examples_of((command,))[index], more)
    assert written is None or (workplace / written).is_file()


def test_the_examples_of_curate_run_one_after_the_other(workplace, monkeypatch):
    for command, more in CURATION.items():
        for example in examples_of(tuple(command.split())):
            run(workplace, monkeypatch, example, more)
    assert (workplace / "work/dataset").is_dir()
