"""Result files against the rules of DOTA's server: those that keep them pass, each broken rule is named."""

import zipfile

import pytest
import torch
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.scenes.detection import check_submission, write_task1_results

LABELS = ("plane", "ship")
LINE = "P0001 0.9 10 10 30 10 30 20 10 20\n"


@pytest.fixture
def submission(tmp_path):
    """Files as they should be: one ship, no plane."""
    boxes = torch.tensor([[20.0, 15.0, 20.0, 10.0, 0.3]])
    found = {"P0001": {"boxes": boxes, "scores": torch.tensor([0.9]), "labels": torch.tensor([1])}}
    write_task1_results(tmp_path / "Task1", found, LABELS)
    return tmp_path / "Task1"


def zipped(folder, target, prefix=""):
    with zipfile.ZipFile(target, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, prefix + path.name)
    return target


def test_what_the_package_writes_is_fit_for_upload(submission, tmp_path):
    for path in (submission, zipped(submission, tmp_path / "a.zip")):
        result = check_submission(path, LABELS, {"P0001", "P0002"})
        assert result.problems == [] and result.detections == {"plane": 0, "ship": 1} and result.images == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("P0001 0.9 1 2 3 4 5 6 7\n", "line 1: expected an image name, a score and 8 coordinates"),
        ("P0001 nan 10 10 30 10 30 20 10 20\n", "line 1: every number must be finite"),
        ("P0001 1.5 10 10 30 10 30 20 10 20\n", "line 1: the score is 1.5, expected 0 to 1"),
        ("P0001.png 0.9 10 10 30 10 30 20 10 20\n", "line 1: 'P0001.png' is none of the test images"),
        ("P0001 0.9 10 10 30 20 30 10 10 20\n", "line 1: the corners are no convex polygon"),
        ("P0001 0.9 10 10 10 10 10 10 10 10\n", "line 1: the corners are no convex polygon"),
        (LINE + "\n" + LINE, "line 3: the same as line 1"),
    ],
)
def test_a_broken_rule_is_named_with_its_line(submission, line, problem):
    (submission / "Task1_plane.txt").write_text(line, encoding="utf-8")
    (found,) = check_submission(submission, LABELS, {"P0001"}).problems
    assert found.startswith(f"Task1_plane.txt, {problem}")


def test_files_that_are_missing_or_too_many(submission, tmp_path):
    (submission / "Task1_plane.txt").unlink()
    (submission / "Task1_boat.txt").write_bytes(b"\xff")
    (submission / "more").mkdir()
    assert check_submission(submission, LABELS).problems == [
        "more is a folder; the files must lie side by side",
        "Task1_plane.txt is missing; classes without a detection need an empty file",
        "Task1_boat.txt is no result file of a class: remove it",
    ]
    with pytest.raises(FileNotFoundError, match="no folder or archive"):
        check_submission(tmp_path / "absent", LABELS)
    (tmp_path / "text.zip").write_text("no archive", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.zip is not a zip archive"):
        check_submission(tmp_path / "text.zip", LABELS)


def test_an_archive_with_a_folder_is_not_fit(submission, tmp_path):
    problems = check_submission(zipped(submission, tmp_path / "a.zip", "Task1/"), LABELS).problems
    assert {problem.partition(";")[0] for problem in problems} == {
        f"Task1/Task1_{label}.txt lies in a folder" for label in LABELS
    }


def test_the_exit_code_says_whether_it_is_fit(submission):
    arguments = ["check-submission", str(submission), "--classes", "plane,ship"]
    passed = CliRunner().invoke(app, arguments)
    assert passed.exit_code == 0 and "1 detections in 1 images, fit for upload" in passed.stdout
    (submission / "Task1_ship.txt").write_text("nothing\n", encoding="utf-8")
    failed = CliRunner().invoke(app, arguments)
    assert failed.exit_code == 1 and "1 problems" in failed.stdout and "Task1_ship.txt, line 1" in failed.stderr
