"""A project file from a look into folders."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.project import read_project, write_project_file
from s5_hf.project.steps import project_steps


@pytest.fixture
def here(write):
    write()
    Path("project.yaml").unlink()
    return Path.cwd()


def init(*words):
    return CliRunner().invoke(app, ["init", *words], catch_exceptions=False)


def test_the_file_describes_what_was_found_and_can_be_run(here):
    (here / "city" / "classes.txt").write_text("field\nroad\nbuilding\nwater\ntree\ncar\n", encoding="utf-8")
    said = init("city", "roads", "archive", "scene.png").output
    assert "images with masks: city (6 train, 2 val), 6 classes\n" in said
    assert "the folder does not name them; name them in the file: class 0, class 1\n" in said
    assert "images without masks: archive (6)\nscene: scene.png\n" in said
    project = read_project("project.yaml")
    assert [(entry.name, tuple(entry.classes)) for entry in project.datasets] == [
        ("city", ("field", "road", "building", "water", "tree", "car")),
        ("roads", ("class 0", "class 1")),
    ]
    assert (project.archive, project.scenes) == (("archive",), ("scene.png",))
    assert project.first.keys["crop_size"] == 64 and project.curate.target == 3
    assert [step.part for step in project_steps(project)].count("maps") == 4
    assert Path("project.yaml").read_text(encoding="utf-8").count("NAME THEM") == 1


def test_one_folder_that_holds_them_all_is_enough(here):
    assert init(".", "--output", "own.yaml").exit_code == 0
    assert [Path(entry.folder).name for entry in read_project("own.yaml").datasets] == ["city", "roads"]
    assert read_project("own.yaml").archive == ("archive",)


def test_steps_without_data_are_left_out(here):
    init("city")
    project = read_project("project.yaml")
    assert project.curate is None and project.maps is None
    assert project.pretrain.keys["unlabelled_dataset"] == "rest" and project.pretrain.keys["labelled_count"] == 3
    assert yaml.safe_load(Path("project.yaml").read_text(encoding="utf-8"))["finetune"]["mode"] == "sdf"
    for split in ("val", "train"):
        (here / "roads" / split).rename(here / "roads" / f"{split}-of-somebody")
    (here / "roads" / "train-of-somebody" / "images").rename(here / "roads" / "images")
    (here / "roads" / "train-of-somebody" / "masks").rename(here / "roads" / "masks")
    init("roads", "--overwrite")
    assert read_project("project.yaml").evaluate is None


def test_what_cannot_be_described_is_refused(here):
    write_project_file(["city"], "project.yaml")
    with pytest.raises(FileExistsError, match=r"project.yaml is there already; --overwrite replaces it"):
        write_project_file(["city"], "project.yaml")
    with pytest.raises(FileNotFoundError, match="there are no images with masks in archive"):
        write_project_file(["archive"], "other.yaml")
    with pytest.raises(FileNotFoundError, match="there is no folder nowhere"):
        write_project_file(["nowhere"], "other.yaml")
    (here / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty holds neither images nor images with masks"):
        write_project_file(["city", "empty"], "other.yaml")
    mask = next((here / "city/train/masks").iterdir())
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(mask)
    with pytest.raises(ValueError, match="is a mask in colour; a project needs class ids"):
        write_project_file(["city"], "other.yaml")
    assert not Path("other.yaml").exists()
