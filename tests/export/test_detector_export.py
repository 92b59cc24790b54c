"""Exported detectors: the objects of the model, whatever the size of the image, through the code of every detector."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from s5_hf.export import BoxGraph, ObjectGraph, export_model
from s5_hf.export.detection_comparison import compare_detections
from s5_hf.export.detector_graph import classify, hull_iou_matrices, propose
from s5_hf.export.greedy_choice import keep_greedily
from s5_hf.export.onnx_file import open_session
from s5_hf.modeling import S5ForOrientedObjectDetection, S5ImageProcessor
from s5_hf.modeling.non_maximum_suppression import rotated_nms
from s5_hf.modeling.rotated_iou import iou_matrices, rotated_iou
from s5_hf.predictors import OnnxDetector, OnnxSegmenter, TorchDetector, load_detector
from s5_hf.predictors.image_probabilities import NonFiniteOutputError
from s5_hf.predictors.interfaces import SceneDetector
from s5_hf.scenes.detection import TileSettings, detect_scene
from tests.modeling.detection_models import micro_detection_config

SIZES = [(96, 128), (70, 100), (33, 40)]
FEW = {"proposals_per_level": 20, "max_proposals": 40, "roi_sampling_ratio": 1}  # a graph that is traced sooner


@pytest.fixture(scope="module")
def detector():
    """A micro detector with experts, whose scores are neither all alike nor all 0 or 1."""
    torch.manual_seed(0)
    model = S5ForOrientedObjectDetection(micro_detection_config(num_experts=2, **FEW))
    for head in (*model.rpn_heads, *model.roi_heads):
        torch.nn.init.normal_(head.classifier.weight, std=0.4)
        torch.nn.init.normal_(head.regressor.weight, std=0.05)
    return model.eval()


@pytest.fixture(scope="module")
def dense(detector):
    return detector.merge_experts("vehicles")


@pytest.fixture(scope="module")
def exported(detector, tmp_path_factory):
    """Its task vehicles as a file that gives objects, and what the export says."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason='ONNX files need the packages of "s5_hf[onnx]"')
    path = tmp_path_factory.mktemp("export") / "vehicles.onnx"
    processor = S5ImageProcessor(image_mean=(0.1, 0.2, 0.3))
    return export_model(detector, path, task="vehicles", processor=processor, candidates=90)


def images(height, width, batch=2):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(height))


def test_the_file_describes_itself(exported):
    session = open_session(exported.path)
    inputs, outputs = (
        {value.name: value.shape for value in values} for values in (session.get_inputs(), session.get_outputs())
    )
    assert inputs == {
        "pixel_values": ["batch", 3, "height", "width"],
        "image_sizes": ["batch", 2],
        "score_threshold": [],
        "iou_threshold": [],
    }
    assert outputs == {
        "boxes": ["batch", 90, 5],
        "scores": ["batch", 90],
        "labels": ["batch", 90],
        "candidates": ["batch"],
    }
    strings = session.get_modelmeta().custom_metadata_map
    assert (
        json.loads(strings["s5_hf.labels"]) == ["car", "ship", "plane"]
        and json.loads(strings["s5_hf.kind"]) == "objects"
    )
    assert exported.metadata.size_multiple == 32 and max(exported.differences.values()) <= 0.05


@pytest.mark.parametrize("size", SIZES)
def test_the_file_finds_the_objects_of_the_model(exported, detector, size):
    of_model, of_file = TorchDetector(detector, "vehicles"), OnnxDetector(exported.path)
    assert isinstance(of_file, SceneDetector) and of_file.labels == ("car", "ship", "plane")
    pixel_values = images(*size)
    expected = of_model.detect(pixel_values, 0.35, 0.1, 2000)
    for one, other in zip(expected, of_file.detect(pixel_values, 0.35, 0.1, 2000), strict=True):
        assert len(one["scores"]) > 3
        assert len(one["scores"]) == len(other["scores"])
        torch.testing.assert_close(other["scores"], one["scores"], rtol=0, atol=1e-4)
        overlaps = rotated_iou(other["boxes"], one["boxes"])
        assert overlaps.amax(dim=1).min() > 0.999
        assert torch.equal(one["labels"][overlaps.argmax(dim=1)].sort().values, other["labels"].sort().values)
    (few, _) = of_file.detect(pixel_values, 0.35, 0.1, 2)
    assert len(few["scores"]) == 2


def test_scenes_are_searched_with_the_file(exported, detector, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    tiles = TileSettings(tile=96, batch_size=2, threshold=0.35)
    found = detect_scene(exported.path, tmp_path / "scene.png", tmp_path / "found", settings=tiles, progress=False)
    settings = {"image_mean": (0.1, 0.2, 0.3)}
    expected = detect_scene(
        TorchDetector(detector, "vehicles", **settings), tmp_path / "scene.png", settings=tiles, progress=False
    )
    assert len(found) == len(expected) > 3
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)
    assert json.loads(found.files["json"].read_text(encoding="utf-8"))["info"]["task"] == "vehicles"


def test_more_candidates_than_the_file_takes_are_said(exported):
    with pytest.warns(UserWarning, match=r"120 boxes of an image are above the threshold, but the file takes the 90"):
        OnnxDetector(exported.path).detect(images(96, 128, 1), 0.0, 0.1, 2000)


def test_nan_is_refused(exported):
    broken = images(96, 96)
    broken[1, 0, 0, 0] = float("nan")
    with pytest.raises(NonFiniteOutputError, match="image 1 of a batch"):
        OnnxDetector(exported.path).detect(broken, 0.3, 0.1, 2000)


def test_files_for_something_else_are_refused(exported, tmp_path):
    with pytest.raises(ValueError, match="holds an oriented detector: `s5-hf detect` runs it"):
        OnnxSegmenter(exported.path)
    with pytest.raises(ValueError, match="has no task 'roofs'; it was exported for vehicles"):
        load_detector(exported.path, "roofs")
    with pytest.raises(ValueError, match="options of torch models"):
        load_detector(exported.path, precision="bf16")
    with pytest.raises(FileNotFoundError, match=r"no ONNX file .*absent\.onnx"):
        load_detector(tmp_path / "absent.onnx")


def test_bad_requests(detector, tmp_path):
    with pytest.raises(ValueError, match="is a detector, which is exported as onnx only"):
        export_model(detector, tmp_path / "a.pt2", "torch-export", "vehicles")
    with pytest.raises(ValueError, match="unknown suppression 'none'; known: inside, after"):
        export_model(detector, tmp_path / "a.onnx", task="vehicles", suppression="none")
    with pytest.raises(ValueError, match="candidates must be at least 1, got 0"):
        export_model(detector, tmp_path / "a.onnx", task="vehicles", candidates=0)
    with pytest.raises(ValueError, match="expected a dense model of one task"):
        BoxGraph(detector)


@pytest.mark.parametrize(("size", "form"), [((96, 128), "oriented"), ((32, 64), "oriented"), ((32, 64), "horizontal")])
def test_the_proposals_of_the_graph_are_those_of_the_model(dense, size, form, plain_loop, monkeypatch):
    for part in (dense.rpn_heads[0], dense.roi_heads[0]):
        monkeypatch.setattr(part.config, "proposal_form", form)
    graph, pixel_values = BoxGraph(dense), images(*size)
    with torch.inference_mode():
        outputs = dense(pixel_values)
        levels = dense.necks[0](dense.backbone(pixel_values).feature_maps)
        boxes, exists = propose(dense.rpn_heads[0], dense.rpn_heads[0](levels), graph.proposals)
        logits, _ = classify(dense.roi_heads[0], levels, boxes)
    assert boxes.shape == (2, 40, 5)
    for index in range(2):
        expected = outputs.proposals[index]
        assert exists[index].sum() >= len(expected)
        found = rotated_iou(expected, boxes[index][exists[index]])
        assert found.amax(dim=1).min() > 0.999
        torch.testing.assert_close(
            logits[index][exists[index]][found.argmax(dim=1)], outputs.logits[index], rtol=0, atol=1e-3
        )


def test_boxes_are_refined_as_often_as_in_the_model(dense, plain_loop, monkeypatch):
    pixel_values = images(32, 64)
    once = BoxGraph(dense)(pixel_values, torch.tensor([[32, 64]] * 2))[0]
    for part in (dense, dense.roi_heads[0]):
        monkeypatch.setattr(part.config, "roi_passes", 3)
    with torch.inference_mode():
        logits, boxes, exists = BoxGraph(dense)(pixel_values, torch.tensor([[32, 64]] * 2))
        outputs = dense(pixel_values)
    assert (logits - once).abs().max() > 0.01
    for index, expected in enumerate(outputs.pred_boxes):
        found = rotated_iou(expected, boxes[index][exists[index]])
        assert len(expected) and found.amax(dim=1).min() > 0.999
        torch.testing.assert_close(
            logits[index][exists[index]][found.argmax(dim=1)], outputs.logits[index], rtol=0, atol=1e-3
        )


@pytest.fixture(scope="module")
def plain_loop():
    """The loop of graphs as one of Python: torch would compile it, once for every size."""

    def loop(condition, body, state):
        while condition(*state):
            state = body(*state)
        return state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s5_hf.export.greedy_choice.while_loop", loop)
        yield


def test_nan_reaches_the_caller(dense, plain_loop):
    broken = images(96, 96)
    broken[1, 0, 0, 0] = float("nan")
    graph, sizes = ObjectGraph(dense, 50), torch.tensor([[96, 96], [96, 96]])
    with torch.inference_mode():
        *_, candidates = graph(broken, sizes, torch.tensor(0.2), torch.tensor(0.1))
        logits, *_ = BoxGraph(dense)(broken, sizes)
    assert candidates[0] > 0 and candidates[1] == -1
    assert logits[0].isfinite().all() and not logits[1].isfinite().all()


def one_by_one(conflicts, exists):
    """The greedy choice as a plain loop."""
    kept = torch.zeros_like(exists)
    for image in range(len(exists)):
        for index in range(exists.shape[1]):
            clash = (conflicts[image, index] & kept[image]).any()
            kept[image, index] = exists[image, index] & ~clash
    return kept


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0, 0.6))
def test_the_loop_is_the_greedy_choice(plain_loop, seed, count, density):
    generator = torch.Generator().manual_seed(seed)
    conflicts = torch.rand(2, count, count, generator=generator) < density
    conflicts = conflicts | conflicts.transpose(1, 2)
    exists = torch.rand(2, count, generator=generator) < 0.8
    assert torch.equal(keep_greedily(conflicts, exists), one_by_one(conflicts, exists))


def test_matrices_of_overlaps_are_those_of_the_pairs():
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(2, 30, 5, generator=generator) * torch.tensor([60, 60, 40, 20, 3.0])
    boxes[0, 3, 2:4] = 0
    for found, of_image in zip(iou_matrices(boxes), boxes, strict=True):
        torch.testing.assert_close(found, rotated_iou(of_image, of_image), rtol=0, atol=2e-5)
    kept = one_by_one(iou_matrices(boxes[1:]) > 0.3, torch.ones(1, 30, dtype=torch.bool))[0].nonzero().flatten()
    assert kept.tolist() == rotated_nms(boxes[1], torch.linspace(1, 0.1, 30), 0.3).tolist()
    hulls = torch.tensor([[[0.0, 0, 4, 4], [2, 0, 6, 4], [9, 9, 9, 12]]])
    torch.testing.assert_close(hull_iou_matrices(hulls)[0], torch.tensor([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]]))


def test_a_file_that_finds_other_boxes_is_refused(dense):
    def shifted(inputs):
        with torch.inference_mode():
            outputs = dense(torch.from_numpy(inputs["pixel_values"]), image_sizes=inputs["image_sizes"].tolist())
        logits, boxes = torch.stack(outputs.logits), torch.stack(outputs.pred_boxes)
        exists = np.ones(logits.shape[:2], dtype=bool)
        return {"logits": logits.numpy(), "boxes": boxes.numpy() + offset, "exists": exists}

    graph = BoxGraph(dense)
    graph.cell = 64  # no padding, in which boxes would be lost
    offset = 0.0
    assert max(compare_detections(dense, shifted, graph).values()) == 0
    offset = 5.0
    with pytest.raises(RuntimeError, match="the file does not find what the model finds"):
        compare_detections(dense, shifted, graph)
