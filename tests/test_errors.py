"""Bad input ends `s5-hf` and the example scripts with one line and exit code 2; a bug keeps its traceback."""

import csv
import importlib
import json
import pickle
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from datasets.exceptions import DatasetGenerationError
from PIL import Image
from safetensors import SafetensorError

from s5_hf import cli
from s5_hf.errors import KNOWN_NAMES, WRAPPERS, end_in_one_line, error_line, is_known
from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor
from s5_hf.scripts import run_script, with_dashes
from tests.conftest import micro_segmentation_config

EXAMPLES = Path(__file__).parents[1] / "examples"
CLASSES = 'classes=["land", "water"]'


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a micro segmenter in `model`, images with masks in `data`, and one image."""
    folder = tmp_path_factory.mktemp("good")
    S5ForSemanticSegmentation(micro_segmentation_config()).save_pretrained(folder / "model")
    S5ImageProcessor().save_pretrained(folder / "model")
    for name, pixels in (("images", np.zeros((64, 64, 3), np.uint8)), ("masks", np.ones((64, 64), np.uint8))):
        (folder / "data" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(folder / "data" / name / "a.png")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "scene.png")
    return folder


@pytest.fixture
def here(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what is good, as the working directory."""
    shutil.copytree(good, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "here"


Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Run:
    """Run `s5-hf` or an example script: exit code, and the lines on standard error (progress bars aside)."""

    def run_program(*words: object) -> tuple[int, list[str]]:
        script = EXAMPLES / str(words[0])
        is_script = script.suffix == ".py"
        monkeypatch.setattr(sys, "argv", [str(script), *words[1:]] if is_script else ["s5-hf", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            if is_script:
                runpy.run_path(str(script), run_name="__main__")
            else:
                cli.main()
            sys.exit(0)
        lines = capsys.readouterr().err.splitlines()
        return ended.value.code or 0, [line for line in lines if line.strip() and "%|" not in line]

    return run_program


def change_settings(path: str, **changes: object) -> None:
    """Change keys of a JSON file; `backbone_config` is merged."""
    settings = json.loads(Path(path).read_text(encoding="utf-8"))
    changes["backbone_config"] = {**settings.get("backbone_config", {}), **changes.get("backbone_config", {})}
    Path(path).write_text(json.dumps({**settings, **changes}), encoding="utf-8")


CONFIG, PROCESSOR, WEIGHTS = "model/config.json", "model/preprocessor_config.json", "model/model.safetensors"
BROKEN_MODELS = {
    "safetensors of other bytes": (lambda: Path(WEIGHTS).write_bytes(b"other" * 20), WEIGHTS, "damaged"),
    "safetensors cut short": (lambda: Path(WEIGHTS).write_bytes(Path(WEIGHTS).read_bytes()[:-9]), WEIGHTS, "damaged"),
    "config cut short": (lambda: Path(CONFIG).write_text('{"model_type": '), CONFIG, "not valid JSON"),
    "config empty": (lambda: Path(CONFIG).write_text(""), CONFIG, "not valid JSON"),
    "config in latin-1": (lambda: Path(CONFIG).write_bytes(b'{"a": "\xe9"}'), CONFIG, "not UTF-8 text"),
    "config that is a list": (lambda: Path(CONFIG).write_text("[]"), CONFIG, "holds list in JSON, expected an object"),
    "config that is a number": (lambda: Path(CONFIG).write_text("3"), CONFIG, "holds int in JSON, expected an object"),
    "a size as text": (
        lambda: change_settings(CONFIG, backbone_config={"hidden_size": "32"}),
        CONFIG,
        "hidden_size is '32', expected a whole number from 1 on",
    ),
    "no heads": (
        lambda: change_settings(CONFIG, backbone_config={"num_attention_heads": 0}),
        CONFIG,
        "num_attention_heads is 0, expected a whole number from 1 on",
    ),
    "channels as text": (lambda: change_settings(CONFIG, decoder_channels="16"), CONFIG, "decoder_channels is"),
    "tasks of numbers": (lambda: change_settings(CONFIG, tasks=[1, 2]), CONFIG, "tasks must map the name of each"),
    "processor cut short": (lambda: Path(PROCESSOR).write_text("{"), PROCESSOR, "not valid JSON"),
    "processor that is a list": (lambda: Path(PROCESSOR).write_text("[]"), PROCESSOR, "expected an object"),
    "a mean as text": (lambda: change_settings(PROCESSOR, image_mean="a"), PROCESSOR, "image_mean must be a list"),
}


@pytest.mark.parametrize("case", list(BROKEN_MODELS))
def test_a_broken_model_folder_is_named_with_its_file(case: str, here: Path, run: Run):
    make, file, reason = BROKEN_MODELS[case]
    make()
    for words in (("predict", "model", "scene.png", "out"), ("export", "model", "out.onnx")):
        code, lines = run(*words)
        assert code == 2 and len(lines) == 1, lines
        assert lines[0].startswith(f"s5-hf: {file}") and reason in lines[0]
    assert not Path("out").exists()


def test_a_broken_configuration_is_named_by_convert_too(here: Path, run: Run):
    for content in ("[]", "{"):
        Path(CONFIG).write_text(content, encoding="utf-8")
        code, lines = run("convert", "model", "out.pth")
        assert code == 2 and len(lines) == 1 and lines[0].startswith(f"s5-hf: {CONFIG}")


@pytest.mark.parametrize("content", [{1: torch.zeros(2)}, {"state_dict": {3: torch.zeros(1)}}])
def test_tensors_without_names_are_refused_with_their_file(content: dict, here: Path, run: Run):
    torch.save(content, "numbers.pth")
    code, (line,) = run("convert", "numbers.pth", "out")
    assert code == 2 and line.startswith("s5-hf: numbers.pth holds tensors without names")


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("classes=5", "classes must be a list of names"),
        ("classes=[1, 2]", "classes must be a list of names"),
        ("classes=land,water", "classes must be a list of names"),
        ('classes=["a", "a"]', "classes holds a name twice"),
        ("ignore_index=abc", "ignore_index must be a whole number between 0 and 255, got 'abc'"),
        ("ignore_values=3", "ignore_values must be a list of whole numbers"),
        ("value_map=[1]", "value_map must map numbers to numbers"),
        ("colours=[[1, 2]]", "colours must be a list of colours"),
        ("csv=3", "csv must be the name of a file, got 3"),
        ("read_attempts=x", "read_attempts must be a whole number"),
    ],
)
def test_options_of_another_kind_are_refused_by_name(option: str, reason: str, here: Path, run: Run):
    code, (line,) = run("inspect", "s5-image-mask", "--data-dir", "data", "--option", option)
    assert code == 2 and line.startswith(f"s5-hf: {reason}")


def test_classes_of_boxes_that_are_no_list_are_refused(here: Path, run: Run):
    code, (line,) = run("inspect", "s5-oriented", "--data-dir", "data", "--option", "classes=5")
    assert code == 2 and line.startswith("s5-hf: classes must be a list of names")


MAE = ("--data-dir", "data", "--output-dir", "out", "--dataset", "s5-image-mask", "--classes", "land", "water")
SMALL = ("train_small_segmenter.py", "data", "out", "--crop", "32", "--steps", "1", "--classes", "land", "water")
BAD_SCRIPT_CALLS = [
    (("pretrain_s4p.py", "none.yaml"), "there is no recipe file none.yaml"),
    (("pretrain_s4p.py", "list.yaml"), "list.yaml must hold `key: value` lines, got list"),
    (("pretrain_s4p.py", "--nonsense", "1"), "--nonsense"),
    (("pretrain_s4p.py", "--total_steps", "many"), "--total-steps: invalid int value: 'many'"),
    (
        ("pretrain_s4p.py", "--labelled_dataset", "s5-image-mask", "--labelled_dir", "data"),
        "does not know its classes",
    ),
    (("finetune_segmentation.py",), "there is no dataset"),
    (("finetune_segmentation.py", "--datasets", "city", "--town.data_dir", "x"), "--town.data-dir: the datasets are"),
    (("finetune_segmentation.py", "--datasets", "ci ty"), "a dataset's name has letters"),
    (("finetune_detection.py", "--datasets", "x", "--x.data-dir", "none", "--x.classes", "a"), "does not exist"),
    (
        ("evaluate_model.py", "--model", "a/b/c", "--dataset", "s5-loveda", "--data_dir", "data"),
        "no model folder",
    ),
    (("evaluate_model.py", "--model", "model", "--dataset", "none", "--data-dir", "data"), "unknown dataset"),
    (("evaluate_model.py", "--model", "a/b/c", "--dataset", "s5-dota", "--data-dir", "data"), "no model folder"),
    (("curate_rs4p.py", "none.yaml"), "there is no recipe file none.yaml"),
    (("curate_rs4p.py", "list.yaml"), "list.yaml: a recipe is a mapping"),
    (("make_synthetic_data.py", "out", "--size", "3"), "must have 64 to 4096 pixels, got 3"),
    (("make_synthetic_data.py", "out", "--seed", "-1"), "seed must not be negative"),
    ((*SMALL, "--crop", "65"), "data holds tiles of 64 pixels, less than --crop 65"),
    ((*SMALL, "--steps", "0"), "--steps and --batch-size must be at least 1"),
    ((*SMALL, "--batch_size", "0"), "--steps and --batch-size must be at least 1"),
    ((*SMALL, "--minutes", "0"), "--minutes above 0"),
    ((*SMALL, "--hidden-size", "33"), "--hidden-size must be a multiple of 32, got 33"),
    ((*SMALL, "--layers", "2"), "--layers must be at least 4, got 2"),
    ((*SMALL, "--classes", "a"), "the masks of data hold the class 1, but --classes names 1"),
    (("train_small_segmenter.py", "data", "scene.png", "--classes", "a", "b"), "scene.png is a file"),
    (("train_small_segmenter.py", "none", "out", "--classes", "a", "b"), "does not exist"),
    (("pretrain_mae.py", *MAE, "--batch-size", "0"), "batch_size must be at least 1, got 0"),
    (("pretrain_mae.py", *MAE, "--total_steps", "0"), "total_steps must be at least 1, got 0"),
    (("pretrain_mae.py", *MAE, "--mask-ratio", "2"), "mask_ratio must lie between 0 and 1, got 2"),
    (("pretrain_mae.py", *MAE, "--scale-range", "1"), "scale_range must be two positive numbers, the smaller first"),
    (("pretrain_mae.py", *MAE, "--hidden-size", "0"), "hidden_size must be a multiple of num_attention_heads 12"),
    (("pretrain_mae.py", *MAE, "--num_workers", "-1"), "num_workers must not be negative"),
    (("pretrain_mae.py", *MAE, "--data-dir", "none"), "does not exist"),
]


@pytest.mark.parametrize(("words", "reason"), BAD_SCRIPT_CALLS, ids=lambda value: " ".join(value)[:60])
def test_example_scripts_end_in_one_line(words: tuple[str, ...], reason: str, here: Path, run: Run):
    Path("list.yaml").write_text("- a\n", encoding="utf-8")
    code, lines = run(*words)
    assert code == 2 and len(lines) == 1, lines
    assert lines[0].startswith(f"{words[0]}: ") and reason in lines[0]
    assert not Path("out").exists()


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_example_script_runs_through_run_script(script: str):
    assert (EXAMPLES / script).read_text(encoding="utf-8").endswith("    run_script(main)\n")


@pytest.mark.parametrize("words", [("--traceback", "inspect"), ("inspect", "--traceback")])
def test_traceback_option_shows_where_an_error_came_from(words: tuple[str, ...], here: Path, run: Run):
    code, lines = run(*words, "none", "--data-dir", "data")
    assert code == 2 and lines[0].startswith("Traceback") and lines[-1].startswith("s5-hf: unknown dataset 'none'")
    code, lines = run("curate_rs4p.py", "none.yaml", "--traceback")
    assert (
        code == 2
        and lines[0].startswith("Traceback")
        and lines[-1].startswith("curate_rs4p.py: there is no recipe file none.yaml")
    )


def test_traceback_variable_shows_where_an_error_came_from(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("S5_HF_TRACEBACK", "1")
    code, lines = run("inspect", "none", "--data-dir", "data")
    assert code == 2 and lines[0].startswith("Traceback")


def test_ctrl_c_ends_with_130_and_one_line(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys):
    def interrupt(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("s5_hf.data.dataset_folder.open_folder", interrupt)
    assert run("inspect", "s5-image-mask", "--data-dir", "data") == (130, ["s5-hf: stopped by Ctrl-C"])
    monkeypatch.setattr(sys, "argv", ["script.py"])
    with pytest.raises(SystemExit) as ended:
        run_script(interrupt)
    assert ended.value.code == 130 and capsys.readouterr().err == "script.py: stopped by Ctrl-C\n"


def test_a_bug_keeps_its_traceback(here: Path, monkeypatch: pytest.MonkeyPatch):
    def stumble(*arguments: object, **settings: object) -> None:
        raise AttributeError("'int' object has no attribute 'width'")

    monkeypatch.setattr("s5_hf.data.dataset_folder.open_folder", stumble)
    monkeypatch.setattr(sys, "argv", ["s5-hf", "inspect", "s5-image-mask", "--data-dir", "data"])
    with pytest.raises(AttributeError, match="width"):
        cli.main()


def test_bad_usage_ends_with_2_and_version_with_0(run: Run, capsys: pytest.CaptureFixture):
    assert run("inspect", "s5-isaid")[0] == 2
    assert run("no-such-command")[0] == 2
    assert run("--version") == (0, [])


@pytest.mark.parametrize(
    "error",
    [
        csv.Error("x"),
        pickle.UnpicklingError("x"),
        SafetensorError("x"),
        EOFError("x"),
        MemoryError("x"),
        KeyError("a sentence"),
        UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
        RuntimeError("x"),
    ],
)
def test_kinds_of_bad_input_are_known(error: Exception):
    assert is_known(error)


@pytest.mark.parametrize(
    "error", [TypeError("x"), AttributeError("x"), KeyError("key"), IndexError("x"), typer.Exit(3)]
)
def test_other_kinds_go_on_their_way(error: Exception):
    assert not is_known(error)
    with pytest.raises(type(error)), end_in_one_line("program"):
        raise error


def test_names_of_known_kinds_are_those_of_the_installed_libraries():
    for name in KNOWN_NAMES | WRAPPERS:
        module, _, kind = name.rpartition(".")
        if importlib.util.find_spec(module.partition(".")[0]) is not None:
            found = getattr(importlib.import_module(module), kind)
            assert f"{found.__module__}.{found.__qualname__}" == name


def test_a_message_of_several_lines_is_folded():
    assert error_line(ValueError("first:\n  - second\n\n  - third\n")) == "first: - second - third"
    assert error_line(ValueError()) == "ValueError"
    assert error_line(MemoryError()) == "there is not enough memory"
    assert error_line(KeyError("a sentence")) == "a sentence"
    assert error_line(FileNotFoundError(2, "No such file or directory", "a.csv")) == "a.csv: No such file or directory"


def test_what_only_wraps_an_error_shows_its_root_cause():
    inner = DatasetGenerationError("An error occurred while generating the dataset")
    inner.__cause__ = ValueError("a.png: mask of another size")
    outer = DatasetGenerationError("An error occurred while generating the dataset")
    outer.__cause__ = inner
    assert error_line(outer) == "a.png: mask of another size"


class Broken(torch.utils.data.Dataset):
    """Its only sample cannot be read."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        raise ValueError("a.png: cannot be\nread")


def test_an_error_of_a_data_worker_shows_its_own_message():
    with pytest.raises(ValueError) as caught:
        list(torch.utils.data.DataLoader(Broken(), num_workers=1))
    assert error_line(caught.value) == "a.png: cannot be read"


def test_options_with_dashes_or_underscores_are_the_same():
    words = ["x_y", "--data_dir=a_b", "--my_roads.data_dir", "a_b", "--no_flip", "--batch-size", "-1"]
    expected = ["x_y", "--data-dir=a_b", "--my_roads.data-dir", "a_b", "--no-flip", "--batch-size", "-1"]
    assert with_dashes(words) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pipe to close there")
def test_a_closed_output_is_no_error():
    code = (
        "import os, sys\n"
        "from s5_hf.errors import end_in_one_line\n"
        "sys.stdin.readline()\n"
        "with end_in_one_line('program'):\n"
        "    print('x' * 100_000, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    assert process.stderr.read() == "" and process.wait(timeout=60) == 1
    process.stderr.close()
