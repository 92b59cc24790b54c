"""What fine-tuning learns from: recipes, splits, class maps, and how many images of each dataset make a batch."""

from collections import Counter
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from s5_hf.recipes import find_recipe
from s5_hf.training.batches import SampleOrder, ViewedDatasets, load_in_order
from s5_hf.training.joint.batches import (
    rows_per_batch,
    steps_per_epoch,
)
from s5_hf.training.joint.splits import hold_out
from s5_hf.training.recipe_reading import differing_keys
from s5_hf.training.segmentation.class_map import ClassMap, MappedSamples
from s5_hf.training.segmentation.kind import JointSegmentation
from s5_hf.training.segmentation.recipe import SegmentationDatasetSettings, SegmentationRecipe
from s5_hf.training.segmentation.step import SegmentationViews
from s5_hf.training.segmentation.task_data import TaskData, load_task
from s5_hf.training.views.weak import SampleView, WeakView
from tests.training.finetuning import micro_recipe, micro_tasks
from tests.training.pretraining import random_samples

pytestmark = pytest.mark.usefixtures("own_cache")


def write_images(root, **counts):
    """Folders of `{split}/images` and `{split}/masks` with masks of the values 0 to 2."""
    for split, count in counts.items():
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for index, sample in enumerate(random_samples(count, seed=len(split), size=48)):
            Image.fromarray(sample["image"]).save(root / split / "images" / f"{index:02d}.png")
            Image.fromarray(sample["mask"]).save(root / split / "masks" / f"{index:02d}.png")
    return str(root)


def own(root, **settings):
    return SegmentationDatasetSettings(**{"name": "city", "data_dir": root, "classes": ["a", "b", "c"], **settings})


# As the class of that name in test_detection_training.py: a recipe's published values, then what it refuses.
class TestRecipe:
    @pytest.mark.parametrize("size", ["b", "l", "h"])
    def test_published_values(self, size):
        recipe = SegmentationRecipe.read([str(find_recipe(f"moe_mdf_vit_{size}", "segmentation"))])
        model, data, optimizer = recipe.model, recipe.data, recipe.optimizer
        assert (model.mode, model.segmenter, model.expert_channels) == ("moe", f"s5-vit-{size}-upernet", 256)
        assert data.datasets == ["vaihingen", "potsdam", "openearthmap", "loveda"]  # the official order of experts
        assert [settings.loss_from_epoch for settings in recipe.datasets] == [70, 0, 0, 0]
        assert (data.batch_size, data.crop_size, data.sampling, data.rotation_probability) == (12, 512, "repeat", 0.5)
        assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.layer_decay) == (5e-5, 0.05, 0.9)
        assert (optimizer.epochs, optimizer.schedule, optimizer.schedule_by_epoch) == (100, "cosine", True)
        assert recipe.run.selection == "last"

    def test_the_tiny_recipe_on_the_command_line(self, tmp_path):
        words = [str(find_recipe("moe_mdf_tiny_cpu", "segmentation")), "--mode", "sdf", "--datasets", "massroads"]
        recipe = SegmentationRecipe.read([*words, "--massroads.data_dir", "x", "--massroads.batch_size=6"])
        (settings,) = recipe.datasets
        assert (settings.data_dir, settings.batch_size, settings.classes) == ("x", 6, ["background", "road"])
        path = tmp_path / "recipe.yaml"
        path.write_text(recipe.to_yaml(), encoding="utf-8")
        assert SegmentationRecipe.read([str(path)]) == recipe

    def test_a_class_map_may_be_a_mapping(self, tmp_path):
        path = tmp_path / "recipe.yaml"
        path.write_text("datasets: [{name: a, classes: [x, y], class_map: {0: x, 7: ignore}}]", encoding="utf-8")
        assert SegmentationRecipe.read([str(path)]).datasets[0].class_map == ["0:x", "7:ignore"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("datasets: [{name: a}, {name: a}]", "two datasets in .* are called 'a'"),
            ("datasets: [{name: a, data_dri: x}]", "dataset 'a' in .* has unknown keys: data_dri; known keys: name"),
            ("datasets: [{data_dir: x}]", "must be a mapping with a name, got {'data_dir': 'x'}"),
            ("datasets: {a: {}}", "must be a list of settings"),
            ("mode: moe", "there is no dataset"),
            ("datasets: [a, b]\nmode: sdf", "mode sdf takes one dataset, got a, b"),
            ("datasets: [{name: a, batch_size: many}]", "dataset 'a': .*batch_size.*'many'"),
            ("datasets: [{name: a, batch_size: 1}]", r"a\.batch_size must be at least 2: batch norm"),
            ("datasets: [{name: a, loss_from_epoch: 100}]", r"between 0 and epochs - 1 = 99, got 100"),
            ("datasets: [{name: a, loss_weight: -1}]", "must not be negative"),
            ("datasets: [{name: a, held_out_share: 1.0}]", r"a\.held_out_share must lie between 0 and 1"),
            ("datasets: ['1 a']", "begins with no digit; got '1 a'"),
            ("datasets: [a]\ntemperature: 0", "temperature must be above 0"),
            ("datasets: [a]\nselection: test", "selection"),
            ("datasets: [a]\nencoder: x\nsegmenter: y", "encoder or segmenter, not both"),
        ],
    )
    def test_bad_recipes(self, tmp_path, text, message):
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            SegmentationRecipe.read([str(path)])

    def test_bad_words(self):
        with pytest.raises(ValueError, match="two datasets are called 'a'"):
            SegmentationRecipe.read(["--datasets", "a", "a"])
        with pytest.raises(ValueError, match=r"--c\.data_dir: the datasets are a, b"):
            SegmentationRecipe.read(["--datasets", "a", "b", "--c.data_dir", "x"])
        with pytest.raises(ValueError, match=r"dataset 'a': .*--data_dri"):
            SegmentationRecipe.read(["--datasets", "a", "--a.data_dri", "x"])

    def test_settings_of_a_dataset_that_is_not_chosen_may_stay(self):
        words = [
            str(find_recipe("moe_mdf_tiny_cpu", "segmentation")),
            "--citymaps.data_dir",
            "x",
            "--datasets",
            "massroads",
        ]
        assert [settings.name for settings in SegmentationRecipe.read(words).datasets] == ["massroads"]

    def test_none_takes_back_what_a_recipe_starts_from(self):
        words = [str(find_recipe("moe_mdf_vit_b", "segmentation")), "--segmenter", "none", "--encoder", "s5-vit-b"]
        model = SegmentationRecipe.read(words).model
        assert (model.segmenter, model.encoder) == (None, "s5-vit-b")

    def test_what_a_continued_run_may_change(self):
        saved = micro_recipe("--blocks.data_dir", "x").to_dict()
        assert differing_keys(saved, micro_recipe("--blocks.data_dir", "y", "--num_workers", "3")) == {}
        changed = micro_recipe("--selection", "last", "--halves.class_map", "0:red", "--datasets", "halves", "blocks")
        assert set(differing_keys(saved, changed)) == {"selection", "halves.class_map", "datasets"}

    def test_a_key_of_a_dataset_that_an_earlier_version_did_not_know_counts_as_its_default(self):
        saved = micro_recipe().to_dict()
        assert all(entry.pop("loss_weight") == 1 for entry in saved["datasets"])
        assert differing_keys(saved, micro_recipe()) == {}
        assert differing_keys(saved, micro_recipe("--blocks.loss_weight", "2")) == {"blocks.loss_weight": (1, 2)}

    def test_the_learning_rate_stands_still_within_an_epoch(self):
        recipe = micro_recipe("--schedule_by_epoch", "--epochs", "4", "--total_steps", "10")
        kind = JointSegmentation(recipe, micro_tasks())
        kind.load_data(processes=1)
        epochs = [kind.epoch_of(step) for step in range(10)]
        assert epochs == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
        factors = [kind.learning_rate_factor(step) for step in range(10)]
        assert len(set(factors)) == 4 and factors[0] == 1.0 and factors == sorted(factors, reverse=True)
        assert [factors[step] == factors[step - 1] for step in range(1, 10)] == [
            epochs[step] == epochs[step - 1] for step in range(1, 10)
        ]


class TestSplits:
    def test_val_where_there_is_one(self, tmp_path):
        task = load_task(own(write_images(tmp_path, train=6, val=2), validation_count=1), "validation")
        assert (len(task.train), len(task.validation)) == (6, 1)
        assert task.validation_source == "split val, the first 1 images"
        assert (task.labels, task.ignore_index) == (("a", "b", "c"), 255)

    def test_a_share_of_train_where_there_is_none(self, tmp_path):
        root = write_images(tmp_path, train=10, test=2)
        task = load_task(own(root, held_out_share=0.2), "validation")
        assert [sample["id"] for sample in task.validation] == ["08", "09"]
        assert {sample["id"] for sample in task.train} == {f"{index:02d}" for index in range(8)}
        assert task.validation_source == "2 of 10 training images, set aside (the last by name of each folder)"
        assert load_task(own(root), "last").validation is None

    def test_every_folder_gives_its_share(self):
        names = [f"{city}/{index}" for city in ("Bonn", "Kyoto") for index in range(5)]
        rest, held_out = hold_out(Dataset.from_dict({"id": names[::-1]}), 0.4, "cities")
        assert sorted(held_out["id"]) == ["Bonn/3", "Bonn/4", "Kyoto/3", "Kyoto/4"]
        assert sorted([*rest["id"], *held_out["id"]]) == names
        _, one = hold_out(Dataset.from_dict({"id": names}), 0.01, "cities")
        assert list(one["id"]) == ["Kyoto/4"]

    def test_the_test_split_cannot_choose_weights_unless_officially(self, tmp_path):
        root = write_images(tmp_path, train=4, test=2)
        with pytest.raises(ValueError, match="results on the split 'test' of s5-image-mask are what one reports"):
            load_task(own(root, validation_split="test"), "validation")
        assert len(load_task(own(root, validation_split="test"), "last").validation) == 2
        official = load_task(own(root), "official_test_split")
        assert (len(official.validation), official.validation_source) == (2, "split test")

    def test_results_on_val_of_a_benchmark_are_reported_too(self, tmp_path):
        root = write_images(tmp_path, train=10, val=3)
        settings = SegmentationDatasetSettings(name="vaihingen", data_dir=root, mask_values="release")
        task = load_task(settings, "validation")
        assert (len(task.train), len(task.validation), task.ignore_index) == (9, 1, 5)
        with pytest.raises(ValueError, match="split 'val' of s5-vaihingen are what one reports"):
            load_task(
                SegmentationDatasetSettings(
                    name="vaihingen", data_dir=root, mask_values="release", validation_split="val"
                ),
                "validation",
            )
        assert load_task(settings, "official_test_split").validation_source == "split val"
        assert load_task(settings, "last").validation_source == "split val"

    def test_several_splits_to_train_on(self, tmp_path):
        root = write_images(tmp_path, train=4, val=2)
        task = load_task(own(root, train_split="train+val"), "last")
        assert (len(task.train), task.validation) == (6, None)
        with pytest.raises(ValueError, match="the split 'val' is trained on"):
            load_task(own(root, train_split="train+val", validation_split="val"), "last")

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"classes": []}, "city: s5-image-mask does not know its classes: name them with --city.classes"),
            ({"train_split": "trian"}, "city: there is no split 'trian' in .*; it has train, val"),
            ({"dataset": "s5-dior-r", "classes": []}, "s5-dior-r is for detection, fine-tuning needs masks"),
            ({"dataset": "s5-loveda", "classes": ["a", "b"]}, "has the classes background, .* says a, b; class_map"),
            ({"class_weights": [1.0, 2.0]}, r"city\.class_weights has 2 numbers for 3 classes"),
        ],
    )
    def test_bad_settings(self, tmp_path, settings, message):
        root = write_images(tmp_path, train=2, val=1)
        with pytest.raises(ValueError, match=message):
            load_task(own(root, **settings), "validation")

    def test_a_task_without_images(self, tmp_path):
        (tmp_path / "train" / "images").mkdir(parents=True)
        with pytest.raises(ValueError, match=r"images of the task 'city' cannot be loaded: .*it is empty"):
            load_task(own(str(tmp_path)), "validation")
        with pytest.raises(ValueError, match="task 'city' has no training images"):
            TaskData("city", ("a", "b"), ((0, 0, 0), (1, 1, 1)), 255, [], None)
        with pytest.raises(ValueError, match="'city' has 1 training images, too few to set 1 aside"):
            load_task(own(write_images(tmp_path / "one", train=1)), "validation")


def test_how_masks_count_can_be_said_in_a_recipe(tmp_path):
    """Crops of Vaihingen whose names do not tell."""
    for split, kind in product(("train", "val"), ("images", "masks")):
        folder = tmp_path / split / kind
        folder.mkdir(parents=True)
        pixels = np.full((32, 32, 3) if kind == "images" else (32, 32), 4, dtype=np.uint8)
        for name in "ab":
            Image.fromarray(pixels).save(folder / f"{name}.png")
    words = ["--datasets", "vaihingen", "--vaihingen.data_dir", str(tmp_path)]
    with pytest.raises(ValueError, match=r"the task 'vaihingen' cannot be loaded: .* Say which with mask_values"):
        load_task(SegmentationRecipe.read(words).datasets[0], "last")
    for choice, expected in (("release", 4), ("shifted", 3)):
        recipe = SegmentationRecipe.read([*words, "--vaihingen.mask_values", choice])
        task = load_task(recipe.datasets[0], "last")
        assert np.unique(task.train[0]["mask"]).tolist() == [expected]


class TestClassMap:
    def test_values_become_classes_by_name_or_id(self):
        class_map = ClassMap.parse(["0:land", "3:1", "9:ignore"], ["land", "road"], 7, "city")
        mask = np.array([[0, 3], [9, 7], [255, 0]], dtype=np.uint8)
        assert class_map.apply(mask, "x.png").tolist() == [[0, 1], [255, 255], [255, 0]]

    def test_an_unmapped_value_is_named_with_its_file(self, tmp_path):
        root = write_images(tmp_path, train=4, val=1)
        task = load_task(own(root, classes=["a", "b"], class_map=["0:a", "1:b"]), "validation")
        assert task.labels == ("a", "b") and task.ignore_index == 255
        file = r"train[/\\]masks[/\\]0\d\.png"
        with pytest.raises(ValueError, match=rf"city\.class_map leaves the mask values \[2\] of .*{file} unmapped"):
            [task.train[index] for index in range(4)]

    def test_samples_keep_their_other_columns(self):
        class_map = ClassMap.parse(["0:b", "1:a", "2:a"], ["a", "b"], 255, "city")
        samples = MappedSamples(random_samples(2, 0, size=48), class_map)
        original = random_samples(2, 0, size=48)[1]
        assert len(samples) == 2 and samples[1]["id"] == original["id"]
        assert np.array_equal(samples[1]["mask"] == 1, original["mask"] == 0)

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            (["0"], "expected VALUE:CLASS with a value from 0 to 255, got '0'"),
            (["256:a"], "got '256:a'"),
            (["1:a", "1:b"], "names the mask value 1 twice"),
            (["1:c"], "names the class 'c'; the classes are a, b, or 'ignore'"),
            (["1:2"], "names the class '2'"),
        ],
    )
    def test_bad_entries(self, entries, message):
        with pytest.raises(ValueError, match=message):
            ClassMap.parse(entries, ["a", "b"], 255, "city")


class TestOrder:
    def test_smaller_datasets_are_repeated(self):
        rows = rows_per_batch([8, 3], [2, 2], "repeat", 1.0)
        order = SampleOrder((8, 3), rows, (5, 6))
        assert steps_per_epoch([8, 3], rows, "repeat", 1, 1) == 4
        seen = [place for step in range(6) for place in order.batch(step)]
        assert Counter(sample for task, sample, epoch in seen if task == 0 and epoch == 0) == Counter(range(8))
        counts = Counter((sample, epoch) for task, sample, epoch in seen if task == 1)
        assert counts == Counter((sample, epoch) for sample in range(3) for epoch in range(4))
        assert all([task for task, _, _ in order.batch(step)] == [0, 0, 1, 1] for step in range(6))

    @pytest.mark.parametrize(("temperature", "shares"), [(1, [0.8, 0.2]), (2, [2 / 3, 1 / 3]), (1e9, [0.5, 0.5])])
    def test_temperature_shares(self, temperature, shares):
        rows = rows_per_batch([400, 100], [10, 10], "temperature", temperature)
        assert [float(count) / 20 for count in rows] == pytest.approx(shares, abs=1e-3)
        order = SampleOrder((400, 100), rows, (0, 1))
        seen = Counter(task for step in range(60) for task, _, _ in order.batch(step))
        assert [seen[task] / 1200 for task in (0, 1)] == pytest.approx(shares, abs=2e-3)

    def test_no_dataset_gets_fewer_than_two_images(self):
        rows = rows_per_batch([10_000, 10, 1000], [4, 4, 4], "temperature", 1.0)
        assert rows == (Fraction(8), Fraction(2), Fraction(2))
        order = SampleOrder((10_000, 10, 1000), rows_per_batch([900, 10, 500], [4, 4, 4], "temperature", 1), (0, 1, 2))
        for step in range(50):
            assert min(Counter(task for task, _, _ in order.batch(step)).values()) >= 2
        assert steps_per_epoch([900, 10, 500], [4, 4, 4], "temperature", 2, 1) == 59  # ceil(1410 / 24)
        with pytest.raises(ValueError, match="a batch of 5 images is too small for 3 datasets"):
            rows_per_batch([1, 1, 1], [2, 2, 1], "temperature", 1.0)

    def test_processes_share_a_batch(self):
        whole = SampleOrder((9, 5), (Fraction(4), Fraction(2)), (3, 4))
        halves = [SampleOrder((9, 5), (Fraction(2), Fraction(1)), (3, 4), rank, 2) for rank in (0, 1)]
        for step in range(7):
            assert sorted(whole.batch(step)) == sorted(halves[0].batch(step) + halves[1].batch(step))


def test_what_is_recorded_of_a_dataset_holds_no_credentials():
    url = "https://me:secret@host/data?token=abc"
    recipe = micro_recipe("--blocks.data_dir", url)
    assert recipe.datasets[0].data_dir == url
    assert recipe.to_dict()["datasets"][0]["data_dir"] == "https://host/data?token=***"


def micro_batch():
    tasks = micro_tasks()
    views = tuple(SampleView(WeakView(64), 0, task.name, len(task.labels), task.ignore_index) for task in tasks)
    datasets = ViewedDatasets(tuple(task.train for task in tasks), views)
    order = SampleOrder((8, 3), (Fraction(2), Fraction(2)), (1, 2))
    views_of = SegmentationViews(("blocks", "halves"), torch.device("cpu"), [0.5] * 3, [0.25] * 3)
    return views_of(next(load_in_order(datasets, order, 0, 0)))


def test_a_mixed_batch():
    batch = micro_batch()
    assert batch.tasks == ["blocks", "blocks", "halves", "halves"]
    assert batch.pixel_values.shape == (4, 3, 64, 64) and batch.labels.dtype == torch.int64
    assert set(batch.labels[2:].unique().tolist()) <= {0, 1, 255}  # the ignore index 9 has become 255
    assert batch.pixel_values.min() >= -2 and batch.pixel_values.max() <= 2


def test_the_quarter_turn_turns_image_and_mask_alike():
    sample = random_samples(1, 0)[0]
    views = [
        WeakView(64, flip_probability=0.0, rotation_probability=probability)(
            sample["image"], sample["mask"], torch.Generator().manual_seed(0)
        )
        for probability in (0.0, 1.0)
    ]
    (image, labels), (turned, turned_labels) = views
    assert torch.equal(turned, torch.rot90(image, dims=(-2, -1)))
    assert torch.equal(turned_labels, torch.rot90(labels))
    assert not torch.equal(turned, image)
