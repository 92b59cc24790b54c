"""DOTA's Task 1 files: written, read again, and refused where malformed."""

import math
from pathlib import Path

import pytest
import torch

from s5_hf.modeling.oriented_boxes import canonical_boxes
from s5_hf.scenes.detection import read_task1_results, write_task1_results

LABELS = ["plane", "large-vehicle", "dam"]
DETECTIONS = {
    "P0006": {
        "boxes": torch.tensor([[100.0, 50, 40, 20, 0.0], [10, 20, 8, 4, 0.5], [30, 30, 9, 3, -1.0]]),
        "scores": torch.tensor([0.75, 0.5, 0.25]),
        "labels": torch.tensor([0, 1, 0]),
    },
    "P0007": {
        "boxes": torch.tensor([[1000.0, 500, 60, 20, 1.5]]),
        "scores": torch.tensor([0.125]),
        "labels": torch.tensor([1]),
    },
    "P0008": {"boxes": torch.zeros(0, 5), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.long)},
}


def test_written_as_dota_defines(tmp_path: Path) -> None:
    paths = write_task1_results(tmp_path / "results", DETECTIONS, LABELS, decimals=1)
    assert [path.name for path in paths] == ["Task1_plane.txt", "Task1_large-vehicle.txt", "Task1_dam.txt"]
    first = paths[0].read_text(encoding="utf-8").splitlines()[0]
    assert first == "P0006 0.75 80.0 40.0 120.0 40.0 120.0 60.0 80.0 60.0"
    assert [len(path.read_text(encoding="utf-8").splitlines()) for path in paths] == [2, 2, 0]
    assert sorted(tmp_path.glob("results/*")) == sorted(paths)  # nothing temporary stays


def test_read_again(tmp_path: Path) -> None:
    write_task1_results(tmp_path, DETECTIONS, LABELS)
    found = read_task1_results(tmp_path, LABELS)
    assert sorted(found) == ["P0006", "P0007"]
    for image_id, detections in found.items():
        expected = DETECTIONS[image_id]
        boxes = canonical_boxes(expected["boxes"].double())
        torch.testing.assert_close(detections["boxes"], boxes, rtol=0, atol=1e-3)
        assert torch.equal(detections["scores"], expected["scores"].double())
        assert torch.equal(detections["labels"], expected["labels"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("P1 0.5 0 0 1 0 1 1", r"Task1_plane.txt, line 3: expected .*4 corners.*got 7 numbers"),
        ("P1 0.5 0 0 1 0 1 1 0 1 5 5", r"Task1_plane.txt, line 3: .*got 11 numbers"),
        ("P1 0.5 0 0 1 0 1 one 0 1", r"Task1_plane.txt, line 3: could not convert.*'one'"),
        ("P1 nan 0 0 1 0 1 1 0 1", r"Task1_plane.txt, line 3: every number must be finite"),
    ],
)
def test_malformed_lines(tmp_path: Path, line: str, message: str) -> None:
    good = "P1 0.5 0 0 1 0 1 1 0 1\n"
    (tmp_path / "Task1_plane.txt").write_text(f"{good}\n{line}\n{good}", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_task1_results(tmp_path, ["plane"])


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"class 'plane'.*Task1_plane.txt"):
        read_task1_results(tmp_path, ["plane"])
    (tmp_path / "Task1_plane.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"Task1_plane.txt is not UTF-8 text"):
        read_task1_results(tmp_path, ["plane"])


@pytest.mark.parametrize(
    ("image_id", "changes", "message"),
    [
        ("P 1", {}, "image name 'P 1'"),
        ("P1", {"labels": torch.tensor([0, 3, 0])}, r"P1: labels\[1\] is 3, but there are 3 classes"),
        ("P1", {"scores": torch.tensor([0.5, 0.5])}, "P1: 3 boxes, 2 scores and 3 labels"),
        ("P1", {"scores": torch.tensor([0.5, 0.5, math.nan])}, r"P1: scores\[2\] is nan"),
        ("P1", {"boxes": torch.full((3, 5), math.nan)}, r"P1: boxes\[0\].*finite"),
    ],
)
def test_bad_detections_leave_nothing(tmp_path: Path, image_id: str, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_task1_results(tmp_path, {image_id: {**DETECTIONS["P0006"], **changes}}, LABELS)
    assert list(tmp_path.iterdir()) == []


def test_bad_class_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"class name 'a/b'"):
        write_task1_results(tmp_path, {}, ["a/b"])
