"""Datasets with questions and masks, made small in the layouts of their publishers."""

import json
import pickle

import numpy as np
import pytest
from datasets import load_dataset

from s5_hf.dataset_builders.coco_masks import coco_mask, unpacked
from s5_hf.dataset_builders.errors import LayoutError, SampleError

MASK = np.array([[0, 255, 255], [255, 0, 255]], dtype=np.uint8)


def load(name, folder, split, **options):
    return list(load_dataset(name, data_dir=str(folder), split=split, streaming=True, **options))


@pytest.fixture
def earth_reason(tmp_path, write_image):
    base = tmp_path / "rs_reason_seg" / "RSReasonSeg"
    for split, name, words in (
        ("train", "b", {"questions": ["where?", "and where?"], "answer": ["There.", "There, too."]}),
        ("train", "a", {"questions": ["what?"], "answer": []}),
        ("test", "c", {"questions": ["who?"]}),
    ):
        write_image(base / split / "images" / f"{name}.jpg", size=(3, 2))
        write_image(base / split / "labels" / f"{name}.png", MASK)
        (base / split / "QAs").mkdir(exist_ok=True)
        (base / split / "QAs" / f"{name}.json").write_text(json.dumps(words), encoding="utf-8")
    return tmp_path


def test_earth_reason(earth_reason):
    first, second = load("s5-earthreason", earth_reason, "train")
    assert (first["question"], first["answer"]) == ("what?", "")
    assert (second["question"], second["answer"], second["id"]) == ("where?", "There.", "b")
    assert np.array_equal(np.asarray(second["mask"]), MASK > 0)
    _, other = load("s5-earthreason", earth_reason, "train", question_number=5)
    assert other["question"] == "and where?"
    words = earth_reason / "rs_reason_seg" / "RSReasonSeg" / "train" / "QAs"
    (words / "a.json").write_text('["what?"]', encoding="utf-8")
    with pytest.raises(SampleError, match='"questions"'):
        load("s5-earthreason", earth_reason, "train")
    (words / "a.json").unlink()  # by order, as officially, the question of b would go to a
    with pytest.raises(LayoutError, match=r"a\.jpg has no questions"):
        load("s5-earthreason", earth_reason, "train")


def test_refsegrs(tmp_path, write_image):
    for name in ("1", "22"):
        write_image(tmp_path / "images" / f"{name}.tif", size=(3, 2))
        write_image(tmp_path / "masks" / f"{name}.tif", MASK)
    (tmp_path / "output_phrase_val.txt").write_text("1 the road\n22 a car beside it\n1 a tree\n", encoding="utf-8")
    rows = load("s5-refsegrs", tmp_path, "val")
    assert [(row["id"], row["question"]) for row in rows] == [
        ("1:1", "the road"),
        ("22:2", "a car beside it"),
        ("1:3", "a tree"),
    ]
    assert np.array_equal(np.asarray(rows[0]["mask"]), MASK > 0)
    (tmp_path / "output_phrase_val.txt").write_text("3 the road\n", encoding="utf-8")
    with pytest.raises(LayoutError, match=r"line 1: there is no file images/3\.tif"):
        load("s5-refsegrs", tmp_path, "val")
    (tmp_path / "output_phrase_val.txt").write_text("1\n", encoding="utf-8")
    with pytest.raises(SampleError, match="expected `ID phrase`"):
        load("s5-refsegrs", tmp_path, "val")


@pytest.fixture
def rrsis_d(tmp_path, write_image):
    write_image(tmp_path / "images" / "rrsisd" / "JPEGImages" / "00007.jpg", size=(4, 3))
    instances = {
        "images": [{"id": 70, "file_name": "00007.jpg", "height": 3, "width": 4}],
        "annotations": [{"id": 9, "segmentation": [{"size": [3, 4], "counts": [3, 2, 7]}]}],
    }
    (tmp_path / "rrsisd").mkdir()
    (tmp_path / "rrsisd" / "instances.json").write_text(json.dumps(instances), encoding="utf-8")
    references = [
        {"ref_id": 5, "image_id": 70, "ann_id": 9, "split": "val", "sentences": [{"sent": "a ship"}, {"sent": "it"}]}
    ]
    write_references(tmp_path, references)
    return tmp_path


def write_references(folder, references):
    (folder / "rrsisd" / "refs(unc).p").write_bytes(pickle.dumps(references, protocol=2))


def test_rrsis_d(rrsis_d):
    (row,) = load("s5-rrsis-d", rrsis_d, "val")
    assert (row["id"], row["question"]) == ("5", "a ship")
    assert np.asarray(row["mask"]).tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    write_references(rrsis_d, [{"ref_id": 5, "image_id": 5, "ann_id": 9, "split": "val", "sentences": []}])
    with pytest.raises(SampleError, match="there is no image 5"):
        load("s5-rrsis-d", rrsis_d, "val")


class Dangerous:
    def __reduce__(self):
        return (print, ("this must not be printed",))


def test_nothing_of_a_pickle_is_run(rrsis_d, capsys):
    write_references(rrsis_d, [Dangerous()])
    with pytest.raises(SampleError, match=r"refused: the pickle asks for .*print"):
        load("s5-rrsis-d", rrsis_d, "val")
    assert "must not" not in capsys.readouterr().out
    (rrsis_d / "rrsisd" / "refs(unc).p").write_bytes(b"\x80\x02]")
    with pytest.raises(SampleError, match="cannot be read"):
        load("s5-rrsis-d", rrsis_d, "val")


def test_masks_as_coco_writes_them():
    # What pycocotools packs of these runs.
    assert unpacked("52203") == [5, 2, 2, 2, 5]
    square = coco_mask([[1, 1, 3, 1, 3, 3, 1, 3], [0, 0, 1, 0, 0, 1]], 5, 5, "it")
    assert square.max() == 1 and square[2, 2] == 1 and square[0, 0] == 1 and square[4, 4] == 0
    packed = coco_mask({"size": [3, 4], "counts": "327"}, 3, 4, "it")
    assert packed.T.ravel().tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    for wrong in ([], [[1, 2, 3]], {"size": [3, 4], "counts": [1]}, "text"):
        with pytest.raises(SampleError, match=r"^it has"):
            coco_mask(wrong, 3, 4, "it")


def test_your_own_questions(tmp_path, write_image):
    write_image(tmp_path / "pictures" / "a.png", size=(3, 2))
    write_image(tmp_path / "answers" / "a.png", MASK)
    table = "image,mask,question,answer,split\npictures/a.png,answers/a.png,where is it?,There.,val\n"
    (tmp_path / "questions.csv").write_text(table, encoding="utf-8")
    (row,) = load("s5-image-question-mask", tmp_path, "val")
    assert (row["question"], row["answer"]) == ("where is it?", "There.")
    (tmp_path / "train.csv").write_text("image,mask\npictures/a.png,answers/a.png\n", encoding="utf-8")
    with pytest.raises(SampleError, match="expected a header with image, mask and question"):
        load("s5-image-question-mask", tmp_path, "train")
    (tmp_path / "train.csv").write_text("image,mask,question\nb.png,answers/a.png,what?\n", encoding="utf-8")
    with pytest.raises(LayoutError, match=r"line 2: there is no file b\.png"):
        load("s5-image-question-mask", tmp_path, "train")
    for name in ("train.csv", "questions.csv"):
        (tmp_path / name).unlink()
    with pytest.raises(LayoutError, match=r"has none of train\.csv"):
        load("s5-image-question-mask", tmp_path, "train")
