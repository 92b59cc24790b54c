"""Exported files: any size, the model's logits, and nothing left behind where they are not."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import SwinConfig
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.export import export_model
from s5_hf.export import onnx_file as onnx_file_module
from s5_hf.export.exporter import _READERS, _WRITERS, compare
from s5_hf.export.metadata import ExportMetadata
from s5_hf.export.program_file import METADATA_FILE, open_program
from s5_hf.export.size_free_graph import SizeFreeGraph
from s5_hf.imaging.natural_colors import natural_palette
from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor, S5SegmentationConfig
from s5_hf.modeling.deterministic_operations import averaging_matrix
from s5_hf.predictors import OnnxSegmenter
from s5_hf.predictors.interfaces import SceneSegmenter
from s5_hf.predictors.normalization import normalize_pixels
from s5_hf.scenes.segmentation.scene_probabilities import WindowSettings
from s5_hf.scenes.segmentation.scene_result import MapProducts
from s5_hf.scenes.segmentation.single_scene import segment_scene
from tests.conftest import micro_segmentation_config, randomise


def small_pooling_segmenter(num_experts: int = 0) -> S5ForSemanticSegmentation:
    """A micro segmenter with half of the usual pooling scales, which takes half as long to trace."""
    config = micro_segmentation_config(num_experts)
    config.pool_scales = (1, 3)
    return randomise(S5ForSemanticSegmentation(config)).eval()


@pytest.fixture(scope="module")
def experts() -> S5ForSemanticSegmentation:
    """A micro mixture of experts with the tasks fields and roads."""
    return small_pooling_segmenter(num_experts=2)


@pytest.fixture(scope="module")
def onnx_file(experts, tmp_path_factory):
    """Its task roads as an ONNX file, written by the command."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason='ONNX files need the packages of "s5_hf[onnx]"')
    folder = tmp_path_factory.mktemp("export")
    experts.save_pretrained(folder / "model")
    S5ImageProcessor(image_mean=(0.1, 0.2, 0.3)).save_pretrained(folder / "model")
    target = folder / "out" / "roads.onnx"
    result = CliRunner().invoke(app, ["export", str(folder / "model"), str(target), "--task", "roads"])
    assert result.exit_code == 0, result.output
    assert "task roads, 2 classes" in result.output
    assert [path.name for path in target.parent.iterdir()] == ["roads.onnx"]
    return target


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (2, 3, 80, 112), (3, 3, 16, 16), (1, 3, 32, 208)])
def test_onnx_gives_the_logits_of_the_task_at_any_size(onnx_file, experts, shape):
    pixel_values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = experts(pixel_values, task="roads").logits.numpy()
    logits = onnx_file_module.open_onnx(onnx_file)(pixel_values.numpy())
    assert np.abs(expected).max() > 0.1  # logits near zero would agree with anything
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def test_onnx_file_describes_itself(onnx_file):
    session = onnx_file_module.open_session(onnx_file)
    (pixel_values,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (pixel_values.name, pixel_values.shape) == ("pixel_values", ["batch", 3, "height", "width"])
    assert (logits.name, logits.shape) == ("logits", ["batch", 2, "height", "width"])
    strings = session.get_modelmeta().custom_metadata_map
    assert json.loads(strings["s5_hf.task"]) == "roads"
    assert json.loads(strings["s5_hf.labels"]) == ["ground", "road"]
    assert json.loads(strings["s5_hf.image_mean"]) == [0.1, 0.2, 0.3]
    assert json.loads(strings["s5_hf.palette"]) == [list(color) for color in natural_palette(["ground", "road"])]
    assert json.loads(strings["s5_hf.size_multiple"]) == 16


def test_onnx_segmenter_keeps_the_protocol_of_scenes(onnx_file, experts):
    segmenter = OnnxSegmenter(onnx_file)
    assert segmenter.name == str(onnx_file)
    assert isinstance(segmenter, SceneSegmenter)
    assert segmenter.id2label == {0: "ground", 1: "road"} and segmenter.num_labels == 2
    pixels = torch.randint(0, 256, (2, 64, 48, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixel_values = S5ImageProcessor(image_mean=(0.1, 0.2, 0.3))(list(pixels.numpy()), return_tensors="pt").pixel_values
    torch.testing.assert_close(
        normalize_pixels(pixels.permute(0, 3, 1, 2), segmenter), pixel_values, rtol=0, atol=1e-5
    )
    with torch.no_grad():
        expected = experts(pixel_values, task="roads").logits
    torch.testing.assert_close(segmenter.predict(pixel_values), expected, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="multiples of 16, got 64 x 40"):
        segmenter.predict(torch.zeros(1, 3, 64, 40))


def test_scenes_are_segmented_with_an_onnx_file(onnx_file, tmp_path):
    rows, columns = np.mgrid[:70, :100]
    pixels = np.stack([rows * 3, columns * 2, (rows // 8 + columns // 8) % 2 * 200], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    model = onnx_file.parent.parent / "model"
    settings, products = WindowSettings(window=48, batch_size=2), MapProducts(probabilities=True)
    ground = []
    for source, task, name in ((onnx_file, None, "onnx"), (model, "roads", "torch")):
        segment_scene(
            source, tmp_path / "scene.png", tmp_path / f"{name}.png", task, settings, products, progress=False
        )
        ground.append(np.asarray(Image.open(tmp_path / f"{name}_probabilities_0_ground.png")).astype(int))
    assert ground[0].shape == (70, 100) and np.ptp(ground[1]) > 10
    assert np.abs(ground[0] - ground[1]).max() <= 1  # steps of 1 / 254


def test_onnx_segmenter_scales_the_normalisation_to_the_protocol(onnx_file, monkeypatch):
    read = ExportMetadata.from_strings
    byte_scale = lambda strings, name: replace(read(strings, name), rescale_factor=1.0)  # noqa: E731
    monkeypatch.setattr(ExportMetadata, "from_strings", byte_scale)
    assert OnnxSegmenter(onnx_file).image_mean == pytest.approx([0.1 / 255, 0.2 / 255, 0.3 / 255])


@pytest.mark.parametrize(
    ("settings", "mean", "std"),
    [
        ({"do_rescale": False, "image_mean": [51.0] * 3, "image_std": [102.0] * 3}, 0.2, 0.4),
        ({"do_normalize": False}, 0.0, 1.0),
        ({"do_rescale": False, "do_normalize": False}, 0.0, 1 / 255),
    ],
)
def test_exported_metadata_hold_the_normalisation_of_the_processor(
    experts, tmp_path, monkeypatch, settings, mean, std
):
    monkeypatch.setitem(_WRITERS, "torch-export", lambda graph, metadata, path: path.write_bytes(b""))
    monkeypatch.setattr("s5_hf.export.exporter.compare", lambda dense, run, name: {})
    monkeypatch.setitem(_READERS, "torch-export", lambda path: None)
    processor = S5ImageProcessor(**settings)
    metadata = export_model(experts, tmp_path / "roads.pt2", "torch-export", "roads", processor).metadata
    assert metadata.rescale_factor == 1 / 255
    assert metadata.image_mean == pytest.approx([mean] * 3) and metadata.image_std == pytest.approx([std] * 3)


def test_onnx_segmenter_refuses_other_files(tmp_path, onnx_file):
    import onnx

    with pytest.raises(FileNotFoundError, match=r"absent\.onnx"):
        OnnxSegmenter(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.onnx is not an ONNX file"):
        OnnxSegmenter(tmp_path / "text.onnx")
    stranger = onnx.load(onnx_file)
    del stranger.metadata_props[:]
    onnx.save(stranger, tmp_path / "stranger.onnx")
    with pytest.raises(ValueError, match=r"stranger\.onnx was not written by `s5-hf export`.*s5_hf\.labels"):
        OnnxSegmenter(tmp_path / "stranger.onnx")


def test_torch_export_program_gives_the_logits_at_any_size(tmp_path):
    dense_model = small_pooling_segmenter()
    report = export_model(dense_model, tmp_path / "fields.pt2", "torch-export")
    assert max(report.differences.values()) < 1e-4 and len(report.differences) == 4
    run = open_program(tmp_path / "fields.pt2")
    pixel_values = torch.randn(2, 3, 48, 176, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = dense_model(pixel_values).logits.numpy()
    np.testing.assert_allclose(run(pixel_values.numpy()), expected, rtol=0, atol=1e-5)
    extra = {METADATA_FILE: ""}
    torch.export.load(tmp_path / "fields.pt2", extra_files=extra)
    assert json.loads(json.loads(extra[METADATA_FILE])["s5_hf.labels"]) == ["soil", "crop", "water"]


def test_a_file_that_differs_is_removed(dense_model, tmp_path, monkeypatch):
    target = tmp_path / "fields.onnx"
    target.write_bytes(b"an older export")
    monkeypatch.setattr("s5_hf.export.exporter.require_onnx", lambda: None)
    monkeypatch.setitem(_WRITERS, "onnx", lambda graph, metadata, path: path.write_bytes(b"new"))

    def slightly_wrong(path):
        assert path.read_bytes() == b"new"
        return lambda pixel_values: dense_model(torch.from_numpy(pixel_values)).logits.detach().numpy() + 0.01

    monkeypatch.setitem(_READERS, "onnx", slightly_wrong)
    with pytest.raises(RuntimeError, match=r"differ by up to 0\.01, allowed"):
        export_model(dense_model, target)
    assert [path.name for path in tmp_path.iterdir()] == ["fields.onnx"]
    assert target.read_bytes() == b"an older export"


def test_not_a_number_counts_as_a_difference(dense_model):
    with pytest.raises(RuntimeError, match="nan"):
        compare(dense_model, lambda pixel_values: np.full((1, 3, 64, 64), np.nan, dtype=np.float32), "onnx")


def test_size_free_graph_gives_the_logits_of_the_model(dense_model):
    images = torch.randn(2, 3, 112, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(SizeFreeGraph(dense_model)(images), dense_model(images).logits, rtol=0, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 9))
def test_averaging_matrix_is_adaptive_pooling(size, bins):
    values = torch.randn(size, generator=torch.Generator().manual_seed(size))
    expected = torch.nn.functional.adaptive_avg_pool1d(values[None], bins)[0]
    torch.testing.assert_close(averaging_matrix(size, bins, values) @ values, expected, rtol=1e-5, atol=1e-6)


def test_bad_requests(experts, dense_model, tmp_path):
    with pytest.raises(ValueError, match=r"'tflite'.*onnx, torch-export"):
        export_model(dense_model, tmp_path / "model.tflite", "tflite")
    with pytest.raises(ValueError, match=r"torch-export ends in \.pt2, got .*model\.onnx"):
        export_model(dense_model, tmp_path / "model.onnx", "torch-export")
    with pytest.raises(ValueError, match="fields, roads"):
        export_model(experts, tmp_path / "model.pt2", "torch-export")
    with pytest.raises(ValueError, match=r"'rivers'.*fields, roads"):
        export_model(experts, tmp_path / "model.pt2", "torch-export", task="rivers")
    with pytest.raises(FileNotFoundError, match=r"no model folder .*absent"):
        export_model(tmp_path / "absent", tmp_path / "model.pt2", "torch-export")
    experts.backbone.save_pretrained(tmp_path / "encoder")
    with pytest.raises(ValueError, match="encoder is a 's5_vit' model, expected a segmenter"):
        export_model(tmp_path / "encoder", tmp_path / "model.pt2", "torch-export")
    (tmp_path / "taken.pt2").mkdir()
    with pytest.raises(IsADirectoryError, match=r"taken\.pt2"):
        export_model(dense_model, tmp_path / "taken.pt2", "torch-export")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "taken.pt2"]


def test_a_backbone_of_another_kind_is_refused(tmp_path):
    backbone = SwinConfig(
        embed_dim=16, depths=[1, 1], num_heads=[1, 2], window_size=4, out_features=["stage1", "stage2"]
    )
    config = S5SegmentationConfig(backbone_config=backbone, tasks={"fields": ["soil", "crop"]}, decoder_channels=16)
    with pytest.raises(ValueError, match=r"S5 ViT.*'swin'"):
        export_model(S5ForSemanticSegmentation(config), tmp_path / "model.pt2", "torch-export")
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(dense_model, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find_spec(name))
    with pytest.raises(ImportError, match=r'onnxscript.*pip install "s5_hf\[onnx\]"'):
        export_model(dense_model, tmp_path / "model.onnx")
