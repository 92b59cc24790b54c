"""The loop: right counts, the same on any number of processes, class maps, and what it refuses."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from s5_hf.evaluation import EvaluationSettings, run_evaluation
from s5_hf.evaluation.data import EvaluationImages, load_evaluation_data
from s5_hf.evaluation.loop import LoopSettings
from s5_hf.evaluation.segmentation.loop import count_segmentation
from s5_hf.evaluation.segmentation.prediction_files import prediction_names
from s5_hf.evaluation.segmentation.protocol import SegmentationProtocol
from s5_hf.hub.normalization import InputSettings
from s5_hf.metrics import SegmentationCounts
from s5_hf.predictors.feature_segmenter import Segmenter
from s5_hf.predictors.image_probabilities import NonFiniteOutputError
from tests.evaluation.conftest import LABELS
from tests.fresh_process import RUN_FILE, run_in_processes


@pytest.fixture(scope="module")
def segmenter(model_folder):
    return Segmenter.from_pretrained(model_folder)


@pytest.fixture
def data(fields):
    return load_evaluation_data("s5-image-mask", "val", str(fields), LABELS)


@pytest.fixture(scope="module")
def expected(segmenter, fields):
    """Counts made image by image, without any of the loop."""
    counts = SegmentationCounts(LABELS)
    for path in sorted((fields / "val" / "images").iterdir()):
        predicted = segmenter(np.asarray(Image.open(path))[None]).logits[0].argmax(0)
        counts.update(predicted, np.asarray(Image.open(fields / "val" / "masks" / path.name)))
    return counts


class Process:
    """What the loop sees of one process of several; its sum is left to the test."""

    is_main_process = False
    device = torch.device("cpu")

    def __init__(self, process_index, num_processes):
        self.process_index, self.num_processes = process_index, num_processes

    def reduce(self, tensor, reduction):
        assert reduction == "sum"
        return tensor


def test_counts_are_those_of_the_images_one_by_one(segmenter, data, expected, accelerator):
    counts = count_segmentation(segmenter, data, SegmentationProtocol(), accelerator)
    assert torch.equal(counts.confusion.counts, expected.confusion.counts)
    assert torch.equal(counts.boundary.counts, expected.boundary.counts)
    ignored = 5 * 5 * 7
    assert counts.confusion.counts.sum() == 3 * 64 * 64 + 2 * 72 * 80 - ignored


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_every_image_counts_once_on_any_number_of_processes(segmenter, data, expected, processes, batch_size):
    settings = LoopSettings(batch_size=batch_size, boundary=False)
    parts = [
        count_segmentation(
            segmenter, data, SegmentationProtocol(), Process(index, processes), settings
        ).confusion.counts
        for index in range(processes)
    ]
    assert torch.equal(sum(parts), expected.confusion.counts)


def test_three_real_processes_give_the_files_of_one(model_folder, fields, accelerator, tmp_path):
    """Five images on three processes of the example script."""
    maps = {name: tmp_path / f"maps-{name}" for name in ("one", "three")}
    loop = LoopSettings(batch_size=2, class_maps=maps["one"])
    one = EvaluationSettings(str(model_folder), "s5-image-mask", str(fields), output=tmp_path / "one", loop=loop)
    run_evaluation(one, accelerator)
    arguments = [
        *("examples/evaluate_model.py", "--model", str(model_folder), "--dataset", "s5-image-mask"),
        *("--data_dir", str(fields), "--batch_size", "2"),
        *("--output", str(tmp_path / "three"), "--class_maps", str(maps["three"])),
    ]
    run_in_processes(3, RUN_FILE, *arguments, environment={"OMP_NUM_THREADS": "1"})
    reports = [json.loads((tmp_path / name / "results.json").read_text(encoding="utf-8")) for name in maps]
    assert [report.pop("class_maps") for report in reports] == [str(folder) for folder in maps.values()]
    assert reports[0] == reports[1]
    assert reports[0]["images"] == 5
    written = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in maps.values()]
    assert written[0] == written[1]
    assert sorted(written[0]) == [f"{index}.png" for index in range(5)]


def test_class_maps_are_named_and_valued_as_the_loveda_server_wants(segmenter, fields, accelerator, tmp_path):
    """The test split of LoveDA has no masks: numbers as names, class ids from 0, one channel of 8 bits."""
    for domain, name in (("Rural", "4191"), ("Urban", "5167")):
        folder = tmp_path / "Test" / domain / "images_png"
        folder.mkdir(parents=True)
        shutil.copy(fields / "val" / "images" / "0.png", folder / f"{name}.png")
    data = load_evaluation_data("s5-loveda", "test", str(tmp_path), ())
    settings = LoopSettings(class_maps=tmp_path / "submission")
    counts = count_segmentation(segmenter, data, SegmentationProtocol(), accelerator, settings)
    assert counts.confusion.counts.sum() == 0
    assert sorted(path.name for path in settings.class_maps.iterdir()) == ["4191.png", "5167.png"]
    with Image.open(settings.class_maps / "4191.png") as written:
        assert written.mode == "L"
        image = np.asarray(Image.open(fields / "val" / "images" / "0.png"))
        np.testing.assert_array_equal(np.asarray(written), segmenter(image[None]).logits[0].argmax(0))
    with pytest.raises(ValueError, match="the split 'test' of s5-loveda has no masks"):
        count_segmentation(segmenter, data, SegmentationProtocol(), accelerator)


def test_names_of_class_maps():
    assert prediction_names(["Rural/0", "Urban/1"]) == ["0.png", "1.png"]
    assert prediction_names(["a/0", "b/0"]) == ["a/0.png", "b/0.png"]
    assert prediction_names(["a/X", "b/x"]) == ["a/X.png", "b/x.png"]
    with pytest.raises(ValueError, match="two samples have the id 'a/0', so their class maps would have one name"):
        prediction_names(["a/0", "b/0", "a/0"])


def test_images_that_share_the_name_of_a_class_map_are_refused_before_anything_is_written(
    model_folder, fields, accelerator, tmp_path
):
    """a1.png and a1.jpg would leave one map."""
    for name in ("a1.png", "a1.jpg", "a2.png"):
        for kind in ("images", "masks"):
            (tmp_path / "data" / "val" / kind).mkdir(parents=True, exist_ok=True)
        with Image.open(fields / "val" / "images" / "0.png") as image:
            image.save(tmp_path / "data" / "val" / "images" / name)
    for name in ("a1", "a2"):
        shutil.copy(fields / "val" / "masks" / "0.png", tmp_path / "data" / "val" / "masks" / f"{name}.png")
    loop = LoopSettings(class_maps=tmp_path / "maps")
    settings = EvaluationSettings(
        str(model_folder), "s5-image-mask", str(tmp_path / "data"), output=tmp_path / "report", loop=loop
    )
    with pytest.raises(ValueError, match="two samples have the id 'a1'"):
        run_evaluation(settings, accelerator)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_an_image_that_is_not_of_8_bits_is_named(segmenter, fields, accelerator, tmp_path, dtype):
    shutil.copytree(fields, tmp_path / "data")
    folder = tmp_path / "data" / "val" / "images"
    (folder / "2.png").unlink()
    Image.fromarray(np.zeros((64, 64), dtype=dtype)).save(folder / "2.tif")
    with pytest.raises(ValueError, match=rf"2\.tif gives 1 band of {dtype.__name__}, but .*0\.png gives RGB"):
        load_evaluation_data("s5-image-mask", "val", str(tmp_path / "data"), LABELS)
    for path in sorted(folder.iterdir()):
        size = np.asarray(Image.open(path)).shape[:2]
        path.unlink()
        Image.fromarray(np.zeros(size, dtype=dtype)).save(path.with_suffix(".tif"))
    data = load_evaluation_data("s5-image-mask", "val", str(tmp_path / "data"), LABELS)
    with pytest.raises(ValueError, match=r"image '.*': an image has the shape \(\d+, \d+, 1\), expected 3 channels"):
        count_segmentation(segmenter, data, SegmentationProtocol(), accelerator)


def test_a_wrong_mask_value_is_named_with_its_file(segmenter, fields, accelerator, tmp_path):
    shutil.copytree(fields, tmp_path / "data")
    path = tmp_path / "data" / "val" / "masks" / "3.png"
    mask = np.asarray(Image.open(path)).copy()
    mask[20, :4] = 9
    Image.fromarray(mask).save(path)
    wrong = load_evaluation_data("s5-image-mask", "val", str(tmp_path / "data"), LABELS)
    settings = LoopSettings(class_maps=tmp_path / "maps")
    with pytest.raises(ValueError, match=r"3\.png: the mask holds 9 in 4 pixels; expected 0..2 \(soil, crop, water\)"):
        count_segmentation(segmenter, wrong, SegmentationProtocol(), accelerator, settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]  # no half-written class maps


def test_outputs_that_are_not_finite_are_an_error_that_names_image_and_window(
    segmenter, data, accelerator, monkeypatch
):
    def predict(pixel_values):
        """NaN in all calls but the first."""
        logits = torch.zeros(len(pixel_values), 3, *pixel_values.shape[2:])
        logits[:, 1, 2, 3] = math.nan if calls else 0.0
        calls.append(len(pixel_values))
        return logits

    calls = [None]
    monkeypatch.setattr(segmenter, "predict", predict)
    first = replace(data, samples=data.samples.select([0]))
    with pytest.raises(NonFiniteOutputError, match="outputs for '0' are not finite"):
        count_segmentation(segmenter, first, SegmentationProtocol(), accelerator)
    calls.clear()
    with pytest.raises(NonFiniteOutputError, match="for the window at row 0, column 32 of '0' are not finite"):
        count_segmentation(segmenter, first, SegmentationProtocol(window=32, stride=32), accelerator)


def test_bad_settings():
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        LoopSettings(batch_size=0)
    with pytest.raises(ValueError, match="num_workers must not be negative, got -1"):
        LoopSettings(num_workers=-1)


@pytest.mark.parametrize(
    ("dataset", "folder", "split", "size", "ignored"),
    [
        ("s5-loveda", "loveda", "val", 1024, 255),
        ("s5-potsdam", "potsdam", "train", 512, 5),
        ("s5-vaihingen", "vaihingen", "train", 512, 5),
    ],
)
def test_real_files_of_the_benchmarks(real_imagery, dataset, folder, split, size, ignored):
    data = load_evaluation_data(dataset, split, str(real_imagery / "benchmark_samples" / folder), ())
    image = EvaluationImages(data, InputSettings())[0]
    assert image.pixels.shape == (size, size, 3)
    assert set(np.unique(image.mask).tolist()) <= {*range(len(data.labels)), ignored}
    counts = SegmentationCounts(data.labels, data.ignore_index, data.left_out)
    counts.update(np.where(image.mask == ignored, 0, image.mask), image.mask)  # a perfect prediction
    assert counts.scores()["mIoU"] == counts.scores()["boundary_mIoU"] == 1
