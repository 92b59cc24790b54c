"""The trials of semi-supervised methods: data, choice of images, pairs, intervals, starts, and a run of two steps."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s5_hf.modeling import S5ViTConfig

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
SCRIPT = FOLDER / "s4p_effect.py"

pytest.importorskip("scipy", reason="the trial takes its intervals from scipy: pip install 's5_hf[dev]'")


@pytest.fixture(scope="module")
def scripts():
    """The folder of the benchmarks, to import from."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in ("measuring", "s4p_archive", "s4p_effect", "s4p_mae", "trial_images"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def trial(scripts):
    return scripts("s4p_effect")


@pytest.fixture(scope="module")
def trial_images(scripts):
    return scripts("trial_images")


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


def test_the_copy_is_reduced_and_holds_one_class(trial_images, source, tmp_path):
    copy = trial_images.prepared(source, tmp_path / "copy", side=20, positive=4, held_out=0)
    mask = trial_images.mask_of(copy / "train" / "masks" / "train2.png")
    assert mask.shape == (10, 20) and np.array_equal(mask[0], [0] * 6 + [1] * 14)
    assert trial_images.mask_of(copy / "val" / "images" / "val1.png").shape == (10, 20, 3)
    held_out = trial_images.prepared(source, tmp_path / "held_out", side=20, positive=None, held_out=2)
    names = {split: {path.stem for path in (held_out / split / "images").iterdir()} for split in ("train", "val")}
    assert len(names["val"]) == 2 and names["train"] | names["val"] == {f"train{index}" for index in range(6)}
    assert trial_images.mask_of(held_out / "train" / "masks" / f"{min(names['train'])}.png").max() == 4
    mixed = trial_images.prepared(source, tmp_path / "mixed", side=20, positive=4, held_out=0, mixed=0.25)
    # Of train0 to train5 a share of 1, 0.85, 0.7, 0.55, 0.4 and 0.25 is of the class; of val0 and val1 1 and 0.85.
    assert sorted(path.stem for path in (mixed / "train" / "images").iterdir()) == [
        "train2",
        "train3",
        "train4",
        "train5",
    ]
    assert not (mixed / "val").exists()


def test_labelled_images_are_drawn_until_every_class_has_its_share(trial_images, source, tmp_path):
    masks = trial_images.prepared(source, tmp_path / "copy", side=20, positive=4, held_out=0) / "train" / "masks"
    for seed in range(5):
        names = trial_images.balanced_names(masks, 2, seed, 0.4)
        share = np.mean([trial_images.mask_of(masks / f"{name}.png").mean() for name in names])
        assert len(set(names)) == 2 and 0.4 <= share <= 0.6
    assert trial_images.balanced_names(masks, 2, 1, 0.4) == trial_images.balanced_names(masks, 2, 1, 0.4)
    with pytest.raises(ValueError, match=r"found no 1 of the 6 .* draws has 45\.0% of class 0"):
        trial_images.balanced_names(masks, 1, 0, 0.501)


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

    def run(recipe, arm, seed, folder, words, steps, method):
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


def photographs(folder, count, side):
    """Smooth random pictures, all different."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(1)
    for index in range(count):
        small = Image.fromarray(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        small.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{index:02d}.png")
    return sorted(folder.iterdir())


def test_a_quarter_of_an_archive_is_bad(scripts, tmp_path):
    archives = scripts("s4p_archive")
    tiles, foreign = photographs(tmp_path / "tiles", 30, 40), photographs(tmp_path / "foreign", 8, 50)
    archive = archives.write_archive(tiles, foreign, 0.25, 3, tmp_path / "archive")
    kinds = json.loads((archive / "kinds.json").read_text())
    assert archives.bad_ones(kinds, list(kinds)) == {"copied": 3, "blurred": 1, "clouded": 2, "empty": 2, "foreign": 2}
    assert archives.bad_ones(kinds, []).total() == 0 and len(kinds) == 40
    pixels = {name: np.asarray(archives.opened(archive / "images" / f"{name}.png"), dtype=int) for name in kinds}
    assert {image.shape for image in pixels.values()} == {(40, 40, 3)}
    copies = [pixels[name] for name, kind in kinds.items() if kind == "copied"]
    assert len(copies) == 4
    assert all(np.corrcoef(copies[0].ravel(), copy.ravel())[0, 1] > 0.9 for copy in copies), "one tile, four times"
    unchanged = {archives.opened(path).tobytes() for path in tiles}
    clean = [name for name, kind in kinds.items() if kind == "clean"]
    assert len(clean) == 29 and all(pixels[name].astype(np.uint8).tobytes() in unchanged for name in clean)
    again = archives.write_archive(tiles, foreign, 0.25, 3, tmp_path / "again")
    other = archives.write_archive(tiles, foreign, 0.25, 4, tmp_path / "other")
    drawn = [(folder / "kinds.json").read_text() for folder in (archive, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_arms_get_as_many_images_of_the_archive(scripts, source, tmp_path, monkeypatch, capsys):
    archives, ran = scripts("s4p_archive"), []

    def run(recipe, arm, seed, folder, words, steps, method):
        ran.append((arm, method, words[-1]))
        return {"arm": arm, "seed": seed, "miou": 50.0 + len(ran), "steps": 10, "seconds": 2.0}

    class Curation:
        @classmethod
        def of(cls, model, labelled, archive, output, patches, clusters):
            assert model == tmp_path / "trial" / "start-3" / "segmenter" and (patches.patch_size, clusters) == (16, 4)
            assert len(list((labelled / "images").iterdir())) == 1 and output == tmp_path / "trial/archive-3/curation"
            cls.names = sorted(path.stem for path in (archive / "images").iterdir())
            return cls()

        def select(self, name, settings):
            strategy = {"curated": "entropy+diversity", "filtered": "random"}[name]
            assert (settings.strategy, settings.duplicate_distance) == (strategy, 8)
            return self.names[: settings.target]

    monkeypatch.setattr(scripts("s4p_effect"), "run", run)
    monkeypatch.setattr(archives, "Curation", Curation)
    photographs(tmp_path / "foreign", 3, 40)
    for path in list((tmp_path / "foreign").iterdir()):
        path.rename(path.with_suffix(".jpg"))
    words = [str(FOLDER / "s4p_archive.py"), "s4p_few_labels_cpu", "--seeds", "3", "--side", "40", "--positive", "4"]
    words += ["--labelled", "1", "--bad", "0.375", "--start", "--total-steps 5", "--patch", "16", "--kept", "0.5"]
    words += ["--select", "{duplicate_distance: 8}", "--foreign", str(tmp_path / "foreign")]
    words += ["--output-dir", str(tmp_path / "trial"), "--", "--labelled-dir", str(source), "--classes", "a", "b"]
    monkeypatch.setattr(sys, "argv", words)
    archives.main()
    folder = tmp_path / "trial" / "archive-3"
    places = {arm: folder / arm / "images" for arm in ("random", "whole", "clean")}
    places |= {arm: folder / "curation" / arm for arm in ("curated", "filtered")}
    start, supervised, *others = ran
    assert start[:2] == ("start", None) and supervised[:2] == ("supervised", "supervised")
    assert others == [(arm, "fixmatch", str(places[arm])) for arm in archives.ARMS[1:]]
    counts = {arm: len(list(places[arm].iterdir())) for arm in ("random", "whole", "clean")}
    assert counts == {"random": 4, "whole": 8, "clean": 4}
    printed = capsys.readouterr().out
    assert "| whole | 8 | 37.5 |" in printed and "| clean | 4 | 0.0 |" in printed
    assert "| curated - random | +1.0 | +nan to +nan | 1 of 1 | +1.0 |" in printed


def test_two_starts_of_the_same_network(scripts, source, tmp_path, monkeypatch, capsys):
    masked, ran = scripts("s4p_mae"), []
    S5ViTConfig(hidden_size=24, num_hidden_layers=4, num_attention_heads=2).save_pretrained(tmp_path / "encoder")

    def run(recipe, arm, seed, folder, words, steps, method):
        ran.append((folder.parent.name, arm, words[words.index("rest") + 3 :]))
        return {"arm": arm, "seed": seed, "miou": 50.0 - len(ran), "steps": steps or 10, "seconds": 2.0}

    def pretrained(options, images, folder):
        assert options == "--total-steps 7" and len(list(images.iterdir())) == 6, "all images, not the mixed ones"
        return tmp_path / "encoder"

    monkeypatch.setattr(scripts("s4p_effect"), "run", run)
    monkeypatch.setattr(masked, "pretrained_encoder", pretrained)
    words = [str(FOLDER / "s4p_mae.py"), "s4p_few_labels_cpu", "--seeds", "3", "--side", "40", "--positive", "4"]
    words += ["--mixed", "0.25", "--labelled", "1", "--start", "--total-steps 5", "--masked", "--total-steps 7"]
    words += ["--methods", "supervised", "fixmatch", "--output-dir", str(tmp_path / "trial")]
    words += ["--", "--labelled-dir", str(source), "--classes", "a", "b"]
    source_val = source / "val" / "masks" / "val1.png"
    Image.fromarray(np.pad(np.zeros((20, 20), dtype=np.uint8), ((0, 0), (0, 20)), constant_values=4)).save(source_val)
    monkeypatch.setattr(sys, "argv", words)
    masked.main()
    assert ran[0] == (
        "mae",
        "start",
        ["--backbone", "null", "--encoder", str(tmp_path / "encoder"), "--total-steps", "5"],
    )
    assert ran[3] == ("new", "start", ["--backbone", str(tmp_path / "encoder"), "--total-steps", "5"])
    for number, (name, arm) in enumerate(
        [(name, arm) for name in ("mae", "new") for arm in ("supervised", "fixmatch")]
    ):
        weights = str(tmp_path / "trial" / name / "start-3" / "segmenter")
        assert ran[number + 1 + number // 2] == (name, arm, ["--backbone", "null", "--segmenter", weights])
    printed = capsys.readouterr().out
    assert "| mae: fixmatch - mae: supervised | -1.0 |" in printed and "| mae: start - new: start | +3.0 |" in printed
