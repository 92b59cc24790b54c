"""The trial of semi-supervised methods: data, choice of labelled images, pairs, intervals, and a run of two steps."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "s4p_effect.py"

pytest.importorskip("scipy", reason="the trial takes its intervals from scipy: pip install 's5_hf[dev]'")


@pytest.fixture(scope="module")
def trial():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        specification = importlib.util.spec_from_file_location("s4p_effect", SCRIPT)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(SCRIPT.parent))


@pytest.fixture
def source(tmp_path):
    """Six images of train and two of val, 40 x 20 pixels; masks 0 to the left and 4 to the right of a border."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for kind in ("images", "masks"):
            (tmp_path / "source" / split / kind).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 256, (20, 40, 3), dtype=np.uint8)
            mask = np.zeros((20, 40), dtype=np.uint8)
            mask[:, 6 * index :] = 4
            Image.fromarray(pixels).save(tmp_path / "source" / split / "images" / f"{split}{index}.jpg")
            Image.fromarray(mask).save(tmp_path / "source" / split / "masks" / f"{split}{index}.png")
    return tmp_path / "source"


def test_the_copy_is_reduced_and_holds_one_class(trial, source, tmp_path):
    copy = trial.prepared(source, tmp_path / "copy", side=20, positive=4, held_out=0)
    mask = trial.mask_of(copy / "train" / "masks" / "train2.png")
    assert mask.shape == (10, 20) and np.array_equal(mask[0], [0] * 6 + [1] * 14)
    assert trial.mask_of(copy / "val" / "images" / "val1.png").shape == (10, 20, 3)
    held_out = trial.prepared(source, tmp_path / "held_out", side=20, positive=None, held_out=2)
    names = {split: {path.stem for path in (held_out / split / "images").iterdir()} for split in ("train", "val")}
    assert len(names["val"]) == 2 and names["train"] | names["val"] == {f"train{index}" for index in range(6)}
    assert trial.mask_of(held_out / "train" / "masks" / f"{min(names['train'])}.png").max() == 4
    mixed = trial.prepared(source, tmp_path / "mixed", side=20, positive=4, held_out=0, mixed=0.25)
    # Of train0 to train5 a share of 1, 0.85, 0.7, 0.55, 0.4 and 0.25 is of the class; of val0 and val1 1 and 0.85.
    assert sorted(path.stem for path in (mixed / "train" / "images").iterdir()) == [
        "train2",
        "train3",
        "train4",
        "train5",
    ]
    assert not (mixed / "val").exists()


def test_labelled_images_are_drawn_until_every_class_has_its_share(trial, source, tmp_path):
    masks = trial.prepared(source, tmp_path / "copy", side=20, positive=4, held_out=0) / "train" / "masks"
    for seed in range(5):
        names = trial.balanced_names(masks, 2, seed, 0.4)
        share = np.mean([trial.mask_of(masks / f"{name}.png").mean() for name in names])
        assert len(set(names)) == 2 and 0.4 <= share <= 0.6
    assert trial.balanced_names(masks, 2, 1, 0.4) == trial.balanced_names(masks, 2, 1, 0.4)
    with pytest.raises(ValueError, match=r"found no 1 of the 6 .* draws has 45\.0% of class 0"):
        trial.balanced_names(masks, 1, 0, 0.501)


def test_pairs_and_their_interval(trial):
    scores = {"supervised": [50.0, 60.0, 70.0], "fixmatch": [53.0, 61.0, 75.0]}
    results = [
        {"arm": arm, "seed": seed, "miou": value, "steps": 100, "seconds": 10.0 if arm == "supervised" else 25.0}
        for arm, values in scores.items()
        for seed, value in enumerate(values)
    ]
    assert trial.differences(results, "fixmatch", "supervised") == [3.0, 1.0, 5.0]
    # Student's t of two degrees of freedom: 4.3027 at 97.5 %; the standard deviation is 2.
    assert trial.interval([3.0, 1.0, 5.0]) == pytest.approx(
        (3 - 4.3027 * 2 / 3**0.5, 3 + 4.3027 * 2 / 3**0.5), rel=1e-4
    )
    assert np.isnan(trial.interval([3.0])).all()
    assert trial.steps_of("supervised_longer", 1, results) == 250
    assert trial.steps_of("fixmatch", 1, results) is None


def test_arms_start_from_one_supervised_run(trial, source, tmp_path, monkeypatch, capsys):
    ran = []

    def run(recipe, arm, seed, folder, words, steps):
        ran.append((arm, words[words.index("--classes") + 3 :]))
        return {"arm": arm, "seed": seed, "miou": 50.0, "steps": steps or 10, "seconds": 2.0 + len(ran)}

    monkeypatch.setattr(trial, "run", run)
    output = tmp_path / "trial"
    words = [
        "--methods",
        "supervised_longer",
        "supervised",
        "fixmatch",
        "--seeds",
        "3",
        "--side",
        "32",
        "--labelled",
        "1",
    ]
    words += ["--positive", "4", "--output-dir", str(output), "--start", "--total-steps 5 --schedule constant"]
    words += ["--", "--labelled-dir", str(source), "--classes", "left", "right"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "s4p_few_labels_cpu", *words])
    trial.main()
    labelled = [
        "--labelled-list",
        str(output / "labelled-3.txt"),
        "--unlabelled-dataset",
        "rest",
        "--labelled-count",
        "1",
    ]
    started = [*labelled, "--backbone", "null", "--segmenter", str(output / "start-3" / "segmenter")]
    assert ran == [
        ("start", [*labelled, "--total-steps", "5", "--schedule", "constant"]),
        ("supervised", started),
        ("fixmatch", started),
        ("supervised_longer", started),
    ]
    longer = json.loads((output / "results.jsonl").read_text().splitlines()[-1])
    assert longer["steps"] == 12, "10 steps in 4 seconds make 12 in the 5 of FixMatch; the start counts for neither"
    printed = capsys.readouterr().out
    assert (
        "start - " not in printed and "supervised - start" in printed and "supervised_longer - supervised" in printed
    )


def test_a_trial_of_two_steps(trial, source, tmp_path, monkeypatch, capsys):
    words = [
        *(str(SCRIPT), "s4p_few_labels_cpu"),
        *("--methods", "supervised", "fixmatch", "supervised_longer", "all_labels", "--seeds", "3"),
        *("--side", "32", "--positive", "4", "--labelled", "2", "--output-dir", str(tmp_path / "trial")),
        *("--", "--labelled-dir", str(source), "--classes", "left", "right", "--total-steps", "2"),
        *("--unlabelled-from-step", "1", "--warmup-steps", "0", "--crop-size", "32", "--decoder-channels", "8"),
        *("--labelled-batch-size", "2", "--unlabelled-batch-size", "2"),
    ]
    monkeypatch.setattr(sys, "argv", words)
    trial.main()
    printed = capsys.readouterr().out
    results = [json.loads(line) for line in (tmp_path / "trial" / "results.jsonl").read_text().splitlines()]
    assert [result["arm"] for result in results] == ["supervised", "fixmatch", "all_labels", "supervised_longer"]
    assert all(0 <= result["miou"] <= 100 and result["seconds"] > 0 for result in results)
    assert "| fixmatch - supervised_longer |" in printed and "| all_labels - supervised |" in printed
    monkeypatch.setattr(trial, "run", None)  # complete runs are not repeated
    trial.main()
    assert printed.endswith(capsys.readouterr().out), "the same tables"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), words[1], "--methods", "supervised_longer"])
    with pytest.raises(SystemExit):
        trial.main()
    assert "supervised_longer needs supervised and a method" in capsys.readouterr().err
