"""Fine-tuning of oriented detection: recipes, data, batches, and whole runs of examples/finetune_detection.py."""

import dataclasses
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from PIL import Image
from transformers import AutoModel, AutoModelForObjectDetection

from s5_hf.modeling import S5ForOrientedObjectDetection, S5ForSemanticSegmentation
from s5_hf.recipes import find_recipe
from s5_hf.training.batches import SampleOrder, load_in_order
from s5_hf.training.checkpointing.checkpoints import newest
from s5_hf.training.detection.batches import DetectionStep, DetectionViews, collate
from s5_hf.training.detection.data import DetectionTaskData, load_detection_task
from s5_hf.training.detection.kind import JointDetection
from s5_hf.training.detection.model import joint_detector
from s5_hf.training.detection.recipe import DetectionDatasetSettings, DetectionRecipe
from s5_hf.training.detection.validation import DetectionValidation, validate_detector
from s5_hf.training.errors import CheckpointError
from s5_hf.training.joint.model import TaskView
from s5_hf.training.joint.splits import trained_splits
from s5_hf.training.run_folder import read_log
from tests.modeling.detection_models import micro_detection_config
from tests.training.detecting import micro_recipe, micro_tasks, painted_samples, train_detector, weights_of
from tests.training.finetuning import interrupt_step
from tests.training.pretraining import stop_by_sigterm

# Everything random at once.
VARIED = (
    *("--drop_path_rate", "0.1", "--image_scale", "0.9", "--scale_range", "0.8", "1.3", "--num_workers", "0"),
    *("--quarter_turn_probability", "0.5", "--rotation_probability", "0.5", "--object_crop_probability", "0.5"),
    *("--weight_average_decay", "0.9"),
)


def write_oriented(root, empty=(), **counts):
    """Folders of `{split}/images` and `{split}/labelTxt`, one box per image; `empty` ones have none."""
    for split, count in counts.items():
        (root / split / "images").mkdir(parents=True)
        (root / split / "labelTxt").mkdir()
        for index in range(count):
            Image.fromarray(np.full((48, 64, 3), 20 * index, np.uint8)).save(
                root / split / "images" / f"{index:02d}.png"
            )
            line = "" if index in empty else f"10 10 30 10 30 20 10 20 {'ship' if index % 2 else 'buoy'} 0\n"
            (root / split / "labelTxt" / f"{index:02d}.txt").write_text(line, encoding="utf-8")
    return str(root)


def own(root, **settings):
    return DetectionDatasetSettings(**{"name": "port", "data_dir": root, "classes": ["ship", "buoy"], **settings})


# As the class of that name in test_finetuning_data.py: a recipe's published values, then what it refuses.
class TestRecipe:
    @pytest.mark.parametrize("size", ["b", "l", "h"])
    def test_published_values(self, size):
        recipe = DetectionRecipe.read([str(find_recipe(f"moe_det_vit_{size}", "detection"))])
        model, data, optimizer = recipe.model, recipe.data, recipe.optimizer
        assert (model.mode, model.encoder, model.expert_channels) == ("moe", f"s5-vit-{size}", 256)
        assert [(one.name, one.dataset) for one in recipe.datasets] == [("dior", "s5-dior-r"), ("dota", "s5-dota")]
        assert [one.least_hull_side for one in recipe.datasets] == [0.0, 2.0]
        assert [one.drop_empty for one in recipe.datasets] == [False, True]
        assert [one.train_split for one in recipe.datasets] == ["trainval", "train+val"]
        assert (data.batch_size, data.image_size, data.image_scale, data.scale_range) == (2, 1024, None, [1.0, 1.0])
        assert (data.flip_probability, data.rotation_probability, data.sampling) == (0.5, 0.0, "repeat")
        assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.layer_decay) == (1e-4, 0.05, 1.0)
        assert (optimizer.epochs, optimizer.milestones, optimizer.milestone_factor) == (12, [8, 11], 0.1)
        assert (optimizer.warmup_steps, optimizer.warmup_start, optimizer.gradient_clip) == (500, 0.001, 35)
        assert recipe.run.selection == "last"

    def test_the_published_schedule(self):
        recipe = DetectionRecipe.read([str(find_recipe("moe_det_vit_b", "detection")), "--total_steps", "12000"])
        kind = JointDetection(recipe)
        kind.total_steps = 12000
        factors = [kind.learning_rate_factor(step) for step in (0, 250, 499, 500, 7999, 8000, 10999, 11000, 11999)]
        expected = [0.001, 0.001 + 0.999 / 2, 0.001 + 0.999 * 499 / 500, 1, 1, 0.1, 0.1, 0.01, 0.01]
        assert factors == pytest.approx(expected, rel=1e-12)

    def test_the_tiny_recipe_on_the_command_line(self, tmp_path):
        words = [str(find_recipe("detection_tiny_cpu", "detection")), "--datasets", "hituav", "roofs", "--mode", "moe"]
        words += ["--roofs.classes", "roof", "--roofs.data_dir", "x", "--hituav.batch_size=6"]
        recipe = DetectionRecipe.read(words)
        assert [one.batch_size for one in recipe.datasets] == [6, None]
        assert recipe.datasets[0].ignored_classes == ["DontCare"]
        path = tmp_path / "recipe.yaml"
        path.write_text(recipe.to_yaml(), encoding="utf-8")
        assert DetectionRecipe.read([str(path)]) == recipe

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--decoder_channels", "8"], "decoder_channels"),
            (["--ships.class_map", "0:ship"], "dataset 'ships'.*class_map"),
            (["--trawlers.data_dir", "x"], "the datasets are ships, roofs"),
            (["--image_size", "50"], "image_size must be a multiple of 32, got 50"),
            (["--image_scale", "0"], "image_scale must be above 0"),
            (["--scale_range", "2", "1"], "scale_range must be two positive numbers"),
            (["--rotation_probability", "1.5"], "rotation_probability must lie between 0 and 1, got 1.5"),
            (["--ships.least_side", "0"], "ships.least_side must be above 0"),
            (["--rpn_positive_iou", "0.2"], r"rpn_positive_iou must lie between 0\.3 and 1, got 0\.2"),
            (["--proposal_form", "slanted"], "proposal_form"),
            (["--max_proposals", "0"], "max_proposals must be at least 1, got 0"),
            (["--warmup_start", "2"], "warmup_start must lie between 0 and 1"),
            (["--weight_average_decay", "1"], "weight_average_decay must lie between 0 and 1, 1 excluded, got 1"),
            (["--encoder", "a", "--detector", "b"], "give encoder or detector, not both"),
            (["--mode", "sdf"], "mode sdf takes one dataset, got ships, roofs"),
            (["--schedule", "stairs"], "schedule"),
        ],
    )
    def test_refused(self, words, message):
        with pytest.raises(ValueError, match=message):
            micro_recipe(*words)

    def test_a_file_with_an_unknown_key_of_a_dataset(self, tmp_path):
        path = tmp_path / "recipe.yaml"
        path.write_text("datasets: [{name: a, class_map: {0: x}}]", encoding="utf-8")
        with pytest.raises(
            ValueError, match=r"the dataset 'a' in .* has unknown keys: class_map; known keys: name, d"
        ):
            DetectionRecipe.read([str(path)])


@pytest.mark.usefixtures("own_cache")
class TestData:
    def test_splits_classes_and_empty_images(self, tmp_path):
        root = write_oriented(tmp_path, empty=(1,), train=4, val=2)
        task = load_detection_task(own(root), "validation")
        assert (len(task.train), len(task.validation), task.validation_source) == (4, 2, "split val")
        assert task.train[0]["objects"]["category"] == [1] and not task.voc07
        assert [len(sample["objects"]["category"]) for sample in task.train] == [1, 0, 1, 1]
        dropped = load_detection_task(own(root, drop_empty=True), "validation")
        assert [sample["id"] for sample in dropped.train] == [task.train[row]["id"] for row in (0, 2, 3)]

    def test_ignored_classes(self, tmp_path):
        root = write_oriented(tmp_path, train=3, val=2)
        task = load_detection_task(own(root, classes=["ship"], ignored_classes=["buoy"]), "validation")
        assert [sample["objects"]["category"] for sample in task.train] == [[], [0], []]

    def test_the_test_split_never_chooses(self, tmp_path):
        root = write_oriented(tmp_path, train=10, test=2)
        with pytest.raises(ValueError, match="split 'test' of s5-oriented are what one reports"):
            load_detection_task(own(root, validation_split="test"), "validation")
        assert len(load_detection_task(own(root), "validation").train) == 9  # one is held out
        assert load_detection_task(own(root), "official_test_split").validation_source == "split test"
        assert load_detection_task(own(root), "last").validation is None

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"dataset": "s5-loveda"}, "port: s5-loveda is for segmentation, a detector needs oriented boxes"),
            ({"classes": []}, r"port: s5-oriented does not know its classes: name them with --port\.classes"),
            ({"dataset": "s5-dota", "config": "v9"}, "s5-dota has no configuration 'v9'"),
            ({"dataset": "s5-dota"}, "s5-dota has the classes .*, the recipe says ship, buoy"),
            ({"train_split": "night"}, "port: there is no split 'night' in .*; it has train, val"),
        ],
    )
    def test_refused(self, tmp_path, settings, message):
        with pytest.raises(ValueError, match=message):
            load_detection_task(own(write_oriented(tmp_path, train=2, val=1), **settings), "validation")

    def test_an_unknown_class_names_the_file(self, tmp_path):
        root = write_oriented(tmp_path, train=2, val=1)
        with pytest.raises(ValueError, match=r"task 'port' cannot be loaded.*00\.txt: unknown class 'buoy'"):
            load_detection_task(own(root, classes=["ship"]), "validation")

    def test_a_box_with_nan_names_the_file(self, tmp_path):
        root = write_oriented(tmp_path, train=2, val=1)
        (tmp_path / "train" / "labelTxt" / "01.txt").write_text("10 nan 30 10 30 20 10 20 ship 0", encoding="utf-8")
        with pytest.raises(ValueError, match=r"task 'port' cannot be loaded.*01\.txt, line 1: expected 'x1 y1"):
            load_detection_task(own(root), "validation")

    @pytest.mark.parametrize(
        ("asked", "there", "trained"),
        [
            ("trainval", ("train", "val", "test"), ["train", "val"]),
            ("train+val", ("trainval", "test"), ["trainval"]),
            ("trainval", ("trainval", "val"), ["trainval"]),
            ("train + val", ("train", "val", "trainval"), ["train", "val"]),
            ("trainval", ("train",), ["trainval"]),
        ],
    )
    def test_trainval_is_train_and_val_whichever_a_folder_has(self, asked, there, trained):
        assert trained_splits(own("", train_split=asked), dict.fromkeys(there)) == trained

    def test_a_split_in_trainval_does_not_validate(self, tmp_path):
        root = write_oriented(tmp_path, train=2, val=2, test=1)
        with pytest.raises(ValueError, match="the split 'val' is trained on"):
            load_detection_task(own(root, train_split="trainval", validation_split="val"), "validation")

    def test_a_task_without_images(self):
        with pytest.raises(ValueError, match="the task 'ships' has no training images"):
            DetectionTaskData("ships", ("ship",), [], None)
        with pytest.raises(ValueError, match="the task 'ships' has no validation images"):
            DetectionTaskData("ships", ("ship",), painted_samples(1, 0, 1), [])


class TestBatches:
    def test_a_mixed_batch(self):
        recipe, tasks = micro_recipe("--flip_probability", "0"), micro_tasks()
        order = SampleOrder((6, 3), (2, 2), (1, 2))
        views = DetectionViews(("ships", "roofs"), torch.device("cpu"), [0.2] * 3, [0.5] * 3)
        batch = views(next(load_in_order(JointDetection(recipe, tasks).dataset(), order, 0, 0, collate)))
        assert batch.tasks == ["ships", "ships", "roofs", "roofs"]
        assert batch.pixel_values.shape == (4, 3, 64, 64) and batch.image_sizes == [[64, 64]] * 4
        first = order.batch(0)[2][1]
        box = torch.tensor(tasks[1].train[first]["objects"]["obb"]) * torch.tensor([64 / 72] * 4 + [1])
        torch.testing.assert_close(batch.labels[2]["boxes"], box, rtol=0, atol=1e-4)

    def test_a_dataset_may_have_a_scale_of_its_own(self):
        recipe = micro_recipe("--flip_probability", "0", "--roofs.image_scale", "0.5", "--scale_range", "1", "1")
        dataset = JointDetection(recipe, micro_tasks()).dataset()
        assert dataset[0, 0, 0]["size"].tolist() == [64, 64]
        assert dataset[1, 0, 0]["size"].tolist() == [36, 36]
        assert [recipe.image_scale_of(name) for name in ("ships", "roofs")] == [None, 0.5]

    def test_the_sizes_of_padded_images_stay_on_the_host(self):
        rows = [
            {
                "task": torch.tensor(0),
                "image": torch.zeros(3, 32, 32, dtype=torch.uint8),
                "size": torch.tensor(size),
                "boxes": torch.zeros(count, 5),
                "classes": torch.zeros(count, dtype=torch.int64),
            }
            for size, count in (([32, 20], 0), ([10, 32], 3))
        ]
        batch = DetectionViews(("a",), torch.device("cpu"), [0.0], [1.0])(collate(rows))
        assert batch.image_sizes == [[32, 20], [10, 32]]
        assert [len(labels["boxes"]) for labels in batch.labels] == [0, 3]


class TestModel:
    def detector(self, *words):
        recipe = micro_recipe(*words)
        return joint_detector(recipe.model, micro_tasks(), recipe.data.image_size, 3)

    def test_from_scratch(self):
        model = self.detector()
        assert model.training and model.config.tasks == {"ships": ["ship", "boat"], "roofs": ["roof"]}
        assert (model.config.backbone_config.num_experts, model.config.anchor_scale) == (2, 4)
        assert len(model.necks) == len(model.rpn_heads) == len(model.roi_heads) == 2
        assert self.detector("--mode", "mdf").config.backbone_config.num_experts == 0

    def test_from_the_encoder_of_a_segmenter(self, tmp_path):
        backbone = micro_detection_config().backbone_config
        segmenter = S5ForSemanticSegmentation.from_backbone(
            S5ForOrientedObjectDetection(micro_detection_config()).backbone,
            tasks={"city": ["a", "b"]},
            decoder_channels=8,
        )
        segmenter.save_pretrained(tmp_path)
        model = self.detector("--segmenter", str(tmp_path), "--drop_path_rate", "0.2")
        own = segmenter.backbone.encoder.layers[1]
        layer = model.backbone.encoder.layers[1]
        assert torch.equal(layer.attention.qkv.weight, own.attention.qkv.weight)
        assert torch.equal(layer.feed_forward.fc2.weight, own.feed_forward.fc2.weight[:-8])
        for expert in layer.feed_forward.experts:
            assert torch.equal(expert.weight, own.feed_forward.fc2.weight[-8:])
        assert model.config.backbone_config.drop_path_rate == 0.2
        assert backbone.image_size == model.config.backbone_config.image_size == 64

    def test_a_dense_detector_gives_its_heads(self, tmp_path):
        dense = S5ForOrientedObjectDetection(micro_detection_config(roi_channels=24))
        dense.save_pretrained(tmp_path)
        model = self.detector("--detector", str(tmp_path))
        assert model.config.roi_channels == 24
        for head in model.rpn_heads:
            assert torch.equal(head.conv.weight, dense.rpn_heads[0].conv.weight)

    def test_refused(self, tmp_path):
        dense = S5ForOrientedObjectDetection(micro_detection_config())
        dense.config.tasks = {"ships": ["tanker", "ferry", "raft"]}
        dense.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r"the task 'ships' has 3 classes in .*\(tanker.*but 2 in the data"):
            self.detector("--detector", str(tmp_path))
        dense.backbone.save_pretrained(tmp_path / "encoder")
        with pytest.raises(ValueError, match="is a 's5_vit'; backbones are given as encoder or segmenter"):
            self.detector("--detector", str(tmp_path / "encoder"))


def losses(folder):
    """Losses of every step."""
    names = ("loss", "loss/ships", "loss/roofs", "loss/ships/rpn_cls", "loss/roofs/bbox", "learning_rate")
    return {entry["step"]: tuple(entry[name] for name in names) for entry in read_log(folder) if "loss" in entry}


def scores(folder):
    return [entry for entry in read_log(folder) if "validation/mean/map50" in entry]


# Each kind of training has such a run of its own, which its tests compare with others.
@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """An uninterrupted run of 6 steps."""
    folder = tmp_path_factory.mktemp("whole")
    train_detector(folder, *VARIED)
    return folder


def test_what_a_run_leaves(whole_run):
    found = losses(whole_run)
    assert sorted(found) == list(range(1, 7))
    for step, (total, ships, roofs, *_) in found.items():
        assert total == pytest.approx(ships + roofs, rel=1e-5), step
    rates = [0.001 * factor for factor in (0.001, 0.5005, 1, 1, 0.1, 0.1)]
    assert [values[-1] for values in found.values()] == pytest.approx(rates, rel=1e-9)
    assert [entry["step"] for entry in scores(whole_run)] == [3, 6]
    last = scores(whole_run)[-1]
    mean = (last["validation/ships/map50"] + last["validation/roofs/map50"]) / 2
    assert last["validation/mean/map50"] == pytest.approx(mean, abs=1e-9)
    assert last["validation/roofs/objects/roof"] == 2
    assert (whole_run / "panels" / "ships-step-00000006.png").stat().st_size > 1000
    assert not list(whole_run.glob("**/*partial*"))
    model = AutoModelForObjectDetection.from_pretrained(whole_run / "detector")
    assert model.config.tasks == {"ships": ["ship", "boat"], "roofs": ["roof"]}
    AutoModel.from_pretrained(whole_run / "encoder")
    record = json.loads((whole_run / "best" / "roofs" / "scores.json").read_text(encoding="utf-8"))
    assert record["selection"] == "validation"
    assert record["best"] == max(entry["validation/roofs/map50"] for entry in scores(whole_run))
    dense = AutoModelForObjectDetection.from_pretrained(whole_run / "best" / "roofs")
    assert list(dense.config.tasks) == ["roofs"] and dense.config.backbone_config.num_experts == 0


def test_stopped_by_sigterm_the_resumed_run_equals_the_whole_one(whole_run, tmp_path, capsys):
    at_step_3 = partial(interrupt_step, step=DetectionStep, number=2)
    stop_by_sigterm(at_step_3, lambda: train_detector(tmp_path, *VARIED), capsys)
    assert newest(tmp_path / "checkpoints").name == "step-00000003"  # whose validation is made up for
    with pytest.raises(CheckpointError, match=r"Keys that differ: anchor_scale: 4\.0 then, 8\.0 now"):
        train_detector(tmp_path, *VARIED, "--resume", "auto", "--anchor_scale", "8")
    torch.manual_seed(77)  # what the generator holds must come from the checkpoint
    train_detector(tmp_path, *VARIED, "--resume", "auto", "--num_workers", "1")
    assert losses(tmp_path) == losses(whole_run)
    assert scores(tmp_path) == scores(whole_run)
    for network in ("detector", "average"):
        for name, tensor in weights_of(whole_run, network).items():
            assert torch.equal(tensor, weights_of(tmp_path, network)[name]), name
    for best in ("mean", "ships", "roofs"):
        texts = [
            (folder / "best" / best / "scores.json").read_text(encoding="utf-8") for folder in (whole_run, tmp_path)
        ]
        assert texts[0] == texts[1]


def test_the_average_of_the_weights_is_validated_and_kept_as_best(tmp_path):
    options = ("--total_steps", "2", "--checkpoint_steps", "1", "--validation_steps", "0")
    train_detector(tmp_path, *options, "--weight_average_decay", "0.75")
    first, second = (weights_of(tmp_path / "checkpoints" / f"step-0000000{step}") for step in (1, 2))
    average = weights_of(tmp_path, "average")
    for name, tensor in second.items():  # at first the average is the network itself, then half of it
        torch.testing.assert_close(average[name], (first[name] + tensor) / 2, rtol=0, atol=1e-7, msg=name)
    best = weights_of(tmp_path / "best", "mean")
    assert all(torch.equal(tensor, average[name]) for name, tensor in best.items()) and best.keys() == average.keys()


def test_a_validation_leaves_every_layer_in_its_mode():
    """An averaged network stays in eval mode, and so does what a recipe has frozen."""
    AcceleratorState._reset_state(reset_partial_state=True)
    task, settings = micro_tasks()[0], DetectionValidation(64, None, [0.5] * 3, [0.5] * 3, panel_images=0)
    model = joint_detector(micro_recipe().model, micro_tasks(), 64, 3).eval()
    scores = validate_detector(TaskView(model, task.name), task, settings, Accelerator(cpu=True))
    assert "map50" in scores and not any(module.training for module in model.modules())
    model.train().backbone.eval()
    modes = [module.training for module in model.modules()]
    validate_detector(TaskView(model, task.name), task, settings, Accelerator(cpu=True))
    assert [module.training for module in model.modules()] == modes and model.training


def test_it_learns(tmp_path):
    """Two painted images of one class, by heart."""
    task = DetectionTaskData("roofs", ("roof",), painted_samples(2, 4, 1), None)
    options = ("--datasets", "roofs", "--mode", "sdf", "--total_steps", "25", "--learning_rate", "3e-3")
    train_detector(tmp_path, *options, "--flip_probability", "0", "--selection", "last", data=[task])
    found = [entry["loss"] for entry in read_log(tmp_path) if "loss" in entry]
    assert sum(found[-3:]) < 0.35 * sum(found[:3])


def test_a_late_loss_and_images_without_objects(tmp_path):
    tasks = micro_tasks()
    bare = dataclasses.replace(tasks[1], train=painted_samples(3, 4, 1, empty=range(3)), validation=None)
    train_detector(
        tmp_path,
        *("--total_steps", "2", "--ships.loss_from_epoch", "5", "--validation_steps", "0", "--selection", "last"),
        data=[tasks[0], bare],
    )
    found = losses(tmp_path)
    for total, ships, roofs, *_ in found.values():
        assert total == pytest.approx(roofs, rel=1e-6) and ships > 0  # ships do not count yet
    assert all(math.isfinite(value) for values in found.values() for value in values)
    assert found[1][4] == 0  # nothing to regress where there is no object
    assert not (tmp_path / "best").exists()


def test_a_run_goes_on_from_a_detector_with_its_tasks(whole_run, tmp_path):
    still = ("--total_steps", "1", "--warmup_steps", "0", "--learning_rate", "0", "--validation_steps", "0")
    train_detector(tmp_path, *still, "--selection", "last", "--detector", str(whole_run / "detector"))
    for name, tensor in weights_of(whole_run).items():
        assert torch.equal(tensor, weights_of(tmp_path)[name]), name
    with pytest.raises(ValueError, match="has these tasks already and experts; mode mdf differs"):
        train_detector(tmp_path / "mdf", *still, "--mode", "mdf", "--detector", str(whole_run / "detector"))


def test_lora_trains_little_and_saves_whole_detectors(whole_run, tmp_path):
    peft = pytest.importorskip("peft", reason="low-rank adapters need the extra 'lora'")
    start = ("--detector", str(whole_run / "detector"), "--lora_rank", "2", "--validation_steps", "2")
    train_detector(tmp_path, *start, "--total_steps", "2", "--checkpoint_steps", "2")
    before, after = weights_of(whole_run), weights_of(tmp_path)
    assert set(before) == set(after)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    layer = "backbone.encoder.layers.0"
    change = (after[f"{layer}.attention.qkv.weight"] - before[f"{layer}.attention.qkv.weight"]).double()
    assert change.abs().max() > 0 and torch.linalg.matrix_rank(change, atol=1e-6) <= 2
    assert f"{layer}.attention_norm.weight" not in changed
    assert {"rpn_heads.0.conv.weight", "roi_heads.0.regressor.weight"} <= changed
    best = AutoModelForObjectDetection.from_pretrained(next((tmp_path / "best").iterdir()))
    assert not any(isinstance(module, peft.tuners.lora.LoraLayer) for module in best.modules())


def test_bad_data_ends_a_run_with_the_name_of_the_image(tmp_path):
    tasks = micro_tasks()
    tasks[1].train[1]["objects"] = {"obb": [[20.0, math.nan, 5.0, 5.0, 0.0]], "category": [0]}
    with pytest.raises(ValueError, match=r"box 0 of the roofs image '4-1' is .*nan"):
        train_detector(tmp_path, data=tasks)
    tasks[1].train[1]["objects"] = {"obb": [[20.0, 20.0, 5.0, 5.0, 0.0]], "category": [1]}
    with pytest.raises(ValueError, match="object 0 of the roofs image '4-1' has the class 1, but there are 1"):
        train_detector(tmp_path / "class", data=tasks)
