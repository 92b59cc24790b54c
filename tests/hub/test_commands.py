"""`s5-hf convert`, `models`, `pull` and `push`, run as a user would."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, ViTMAEConfig, ViTMAEForPreTraining

from s5_hf import cli
from s5_hf.conversion import export_official, read_checkpoint
from s5_hf.hub import KNOWN_MODELS
from s5_hf.hub.names import OFFICIAL_REPOSITORY
from s5_hf.modeling import S5ForSemanticSegmentation, S5ViTBackbone, S5ViTConfig
from tests.conftest import MICRO_VIT, randomise
from tests.hub.conftest import store_entries
from tests.hub.hub_server import LoopbackHub

HEADS = ("--num-attention-heads", "4")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Run `s5-hf` with arguments: exit code, standard output, standard error."""

    def run_command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["s5-hf", *map(str, arguments)])
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
            sys.exit(0)
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return run_command


def messages(errors: str) -> list[str]:
    """The lines that `s5-hf` itself wrote to standard error, progress bars aside."""
    return [line for line in errors.splitlines() if line.strip() and "%|" not in line]


@pytest.fixture
def checkpoint(official_encoder: bytes) -> Path:
    """An official micro encoder in the working directory."""
    Path("vit.pth").write_bytes(official_encoder)
    return Path("vit.pth")


def test_convert_to_a_folder_and_back(run, checkpoint: Path):
    code, output, _ = run("convert", checkpoint, "s5-vit-b", *HEADS)
    assert code == 0
    assert "recognised: S5 encoder, 0.1 M parameters; ViT of 4 blocks, width 32, 4 heads, 64 px" in output
    assert "wrote s5-vit-b (0." in output
    assert AutoModel.from_pretrained("s5-vit-b").config.hidden_size == 32

    code, output, _ = run("convert", "s5-vit-b", "back.pth")
    assert code == 0 and "wrote back.pth: official layout, 0." in output
    before, after = read_checkpoint(checkpoint), read_checkpoint("back.pth")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_convert_to_the_store_infers_the_name(
    run,
    checkpoint: Path,
    official_segmenter: bytes,
    own_folders: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    code, output, _ = run("convert", checkpoint, "--store", *HEADS)
    assert code == 0 and f"wrote {own_folders / 'store' / 's5-vit-micro'}" in output
    Path("segmenter.pth").write_bytes(official_segmenter)
    code, output, _ = run("convert", "segmenter.pth", "--store")
    assert code == 0 and "task isaid: 16 classes (background, ship, " in output
    assert store_entries(own_folders) == ["s5-vit-micro", "s5-vit-micro-upernet"]
    (own_folders / "elsewhere").mkdir()
    monkeypatch.chdir(own_folders / "elsewhere")
    assert isinstance(S5ForSemanticSegmentation.from_pretrained("s5-vit-micro-upernet"), S5ForSemanticSegmentation)


def test_convert_a_single_dataset_segmenter(run, official_segmenter: bytes, own_folders: Path):
    Path("segmenter.pth").write_bytes(official_segmenter)
    labels = ",".join(f"label {index}" for index in range(16))
    code, output, _ = run(
        "convert", "segmenter.pth", "s5-vit-micro-upernet", "--store", "--task", "x", "--classes", labels
    )
    assert code == 0 and "task x: 16 classes (label 0, label 1" in output
    config = S5ForSemanticSegmentation.from_pretrained("s5-vit-micro-upernet").config
    assert config.tasks == {"x": labels.split(",")}


def test_convert_a_mae_folder(run, own_folders: Path):
    small = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128}
    decoder = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    ViTMAEForPreTraining(ViTMAEConfig(image_size=64, **small, **decoder)).save_pretrained("mae")
    code, output, _ = run("convert", "mae", "encoder", "--image-size", "96")
    assert code == 0
    assert "recognised: MAE encoder" in output and "96 px" in output
    assert "left out, they have no place in the model: " in output and "decoder." in output
    assert "new, the checkpoint does not have them: " in output and "feature_pyramid." in output

    code, _, errors = run("convert", "mae", "--store")
    assert code == 2 and "no known name stands for a MAE encoder" in errors
    assert store_entries(own_folders) == []


class Malicious:
    """Unpickling it would make a folder."""

    def __reduce__(self) -> tuple:
        return (os.mkdir, ("ran",))


@pytest.mark.parametrize("target", [("out",), ("--store",)])
def test_bad_checkpoints_end_with_one_line_and_leave_nothing(
    target: tuple[str],
    run,
    checkpoint: Path,
    own_folders: Path,
):
    Path("truncated.pth").write_bytes(checkpoint.read_bytes()[:-500])
    Path("malicious.pth").write_bytes(pickle.dumps({"model": Malicious()}, protocol=2))
    Path("text.pth").write_text("text\n", encoding="utf-8")
    Path("empty.pth").touch()
    before = sorted(path.name for path in Path().iterdir())
    for name, reason in {
        "truncated.pth": "cannot be read, it is truncated or not a checkpoint",
        "malicious.pth": "is refused: besides tensors its pickle asks for other Python objects",
        "text.pth": "cannot be read",
        "empty.pth": "cannot be read",
        "missing.pth": "there is no checkpoint missing.pth",
    }.items():
        code, _, errors = run("convert", name, *target)
        assert code == 2, name
        (line,) = messages(errors)
        assert line.startswith("s5-hf: ") and reason in line and name in line
    assert sorted(path.name for path in Path().iterdir()) == before
    assert store_entries(own_folders) == []


def test_convert_never_overwrites(run, checkpoint: Path, own_folders: Path):
    Path("taken").mkdir()
    Path("taken", "note.txt").write_text("mine", encoding="utf-8")
    for arguments in ((checkpoint, "taken", *HEADS), (checkpoint, "vit.pth", *HEADS)):
        code, _, errors = run("convert", *arguments)
        assert code == 2 and "exists already" in errors
    assert [path.name for path in Path("taken").iterdir()] == ["note.txt"]
    assert run("convert", checkpoint, "--store", *HEADS)[0] == 0
    code, _, errors = run("convert", checkpoint, "--store", *HEADS)
    assert code == 2 and "s5-vit-micro exists already" in errors
    assert store_entries(own_folders) == ["s5-vit-micro"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("s5-vit-b", "--store", *HEADS),
            "not of the size of s5-vit-b: hidden_size is 32 instead of 768",
        ),
        (("s5-vit-micro-upernet", "--store"), "stands for a 's5_segmentation' model, this is a 's5_vit' model"),
        (("my-model", "--store"), "there is no model 'my-model'"),
        (("s5-vit-b-moe-det", "--store"), "stands for a 's5_detection' model, this is a 's5_vit' model"),
    ],
)
def test_a_store_name_must_fit(arguments: tuple[str], message: str, run, checkpoint: Path, own_folders: Path):
    code, _, errors = run("convert", checkpoint, *arguments)
    assert code == 2 and message in errors
    assert store_entries(own_folders) == []


def test_an_encoder_that_no_name_stands_for(run, own_folders: Path):
    randomise(S5ViTBackbone(S5ViTConfig(**{**MICRO_VIT, "image_size": 96}))).save_pretrained("other")
    export_official("other", "other.pth")
    code, _, errors = run("convert", "other.pth", "--store", *HEADS)
    assert code == 2 and "no known name stands for this S5 encoder exactly" in errors
    assert run("convert", "other.pth", "s5-vit-micro", "--store", *HEADS)[0] == 0
    assert AutoModel.from_pretrained("s5-vit-micro").config.image_size == 96


def test_convert_without_output_explains(run, checkpoint: Path):
    code, _, errors = run("convert", checkpoint)
    assert code == 2 and "OUTPUT" in errors


def test_models_lists_names_sizes_and_places(
    run, checkpoint: Path, own_folders: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("S5_HF_REPO_S5_VIT_L", "someone/large")
    monkeypatch.setenv("COLUMNS", "400")
    Path("s5-vit-ti").mkdir()
    run("convert", checkpoint, "--store", *HEADS)
    code, output, _ = run("models")
    assert code == 0
    rows = {
        cells[0]: cells[1:] for line in output.splitlines() if (cells := [c.strip() for c in line.split("│")[1:-1]])
    }
    assert set(rows) == {*KNOWN_MODELS, "segearth-ov", "segearth-ov-sar"}
    assert rows["s5-vit-micro"] == ["encoder", "0.1 M", "0.4 MB", "store"]
    assert rows["s5-vit-b-moe"] == ["4 tasks", "160.4 M", "", "official release"]
    assert rows["s5-vit-b-moe-det"] == ["2 tasks", "140.6 M", "", "official release"]
    assert rows["s5-vit-h-upernet"] == ["isaid", "663.4 M", "", "official release"]
    assert rows["s5-vit-s"] == ["encoder", "23.8 M", "", "not published"]
    assert rows["s5-vit-l"][-1] == "Hub: someone/large"
    assert rows["s5-vit-ti"][-1] == "local folder"
    assert f"the store: {own_folders / 'store'}" in output


def test_pull_and_push(
    run,
    loopback_hub: LoopbackHub,
    official_encoder: bytes,
    own_folders: Path,
):
    loopback_hub.repositories[OFFICIAL_REPOSITORY] = {"vit_m_s4p.pth": official_encoder}
    code, output, _ = run("pull", "s5-vit-micro")
    assert code == 0 and f"s5-vit-micro is in the store: {own_folders / 'store' / 's5-vit-micro'} (0.4 MB)" in output
    code, output, _ = run("pull", "s5-vit-micro")
    assert code == 0 and "is in the store already" in output

    Path("metrics.json").write_text(json.dumps({"features": {"kNN": 80.5}}), encoding="utf-8")
    options = ("--private", "--license", "mit", "--metrics", "metrics.json", "--token", "x")
    code, output, _ = run("push", "s5-vit-micro", "me/encoder", *options)
    assert code == 0 and f"uploaded: {loopback_hub.endpoint}/me/encoder/commit/" in output
    assert loopback_hub.private == {"me/encoder": True}
    assert b"| features | kNN | 80.5 |" in loopback_hub.repositories["me/encoder"]["README.md"]

    Path("metrics.json").write_text("{", encoding="utf-8")
    code, _, errors = run("push", "s5-vit-micro", "me/encoder", "--metrics", "metrics.json")
    assert code == 2 and "metrics.json is not valid JSON" in errors


def test_pull_of_what_is_not_there(run, loopback_hub: LoopbackHub, own_folders: Path):
    code, _, errors = run("pull", "s5-vit-micro")
    assert code == 2 and "the official release lianglyu/S5: 404" in errors and "Traceback" not in errors
    code, _, errors = run("pull", "s5-vit-x")
    assert code == 2 and len(messages(errors)) == 1 and "there is no model 's5-vit-x'" in errors
    assert store_entries(own_folders) == []


def test_the_real_command_prints_no_traceback(own_folders: Path):
    """Once as a process of its own: exit code 2, one line."""
    Path("malicious.pth").write_bytes(pickle.dumps({"model": Malicious()}, protocol=2))
    command = [sys.executable, "-m", "s5_hf.cli", "convert", "malicious.pth", "out"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2 and result.stdout == ""
    (line,) = messages(result.stderr)
    assert line.startswith("s5-hf: malicious.pth is refused")
    assert [path.name for path in Path().iterdir()] == ["malicious.pth"]
