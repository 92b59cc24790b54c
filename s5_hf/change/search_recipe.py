"""Recipes of searches for changes: their models, names of classes and thresholds as a YAML file.

A recipe may hold variants below `published`, each with what differs from the recipe: the four of the package hold the
settings that DynamicEarth published for single datasets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.typed_settings import settings_from
from ..files.yaml_files import read_yaml
from ..recipes import find_recipe, shipped_recipes
from .everything_mode import EverythingSettings
from .loading import SearchSettings

__all__ = ["SearchRecipe", "read_search_recipe", "search_recipe_names"]

_KIND = "change_search"
_VARIANTS = "published"
_OTSU = "otsu"


@dataclass(frozen=True)
class SearchRecipe:
    """A search for changes, ready to be loaded.

    Attributes:
        classes: what is looked for, as `load_search` takes it.
        settings: models and thresholds.
        window: side of the windows of scenes in pixels.
        dataset: of the registry, that the settings were published for; empty for none.
        target: the class of the dataset that is looked for, where it has several.
    """

    classes: tuple[str, ...]
    settings: SearchSettings
    window: int = 1024
    dataset: str = ""
    target: str = ""


def search_recipe_names() -> list[str]:
    """The recipes of the package with their variants, such as `sam_dinov2` and `sam_dinov2/s5-whu-cd`."""
    names = []
    for recipe in shipped_recipes(_KIND):
        names += [recipe.name, *(f"{recipe.name}/{variant}" for variant in read_yaml(recipe.path)[_VARIANTS])]
    return names


def read_search_recipe(word: str | Path) -> SearchRecipe:
    """Read a recipe.

    Args:
        word: a file, the name of a recipe of the package, or such a name with one of its variants,
            `sam_dinov2/s5-second/water`.

    Raises:
        FileNotFoundError: if it is none of these; names what there is.
        ValueError: for YAML that does not parse, unknown or missing keys, and values of the wrong type or range; the
            message names the file and the key.
    """
    name, _, variant = (str(word), "", "") if Path(word).is_file() else str(word).partition("/")
    path = find_recipe(name, _KIND)
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: a recipe is a mapping of names to values, got {type(content).__name__}")
    values = dict(content)
    variants = values.pop(_VARIANTS, {})
    if variant and variant not in variants:
        raise FileNotFoundError(f"the recipe {name} has no variant {variant!r}; it has {', '.join(variants)}")
    try:
        return _recipe(_merged(values, variants[variant]) if variant else values, variant.partition("/")[0])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values with changes, the settings of the everything mode one by one."""
    everything = {**values.get("everything", {}), **changes.get("everything", {})}
    return {**values, **changes, **({"everything": everything} if everything else {})}


def _recipe(values: Mapping[str, Any], dataset: str) -> SearchRecipe:
    values = dict(values)
    of_recipe = {name: values.pop(name) for name in ("classes", "window", "target") if name in values}
    if not isinstance(of_recipe.get("classes"), list):
        raise ValueError("the recipe lacks classes: a list of names, each with synonyms after commas")
    of_recipe["classes"] = tuple(of_recipe["classes"])
    if values.get("least_angle") == _OTSU:
        values["least_angle"] = None
    if "everything" in values:
        values["everything"] = settings_from(EverythingSettings, values["everything"], "everything")
    settings = settings_from(SearchSettings, values, "the recipe")
    return settings_from(SearchRecipe, {**of_recipe, "settings": settings, "dataset": dataset}, "the recipe")
