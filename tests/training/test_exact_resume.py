"""A run is taken up from the files and the data that it left, or refused with what differs."""

import gzip
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from s5_hf.training.checkpointing.checkpoints import checkpoint_folders, newest
from s5_hf.training.errors import CheckpointError
from tests.training.finetuning import finetune, micro_tasks
from tests.training.pretraining import micro_data, pretrain, pretrain_files, random_samples, weights_of

SHORT = ("--total_steps", "2", "--checkpoint_steps", "1", "--schedule", "constant", "--validation_steps", "0")
RANDOM = "state/random_states_0.pkl"


def drop_last_checkpoint(folder):
    """As if the run had been killed after its first step."""
    shutil.rmtree(checkpoint_folders(folder / "checkpoints")[-1])
    return newest(folder / "checkpoints")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """An uninterrupted pre-training run of 2 steps."""
    folder = tmp_path_factory.mktemp("whole")
    pretrain(folder, *SHORT)
    return folder


@pytest.fixture
def stopped_run(whole_run, tmp_path):
    """The same after its first step."""
    shutil.copytree(whole_run, tmp_path / "run")
    drop_last_checkpoint(tmp_path / "run")
    return tmp_path / "run"


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_resumed_run_leaves_the_same_bytes_as_an_uninterrupted_one(whole_run, stopped_run):
    pretrain(stopped_run, *SHORT, "--resume", "auto")
    for name in ("segmenter", "encoder"):
        assert files_below(stopped_run / name) == files_below(whole_run / name)


def test_a_resumed_fine_tuning_leaves_the_same_bytes_as_an_uninterrupted_one(tmp_path):
    options = (*SHORT, "--validation_steps", "1", "--weight_average_decay", "0.9")
    finetune(tmp_path / "whole", *options)
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    drop_last_checkpoint(tmp_path / "parts")
    finetune(tmp_path / "parts", *options, "--resume", "auto")
    for name in ("segmenter", "encoder", "average", "best"):
        assert files_below(tmp_path / "parts" / name) == files_below(tmp_path / "whole" / name)


@pytest.mark.parametrize("name", [RANDOM, "state/optimizer.bin", "state/model.safetensors", "data.json.gz"])
@pytest.mark.parametrize("damage", ["missing", "cut", "one byte"])
def test_a_missing_or_damaged_state_file_is_refused_by_name(stopped_run, name, damage):
    path = newest(stopped_run / "checkpoints") / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes(content[:-1] if damage == "cut" else flipped)
    words = {
        "missing": "is missing",
        "cut": "has .* bytes, .* were written",
        "one byte": "has other content than was written",
    }
    with pytest.raises(CheckpointError, match=rf"{path} {words[damage]}.*--resume force"):
        pretrain(stopped_run, *SHORT, "--resume", "auto")


@pytest.mark.parametrize("content", ["missing", {"step": 1}])
def test_force_goes_on_without_the_random_state_and_says_so(stopped_run, content):
    path = newest(stopped_run / "checkpoints") / RANDOM
    path.unlink() if content == "missing" else torch.save(content, path)
    with pytest.warns(RuntimeWarning) as caught:
        pretrain(stopped_run, *SHORT, "--resume", "force")
    texts = [str(warning.message) for warning in caught]
    assert any("is resumed by force although it differs" in text and RANDOM in text for text in texts)
    assert any("resumes with other random numbers" in text for text in texts)
    assert newest(stopped_run / "checkpoints").name == "step-00000002"


@pytest.mark.parametrize("name", ["optimizer.bin", "model.safetensors"])
@pytest.mark.parametrize("content", [b"foreign", None])
def test_a_file_with_foreign_content_is_named_under_force(stopped_run, name, content):
    path = newest(stopped_run / "checkpoints") / "state" / name
    path.write_bytes(content) if content else torch.save([1, 2], path)
    with pytest.warns(RuntimeWarning), pytest.raises(CheckpointError, match=f"{path} cannot be loaded") as caught:
        pretrain(stopped_run, *SHORT, "--resume", "force")
    assert isinstance(caught.value, ValueError) and "weights_only" not in str(caught.value)


def test_a_checkpoint_without_a_manifest_needs_force(stopped_run):
    """Those of earlier versions have none."""
    checkpoint = newest(stopped_run / "checkpoints")
    (checkpoint / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"manifest\.json is missing"):
        pretrain(stopped_run, *SHORT, "--resume", "auto")


@pytest.mark.parametrize(
    ("content", "message"),
    [("{}", "lacks step, processes, recipe"), ("[]", "lacks step, processes, recipe"), ("{", "is not the checkpoint")],
)
def test_a_description_without_content_is_refused_by_name(stopped_run, content, message):
    path = newest(stopped_run / "checkpoints") / "run.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        pretrain(stopped_run, *SHORT, "--resume", "auto")


def without_the_third(samples):
    return samples[:2] + samples[3:]


def with_the_third_renamed(samples):
    return [{**sample, "id": "renamed" if index == 2 else sample["id"]} for index, sample in enumerate(samples)]


def with_other_pixels(samples):
    return [*samples[:2], {**samples[2], "image": np.flipud(samples[2]["image"])}, *samples[3:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_the_third, r"8 samples then, 7 now; 1-2 missing now"),
        (with_the_third_renamed, r"1-2 missing now; renamed new"),
        (with_other_pixels, r"1-2 of another size or content"),
        (lambda samples: samples[::-1], r"the same samples in another order"),
    ],
)
def test_other_data_is_refused_with_the_samples_named(stopped_run, change, message):
    data = micro_data(labelled=change(random_samples(8, 1)))
    with pytest.raises(CheckpointError, match=rf"the dataset 'labelled': {message}.*--resume force"):
        pretrain(stopped_run, *SHORT, "--resume", "auto", data=data)


def test_force_goes_on_with_other_data(stopped_run):
    data = micro_data(labelled=without_the_third(random_samples(8, 1)))
    with pytest.warns(RuntimeWarning, match="1-2 missing now"):
        pretrain(stopped_run, *SHORT, "--resume", "force", data=data)
    assert newest(stopped_run / "checkpoints").name == "step-00000002"


def test_force_begins_where_there_is_no_checkpoint(tmp_path):
    pretrain(tmp_path / "run", *SHORT, "--resume", "force")
    assert newest(tmp_path / "run" / "checkpoints").name == "step-00000002"


@pytest.mark.parametrize("part", ["train", "validation"])
def test_every_dataset_of_fine_tuning_is_compared(tmp_path, part):
    finetune(tmp_path, *SHORT)
    drop_last_checkpoint(tmp_path)
    tasks = micro_tasks()
    samples = getattr(tasks[1], part)
    changed = {"train": tasks[1].train, "validation": tasks[1].validation, part: samples[:-1]}
    tasks[1] = type(tasks[1])("halves", tasks[1].labels, tasks[1].palette, 9, changed["train"], changed["validation"])
    with pytest.raises(
        CheckpointError, match=rf"'halves {part}': {len(samples)} samples then, {len(samples) - 1} now"
    ):
        finetune(tmp_path, *SHORT, "--resume", "auto", data=tasks)


def write_tiles(folder):
    for split, count in (("train", 6), ("val", 1)):
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for sample in random_samples(count, 7):
            Image.fromarray(sample["image"]).save(folder / split / "images" / f"{sample['id']}.png")
            Image.fromarray(sample["mask"]).save(folder / split / "masks" / f"{sample['id']}.png")


def change_files(folder, change):
    for path in (folder / "train" / kind / "7-2.png" for kind in ("images", "masks")):
        if change == "removed":
            path.unlink()
        elif change == "renamed":
            path.rename(path.with_name("8-0.png"))
        else:
            Image.fromarray(np.zeros((72, 72), np.uint8)).save(path)


@pytest.mark.parametrize("streaming", ["false", "true"])
def test_changed_files_of_a_dataset_are_noticed_and_a_moved_folder_is_not(tmp_path, monkeypatch, streaming):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    write_tiles(tmp_path / "tiles")

    def train(tiles, *arguments):
        words = ("--labelled_dataset", "s5-image-mask", "--classes", "red", "green", "blue", "--method", "supervised")
        place = ("--labelled_dir", str(tmp_path / tiles), "--streaming", streaming)
        pretrain_files(tmp_path / "run", *SHORT, *words, *place, *arguments)

    train("tiles")
    drop_last_checkpoint(tmp_path / "run")
    for change, words in (("removed", "missing now"), ("renamed", "missing now.*8-0.* new"), ("rewritten", "of anot")):
        shutil.copytree(tmp_path / "tiles", tmp_path / change)
        change_files(tmp_path / change, change)
        with pytest.raises(CheckpointError, match=f"7-2.*{words}"):
            train(change, "--resume", "auto")
    shutil.move(tmp_path / "tiles", tmp_path / "elsewhere")
    train("elsewhere", "--resume", "auto")


def test_the_listing_holds_names_and_sizes(whole_run):
    checkpoint = newest(whole_run / "checkpoints")
    listing = json.loads(gzip.decompress((checkpoint / "data.json.gz").read_bytes()))
    assert [len(listing[name]) for name in ("labelled", "unlabelled", "validation val None")] == [8, 16, 3]
    assert listing["labelled"][0][0] == "1-0" and listing["labelled"][0][1].startswith("72x72x3:")


def test_a_run_from_a_file_goes_on_exactly_without_the_file(whole_run, tmp_path):
    """`encoder` may be left out when a run is resumed; new weights lie elsewhere than those of a file."""
    start = ("--encoder", str(whole_run / "encoder"))
    pretrain(tmp_path / "whole", *SHORT, *start)
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    drop_last_checkpoint(tmp_path / "parts")
    pretrain(tmp_path / "parts", *SHORT, "--resume", "auto")
    for name, tensor in weights_of(tmp_path / "whole").items():
        assert torch.equal(tensor, weights_of(tmp_path / "parts")[name]), name
