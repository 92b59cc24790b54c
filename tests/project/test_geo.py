"""From scenes and polygons to an evaluated map, with `s5-hf init` and `s5-hf run` alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

pytest.importorskip("rasterio", reason="scenes need rasterio: pip install 's5_hf[geo]'")
pytest.importorskip("pyogrio", reason="polygons need pyogrio: pip install 's5_hf[geo]'")

import rasterio

from s5_hf.cli import app
from s5_hf.imaging.natural_colors import natural_palette
from s5_hf.project import read_project, write_project_file
from s5_hf.project.steps import project_steps
from s5_hf.synthetic import SCENE_LABELS
from tests.geo_project import BANDS, synthetic_pairs, write_geo_project, write_polygons, write_scene
from tests.project.conftest import NETWORK, SHORT


@pytest.fixture
def place(tmp_path, monkeypatch):
    """`my`: two scenes of four bands of 16 bits, and polygons on them; three small ones, far away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S5_HF_HOME", str(tmp_path / "store"))
    write_geo_project("my", synthetic_pairs(4, 96), SCENE_LABELS, scenes=2, columns=1, rows=2)
    far = rasterio.Affine(1, 0, 700_000, 0, -1, 4_600_000)
    values = np.full((4, 64, 64), 900, np.uint16)
    for number in range(3):
        write_scene(Path(f"my/elsewhere/{number}.tif"), values, far, "EPSG:32618")
    return tmp_path


def run(*words):
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_scenes_and_polygons_become_an_evaluated_map(place):
    said = run("init", "my")
    assert "scenes with polygons: 2 under my/labels.gpkg (field class), " in said
    assert "images without masks: my/elsewhere (3)\n" in said and "scene: my/scenes\n" in said
    content = yaml.safe_load(Path("project.yaml").read_text(encoding="utf-8"))
    (dataset,) = content["datasets"]
    assert dataset["attribute"] == "class" and set(dataset["classes"]) <= set(SCENE_LABELS)
    assert content["bands"] == list(BANDS)
    dataset |= {"tile_size": 32, "classes": list(SCENE_LABELS), "prepare": {"workers": 1}}
    content |= {"first": {**SHORT, **NETWORK}, "curate": False, "pretrain": False, "finetune": False}
    content |= {"maps": {"window": 64, "polygons": ".gpkg", "pages": 1}}
    Path("project.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    run("run", "project.yaml")

    tiles = Path("work/data/my")
    counts = {split: len(list((tiles / split / "images").iterdir())) for split in ("train", "val", "test")}
    assert min(counts.values()) >= 1 and counts["train"] > counts["test"]
    assert json.loads(Path("work/evaluation/my/results.json").read_text(encoding="utf-8"))["mIoU"] > 0
    with rasterio.open("work/maps/my/scene_0.tif") as found, rasterio.open("my/scenes/scene_0.tif") as scene:
        assert (found.crs, found.transform, found.shape) == (scene.crs, scene.transform, scene.shape)
    assert Path("work/maps/my/scene_1_polygons.gpkg").is_file()
    processor = json.loads(Path("work/runs/first/segmenter/preprocessor_config.json").read_text(encoding="utf-8"))
    assert processor["bands"] == list(BANDS) and min(processor["value_scaling"]["high"]) > 255
    description = json.loads((tiles / "dataset.json").read_text(encoding="utf-8"))
    assert description["colors"] == [list(color) for color in natural_palette(SCENE_LABELS)]
    found = json.loads(Path("work/accuracy/my/accuracy.json").read_text(encoding="utf-8"))
    assert found["confusion_matrix"]["counts"] == counted(tiles / "test" / "masks").tolist()
    assert "have no pixel" not in str(found["warnings"])
    page = Path("work/report.html").read_text(encoding="utf-8")
    assert "Compare the maps with what is held out" in page and "producer&#x27;s accuracy" in page
    assert "Cut scenes into tiles" in page and 'href="data/my/report.html"' in page


def counted(masks):
    """Confusion of the maps, in rows, and of tiles with masks, in columns, by their places alone; tiles overlap."""
    counts = np.zeros((len(SCENE_LABELS), len(SCENE_LABELS)), dtype=int)
    for scene in sorted(Path("work/maps/my").glob("scene_?.tif")):
        with rasterio.open(scene) as file:
            shown, transform = file.read(1), file.transform
        real = np.full_like(shown, 255)
        for path in masks.glob(f"{scene.stem}_*"):
            with rasterio.open(path) as tile:
                left, top = map(round, ~transform * (tile.bounds.left, tile.bounds.top))
                real[top : top + tile.height, left : left + tile.width] = tile.read(1)
        held = (real != 255) & (shown != 255)
        np.add.at(counts, (shown[held], real[held]), 1)
    return counts


def test_polygons_that_lie_on_no_scene_or_say_no_class(place):
    Path("my/scenes").rename("my-scenes")
    with pytest.raises(FileNotFoundError, match=r"labels.gpkg lie on none of the georeferenced images in .*elsewhere"):
        write_project_file(["my"], "project.yaml")
    Path("my-scenes").rename("my/scenes")
    Path("my/labels.gpkg").unlink()
    import shapely

    with rasterio.open("my/scenes/scene_0.tif") as scene:
        write_polygons(Path("my/houses.gpkg"), [(shapely.box(*scene.bounds), 0)] * 2, ["house"], "EPSG:32618")
    write_project_file(["my"], "project.yaml")
    (dataset,) = read_project("project.yaml").datasets
    assert (dataset.name, dataset.attribute, list(dataset.classes)) == ("houses", "class", ["house"])


def test_the_command_of_a_project_says_what_the_file_says(place):
    dataset = {
        "name": "use",
        "scenes": "my/scenes",
        "labels": "my/labels.gpkg",
        "attribute": "class",
        "classes": {"green": ["tree", "field"], "built": "building"},
        "unlabelled": "green",
        "prepare": {"ignore-unknown": True, "test-share": 0},
    }
    Path("project.yaml").write_text(
        yaml.safe_dump({"datasets": [dataset], "first": True}, sort_keys=False), encoding="utf-8"
    )
    prepare, first = project_steps(read_project("project.yaml"))
    assert prepare.command == (
        "s5-hf prepare-scenes my/scenes --labels my/labels.gpkg --attribute class --classes "
        "'green=tree|field,built=building' --unlabelled green --tile-size 512 --output work/data/use --seed 0 "
        "--ignore-unknown --test-share 0"
    )
    assert first.after == ("prepare-use",) and first.recipe[1]["datasets"][0]["classes"] == ["green", "built"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folder": "my"}, "needs folder .* or scenes"),
        ({"scenes": []}, "needs folder .* or scenes"),
        ({"labels": []}, "labels is missing"),
        ({"labels": "none.gpkg"}, "labels: there is no none.gpkg"),
        ({"scenes": [], "folder": "my"}, "labels belongs to scenes"),
    ],
)
def test_datasets_of_scenes_that_are_refused(changes, message, place):
    entry = {"name": "use", "scenes": "my/scenes", "labels": "my/labels.gpkg", "classes": ["tree"], **changes}
    Path("project.yaml").write_text(yaml.safe_dump({"datasets": [entry], "first": True}), encoding="utf-8")
    with pytest.raises((ValueError, FileNotFoundError), match=rf"project.yaml: datasets\[0\].?{message}"):
        read_project("project.yaml")
