"""The semi-supervised method that a recipe names."""

import dataclasses

from ...semi_supervised import METHODS, Method, make_method
from .recipe import PretrainingRecipe


def make_recipe_method(recipe: PretrainingRecipe) -> Method:
    """The method of a recipe, with those of its options that it has."""
    settings = {name: value for name, value in dataclasses.asdict(recipe.method).items() if value is not None}
    settings |= {"image_mean": tuple(recipe.data.image_mean), "image_std": tuple(recipe.data.image_std)}
    settings |= {"total_steps": recipe.optimizer.total_steps, "classes": recipe.data.classes}
    options = {field.name for field in dataclasses.fields(METHODS[recipe.method.method]) if field.init}
    return make_method(recipe.method.method, **{name: settings[name] for name in options & set(settings)})
