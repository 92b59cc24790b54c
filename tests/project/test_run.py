"""A project from its file to its report: stopped and resumed, changed and repeated in part, left out in part."""

import json
import re
import shutil
from pathlib import Path

import pytest

from s5_hf.project import ProjectStepError, ProjectStopped, read_project, run_project
from s5_hf.project import run as running
from s5_hf.project.commands import CommandStopped
from s5_hf.project.steps import project_steps
from tests.project.conftest import NETWORK, SHORT, content

NAMES = ["first", "curate", "pretrain", "finetune", "evaluate-city", "evaluate-roads", "map-city", "view-city-scene"]
NAMES += ["map-roads", "view-roads-scene"]
ONLY_FIRST = dict.fromkeys(["curate", "pretrain", "finetune", "evaluate", "maps", "archive", "scenes"], ...)


@pytest.fixture
def commands(monkeypatch):
    """The commands that are run, by their second and third word; some are stopped."""
    ran, real, stops = [], running.run_command, {}

    def run(words):
        ran.append(words[-1] if words[1] in ("train", "curate") else words[1])
        if words[-1] in stops:
            raise stops.pop(words[-1])
        real(words)

    monkeypatch.setattr(running, "run_command", run)
    return ran, stops


@pytest.fixture
def pretended(monkeypatch):
    """Commands only leave what they make, so that what is repeated can be seen quickly."""
    ran = []

    def make(words):
        ran.append(Path(words[-1]).stem)
        for step in project_steps(read_project("project.yaml")):
            if step.words == words:
                for path in step.makes:
                    path.mkdir(parents=True, exist_ok=True)
                    (path / "result").write_text("made", encoding="utf-8")

    monkeypatch.setattr(running, "run_command", make)
    monkeypatch.setattr("s5_hf.project.report.write_project_report", lambda *arguments: None)
    return ran


def test_a_project_is_stopped_resumed_and_ends_with_a_report(write, commands, monkeypatch):
    ran, stops = commands
    path, said = write(), []
    stops["work/recipes/pretrain.yaml"] = CommandStopped(130)
    with pytest.raises(ProjectStopped, match="the same command resumes it") as stop:
        run_project("project.yaml", report=said.append)
    assert stop.value.status == 130
    work = path.parent / "work"
    made_before = (work / "runs/first/segmenter/model.safetensors").read_bytes()
    record = json.loads((work / "project.json").read_text(encoding="utf-8"))["steps"]
    assert {name: entry["seconds"] is None for name, entry in record.items()} == {
        "first": False,
        "curate": False,
        "pretrain": True,
    }

    said.clear()
    ran.clear()
    assert run_project("project.yaml", report=said.append) == Path("work/report.html")
    assert ran[:2] == ["work/recipes/pretrain.yaml", "work/recipes/finetune.yaml"]
    assert next(line for line in said if "done before" in line).startswith("[ 1/10] a small segmenter")
    assert (work / "runs/first/segmenter/model.safetensors").read_bytes() == made_before
    assert [step.name for step in project_steps(read_project("project.yaml"))] == NAMES

    page = (work / "report.html").read_text(encoding="utf-8")
    assert page.count('<h2 id="') == 6
    for step in project_steps(read_project("project.yaml")):
        assert step.command.replace('"', "&quot;").replace("'", "&#x27;") in page
        assert all(made.exists() for made in step.makes)
    assert page.count("# ") >= len(NAMES) and re.search(r"<td>city</td><td class=\"n\">\d+\.\d</td>", page)
    assert {file.name for file in (work / "maps/roads").iterdir()} >= {"scene.html", "scene_areas.csv"}

    ran.clear()
    run_project("project.yaml", report=said.append)
    assert ran == []


def test_what_has_changed_is_repeated_with_all_that_follows_it(write, pretended):
    write()
    run_project("project.yaml", report=lambda line: None)
    assert len(pretended) == len(NAMES)

    pretended.clear()
    said = []
    write(pretrain={**content()["pretrain"], "learning_rate": 1e-4})
    run_project("project.yaml", report=said.append)
    assert pretended[:2] == ["pretrain", "finetune"] and len(pretended) == 8
    assert "        anew, for this has changed: learning_rate: 0.0015 before, 0.0001 now" in said
    assert "        anew, for this has changed: the step pretrain was made anew" in said

    pretended.clear()
    (Path("archive") / "more.png").write_bytes(Path("scene.png").read_bytes())
    said.clear()
    run_project("project.yaml", until="curate", report=said.append)
    assert pretended == ["curate"]
    assert "        anew, for this has changed: the files in archive" in said
    assert not Path("work/curated/former").exists()

    pretended.clear()
    shutil.rmtree("work/maps/city")
    write(evaluate=False)
    run_project("project.yaml", report=said.append)
    assert pretended[:2] == ["pretrain", "finetune"]


def test_a_result_of_other_settings_is_removed_and_one_of_somebody_else_is_not(write, pretended):
    write(**ONLY_FIRST)
    run_project("project.yaml", report=lambda line: None)
    Path("work/runs/first/checkpoints").mkdir()
    write(**ONLY_FIRST, seed=5)
    run_project("project.yaml", report=lambda line: None)
    assert not Path("work/runs/first/checkpoints").exists() and Path("work/runs/first/result").exists()

    write(seed=5)
    Path("work/curated").mkdir()
    Path("work/curated/mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="work/curated is there already, and this project has not made it"):
        run_project("project.yaml", report=lambda line: None)
    assert Path("work/curated/mine.txt").read_text(encoding="utf-8") == "mine"


def test_steps_can_be_left_out(write):
    write(**{**ONLY_FIRST, "finetune": {**SHORT, **NETWORK, "mode": "mdf"}, "first": False})
    (step,) = project_steps(read_project("project.yaml"))
    assert step.name == "finetune" and "segmenter" not in step.recipe[1] and step.recipe[1]["mode"] == "mdf"

    write(first=False, curate=False)
    pretrain, finetune, *others = project_steps(read_project("project.yaml"))
    assert pretrain.recipe[1]["unlabelled_dir"] == "archive"
    assert finetune.recipe[1]["segmenter"] == "work/runs/pretrain/segmenter"
    assert [step.part for step in others] == ["evaluate"] * 2 + ["maps"] * 4

    write(curate=False, pretrain=False, finetune=False)
    first, evaluation, mapping, _ = project_steps(read_project("project.yaml"))
    assert first.name == "first" and evaluation.name == "evaluate-city"
    assert "work/runs/first/segmenter" in evaluation.words and "--task" not in mapping.words


def test_weights_are_chosen_on_validation_images_only_where_others_are_scored(write, tmp_path):
    write()
    by_name = {step.name: step for step in project_steps(read_project("project.yaml"))}
    assert by_name["finetune"].recipe[1]["selection"] == "last"
    assert by_name["evaluate-city"].words[2] == "work/runs/finetune/segmenter"
    for name in ("city", "roads"):
        (Path(name) / "val").rename(Path(name) / "test")
    by_name = {step.name: step for step in project_steps(read_project("project.yaml"))}
    assert by_name["finetune"].recipe[1]["selection"] == "validation"
    assert by_name["evaluate-city"].words[2] == "work/runs/finetune/best/mean"
    assert by_name["evaluate-city"].words[by_name["evaluate-city"].words.index("--split") + 1] == "test"


def test_a_step_that_fails_names_its_section(write):
    write(**{**ONLY_FIRST, "first": {**SHORT, **NETWORK, "crop_size": 60}})
    with pytest.raises(ProjectStepError, match=r"project.yaml: first: crop_size 60 is not a multiple of the patch"):
        run_project("project.yaml", report=lambda line: None)


@pytest.mark.parametrize("until", ["prepare", "nothing"])
def test_the_last_step_must_be_one_of_the_project(until, write):
    write()
    with pytest.raises(ValueError, match=f"project.yaml has no step '{until}'; it has first, curate, pretrain"):
        run_project("project.yaml", until=until)
