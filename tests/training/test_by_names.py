"""S4 pre-training without a single label, taught by a frozen model that knows classes by their names."""

import shutil

import pytest
import torch
from transformers import AutoConfig, AutoModelForSemanticSegmentation

from s5_hf.modeling import S5SegmentationConfig, S5ViTConfig
from s5_hf.semi_supervised import FixMatch, OpenVocabulary
from s5_hf.training.run_folder import read_log
from tests.open_models import tiny_processor, write_tiny_model
from tests.training.pretraining import micro_data, pretrain, pretrain_files, weights_of, write_folders
from tests.training.test_pretraining import forget_after_first_checkpoint, losses

CLASSES = ("red,crimson", "green", "blue")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Patches of 8 px; the student has 16."""
    return str(write_tiny_model(tmp_path_factory.mktemp("teacher") / "model"))


def options(teacher, *more):
    """Of a run of four steps; test_newer_methods.py makes it in two processes, too."""
    return (
        *(
            "--method",
            "open_vocabulary",
            "--frozen_teachers",
            teacher,
            "--labelled_count",
            "0",
            "--drop_path_rate",
            "0",
        ),
        *("--classes", *CLASSES, "--classifier_dropout", "0", "--total_steps", "4", "--checkpoint_steps", "2"),
        *("--validation_steps", "0", "--crop_size", "32", "--decoder", "segformer", "--decoder_channels", "8", *more),
    )


def by_names(folder, teacher, *more):
    pretrain(folder, *options(teacher, *more), data=micro_data(labelled=None))


def test_exact_resume_and_a_teacher_that_is_nowhere_in_the_run(teacher, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    by_names(whole, f"{teacher}@48", "--validation_steps", "2")
    log = read_log(whole)
    assert all(entry["loss"] == pytest.approx(entry["loss_unsupervised"]) for entry in log if "loss" in entry)
    assert not any("loss_supervised" in entry for entry in log) and "validation/miou" in log[-1]
    assert f">{teacher}@48</td>" in (whole / "report.html").read_text(encoding="utf-8")
    assert not (whole / "labelled.json").exists()
    shutil.copytree(whole, parts)
    forget_after_first_checkpoint(parts)
    by_names(parts, f"{teacher}@48", "--validation_steps", "2", "--resume", "auto")
    for name, tensor in weights_of(whole).items():
        assert torch.equal(tensor, weights_of(parts)[name]), name
    model, report = AutoModelForSemanticSegmentation.from_pretrained(whole / "segmenter", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    sizes = [path.stat().st_size for path in whole.rglob("*.safetensors")]
    assert max(sizes) < 2 * sum(4 * tensor.numel() for tensor in model.state_dict().values())


def test_accumulated_batches_count_as_one(teacher, tmp_path):
    by_names(tmp_path / "one", teacher, "--freeze_batch_norm", "--total_steps", "1")
    parts = ("--unlabelled_batch_size", "2", "--gradient_accumulation", "2")
    by_names(tmp_path / "parts", teacher, "--freeze_batch_norm", "--total_steps", "1", *parts)
    assert losses(tmp_path / "parts")[1] == pytest.approx(losses(tmp_path / "one")[1], rel=1e-4)


def test_its_pseudo_labels_are_the_teachers_own_predictions(teacher):
    network = AutoModelForSemanticSegmentation.from_pretrained(teacher)
    network.encode_classes(CLASSES, tiny_processor())
    config = S5SegmentationConfig(
        S5ViTConfig(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=32), tasks={"a": [*"xyz"]}
    )
    method = OpenVocabulary(
        frozen_teachers=[teacher], classes=list(CLASSES), image_mean=(0.5,) * 3, image_std=(0.2,) * 3
    )
    student = AutoModelForSemanticSegmentation.from_config(config)
    with pytest.raises(RuntimeError, match=r"call extend\(model\) before attach"):
        method.attach(student)
    method.extend(student)
    method.attach(student)
    images = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    found = method.labeller(student)((images - 0.5) / 0.2).logits
    seen = tiny_processor().image_processor
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (seen.image_mean, seen.image_std))
    with torch.no_grad():
        torch.testing.assert_close(found, network((images - mean) / std).logits, rtol=1e-4, atol=1e-4)
    assert not method.has_state and not found.requires_grad and found.argmax(1).unique().numel() > 1


def test_files_alone_and_validation_with_masks(teacher, tmp_path, capsys):
    write_folders(tmp_path / "masks", train=1, val=2)
    shutil.copytree(write_folders(tmp_path / "other", train=4) / "train" / "images", tmp_path / "archive")
    words = [*options(teacher), "--unlabelled_dir", str(tmp_path / "archive"), "--total_steps", "1"]
    pretrain_files(tmp_path / "none", *words, "--validation_split", "none", "--labelled_dir", "/nowhere")
    config = AutoConfig.from_pretrained(tmp_path / "none" / "segmenter")
    assert config.tasks == {"named_classes": ["red", "green", "blue"]}
    masks = ("--labelled_dataset", "s5-image-mask", "--labelled_dir", str(tmp_path / "masks"))
    pretrain_files(tmp_path / "val", *words, *masks, "--validation_split", "val", "--validation_steps", "1")
    assert 0 <= read_log(tmp_path / "val")[-1]["validation/miou"] <= 100
    with pytest.raises(ValueError, match=r"masks of s5-wbs-si show .*the classes are red, green, blue: put each name"):
        pretrain_files(tmp_path / "run", *words, "--labelled_dataset", "s5-wbs-si", "--validation_split", "val")
    pretrain_files(
        tmp_path / "dry", *words, *masks, "--unlabelled_dataset", "rest", "--validation_split", "none", "--dry-run"
    )
    said = capsys.readouterr().out
    assert "data         unlabelled: 1 samples" in said and "data         labelled" not in said
    assert f"teacher      {teacher}; its weights: the folder {teacher}" in said
    assert "classes      named_classes: 3 (red, green, blue)" in said and not (tmp_path / "dry").exists()


BAD = [
    (("--method", "fixmatch"), "labelled_count: 0 leaves fixmatch nothing to learn from; .*method: open_vocabulary"),
    (("--labelled_count", "2"), "open_vocabulary learns from no labels: set labelled_count: 0, got 2"),
    (("--labelled_count", "null"), "open_vocabulary learns from no labels: set labelled_count: 0, got None"),
    (("--frozen_teachers", "null"), "needs one model in frozen_teachers, such as segearth-ov or a folder, got none"),
    (("--frozen_teachers", "a", "b"), "needs one model in frozen_teachers, .* got a, b"),
    (("--classes", "null"), "open_vocabulary needs classes by their names"),
    (("--classes", "a", "b", "a"), "the name 'a' comes twice"),
    (("--classes", "a,", "b", "c"), "the class 'a,' has an empty name"),
    (("--classes", "a", "b"), "the network has 3 classes, classes names 2"),
    (("--teacher", "ema"), "leave out teacher: ema"),
    (("--unlabelled_from_step", "1"), "no labels for a supervised phase: leave out unlabelled_from_step, got 1"),
    (("--validation_split", "held_out"), "held_out sets labelled images of the training aside"),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_settings_that_cannot_work(words, message, teacher, tmp_path):
    with pytest.raises(ValueError, match=message):
        by_names(tmp_path / "run", teacher, *words)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_teachers_that_do_not_fit(teacher, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the teacher .*nothing cannot be loaded"):
        by_names(tmp_path / "run", str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=r"@4: the side is below a patch of the teacher, 8 px"):
        by_names(tmp_path / "run", f"{teacher}@4")
    S5SegmentationConfig().save_pretrained(tmp_path / "segmenter")
    with pytest.raises(ValueError, match="is a 's5_segmentation' model, which has classes of its own"):
        by_names(tmp_path / "run", str(tmp_path / "segmenter"))
    shutil.copytree(teacher, tmp_path / "mute")
    for file in (tmp_path / "mute").glob("token*"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"the teacher .*mute cannot be loaded"):
        by_names(tmp_path / "run", str(tmp_path / "mute"))
    with pytest.raises(ValueError, match="makes prompts of up to"):
        by_names(tmp_path / "run", teacher, "--classes", "x" * 90, "b", "c")


def test_other_methods_take_labels():
    assert FixMatch.takes_labels and not OpenVocabulary.takes_labels and FixMatch().frozen_teachers == ()
