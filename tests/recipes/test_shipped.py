"""The recipes of the package: found by name, valid, and with a title each."""

import pytest

from s5_hf.change import read_search_recipe
from s5_hf.curation.recipe import read_curation_recipe
from s5_hf.recipes import find_recipe, shipped_recipes
from s5_hf.training.masked_autoencoding.recipe import MAERecipe
from s5_hf.training.pretraining.recipe import PretrainingRecipe
from s5_hf.training.programs import PROGRAMS


def test_every_training_and_curation_has_recipes_with_a_name_and_a_title_of_their_own():
    recipes = shipped_recipes()
    assert {recipe.kind for recipe in recipes} == {*PROGRAMS, "curation", "change_search"}
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    assert all(20 < len(recipe.title) < 120 and not recipe.title.startswith("#") for recipe in recipes)


@pytest.mark.parametrize("recipe", shipped_recipes(), ids=lambda recipe: recipe.name)
def test_every_recipe_is_valid_and_its_comment_names_it(recipe):
    assert recipe.name in recipe.path.read_text(encoding="utf-8").split("\n\n")[0]
    if recipe.kind == "change_search":
        assert read_search_recipe(recipe.name).classes
    elif recipe.kind == "curation":
        assert read_curation_recipe(recipe.path).output
    else:
        start = ("--encoder", "none") if "encoder: required" in recipe.path.read_text(encoding="utf-8") else ()
        assert PROGRAMS[recipe.kind].recipe.read([str(recipe.path), *start]).run.output_dir == f"runs/{recipe.name}"


def test_a_file_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = find_recipe("s4p_vit_b", "s4p")
    assert shipped.name == "s4p_vit_b.yaml" and shipped.is_absolute()
    own = tmp_path / "s4p_vit_b"
    own.write_text("model_size: l\n", encoding="utf-8")
    assert find_recipe("s4p_vit_b", "s4p").resolve() == own


def test_words_that_are_no_recipe_are_refused_with_what_there_is():
    with pytest.raises(FileNotFoundError, match=r"did you mean s4p_vit_b.*Recipes of s4p: .*s4p_tiny_cpu, "):
        find_recipe("s4p_vitb", "s4p")
    with pytest.raises(ValueError, match="the recipe moe_mdf_vit_b is for segmentation, not for s4p"):
        find_recipe("moe_mdf_vit_b", "s4p")


@pytest.mark.parametrize("name", ["s4p_vit_b", "s4p_vit_l", "s4p_vit_h"])
def test_the_published_pre_training_asks_for_its_start(name):
    path = str(find_recipe(name, "s4p"))
    with pytest.raises(ValueError, match=r"starts from pre-trained weights: give --encoder.*or --encoder none"):
        PretrainingRecipe.read([path])
    for words, start in (
        (["--encoder", "none"], (None, None)),
        (["--encoder", "runs/mae/encoder"], ("runs/mae/encoder", None)),
        (["--segmenter", "runs/other"], (None, "runs/other")),
    ):
        model = PretrainingRecipe.read([path, *words]).model
        assert (model.encoder, model.segmenter) == start


def test_the_rate_of_masked_autoencoding_follows_the_images_of_a_step():
    optimizer = MAERecipe.read([str(find_recipe("mae_vit_b", "mae"))]).optimizer
    assert optimizer.rate(processes=8) == pytest.approx(6.0e-4)
    assert optimizer.rate(processes=2) == pytest.approx(1.5e-4)
    assert MAERecipe.make(learning_rate=3e-4).optimizer.rate(processes=8) == 3e-4


@pytest.mark.parametrize(("size", "expected"), [("b", "false"), ("l", "false"), ("h", "true")])
@pytest.mark.parametrize(("kind", "name"), [("s4p", "s4p"), ("segmentation", "moe_mdf"), ("detection", "moe_det")])
def test_published_runs_recompute_activations_only_where_memory_is_short(kind, name, size, expected):
    words = ["--encoder", "none", "--labelled_dir", "x"] if kind == "s4p" else []
    recipe = PROGRAMS[kind].recipe.read([str(find_recipe(f"{name}_vit_{size}", kind)), *words])
    assert recipe.model.gradient_checkpointing == expected
