"""How the images of a step are divided among processes and micro-steps, which a resumed run may change.

The order of the data is that of all processes together, so a step learns from the same images however they are
divided. What changes is what batch norm sees at once, and the random numbers of dropout.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ..recipe_reading import SectionedRecipe, flat_keys

MICRO_STEPS = "gradient_accumulation"
BATCH_SIZES = ("labelled_batch_size", "unlabelled_batch_size", "batch_size")


def shared_among(settings: Mapping[str, Any], processes: int) -> dict[str, Fraction]:
    """Images of an optimizer step by the key that says how many there are of them per process and micro-step.

    Args:
        settings: of a recipe, with flat keys.
        processes: that share the step.
    """
    times = processes * int(settings[MICRO_STEPS])
    return {
        key: Fraction(value) * times
        for key, value in settings.items()
        if key.rpartition(".")[2] in BATCH_SIZES and value is not None
    }


def other_division(saved: Mapping[str, Any], processes: int, recipe: SectionedRecipe, now: int) -> str | None:
    """In words, why a run cannot be resumed with another division of its steps; `None` if it can.

    Args:
        saved: recipe of the checkpoint.
        processes: that wrote it.
        recipe: of the resumed run.
        now: processes of the resumed run.
    """
    former, present = flat_keys(saved), flat_keys(recipe.to_dict())
    if present.get("streaming"):
        return "a streamed dataset is divided among the processes beforehand"
    if present.get("sampling") == "temperature":
        return "sampling: temperature rounds the images of each process"
    images, images_now = shared_among(former, processes), shared_among(present, now)
    if not images_now:
        return "this kind of training does not say how its batches are divided"
    if images == images_now:
        return None
    parts = [f"{key} {images.get(key, 0)} then, {images_now.get(key, 0)} now" for key in images_now]
    return f"a step would have other images ({', '.join(parts)}): change the batch sizes or {MICRO_STEPS} accordingly"
