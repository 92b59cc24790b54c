"""Change detection in the loop: learning, exact resume, two processes, selection, views of pairs, bad input."""

import json

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModel, Dinov2Config, Dinov2Model

from s5_hf.metrics import ConfusionMatrix
from s5_hf.metrics.change_scores import semantic_change_scores
from s5_hf.metrics.from_to_counts import date_counts
from s5_hf.modeling.change_classes import date_ids, from_to_labels
from s5_hf.semi_supervised.channel_dropout import complementary_masks, scaled_channels
from s5_hf.training import read_log, run_training
from s5_hf.training.change.pair_reader import PairReader
from s5_hf.training.change.recipe import ChangeRecipe
from s5_hf.training.pretraining.view_maker import ViewMaker
from s5_hf.training.views.strong_draws import StrongAugmentation, StrongDraws
from s5_hf.training.views.weak import SampleView, WeakView
from tests.training.changing import pair_data, pair_samples, train_change, train_change_files, write_pairs
from tests.training.pretraining import HALVES, run_in_two_processes
from tests.training.test_pretraining import forget_after_first_checkpoint, losses

COVER = ("ground", "roof")


def weights_of(folder):
    return load_file(folder / "change_detector" / "model.safetensors")


@pytest.mark.parametrize("method", ["fixmatch --teacher ema", "unimatch_v2"])
def test_exact_resume_and_a_network_that_stands_alone(method, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ("--method", *method.split(), "--schedule", "constant")
    train_change(whole, *options)
    train_change(parts, *options)
    forget_after_first_checkpoint(parts)
    train_change(parts, *options, "--resume", "auto")
    assert losses(whole) == losses(parts)
    for name, tensor in weights_of(whole).items():
        assert torch.equal(tensor, weights_of(parts)[name]), name
    model, report = AutoModel.from_pretrained(whole / "change_detector", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert model(torch.zeros(1, 2, 3, 40, 33)).logits.shape == (1, 2, 40, 33)


def test_two_processes_with_half_the_batch_equal_one(tmp_path):
    options = (
        "--freeze_batch_norm",
        "--method",
        "unimatch_v2",
        "--channel_dropout",
        "false",
        "--validation_steps",
        "4",
    )
    train_change(tmp_path / "one", *options)
    run_in_two_processes(train_change, tmp_path / "two", *options, *HALVES)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert sorted(one) == sorted(two) == [1, 2, 3, 4]
    for step in one:
        assert two[step] == pytest.approx(one[step], abs=1e-5)
    scores = [read_log(tmp_path / run)[-1]["validation/change_iou"] for run in ("one", "two")]
    assert scores[1] == pytest.approx(scores[0], abs=0.1)


def test_it_learns_and_keeps_the_best_on_held_out_pairs(tmp_path):
    options = (
        *("--method", "supervised", "--total_steps", "40", "--validation_steps", "20", "--selection", "validation"),
        *("--learning_rate", "2e-3", "--schedule", "constant"),
    )
    train_change(tmp_path, *options)
    scores = [entry for entry in read_log(tmp_path) if "validation/change_iou" in entry]
    best = max(entry["validation/change_iou"] for entry in scores)
    assert best > 30  # of all pixels 14 % changed
    assert scores[-1]["validation/miou"] == pytest.approx(scores[-1]["validation/change_iou"])
    record = json.loads((tmp_path / "best" / "mean" / "scores.json").read_text(encoding="utf-8"))
    assert record["best"] == pytest.approx(best)
    model = AutoModel.from_pretrained(tmp_path / "best" / "mean")
    assert type(model).__name__ == "S5ForChangeDetection"
    processor = json.loads((tmp_path / "best" / "mean" / "preprocessor_config.json").read_text(encoding="utf-8"))
    assert processor["image_processor_type"] == "S5ChangeImageProcessor"
    with Image.open(tmp_path / "panels" / "step-00000040.png") as panel:
        assert panel.width > 5 * 32  # before, after, prediction, confidence, pseudo-label


def test_files_of_pairs_and_a_transformers_encoder(tmp_path):
    torch.manual_seed(0)
    shape = {"hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    Dinov2Model(Dinov2Config(**shape)).save_pretrained(tmp_path / "dino")
    data = write_pairs(tmp_path / "data", train=6, val=2)
    train_change_files(
        tmp_path / "run",
        *("--labelled_dir", str(data), "--labelled_count", "3", "--unlabelled_dataset", "rest"),
        *("--encoder", str(tmp_path / "dino"), "--decoder", "dpt", "--image_fit", "resize", "--crop_size", "28"),
        *("--method", "unimatch_v2", "--teacher", "student", "--weight_average_decay", "0.9"),
        *("--cutmix_partner", "reversed_batch", "--total_steps", "2"),
    )
    entry = read_log(tmp_path / "run")[-1]
    assert 0 <= entry["validation/change_iou"] <= 100 and 0 <= entry["validation/change_f1"] <= 100
    chosen = json.loads((tmp_path / "run" / "labelled.json").read_text(encoding="utf-8"))
    assert chosen["count"] == 3
    again = tmp_path / "again"
    train_change_files(
        again, "--labelled_dir", str(data), "--method", "supervised", "--crop_size", "28",
        "--segmenter", str(tmp_path / "run" / "change_detector"), "--total_steps", "1",
    )  # fmt: skip
    with pytest.raises(ValueError, match="s5-image-mask is a dataset for segmentation; change detection needs pairs"):
        train_change_files(tmp_path / "no", "--labelled_dir", str(data), "--labelled_dataset", "s5-image-mask")


def test_learns_from_what_to_what(tmp_path):
    labels = tuple(from_to_labels(COVER))
    data = pair_data(
        labels=labels,
        palette=tuple((40 * index, 0, 255 - 40 * index) for index in range(5)),
        date_classes=COVER,
        labelled=pair_samples(6, 1, date_classes=2),
        validation=pair_samples(3, 3, date_classes=2),
    )
    train_change(tmp_path, "--method", "fixmatch", "--total_steps", "2", "--selection", "validation", data=data)
    entry = read_log(tmp_path)[-1]
    assert {"validation/change_sek", "validation/change_fscd", "validation/change_miou"} <= set(entry)
    model = AutoModel.from_pretrained(tmp_path / "change_detector")
    assert model.config.date_classes == {"squares": list(COVER)}
    assert (tmp_path / "best" / "mean").is_dir() or np.isnan(entry["validation/change_score"])


def test_counts_of_dates_are_those_of_their_maps():
    generator = torch.Generator().manual_seed(0)
    references, predictions = torch.randint(0, 10, (2, 300), generator=generator)
    pairs, dates = ConfusionMatrix(10, 255), ConfusionMatrix(4, 255)
    pairs.update(predictions, references)
    for found, known in zip(date_ids(predictions, 3), date_ids(references, 3), strict=True):
        dates.update(found, known)
    assert torch.equal(date_counts(pairs.counts, 3), dates.counts)
    assert semantic_change_scores(dates.counts)["miou"] == pytest.approx(
        semantic_change_scores(date_counts(pairs.counts, 3))["miou"]
    )
    with pytest.raises(ValueError, match="2 classes have 5 changes"):
        date_counts(pairs.counts, 2)


def row_of(sample, **changes):
    values = {"num_labels": 2, "reader": PairReader(), **changes}
    return SampleView(WeakView(24, rotation_probability=0.5), 0, "labelled", **values)(sample, epoch=1)


def test_both_dates_have_one_geometry_and_their_own_colours():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)
    samples = [
        {"id": str(index), "image_before": image, "image_after": image, "mask": image[..., 0] % 2}
        for index in range(3)
    ]
    always = StrongAugmentation(jitter_probability=1.0, cutmix_probability=1.0)
    rows = [row_of(sample, strong=StrongDraws(always, views=2)) for sample in samples]
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    assert batch["image"].shape == (3, 2, 3, 24, 24)
    assert torch.equal(batch["image"][:, 0], batch["image"][:, 1])
    maker = ViewMaker(torch.device("cpu"), (0.5,) * 3, (0.5,) * 3)
    pairs = maker.unlabelled(batch)
    assert pairs.strong[0].shape == (3, 2, 3, 24, 24) and pairs.boxes[0].shape == (3, 24, 24)
    for row in range(3):
        assert not torch.allclose(pairs.strong[0][row, 0], pairs.strong[0][row, 1])
    single = maker.unlabelled({**batch, "image": batch["image"][:, 0], "strong": batch["strong"][:, :, :1]})
    assert torch.equal(single.strong[1], pairs.strong[1][:, 0]) and torch.equal(single.boxes[1], pairs.boxes[1])


def test_channels_are_dropped_from_both_dates_and_so_from_their_difference():
    class Maps(torch.nn.Module):
        def forward(self, values):
            return type("Output", (), {"feature_maps": (values, values[:, :2])})()

    masks = torch.cat(complementary_masks(2, 4, torch.device("cpu")))
    maps, backbone = torch.randn(8, 4, 3, 3), Maps()
    with scaled_channels(backbone, masks):
        scaled = backbone(maps).feature_maps
    difference = (maps[::2] - maps[1::2]).abs()
    torch.testing.assert_close((scaled[0][::2] - scaled[0][1::2]).abs(), difference * masks[..., None, None])
    torch.testing.assert_close((scaled[1][::2] - scaled[1][1::2]).abs(), difference[:, :2] * masks[:, :2, None, None])


def test_bad_pairs_and_settings_are_refused():
    (sample,) = pair_samples(1, 0)
    with pytest.raises(ValueError, match="image_before has 32 x 32 pixels, image_after has 30 x 32 pixels"):
        row_of({**sample, "image_after": sample["image_after"][:, :30]})
    with pytest.raises(ValueError, match=r"holds the values \[2\], but the model has 2 classes"):
        row_of({**sample, "mask": sample["mask"] * 2})
    with pytest.raises(ValueError, match="'0-0' has no image_after"):
        row_of({name: value for name, value in sample.items() if name != "image_after"})
    with pytest.raises(ValueError, match="'0-0' has no mask_before"):
        row_of(sample, reader=PairReader(2), num_labels=5)
    with pytest.raises(ValueError, match="rs_mtdf learns from single images"):
        ChangeRecipe.make(method="rs_mtdf")
    with pytest.raises(ValueError, match="grayscale_probability must lie between 0 and 1"):
        ChangeRecipe.make(grayscale_probability=2.0)


def test_one_network_with_experts_for_several_datasets(tmp_path):
    first, second = (write_pairs(tmp_path / name, train=4, val=2) for name in ("first", "second"))
    words = [
        *("--mode", "moe", "--expert_channels", "8", "--datasets", "first", "second", "--hidden_size", "32"),
        *("--num_hidden_layers", "4", "--num_attention_heads", "4", "--decoder_channels", "16", "--crop_size", "32"),
        *("--first.data_dir", str(first), "--second.data_dir", str(second), "--batch_size", "2", "--trackers", "none"),
        *("--total_steps", "2", "--epochs", "1", "--num_workers", "0", "--output_dir", str(tmp_path / "run")),
    ]
    AcceleratorState._reset_state(reset_partial_state=True)
    run_training("joint_change", words)
    entry = read_log(tmp_path / "run")[-1]
    of_tasks = [entry[f"validation/{name}/change_iou"] for name in ("first", "second")]
    assert entry["validation/mean/change_iou"] == pytest.approx(sum(of_tasks) / 2)
    model = AutoModel.from_pretrained(tmp_path / "run" / "change_detector")
    assert type(model).__name__ == "S5ForChangeDetection" and model.config.backbone_config.num_experts == 2
    dense = AutoModel.from_pretrained(tmp_path / "run" / "best" / "first")
    assert list(dense.config.tasks) == ["first"] and dense(torch.zeros(1, 2, 3, 32, 32)).logits.shape[1] == 2
    with pytest.raises(ValueError, match="first: from_to needs masks of both dates"):
        run_training("joint_change", [*words, "--output_dir", str(tmp_path / "a"), "--first.from_to", "true"])
    with pytest.raises(ValueError, match="s5-image-mask is a dataset for segmentation"):
        run_training("joint_change", [*words, "--output_dir", str(tmp_path / "b"), "--first.dataset", "s5-image-mask"])
