"""The recipes of the package: found by name, valid, and with a title each."""

import pytest

from s5_hf.curation.recipe import read_curation_recipe
from s5_hf.recipes import find_recipe, shipped_recipes
from s5_hf.training.programs import PROGRAMS


def test_every_training_and_curation_has_recipes_with_a_name_and_a_title_of_their_own():
    recipes = shipped_recipes()
    assert {recipe.kind for recipe in recipes} == {*PROGRAMS, "curation"}
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    assert all(20 < len(recipe.title) < 120 and not recipe.title.startswith("#") for recipe in recipes)


@pytest.mark.parametrize("recipe", shipped_recipes(), ids=lambda recipe: recipe.name)
def test_every_recipe_is_valid_and_its_comment_names_it(recipe):
    assert recipe.name in recipe.path.read_text(encoding="utf-8").split("\n\n")[0]
    if recipe.kind == "curation":
        assert read_curation_recipe(recipe.path).output
    else:
        assert PROGRAMS[recipe.kind].recipe.read([str(recipe.path)]).run.output_dir == f"runs/{recipe.name}"


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
