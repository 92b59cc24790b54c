"""Recipes: files, overrides, and everything that is refused."""

import pytest
import yaml

from s5_hf.recipes import find_recipe, shipped_recipes
from s5_hf.training.pretraining.recipe import PretrainingRecipe
from s5_hf.training.pretraining.recipe_method import make_recipe_method
from s5_hf.training.recipe_reading import differing_keys


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("size", ["b", "l", "h"])
def test_published_recipes_hold_the_published_values(size):
    recipe = PretrainingRecipe.read([str(find_recipe(f"s4p_vit_{size}", "s4p")), "--encoder", "none"])
    assert recipe.model.model_size == size
    assert (recipe.method.method, recipe.method.confidence_threshold) == ("fixmatch", 0.95)
    optimizer = recipe.optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.schedule) == (5e-5, 0.01, "cosine")
    assert (optimizer.beta1, optimizer.beta2, optimizer.total_steps) == (0.9, 0.999, 120_000)
    assert (optimizer.labelled_batch_size, optimizer.unlabelled_batch_size) == (12, 12)
    assert (recipe.data.crop_size, recipe.data.scale_range) == (512, [0.5, 2.0])
    assert recipe.data.mean_excludes == ["background"]


@pytest.mark.parametrize("recipe", shipped_recipes("s4p"), ids=lambda recipe: recipe.name)
def test_every_recipe_is_valid(recipe):
    method = recipe.name.partition("_s")[0].removesuffix("_dinov2") if "s4p" not in recipe.name else "fixmatch"
    method = "open_vocabulary" if "by_names" in recipe.name else method
    assert PretrainingRecipe.read([str(recipe.path), "--encoder", "none"]).method.method == method


def test_the_command_line_goes_before_the_file(write):
    path = write("learning_rate: 1e-3\ntotal_steps: 7\nclasses: [a, b]\ncompile: true\ngradient_clip: null\n")
    recipe = PretrainingRecipe.read([path, "--total_steps", "9", "--classes", "c", "d", "--no_channel_dropout"])
    assert recipe.optimizer.learning_rate == 1e-3
    assert recipe.optimizer.total_steps == 9
    assert recipe.data.classes == ["c", "d"]
    assert recipe.optimizer.compile is True and recipe.method.channel_dropout is False
    assert recipe.optimizer.gradient_clip is None


def test_null_on_the_command_line_takes_back_what_the_file_says(write):
    path = write("gradient_clip: 0.5\ntotal_steps: 7\nencoder: somewhere\nclasses: [a, b]\nchannel_dropout: false\n")
    recipe = PretrainingRecipe.read([path, "--gradient-clip", "null", "--total_steps=null", "--encoder", "null"])
    assert recipe.optimizer.gradient_clip is None and recipe.model.encoder is None
    assert recipe.optimizer.total_steps == PretrainingRecipe.make().optimizer.total_steps
    assert recipe.data.classes == ["a", "b"] and recipe.method.channel_dropout is False
    again = PretrainingRecipe.read(
        [path, "--gradient_clip", "null", "--gradient-clip", "2", "--channel-dropout", "null"]
    )
    assert again.optimizer.gradient_clip == 2 and again.method.channel_dropout is True
    assert PretrainingRecipe.read([path, "--classes", "null", "road"]).data.classes == ["null", "road"]


def test_a_resolved_recipe_reads_back(write):
    recipe = PretrainingRecipe.make(method="unimatch_v2", learning_rate=1e-3, classes=["a b", "c"], gradient_clip=1.0)
    assert PretrainingRecipe.read([write(recipe.to_yaml())]) == recipe
    assert yaml.safe_load(recipe.to_yaml())["classes"] == ["a b", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1.0", "unknown keys: learning_rat; known keys: .*model_size"),
        ("total_steps: many", "total_steps.*invalid int value: 'many'"),
        ("total_steps: 1.5", r"total_steps.*invalid int value: '1\.5'"),
        ("schedule: linear", "schedule.*linear"),
        ("compile: perhaps", "compile"),
        ("method: fixmach", "unknown method 'fixmach'; known methods: .*fixmatch"),
        ("total_steps: 0", "total_steps must be at least 1, got 0"),
        ("scale_range: [2.0, 0.5]", r"scale_range .* got \[2\.0, 0\.5\]"),
        ("unlabelled_batch_size: 1", "needs an unlabelled_batch_size of at least 2"),
        ("unlabelled_dataset: rest", "needs labelled_count"),
        ("encoder: a\nsegmenter: b", "encoder or segmenter, not both"),
        ("- a\n- b", "must hold `key: value` lines, got list"),
        ("a: [", "not valid YAML"),
        ("total_steps: 3\nbatch: 1\ntotal_steps: 4\n", "key 'total_steps' appears twice, first in line 1"),
    ],
)
def test_bad_recipes_are_refused(write, text, message):
    with pytest.raises(ValueError, match=message):
        PretrainingRecipe.read([write(text)])


def test_unknown_arguments_and_files():
    with pytest.raises(ValueError, match="--learning_rat"):
        PretrainingRecipe.read(["--learning_rat", "1"])
    with pytest.raises(FileNotFoundError, match=r"no recipe file nowhere\.yaml"):
        PretrainingRecipe.read(["nowhere.yaml"])
    with pytest.raises(ValueError, match="the settings has unknown keys: bogus"):
        PretrainingRecipe.make(bogus=1)


def test_a_resumed_run_may_change_its_bookkeeping_only():
    recipe = PretrainingRecipe.make(learning_rate=1e-3, output_dir="a")
    saved = recipe.to_dict()
    assert differing_keys(saved, PretrainingRecipe.make(learning_rate=1e-3, output_dir="b", num_workers=0)) == {}
    changed = PretrainingRecipe.make(learning_rate=1e-4, method="supervised")
    assert differing_keys(saved, changed) == {
        "method": ("fixmatch", "supervised"),
        "learning_rate": (1e-3, 1e-4),
    }


def test_a_key_that_an_earlier_version_did_not_know_counts_as_its_default():
    saved = PretrainingRecipe.make(learning_rate=1e-3).to_dict()
    default = saved.pop("confidence_threshold")
    assert differing_keys(saved, PretrainingRecipe.make(learning_rate=1e-3)) == {}
    changed = PretrainingRecipe.make(learning_rate=1e-3, confidence_threshold=0.5)
    assert differing_keys(saved, changed) == {"confidence_threshold": (default, 0.5)}
    assert differing_keys(saved | {"forgotten": 1}, PretrainingRecipe.make(learning_rate=1e-3)) == {
        "forgotten": (1, None)
    }


@pytest.mark.parametrize(
    ("name", "method", "values"),
    [
        ("unimatch_v2_dinov2_s", "unimatch_v2", {"learning_rate": 2e-4, "encoder_rate": 0.025}),
        ("rs_mtdf_s", "rs_mtdf", {"encoder_rate": 0.025, "labelled_batch_size": 8, "schedule_delay": 1}),
        ("dwl", "dwl", {"learning_rate": 2.5e-3, "encoder_rate": 0.1, "schedule_period": 812}),
    ],
)
def test_published_recipes_of_other_methods(name, method, values):
    recipe = PretrainingRecipe.read([str(find_recipe(name, "s4p"))])
    made = make_recipe_method(recipe)
    assert made.name == method
    assert {key: getattr(recipe.optimizer, key) for key in values} == values
    if method == "dwl":
        assert (made.total_steps, made.mixing_steps, made.weights_from_step) == (50 * 812, 812, 51)
    else:
        assert (made.teacher, made.teacher_schedule, made.confidence_threshold) == ("ema", "warmup", 0.95)
