"""Oriented detection from few labels: data, recipe, health, and whole runs with unlabelled images."""

import json
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from s5_hf.modeling import S5ForOrientedObjectDetection
from s5_hf.recipes import find_recipe
from s5_hf.semi_supervised import DETECTION_METHODS, AgreeingViews
from s5_hf.training.checkpointing.checkpoints import newest
from s5_hf.training.detection.data import DetectionTaskData, load_detection_task
from s5_hf.training.detection.kind import JointDetection
from s5_hf.training.detection.pseudo_box_health import WINDOW, PseudoBoxHealth
from s5_hf.training.detection.recipe import DetectionDatasetSettings, DetectionRecipe
from s5_hf.training.detection.unlabelled import UnlabelledSampleView, UnlabelledViews
from s5_hf.training.run_folder import read_log
from tests.numerics import assert_equal_but_for_rounding
from tests.training.detecting import MICRO, micro_recipe, painted_samples, train_detector, weights_of
from tests.training.finetuning import interrupt_step
from tests.training.pretraining import run_example, run_in_two_processes, stop_by_sigterm

NAME = "detection_few_labels_cpu"
# Nothing is so unsure that a network of a few steps would not find it.
SEMI = (
    *("--datasets", "ships", "roofs", "--method", "agreeing_views", "--unlabelled_from_step", "2"),
    *("--confidence_threshold", "0.3", "--ignore_threshold", "0.1", "--agreement_threshold", "0.2"),
    *("--unlabelled_ramp_steps", "1", "--teacher_decay", "0.9", "--ships.unlabelled_dir", "given"),
    *("--validation_steps", "0", "--selection", "last", "--weight_average_decay", "0.5"),
)


def micro_tasks():
    """Two classes with 4 labelled and 5 unlabelled images; one class with labelled images alone."""
    unlabelled = [{"id": one["id"], "image": one["image"]} for one in painted_samples(5, 9, 2)]
    return [
        DetectionTaskData("ships", ("ship", "boat"), painted_samples(4, 1, 2), None, unlabelled=unlabelled),
        DetectionTaskData("roofs", ("roof",), painted_samples(3, 4, 1), None),
    ]


def train_few(folder, *arguments):
    train_detector(folder, *SEMI, *arguments, data=micro_tasks())


def values_of(folder):
    return {entry["step"]: entry for entry in read_log(folder) if "loss" in entry}


LOGGED = ("loss", "loss/ships", "loss_unsupervised", "pseudo_boxes", "uncertain_boxes", "highest_score")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """An uninterrupted run of 6 steps, the last 4 with unlabelled images."""
    folder = tmp_path_factory.mktemp("whole")
    train_few(folder)
    return folder


def test_what_a_run_leaves(whole_run):
    found = values_of(whole_run)
    assert sorted(found) == list(range(1, 7))
    assert not {"loss_unsupervised", "pseudo_boxes"} & set(found[2]) and "loss/ships/rpn_cls" in found[2]
    for step, weight in ((3, 0.5), (4, 1), (5, 1), (6, 1)):
        values = found[step]
        total = values["loss_supervised"] + weight * values["loss_unsupervised"]
        assert values["loss"] == pytest.approx(total, rel=1e-5)
        assert values["loss_supervised"] == pytest.approx(values["loss/ships"] + values["loss/roofs"], rel=1e-5)
        assert values["pseudo_boxes"] > 0 and 0.3 <= values["pseudo_score"] <= values["highest_score"] <= 1
        assert 0.2 <= values["pseudo_agreement"] <= 1
        shares = [values[f"pseudo_box_share/{label}"] for label in ("ship", "boat", "roof")]
        assert sum(shares) == pytest.approx(1) and shares[2] == 0
    teacher, student = weights_of(whole_run, "teacher"), weights_of(whole_run)
    assert teacher.keys() == student.keys()
    assert any(not torch.equal(tensor, student[name]) for name, tensor in teacher.items())
    assert S5ForOrientedObjectDetection.from_pretrained(whole_run / "teacher").config.tasks["roofs"] == ["roof"]


def test_stopped_by_sigterm_the_resumed_run_equals_the_whole_one(whole_run, tmp_path, capsys):
    at_step_4 = partial(interrupt_step, step=AgreeingViews, number=1)
    stop_by_sigterm(at_step_4, lambda: train_few(tmp_path), capsys)
    assert newest(tmp_path / "checkpoints").name == "step-00000004"
    torch.manual_seed(77)  # what the generator holds must come from the checkpoint
    train_few(tmp_path, "--resume", "auto", "--num_workers", "1")
    whole, resumed = values_of(whole_run), values_of(tmp_path)
    for step in whole:
        expected = [whole[step].get(name, 0.0) for name in LOGGED]
        assert [resumed[step].get(name, 0.0) for name in LOGGED] == pytest.approx(expected, rel=1e-5), step
    for network in ("detector", "average", "teacher"):
        found = weights_of(tmp_path, network)
        for name, tensor in weights_of(whole_run, network).items():
            if tensor.is_floating_point():
                assert_equal_but_for_rounding(found[name], tensor)


def test_two_processes_with_half_the_batch_equal_one(tmp_path):
    """But for the anchors and proposals that each process draws: so all of them are taken."""
    options = ("--total_steps", "3", "--rpn_samples", "100000", "--roi_samples", "100000", "--checkpoint_steps", "3")
    train_few(tmp_path / "one", *options)
    run_in_two_processes(train_few, tmp_path / "two", *options, "--batch_size", "1", "--unlabelled_batch_size", "1")
    one, two = values_of(tmp_path / "one"), values_of(tmp_path / "two")
    for step in (1, 2, 3):
        assert two[step]["loss"] == pytest.approx(one[step]["loss"], rel=0.02)
    for name in ("pseudo_boxes", "uncertain_boxes", "pseudo_score", "pseudo_agreement"):
        assert two[3][name] == pytest.approx(one[3][name], rel=0.02), name


class TestData:
    def folder(self, root, unlabelled=0):
        for split in ("train", "val"):
            for name in ("images", "labelTxt"):
                (root / split / name).mkdir(parents=True)
            for index in range(6):
                pixels = np.full((48, 64, 3), 20 * index, np.uint8)
                Image.fromarray(pixels).save(root / split / "images" / f"{index}.png")
                text = "10 10 30 10 30 20 10 20 ship 0\n"
                (root / split / "labelTxt" / f"{index}.txt").write_text(text, encoding="utf-8")
        (root / "archive").mkdir()
        for index in range(unlabelled):
            Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(root / "archive" / f"{index}.png")
        return root

    def settings(self, root, **more):
        return DetectionDatasetSettings(**{"name": "port", "data_dir": str(root), "classes": ["ship"], **more})

    @pytest.mark.usefixtures("own_cache")
    def test_the_seed_chooses_the_labelled_images_and_the_rest_has_no_labels(self, tmp_path):
        settings = self.settings(self.folder(tmp_path), labelled_count=2, unlabelled_dataset="rest")
        tasks = [load_detection_task(settings, "last", seed=seed, with_unlabelled=True) for seed in (0, 0, 1)]
        chosen = [sorted(task.train["id"]) for task in tasks]
        assert chosen[0] == chosen[1] != chosen[2] and len(chosen[0]) == 2
        assert set(chosen[0]) | set(tasks[0].unlabelled["id"]) == {f"{number}" for number in range(6)}
        assert len(tasks[0].unlabelled) == 4 and len(tasks[0].validation) == 6
        assert load_detection_task(settings, "last", seed=0).unlabelled is None

        (tmp_path / "list.txt").write_text("3\n1\n", encoding="utf-8")
        listed = self.settings(tmp_path, labelled_list=str(tmp_path / "list.txt"), unlabelled_dataset="rest")
        assert load_detection_task(listed, "last").train["id"] == ["1", "3"]

    @pytest.mark.usefixtures("own_cache")
    def test_a_folder_of_images(self, tmp_path):
        root = self.folder(tmp_path, unlabelled=3)
        settings = self.settings(root, unlabelled_dir=str(root / "archive"))
        task = load_detection_task(settings, "last", with_unlabelled=True)
        assert (len(task.train), len(task.unlabelled)) == (6, 3)
        with pytest.raises((ValueError, FileNotFoundError), match="nowhere"):
            wrong = self.settings(root, unlabelled_dir=str(root / "nowhere"))
            load_detection_task(wrong, "last", with_unlabelled=True)

    @pytest.mark.usefixtures("own_cache")
    def test_too_few_images(self, tmp_path):
        settings = self.settings(self.folder(tmp_path), labelled_count=7, unlabelled_dataset="rest")
        with pytest.raises(ValueError, match="labelled_count is 7, but the dataset has 6 samples"):
            load_detection_task(settings, "last")
        settings = self.settings(tmp_path, labelled_count=6, unlabelled_dataset="rest")
        with pytest.raises(ValueError, match="the task 'port' has no unlabelled images: all of its images are lab"):
            load_detection_task(settings, "last", with_unlabelled=True)

    @pytest.mark.usefixtures("own_cache")
    def test_the_chosen_images_are_recorded_by_name(self, tmp_path):
        root = self.folder(tmp_path / "data")
        words = ["--datasets", "port", "--mode", "sdf", f"--port.data_dir={root}", "--port.classes", "ship"]
        words += ["--port.labelled_count", "2", "--port.unlabelled_dataset", "rest", "--method", "agreeing_views"]
        words += ["--total_steps", "1", "--validation_steps", "0", "--port.validation_split", "none"]
        run_example("finetune_detection", tmp_path / "run", [*MICRO, *words, "--selection", "last"])
        record = json.loads((tmp_path / "run" / "labelled.json").read_text(encoding="utf-8"))
        assert record["port"]["count"] == 2 == len(set(record["port"]["ids"])) and record["port"]["seed"] == 0

    def test_views_never_look_at_labels_and_strong_ones_differ_in_colour(self):
        tasks = micro_tasks()
        kind = JointDetection(micro_recipe(*SEMI), tasks)
        view = UnlabelledSampleView(kind.sample_view(tasks[0], kind.recipe.datasets[0]))
        labelled = painted_samples(1, 9, 2)[0]
        rows = [view(sample, 3) for sample in (labelled, {**labelled, "objects": "unreadable"})]
        assert torch.equal(rows[0]["image"], rows[1]["image"]) and set(rows[0]) == {"image", "size", "strong"}
        assert torch.equal(rows[0]["strong"], rows[1]["strong"])
        assert not torch.equal(view(labelled, 4)["strong"], rows[0]["strong"])
        views = UnlabelledViews(kind.views(torch.device("cpu")), ["ships"])
        stacked = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        made = views({**stacked, "task": torch.tensor([0, 0])})
        assert made.tasks == ["ships", "ships"] and made.image_sizes == [[64, 64]] * 2
        assert made.weak.shape == made.strong.shape == (2, 3, 64, 64) and not torch.equal(made.weak, made.strong)


class TestRecipe:
    def test_the_recipe_of_the_package(self):
        recipe = DetectionRecipe.read([str(find_recipe(NAME, "detection"))])
        assert recipe.method.method == "agreeing_views" and recipe.datasets[0].unlabelled_dataset == "rest"
        alone = DetectionRecipe.read([str(find_recipe(NAME, "detection")), "--method", "null"])
        assert JointDetection(alone).method is None
        assert JointDetection(recipe).method.confidence_threshold == recipe.method.confidence_threshold

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--method", "agreeing_viewz"], "unknown method 'agreeing_viewz'; known methods: agreeing_views"),
            (
                ["--confidence_threshold", "0.1", "--ignore_threshold", "0.2"],
                r"ignore_threshold must not be above confidence_threshold, got 0\.2 and 0\.1",
            ),
            (["--unlabelled_from_step", "6"], "unlabelled_from_step is 6, but the run ends after 6 steps"),
            (["--unlabelled_batch_size", "0"], "unlabelled_batch_size must be at least 1"),
            (
                ["--ships.unlabelled_dir", "null"],
                "method agreeing_views learns from images without labels, and no dataset has any: name a folder with "
                "--ships.unlabelled-dir",
            ),
            (["--roofs.unlabelled_dataset", "rest"], r"roofs\.unlabelled_dataset: rest needs labelled_count or lab"),
            (["--roofs.labelled_count", "0"], r"roofs\.labelled_count must be at least 1"),
        ],
    )
    def test_refused(self, words, message):
        with pytest.raises(ValueError, match=message):
            micro_recipe(*SEMI, *words)

    def test_a_method_of_ones_own_gets_the_options_that_it_has(self, monkeypatch):
        @dataclass
        class Plain(AgreeingViews):
            unlabelled_weight: float = 1.0
            colour: str = "grey"

        monkeypatch.setitem(DETECTION_METHODS, "plain", Plain)
        method = JointDetection(micro_recipe(*SEMI, "--method", "plain", "--unlabelled_weight", "0.5")).method
        assert isinstance(method, Plain) and (method.unlabelled_weight, method.colour) == (0.5, "grey")

    def test_given_data_without_unlabelled_images(self):
        bare = [DetectionTaskData("ships", ("ship", "boat"), painted_samples(2, 1, 2), None)]
        kind = JointDetection(micro_recipe(*SEMI, "--datasets", "ships", "--mode", "sdf"), bare)
        with pytest.raises(ValueError, match="agreeing_views needs unlabelled images, the data has none"):
            kind.load_data(1)


class TestHealth:
    def test_a_threshold_that_admits_nothing(self):
        health = PseudoBoxHealth(["ship", "boat"], 0.9, steps=50)
        for step in range(9):
            assert health.see(step, 0.0, [0, 0], 0.1 * step) == []
            state, health = json.loads(json.dumps(health.state())), PseudoBoxHealth(["ship", "boat"], 0.9, steps=50)
            health.load_state(state)  # as a resumed run does
        with pytest.warns(RuntimeWarning, match=r"step 9: in 10 steps not one .* threshold is 0\.9, .* was 0\.800"):
            health.see(9, 0.0, [0, 0], 0.2)
        assert health.see(10, 0.0, [0, 0], 0.2) == [] and health.warned["admission"][0] == 9

    def test_a_class_that_takes_over(self):
        health = PseudoBoxHealth(["ship", "boat"], 0.5, steps=1000)
        for step in range(WINDOW - 1):
            assert health.see(step, 3.0, [0.98, 0.02], 0.9) == []
        with pytest.warns(RuntimeWarning, match="the class 'ship' has taken over 98% of the pseudo-boxes"):
            health.see(WINDOW, 3.0, [0.98, 0.02], 0.9)

    def test_a_run_writes_its_warnings(self, tmp_path):
        with pytest.warns(RuntimeWarning, match="not one object of the unlabelled images became a pseudo-box"):
            train_few(tmp_path, "--total_steps", "3", "--confidence_threshold", "1", "--checkpoint_steps", "3")
        (record,) = json.loads((tmp_path / "warnings.json").read_text(encoding="utf-8")).values()
        assert record[0] == 2 and "The threshold is 1" in record[1]
