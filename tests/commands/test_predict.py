"""Many scenes, and `s5-hf predict`."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.imaging import find_scenes
from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor, S5SegmentationConfig, S5ViTConfig
from s5_hf.scenes import MapProducts, segment_scenes
from tests.scenes.conftest import smooth_image
from tests.scenes.segmenters import PixelSegmenter


def write_images(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        Image.fromarray(smooth_image(50, 60, seed)).save(folder / name)


def silent(line):
    pass


@pytest.fixture(scope="module")
def segmenter_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segmenter")
    torch.manual_seed(0)
    vit = S5ViTConfig(hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=64)
    config = S5SegmentationConfig(backbone_config=vit, tasks={"town": ["land", "roof"]}, decoder_channels=16)
    S5ForSemanticSegmentation(config).save_pretrained(folder)
    S5ImageProcessor().save_pretrained(folder)
    return folder


def test_files_folders_and_patterns_are_scenes(tmp_path):
    write_images(tmp_path / "a", "2.png", "1.jpg", "3.bmp")
    write_images(tmp_path / "b" / "deep", "4.png")
    (tmp_path / "a" / "notes.txt").write_text("no scene", encoding="utf-8")
    names = [str(tmp_path / "a" / name) for name in ("1.jpg", "2.png", "3.bmp")]
    assert find_scenes([tmp_path / "a"]) == names
    assert find_scenes([str(tmp_path / "a" / "*.png"), tmp_path / "a"]) == [names[1], names[0], names[2]]
    assert find_scenes([str(tmp_path / "b" / "**" / "*.png")]) == [str(tmp_path / "b" / "deep" / "4.png")]
    assert find_scenes(["https://server/x.tif"]) == ["https://server/x.tif"]
    with pytest.raises(FileNotFoundError, match=r"empty is not a scene: expected"):
        find_scenes([tmp_path / "empty"])


def test_processes_share_the_scenes(tmp_path, monkeypatch):
    """Each scene is done by one process, whatever their number; the processes are played one after the other."""
    write_images(tmp_path / "in", "a.png", "b.png", "c.png")
    scenes = find_scenes([tmp_path / "in"])
    done = []
    for index in (0, 1):

        class State:
            process_index, num_processes, device, is_main_process = index, 2, "cpu", index == 0

            def __init__(self, **options):
                pass

            def wait_for_everyone(self):
                pass

        monkeypatch.setattr("s5_hf.scenes.many_scenes.PartialState", State)
        loading = "s5_hf.scenes.segmentation.many_scenes.load_segmenters"
        monkeypatch.setattr(loading, lambda *arguments: [PixelSegmenter()])
        results = segment_scenes("model", scenes, tmp_path / "out", report=silent)
        done.append([result.files.classes.stem for result in results])
    assert done == [["a", "c"], ["b"]]


def test_a_scene_that_fails_does_not_stop_the_others(tmp_path):
    write_images(tmp_path / "in", "a.png", "b.png", "c.png")
    (tmp_path / "in" / "b.png").write_bytes((tmp_path / "in" / "b.png").read_bytes()[:500])
    lines = []
    with pytest.raises(RuntimeError, match=r"1 of 3 scenes failed:\n.*b.png"):
        segment_scenes(PixelSegmenter(), find_scenes([tmp_path / "in"]), tmp_path / "out", report=lines.append)
    assert any(line.startswith("failed: ") for line in lines)
    assert sorted(path.stem for path in (tmp_path / "out").iterdir() if path.suffix != ".json") == ["a", "c"]


def test_two_scenes_of_one_name_are_refused(tmp_path):
    write_images(tmp_path / "in", "a.png", "a.jpg")
    with pytest.raises(ValueError, match=r"a.jpg and .*a.png would both become .*a\."):
        segment_scenes(PixelSegmenter(), find_scenes([tmp_path / "in"]), tmp_path / "out", report=silent)


def test_scenes_cannot_share_a_file_of_polygons(tmp_path):
    products = MapProducts(polygons="all.gpkg")
    with pytest.raises(ValueError, match=r"2 scenes cannot share the polygons all.gpkg; give the suffix alone: .gpkg"):
        segment_scenes(PixelSegmenter(), ["a.png", "b.png"], tmp_path, products=products, report=silent)


def test_the_command_segments_a_folder(tmp_path, segmenter_folder):
    write_images(tmp_path / "in", "a.png", "b.png")
    arguments = ["predict", str(segmenter_folder), str(tmp_path / "in" / "*.png"), str(tmp_path / "in" / "b.png")]
    options = ["--window", "48", "--flips", "none,both", "--scales", "1,2", "--task", "town", "--areas"]
    result = CliRunner().invoke(app, [*arguments, str(tmp_path / "out"), *options], catch_exceptions=False)
    assert result.exit_code == 0
    assert "roof" in result.output
    sidecar = json.loads((tmp_path / "out" / "a.json").read_text(encoding="utf-8"))
    assert (sidecar["task"], sidecar["id2label"]) == ("town", {"0": "land", "1": "roof"})
    assert sidecar["model"] == str(segmenter_folder)
    assert sum(area["pixels"] for area in sidecar["areas"]) == 50 * 60
    assert (tmp_path / "out" / "b_areas.csv").is_file()


def test_the_command_is_segmentation_of_the_whole_image(tmp_path, segmenter_folder):
    """A scene smaller than a window: the map is what the model says of the image."""
    write_images(tmp_path, "a.png")
    output = tmp_path / "map.png"
    result = CliRunner().invoke(
        app, ["predict", str(segmenter_folder), str(tmp_path / "a.png"), str(output)], catch_exceptions=False
    )
    assert result.exit_code == 0
    image = np.pad(np.asarray(Image.open(tmp_path / "a.png")), ((0, 14), (0, 4), (0, 0)), mode="edge")
    model = S5ForSemanticSegmentation.from_pretrained(segmenter_folder).eval()
    with torch.inference_mode():
        expected = model(**S5ImageProcessor()(image, return_tensors="pt")).logits[0].argmax(dim=0)[:50, :60].numpy()
    assert (np.asarray(Image.open(output)) == expected).mean() > 0.999


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bands", "0,1,2"], "--bands"),
        (["--value-range", "5"], "--value-range takes two numbers"),
        (["--scales", "1,x"], "--scales takes numbers"),
    ],
)
def test_wrong_options_are_explained(tmp_path, segmenter_folder, options, message):
    write_images(tmp_path, "a.png")
    arguments = ["predict", str(segmenter_folder), str(tmp_path / "a.png"), str(tmp_path / "map.png"), *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", "").split())
