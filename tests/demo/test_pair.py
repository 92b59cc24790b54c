"""The comparison beside the chain of the demonstration: its runs, its page, and a demonstration without it."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from s5_hf.demo import DemoSettings
from s5_hf.demo.chain import data_step
from s5_hf.demo.pair import PAIR_ARMS, pair_steps
from s5_hf.demo.report import pair_section
from s5_hf.project.commands import run_command
from s5_hf.project.folders import ProjectFolders
from s5_hf.synthetic import synthetic_shores
from s5_hf.training.run_folder import read_log

SMALL = DemoSettings(size=64, labelled=4, validation=2, archive=8, steps=3, scene=80, shores=8)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Working folder of a finished comparison."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("pair"))
        for index, tile in enumerate(synthetic_shores(10, 64)):
            for kind in ("images", "masks"):
                folder = Path("demo/data/shores", "train" if index < 8 else "val", kind)
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(getattr(tile, kind[:-1])).save(folder / f"{index}.png")
        for step in pair_steps(SMALL, Path("demo")):
            run_command(
                (*step.words, "--crop-size", "32", "--labelled-batch-size", "2", "--unlabelled-batch-size", "2")
            )
        yield Path.cwd()
    torch.set_num_threads(threads)


def test_three_runs_go_on_from_one_start(compared):
    folders = ProjectFolders(compared / "demo")
    steps = {run: read_log(folders.run(run))[-1]["step"] for run in PAIR_ARMS.values()}
    assert steps == {"pair-start": 2, "pair-supervised": 2, "pair-s4p": 2, "pair-longer": 5}
    chosen = {(folders.run(run) / "labelled.json").read_text(encoding="utf-8") for run in steps}
    assert len(chosen) == 1, "the same labelled tiles"
    assert (folders.run("pair-s4p") / "teacher").is_dir()
    assert "loss_unsupervised" in read_log(folders.run("pair-s4p"))[0]


def test_the_page_compares_them(compared, monkeypatch):
    monkeypatch.chdir(compared)
    section = pair_section(ProjectFolders(Path("demo")))
    assert (
        "4 tiles of land and water have labels, 4 others have none" in section and "the 2 validation tiles" in section
    )
    for arm, run in PAIR_ARMS.items():
        log = read_log(Path("demo/runs") / run)
        score = next(entry["validation/miou"] for entry in reversed(log) if "validation/miou" in entry)
        assert f'<tr><td>{arm}</td><td class="n">{score:.1f}</td>' in section
    assert section.count("<img") == 2 * 5, "image, truth and three predictions of two tiles"


def test_the_steps_are_repeated_with_their_data():
    start, *arms = pair_steps(SMALL, Path("demo"))
    assert start.after == ("data",) and all(step.after == ("data", "pair-start") for step in arms)
    assert [
        step.words[step.words.index("--total-steps") + 1] for step in pair_steps(DemoSettings(), Path("demo"))
    ] == [*("150", "150", "150", "330")]


def test_a_demonstration_without_the_comparison():
    none = DemoSettings(shores=0)
    assert pair_steps(none, Path("demo")) == []
    assert "--shores" not in data_step(none, Path("demo")).words
    with pytest.raises(ValueError, match="shores of the demonstration must be at least 8, or 0 for none, got 7"):
        DemoSettings(shores=7)
