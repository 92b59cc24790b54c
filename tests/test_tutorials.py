"""The tutorials run: every Python and shell block of a page, from top to bottom, with settings that take seconds."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from s5_hf.project.commands import quiet_libraries, run_command
from tests.fresh_process import RUN_FILE, FreshProcess

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
NEEDED = {"engineer": ("onnxruntime", "onnxscript"), "geographer": ("rasterio", "pyogrio", "shapely")}

TINY_NETWORK = "--hidden-size 32 --num-hidden-layers 4 --num-attention-heads 2 --decoder-channels 16"
TINY_RUN = f"{TINY_NETWORK} --total-steps 2 --warmup-steps 0 --crop-size 64 --validation-steps 0 --trackers none"
# What is added to the options of a program, after those of the page.
TINY = {
    "make_synthetic_data.py": "--size 64 --labelled 8 --validation 2 --archive 8 --scene 128",
    "train_small_segmenter.py": "--steps 2 --crop 64 --hidden-size 32 --layers 4 --decoder-channels 16",
    "s4p": f"{TINY_RUN} --labelled-count 4",
    "segmentation": f"{TINY_RUN} --expert-channels 8 --epochs 2",
    "inspect": "--workers 1",
    "select": "--target 4",
    "cluster": "--clusters 2",
}


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_block_of_a_tutorial_runs(page, tmp_path, monkeypatch):
    for package in NEEDED.get(page.stem, ()):
        pytest.importorskip(package, reason=f"the tutorial shows what needs {package}: pip install 's5_hf[geo,onnx]'")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S5_HF_HOME", str(tmp_path / "store"))
    monkeypatch.syspath_prepend(tmp_path)
    quiet_libraries()
    kinds, namespace = set(), {}
    for excused, kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if excused or kind == "text":
            continue
        kinds.add(kind)
        if kind == "python":
            exec(compile(block, page.name, "exec"), namespace)
        else:
            for command in commands(block):
                run(command)
    for name in [name for name in sys.modules if name.partition(".")[0] == "examples"]:
        del sys.modules[name]  # it lies in a folder that goes away
    assert kinds <= {"python", "bash"}
    assert "bash" in kinds


def commands(block: str) -> list[list[str]]:
    """The commands of a shell block as words, without comments."""
    lines = block.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run(words: list[str]) -> None:
    """Run a command of a tutorial, with tiny settings; in this process, as importing torch takes seconds."""
    if words[0] == "rio":
        from rasterio.rio.main import main_group

        main_group(words[1:], standalone_mode=False)
        return
    assert words[0] in ("s5-hf", "python"), f"the test cannot run {words}"
    if words[:2] == ["python", "benchmarks/s4p_effect.py"]:
        # It starts the example as a process of its own, with what follows `--`.
        code = f"import os, sys\nos.chdir(sys.argv.pop(1))\n{RUN_FILE}"
        process = FreshProcess(code, Path.cwd(), ROOT / words[1], *words[2:], *tiny_options("s4p"))
        output = process.communicate(timeout=240)
        assert process.returncode == 0, output
    else:
        options = [option for word in words[1:3] for option in tiny_options(Path(word).name)]
        run_command([*words, *options], ROOT / "examples")


def tiny_options(program: str) -> list[str]:
    return TINY.get(program, "").split()
