"""The demonstration: every result is there, an interruption changes nothing, and the page shows every step."""

import configparser
import html
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoConfig
from typer.testing import CliRunner

import s5_hf.demo
import s5_hf.project
from s5_hf.cli import app
from s5_hf.demo import DemoSettings, run_demo
from s5_hf.demo.chain import PARTS, chain, data_step
from s5_hf.demo.results import fine_tuning_rows
from s5_hf.files.locks import LOCK_FILE, folder_lock
from s5_hf.project import ProjectStopped, read_project, run_project
from s5_hf.project.commands import CommandStopped, find_examples, run_command
from s5_hf.project.folders import ProjectFolders
from s5_hf.project.record import Record
from s5_hf.synthetic import SCENE_LABELS
from s5_hf.training.run_folder import RunLog, read_log

SMALL = DemoSettings(size=64, labelled=4, validation=2, archive=8, steps=3, scene=80, shores=0)
FOLDERS = ProjectFolders(Path("demo"))
NAMES = ["first", "curate", "pretrain", "supervised", "finetune", "sdf-city", "sdf-roads", "mdf"]
NAMES += ["evaluate-city", "evaluate-roads", "map-city", "view-city-scene", "map-roads", "view-roads-scene"]
NAMES += ["to-official", "from-official"]
TRAININGS = ("first", "supervised", "pretrain", "sdf-city", "sdf-roads", "mdf", "finetune")


def steps_of():
    """The steps of the demonstration in the current folder."""
    return [data_step(SMALL, FOLDERS.output), *chain(read_project("demo/project.yaml"))]


@pytest.fixture(scope="module")
def one_thread():
    """So that sums have one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, one_thread):
    """Working folder of a run from start to end, and the lines it reported."""
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("whole"))
        run_demo("demo", SMALL, lines.append)
        yield Path.cwd(), lines


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, one_thread):
    """The same, with Ctrl-C in the semi-supervised training: working folder, and the lines before and after."""
    before, after = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("interrupted"))
        with pytest.MonkeyPatch.context() as trap:
            write = RunLog.write

            def interrupt(log, step, values):
                write(log, step, values)
                if log.path.parent.name == "pretrain":
                    signal.raise_signal(signal.SIGINT)

            trap.setattr(RunLog, "write", interrupt)
            with pytest.raises(ProjectStopped) as stop:
                run_demo("demo", SMALL, before.append)
            assert stop.value.status == 130
        assert max(entry["step"] for entry in read_log(FOLDERS.run("pretrain"))) < SMALL.steps
        run_demo("demo", SMALL, after.append)
        yield Path.cwd(), before, after


def test_leaves_every_result(whole, monkeypatch):
    folder, lines = whole
    monkeypatch.chdir(folder)
    steps = steps_of()
    assert [step.name for step in steps] == ["data", *NAMES]
    assert all(path.exists() for step in steps for path in step.makes)
    folders = {"data", "runs", "recipes", "curated", "evaluation", "maps", "official"}
    files = {"project.yaml", "project.json", "report.html"}
    assert {path.name for path in FOLDERS.output.iterdir()} - {LOCK_FILE} == folders | files
    heads = [line.split("\n")[0] for line in lines[:-1]]
    assert heads[0] == "[ data] two labelled datasets, an archive, a scene"
    assert heads[1:] == [f"[{number:2}/{len(NAMES)}] {step.title}" for number, step in enumerate(steps[1:], 1)]
    assert lines[-1].endswith(f"open {Path('demo/report.html')}")
    config = AutoConfig.from_pretrained(FOLDERS.run("finetune") / "segmenter")
    assert config.tasks == {"city": list(SCENE_LABELS), "roads": ["ground", "road"]}
    for task, labels in config.tasks.items():
        classes = np.asarray(Image.open(FOLDERS.maps(task) / "scene.tif"))
        assert classes.shape == (SMALL.scene, SMALL.scene)
        assert classes.max() < len(labels)
    for run in TRAININGS:
        assert read_log(FOLDERS.run(run))[-1]["step"] == SMALL.steps


def test_its_project_file_is_one_for_the_project_command(whole, monkeypatch, tmp_path):
    shutil.copytree(whole[0] / "demo", tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("s5_hf.project.run.run_command", lambda words: pytest.fail(f"ran {words}"))
    lines = []
    run_project("demo/project.yaml", report=lines.append)
    assert len(lines) == 11 and all("done before" in line for line in lines[:-1])


def test_planted_images_are_not_chosen(whole):
    text = (whole[0] / "demo" / "report.html").read_text(encoding="utf-8")
    for what in ("noise", "blank patch", "validation image"):
        assert f'<tr><td>{what}</td><td class="n">1</td><td class="n">0</td></tr>' in text


def test_roads_are_the_roads_and_cars_of_other_scenes(whole):
    masks = sorted((whole[0] / "demo/data/roads/train/masks").iterdir())
    values = np.concatenate([np.unique(np.asarray(Image.open(path))) for path in masks])
    assert len(masks) == SMALL.labelled
    assert set(values.tolist()) == {0, 1}


def test_official_layout_keeps_the_weights(whole):
    demo = whole[0] / "demo"
    before = load_file(demo / "runs" / "pretrain" / "segmenter" / "model.safetensors")
    after = load_file(demo / "official" / "s4p" / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_one_model_has_fewer_parameters_than_two(whole):
    alone, shared, experts = fine_tuning_rows(ProjectFolders(whole[0] / "demo"))
    assert [row["models"] for row in (alone, shared, experts)] == [2, 1, 1]
    assert shared["parameters"] < experts["parameters"] < alone["parameters"]
    for row in (alone, shared, experts):
        assert row["mean"] == pytest.approx((row["city"] + row["roads"]) / 2)


def test_an_interruption_changes_nothing(whole, interrupted):
    folder, before, after = interrupted
    stopped_in = 1 + NAMES.index("pretrain")
    assert len(before) == stopped_in + 1
    assert ["done before" in line for line in after[:-1]] == [index < stopped_in for index in range(1 + len(NAMES))]
    patterns = (
        "**/model.safetensors",
        "maps/*/*.tif",
        "maps/*/*.png",
        "evaluation/*/results.json",
        "recipes/*.yaml",
        "data/**/*.png",
    )
    names = [path.relative_to(whole[0]) for pattern in patterns for path in sorted((whole[0] / "demo").glob(pattern))]
    assert len(names) > 40
    assert [name for name in names if (whole[0] / name).read_bytes() != (folder / name).read_bytes()] == []
    assert without_times(whole[0]) == without_times(folder)


def test_the_page_stands_alone_and_names_every_step(whole, monkeypatch):
    folder, _ = whole
    monkeypatch.chdir(folder)
    text = (folder / "demo" / "report.html").read_text(encoding="utf-8")
    assert "http" not in text
    assert re.findall(r'src="(?!data:image/jpeg;base64,)', text) == []
    links = re.findall(r"href=['\"]([^'\"]+)", text)
    assert links
    assert [link for link in links if not (folder / "demo" / link).is_file()] == []
    for part, heading in PARTS.items():
        assert (f'">{heading}</h2>' in text) == (part != "pair"), "tests/demo/test_pair.py looks at that one"
    for step in steps_of():
        assert html.escape(step.command) in text
    assert text.count("<svg") == 11  # loss and score of three trainings, five that compare


def test_a_second_call_makes_nothing_again(whole, monkeypatch):
    folder, _ = whole
    monkeypatch.chdir(folder)
    monkeypatch.setattr("s5_hf.project.run.run_command", lambda words: pytest.fail(f"ran {words}"))
    before, lines = without_times(folder), []
    run_demo("demo", SMALL, lines.append)
    assert all("done before" in line for line in lines[:-1])
    assert without_times(folder) == before


def test_other_options_repeat_what_depends_on_them(tmp_path):
    record = Record(tmp_path / "project.json")
    step = data_step(SMALL, tmp_path)
    record.begin(step)
    (tmp_path / "data").mkdir()
    record.finish(step, 1.0)
    record = Record.read(record.path)
    assert record.is_done(step)
    assert record.is_done(data_step(replace(SMALL, steps=7), tmp_path))
    other = data_step(replace(SMALL, size=80), tmp_path)
    assert not record.is_done(other) and record.changes(other) == ["its command"]
    record.begin(other)
    assert not (tmp_path / "data").exists()


def test_other_peoples_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="something else than a demonstration"):
        run_demo(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(NotADirectoryError):
        run_demo(tmp_path / "thesis.tex", SMALL)


STRANGE = '{"steps": {"data": {"settings": {"command": [], "recipe": null, "data": {}, "after": {}}, %s}}}'


@pytest.mark.parametrize(
    "content",
    [
        *("not JSON", "", "[]", "{}", '{"name": "demo"}', '{"steps": {"data": {}}}', '{"steps": {}}', "\udcff"),
        STRANGE % '"seconds": 1, "run": 1, "files": []',
    ],
)
def test_folders_with_a_project_json_of_others_are_left_alone(tmp_path, content):
    for name in ("data", "runs", "curated"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years", encoding="utf-8")
    (tmp_path / "project.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    message = "is not the record of a project|something else than a demon|no step has made data/thesis"
    with pytest.raises((FileExistsError, ValueError), match=message):
        run_demo(tmp_path, SMALL)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.name != LOCK_FILE) == before


def test_the_results_of_a_project_are_left_alone(tmp_path):
    (tmp_path / "project.json").write_text(
        '{"steps": {"first": {"settings": {}, "seconds": 1, "run": 1}}}', encoding="utf-8"
    )
    with pytest.raises(FileExistsError, match="something else than a demonstration"):
        run_demo(tmp_path, SMALL)


def test_two_demonstrations_do_not_share_a_folder(tmp_path):
    with folder_lock(tmp_path / "demo"), pytest.raises(BlockingIOError, match="demo is in use by another run"):
        run_demo(tmp_path / "demo", SMALL)


def test_scripts_of_the_current_folder_are_not_executed(tmp_path, monkeypatch):
    (tmp_path / "examples").mkdir()
    planted = "from pathlib import Path; Path('planted-ran').touch(); raise SystemExit('planted')"
    for script in (Path(s5_hf.demo.__file__).parents[2] / "examples").glob("*.py"):
        (tmp_path / "examples" / script.name).write_text(planted, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert find_examples().resolve() != (tmp_path / "examples").resolve()

    class Enough(Exception):
        pass

    def stop(*arguments):
        raise Enough

    monkeypatch.setattr(Record, "finish", stop)
    with pytest.raises(Enough):
        run_demo("demo", SMALL, lambda line: None)
    assert not Path("planted-ran").exists()
    assert list(Path("demo/data").iterdir())


def test_an_installed_package_uses_its_own_examples_or_says_that_it_has_none(tmp_path):
    package = tmp_path / "site-packages" / "s5_hf"
    for folder in (package.parent / "examples", package):
        folder.mkdir(parents=True)
    (package.parent / "examples" / "make_synthetic_data.py").touch()  # of another package
    with pytest.raises(FileNotFoundError, match="install s5_hf again, or run the demonstration in a clone"):
        find_examples(package)
    (package / "examples").mkdir()
    (package / "examples" / "make_synthetic_data.py").touch()
    assert find_examples(package) == package / "examples"


def test_the_examples_are_installed():
    """Building a wheel takes too long here; what it is built from is in one file."""
    settings = configparser.ConfigParser()
    settings.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")
    assert "s5_hf.examples" in settings["options"]["packages"].split()
    assert "s5_hf.examples = examples" in settings["options"]["package_dir"].splitlines()
    assert (find_examples() / Path(data_step(SMALL, Path("demo")).words[1]).name).is_file()


@pytest.mark.parametrize("name", ["size", "labelled", "validation", "archive", "steps", "scene", "seed", "shores"])
def test_sizes_that_cannot_work(name):
    with pytest.raises(ValueError, match=f"{name} of the demonstration must be at least"):
        DemoSettings(**{name: -1})


def test_errors_of_commands_pass_through(tmp_path):
    with pytest.raises(FileNotFoundError):
        run_command(["s5-hf", "view", str(tmp_path / "nothing.png")], tmp_path)


@pytest.mark.parametrize("words", [["s5-hf", "models"], ["python", "examples/script.py"]])
def test_an_interrupted_command_is_not_finished(tmp_path, monkeypatch, words):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("s5_hf.hub.count_parameters", lambda *arguments: interrupt())
    (tmp_path / "script.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    with pytest.raises(CommandStopped) as stop:
        run_command(words, tmp_path)
    assert stop.value.status == 130


@pytest.mark.parametrize(("end", "message"), [("2", "ended with status 2"), ("'no data'", "no data")])
def test_a_script_that_fails_is_not_finished(tmp_path, end, message):
    (tmp_path / "script.py").write_text(f"import sys; sys.exit({end})", encoding="utf-8")
    with pytest.raises(RuntimeError, match=message):
        run_command(["python", "examples/script.py"], tmp_path)


def test_the_command_line_ends_with_the_status_of_the_signal(tmp_path, monkeypatch):
    def stop(output, settings, report):
        raise ProjectStopped(143)

    monkeypatch.setattr(s5_hf.demo, "run_demo", stop)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    result = CliRunner().invoke(app, ["demo", "--output", str(tmp_path)])
    assert result.exit_code == 143
    assert "the same command resumes it" in result.output


def without_times(folder: Path) -> str:
    """The text of the report without what a clock said."""
    text = (folder / "demo" / "report.html").read_text(encoding="utf-8")
    return re.sub(r"""<span class=['"]time['"]>.*?</span>""", "", text)
