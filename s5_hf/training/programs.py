"""The trainings as programs: `s5-hf train NAME`, `python -m s5_hf.training NAME` and the scripts in examples/."""

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import s5_hf.training as trainings

from ..recipes import find_recipe, shipped_recipes
from ..scripts import with_dashes
from .dry_run import dry_run
from .kind import TrainingKind
from .recipe_reading import SectionedRecipe
from .running import carry_out

__all__ = ["PROGRAMS", "TrainingProgram", "list_all_recipes", "list_recipes", "run_training"]

DRY_RUN, LIST_RECIPES = "--dry-run", "--list-recipes"


@dataclass(frozen=True)
class TrainingProgram:
    """A kind of training and its recipes.

    Attributes:
        recipe_name, kind_name: of the classes in `s5_hf.training`.
    """

    recipe_name: str
    kind_name: str

    @property
    def recipe(self) -> type[SectionedRecipe]:
        """The class of the recipes."""
        return getattr(trainings, self.recipe_name)

    @property
    def kind(self) -> Callable[[Any, Any], TrainingKind]:
        """The kind of training, made of a recipe and, in place of what that names, data."""
        return getattr(trainings, self.kind_name)


PROGRAMS = {
    "s4p": TrainingProgram("PretrainingRecipe", "S4Pretraining"),
    "mae": TrainingProgram("MAERecipe", "MaskedAutoencoding"),
    "simfeatup": TrainingProgram("SimFeatUpRecipe", "SimFeatUpTraining"),
    "alignearth": TrainingProgram("AlignEarthRecipe", "AlignEarth"),
    "captioning": TrainingProgram("CaptioningRecipe", "ChangeCaptioning"),
    "reasoning": TrainingProgram("ReasoningRecipe", "PixelReasoning"),
    "translation": TrainingProgram("TranslationRecipe", "ImageTranslation"),
    "segmentation": TrainingProgram("SegmentationRecipe", "JointSegmentation"),
    "change": TrainingProgram("ChangeRecipe", "ChangeDetection"),
    "joint_change": TrainingProgram("JointChangeRecipe", "JointChangeDetection"),
    "detection": TrainingProgram("DetectionRecipe", "JointDetection"),
    "roads": TrainingProgram("RoadRecipe", "RoadTraining"),
}
"""By name."""


def run_training(
    name: str, arguments: Sequence[str] | None = None, data: Any | None = None, description: str | None = None
) -> None:
    """Run a training from the words of a command line: `[RECIPE] [--key value ...] [--dry-run] [--list-recipes]`.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).

    Args:
        name: of the program, a key of `PROGRAMS`.
        arguments: the words; `sys.argv[1:]` by default. RECIPE is a file, or the name of a recipe of the package.
        data: in place of what the recipe names, as the kind of training takes it.
        description: for `--help`.

    Raises:
        ValueError: for unknown keys, values of the wrong type, and settings, data and networks that do not fit
            together.
        FileNotFoundError: if there is no such recipe, or no such data.
    """
    program = PROGRAMS[name]
    words = with_dashes(sys.argv[1:] if arguments is None else arguments)
    if LIST_RECIPES in words:
        list_recipes(name)
        return
    only_checks = DRY_RUN in words
    words = [word for word in words if word != DRY_RUN]
    if words and not words[0].startswith("-"):
        words[0] = str(find_recipe(words[0], name))
    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=RuntimeWarning, module="s5_hf")
        kind = program.kind(program.recipe.read(words, description), data)
        if only_checks:
            print(f"recipe       {words[0] if words and not words[0].startswith('-') else 'options only'}: valid")
            dry_run(kind)
            print("All is well. The same command without --dry-run starts the training.")
        else:
            carry_out(kind)


def list_all_recipes() -> None:
    """Print the recipes of the package for every training, with the command that takes them."""
    for name in PROGRAMS:
        print(f"s5-hf train {name} RECIPE")
        list_recipes(name)
        print()


def list_recipes(name: str) -> None:
    """Print the recipes of the package for a training, with their titles."""
    recipes = shipped_recipes(name)
    width = max(len(recipe.name) for recipe in recipes)
    for recipe in recipes:
        print(f"{recipe.name:{width}}  {recipe.title}")
    print(f"The files: {recipes[0].path.parent}")
