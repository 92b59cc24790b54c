"""The published names and settings of open-vocabulary models on datasets of the registry."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.dataset_builders.registry import REGISTRY, get_entry
from s5_hf.evaluation import EvaluationSettings, run_evaluation
from s5_hf.modeling import SegEarthOVForSemanticSegmentation, SegEarthOVImageProcessor
from tests.open_models import CLASSES, tiny_processor, write_tiny_model

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "fixtures" / "ov_datasets.json"
NAMES = {
    "chn6-cug": "s5-chn6-cug",
    "deepglobe_road": "s5-deepglobe-roads",
    "massachusetts_road": "s5-massachusetts-roads",
    "spacenet_road": "s5-spacenet-roads",
    "whu_aerial": "s5-whu-aerial",
    "whu_sat_II": "s5-whu-satellite-2",
    "iSAID": "s5-isaid",
    "xBD": "s5-xbd-pre",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model"), cls_lambda=0.5)


def write_pairs(root, images, masks, classes):
    """Two images and masks with all values of `classes`."""
    random = np.random.default_rng(0)
    for number, size in enumerate(((40, 70), (64, 48))):
        for place, shape, high in ((images, (*size, 3), 256), (masks, size, classes)):
            path = root / place.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, high, shape, dtype=np.uint8)).save(path)
    return root


@pytest.fixture
def loveda(tmp_path):
    return write_pairs(tmp_path / "LoveDA", "Val/Rural/images_png/{}.png", "Val/Rural/masks_png/{}.png", 8)


def test_the_table_is_the_published_one():
    if not PUBLISHED.exists():
        pytest.skip("the published settings are not there")
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    compared = 0
    for version in ("v1", "v2"):
        for name, expected in published[f"version_{version[1]}"].items():
            entry = REGISTRY.get(NAMES.get(name, f"s5-{name}"))
            if entry is None:
                continue
            found = entry.open_vocabulary[version]
            assert [names.split(",") for names in found.classes] == expected["classes"]
            assert found.threshold == expected["prob_thd"] and found.background == expected["bg_idx"]
            assert found.cls_lambda == expected["cls_token_lambda"]
            assert found.longest_side == expected["resize_long_side"]
            assert (expected["slide_crop"], expected["slide_stride"], expected["attention"]) == (224, 112, "SegEarth")
            compared += 1
    with_names = [entry for entry in REGISTRY.values() if entry.open_vocabulary]
    assert compared == 2 * len(with_names) >= 10


def test_names_are_as_many_as_classes():
    for entry in REGISTRY.values():
        for named in entry.open_vocabulary.values():
            beyond = 1 if entry.ignore_index == len(entry.labels) else 0
            assert len(named.classes) == len(entry.labels) + beyond
            assert 0 <= named.background < len(named.classes)


def test_a_dataset_is_evaluated_by_its_published_names(folder, loveda, tmp_path):
    words = ["evaluate", str(folder), "--dataset", "s5-loveda", "--data-dir", str(loveda), "--split", "val"]
    result = CliRunner().invoke(app, [*words, "--output", str(tmp_path / "report")])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))
    assert report["protocol"]["threshold"] == 0.3 and report["protocol"]["classes"][1] == "building,roof,house"
    assert list(report["per_class"]) == list(get_entry("s5-loveda").labels) and not report["left_out"]
    model = SegEarthOVForSemanticSegmentation.from_pretrained(folder, cls_lambda=-0.3).eval()
    model.encode_classes(report["protocol"]["classes"], tiny_processor())
    processor, expected = SegEarthOVImageProcessor(), np.zeros((7, 7), dtype=int)
    for path in sorted((loveda / "Val/Rural/images_png").iterdir()):
        image, mask = Image.open(path), np.asarray(Image.open(loveda / "Val/Rural/masks_png" / path.name))
        with torch.no_grad():
            outputs = model(**processor(image, return_tensors="pt"), output_size=mask.shape)
        (ids,) = processor.post_process_semantic_segmentation(outputs, threshold=0.3, background=0)
        np.add.at(expected, (mask[mask > 0] - 1, ids.numpy()[mask > 0]), 1)
    assert np.abs(np.array(report["confusion_matrix"]) - expected).sum() <= 8, "more than rounding explains"
    assert (expected.sum(axis=0) > 0).sum() > 1


def test_the_threshold_gives_uncertain_pixels_to_the_background(folder, loveda, monkeypatch):
    from s5_hf.dataset_builders import registry

    settings = EvaluationSettings(str(folder), "s5-loveda", str(loveda), split="val")
    named = get_entry("s5-loveda").open_vocabulary["v1"]
    certain = type(named)(named.classes, 1.0, background=2)
    monkeypatch.setitem(registry.REGISTRY["s5-loveda"].open_vocabulary, "v1", certain)
    counts = np.array(run_evaluation(settings).scores["confusion_matrix"])
    assert counts[:, 2].sum() == counts.sum() > 0


def test_clutter_is_predicted_but_ignored_and_versions_differ(folder, tmp_path):
    data = write_pairs(tmp_path, "val/images/{}.png", "val/masks/{}.png", 6)
    settings = {"model": str(folder), "dataset": "s5-potsdam", "data_dir": str(data)}
    options = {"mask_values": "release"}
    results = run_evaluation(EvaluationSettings(**settings, options=options, names="v2"))
    assert results.protocol.classes[2] == "grass" and results.data.labels[5] == "clutter"
    counts = np.array(results.scores["confusion_matrix"])
    assert counts.shape == (6, 6) and counts[5].sum() == 0
    assert results.scores["left_out"] == ["clutter"]
    first = run_evaluation(EvaluationSettings(**settings, options=options))
    assert first.protocol.classes[0] == "road,parking lot"


def test_a_model_with_classes_keeps_them(loveda, tmp_path):
    named = write_tiny_model(tmp_path / "named", CLASSES)
    settings = {"model": str(named), "dataset": "s5-loveda", "data_dir": str(loveda), "split": "val"}
    with pytest.raises(ValueError, match="have other classes"):
        run_evaluation(EvaluationSettings(**settings))
    assert run_evaluation(EvaluationSettings(**settings, names="v1")).protocol.background == 0


def test_what_is_refused(folder, model_folder, fields, loveda):
    settings = {"model": str(folder), "dataset": "s5-loveda", "data_dir": str(loveda), "split": "val"}
    refused = [
        ({"names": "v3"}, "unknown version of names 'v3', expected v1 or v2"),
        ({"names": "v1", "classes": ("a",)}, "for an open-vocabulary model without --classes"),
        ({"names": "v1", "model": str(model_folder)}, "for an open-vocabulary model without --classes"),
        ({"names": "v1", "dataset": "s5-image-mask", "data_dir": str(fields)}, "no names are published for s5-image"),
        ({"protocol_changes": {"resize": 224, "flips": None}}, "resize: the published protocol of open-vocabulary"),
    ]
    for changes, message in refused:
        with pytest.raises(ValueError, match=message):
            run_evaluation(EvaluationSettings(**{**settings, **changes}))
