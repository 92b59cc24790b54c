"""Classes by their names, for models that take any."""

from collections.abc import Sequence

from transformers import AutoConfig, PreTrainedModel

from ..hub.model_folder import require_model_folder
from ..modeling import SegEarthOVConfig, SegEarthOVForSemanticSegmentation

__all__ = ["name_classes", "takes_any_classes"]


def takes_any_classes(model: str) -> bool:
    """Whether a folder, a repository, a known name or an `.onnx` file is an open-vocabulary model.

    Raises:
        OSError, ValueError: there is no such model, or it cannot be read.
    """
    if model.endswith(".onnx"):
        return False
    require_model_folder(model)
    return isinstance(AutoConfig.from_pretrained(model), SegEarthOVConfig)


def name_classes(model: PreTrainedModel, classes: Sequence[str] | None) -> None:
    """Let an open-vocabulary model look for classes; models with classes of their own are left alone.

    Args:
        model: of any kind.
        classes: one string per class, its synonyms separated by commas; None for those that the model has.

    Raises:
        OSError: the tokenizer of the model is not beside it.
        ValueError: classes are given to a model that has its own, or to none that has none, or they are unfit.
    """
    name = model.config.name_or_path or type(model).__name__
    if not isinstance(model, SegEarthOVForSemanticSegmentation):
        if classes:
            raise ValueError(f"{name} has classes of its own; only an open-vocabulary model takes other ones")
    elif classes:
        model.encode_classes(classes)
    elif not model.config.classes:
        raise ValueError(f"{name} takes any classes and has none yet: name them, such as --classes building,roof road")
