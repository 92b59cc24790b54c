"""Recipes of searches: the published settings, variants, files of users, and what is refused."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from s5_hf.change import read_search_recipe, search_recipe_names
from s5_hf.cli import app
from s5_hf.dataset_builders.registry import get_entry

PUBLISHED = json.loads((Path(__file__).parents[1] / "parity/change/change_settings.json").read_text())["settings"]
DATASETS = {"levircd": "levir-cd", "whucd": "whu-cd"}
RECIPES = {
    "sam_dino_segearth-ov": "sam_dino",
    "sam_dinov2_segearth-ov": "sam_dinov2",
    "sam2_dinov2_segearth-ov": "sam2_dinov2",
    "mmgd_sam2_dino": "mmgd_sam2_dino",
}
CLASSES = {"low_vegetation": "low-vegetation", "non-veg-ground-surface": "ground"}


def recipe_of(setting):
    """The recipe of a published setting, such as `second/mmgd_sam2_dino_tree`; None for those with APE."""
    dataset, _, script = setting.partition("/")
    method = next((method for method in RECIPES if script.startswith(method)), None)
    if method is None:
        return None
    found = script.removeprefix(method).removeprefix("_")
    variant = f"/{CLASSES.get(found, found)}" if found else ""
    return f"{RECIPES[method]}/s5-{DATASETS.get(dataset, dataset)}{variant}"


SUPPORTED = {setting: recipe for setting in PUBLISHED if (recipe := recipe_of(setting))}


def test_every_published_setting_but_those_with_ape_has_a_recipe_and_no_other_is_called_published():
    assert all("ape_" in setting for setting in set(PUBLISHED) - set(SUPPORTED))
    assert {name for name in search_recipe_names() if "/" in name} == set(SUPPORTED.values())
    assert len(SUPPORTED) == 40


@pytest.mark.parametrize(("setting", "name"), SUPPORTED.items())
def test_recipes_hold_what_was_published(setting, name):
    published, recipe = PUBLISHED[setting], read_search_recipe(name)
    settings, everything = recipe.settings, recipe.settings.everything
    assert recipe.dataset == "-".join(name.split("/")[1:2])
    assert recipe.target in ("", *get_entry(recipe.dataset).labels)
    assert 180 - settings.least_angle == published["theta"]
    if settings.pipeline == "imc":
        assert recipe.classes == (",".join(part.strip() for part in published["prompt"].split(".")),)
        assert settings.threshold == published["mmgd_pred_score_threshold"]
        assert not settings.compare_lone_date
        return
    assert list(recipe.classes) == published["prompt"]
    assert settings.land_cover != published["is_instance_class"]
    assert settings.side == published.get("segearth_size", 448)
    assert {
        "points_per_side": everything.points_per_side,
        "pred_iou_thresh": everything.quality,
        "stability_score_thresh": everything.stability,
        "stability_score_offset": everything.stability_offset,
        "box_nms_thresh": everything.iou_threshold,
    }.items() <= published.items()


def test_own_files_and_what_they_may_not_hold(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("classes: [road]\nleast_angle: otsu\nproposals: superpixels\nwindow: 256\n", encoding="utf-8")
    recipe = read_search_recipe(path)
    assert recipe.classes == ("road",) and recipe.settings.least_angle is None and recipe.window == 256
    for text, message in (
        ("classes: [road]\nangle: 3\n", "mine.yaml: the recipe has an unknown key 'angle'"),
        ("least_angle: 3\n", "mine.yaml: the recipe lacks classes"),
        ("classes: [road]\neverything: {points_per_side: 0}\n", "mine.yaml: points_per_side must be at least 1"),
        ("classes: [road]\nwindow: wide\n", r"the recipe\.window must be int, got 'wide'"),
        ("- 1\n", "a recipe is a mapping of names to values, got list"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_search_recipe(path)
    with pytest.raises(FileNotFoundError, match=r"sam_dino has no variant 's5-potsdam'; it has s5-levir-cd, "):
        read_search_recipe("sam_dino/s5-potsdam")
    with pytest.raises(FileNotFoundError, match=r"did you mean sam_dinov2\?"):
        read_search_recipe("sam_dinov3")


def test_the_command_lists_recipes_and_asks_for_classes_or_one(tmp_path):
    listed = CliRunner().invoke(app, ["change", "--list-recipes"])
    assert listed.exit_code == 0 and listed.output.split() == search_recipe_names()
    refused = CliRunner().invoke(app, ["change", "a.tif", "b.tif", str(tmp_path)])
    assert refused.exit_code == 2 and "name what to look for with --classes" in refused.output
