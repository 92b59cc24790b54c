"""What the benchmarks of detection compute besides training: hulls, oracles, recall."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from s5_hf.modeling import S5ForOrientedObjectDetection
from s5_hf.training.detection.validation import DetectionValidation
from tests.modeling.detection_models import micro_detection_config

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """A benchmark as a module, by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = ("measuring", "detection", "detection_diagnosis")
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


def test_hulls_of_annotations(script, tmp_path):
    source = tmp_path / "source" / "val"
    for name in ("images", "labelTxt"):
        (source / name).mkdir(parents=True)
    (source / "images" / "a.jpg").write_bytes(b"picture")
    text = "imagesource:X\ngsd:null\n10 0 20 10 10 20 0 10 Car 1\n"
    (source / "labelTxt" / "a.txt").write_text(text, encoding="utf-8")
    script("detection").write_hulls(source.parent, tmp_path / "hulls")
    assert (tmp_path / "hulls" / "val" / "images" / "a.jpg").read_bytes() == b"picture"
    (line,) = (tmp_path / "hulls" / "val" / "labelTxt" / "a.txt").read_text(encoding="utf-8").splitlines()
    *corners, label, difficult = line.split()
    assert [float(corner) for corner in corners] == pytest.approx([0, 0, 20, 0, 20, 20, 0, 20], abs=0.02)
    assert (label, difficult) == ("Car", "1")


def test_hulls_of_boxes_are_upright(script):
    hulls = script("detection").hulls(torch.tensor([[10.0, 10, 200**0.5, 200**0.5, torch.pi / 4]]))
    torch.testing.assert_close(hulls[:, :4], torch.tensor([[10.0, 10, 20, 20]]), atol=1e-4, rtol=0)
    assert hulls[0, 4].cos().abs().item() == pytest.approx(0, abs=1e-6) or hulls[0, 4] == 0


def test_told_classes_keep_the_score_of_being_an_object(script):
    logits = torch.tensor([[2.0, 1.0, 0.5], [0.0, -1.0, 3.0]])
    told = script("detection_diagnosis").true_classes(logits, torch.tensor([1, 0])).softmax(dim=1)
    torch.testing.assert_close(told[:, 2], logits.softmax(dim=1)[:, 2])
    assert told[0, 1] == pytest.approx(1 - told[0, 2].item(), abs=1e-6) and told[0, 0] < 1e-6


def test_oracles(script):
    """With the annotated boxes as proposals the head refines those; the places are exact where they may be moved."""
    torch.manual_seed(0)
    model = S5ForOrientedObjectDetection(micro_detection_config()).eval()
    settings = DetectionValidation(64, None, [0.5] * 3, [0.25] * 3)
    boxes = torch.tensor([[60.0, 50, 40, 20, 0.3]], dtype=torch.float64)
    pixels = torch.randint(0, 255, (128, 128, 3), dtype=torch.uint8).numpy()
    tried = script("detection_diagnosis").try_image(model, settings, pixels, boxes, torch.tensor([1]))
    assert set(tried.found) == {"none", "proposals", "classes", "places"}
    assert len(tried.found["proposals"]["boxes"]) <= 3, "one box, three classes"
    torch.testing.assert_close(tried.found["proposals"]["boxes"][:1, :2], boxes[:, :2].float(), atol=3, rtol=0)
    assert tried.proposals[:, 0].max() > 64, "in pixels of the file"


def test_recall_by_size(script, capsys):
    diagnosis = script("detection_diagnosis")
    boxes = torch.tensor([[20.0, 20, 10, 10, 0], [50, 50, 40, 40, 0]])
    proposals = torch.tensor([[20.0, 20, 9, 10, 0], [90, 90, 40, 40, 0]])
    diagnosis.print_recall([diagnosis.Tried(boxes, torch.tensor([0, 1]), proposals, {})], ["small", "large"])
    printed = capsys.readouterr().out
    assert "| 0 to 12 px | 1 | 100% | 100% | 100% | 100% |" in printed
    assert "| 32 to 48 px | 1 | 0% | 0% | 0% | 0% |" in printed and "| small | 1 | 100%" in printed


def test_a_detection_is_right_if_class_and_place_are(script, capsys):
    diagnosis = script("detection_diagnosis")
    boxes, scores = torch.tensor([[20.0, 20, 10, 10, 0]] * 2), torch.tensor([0.9, 0.85])
    found = {"none": {"boxes": boxes, "scores": scores, "labels": torch.tensor([0, 1])}}
    diagnosis.print_calibration([diagnosis.Tried(boxes[:1], torch.tensor([0]), boxes, found)])
    assert "| 0.8 to 1 | 2 | 0.88 | 0.50 |" in capsys.readouterr().out
