"""Where a training gets the weights that it starts from, and how a dry run does without them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoBackbone, AutoConfig, PretrainedConfig, PreTrainedModel

from ..conversion.model_check import listed
from ..hub.model_folder import require_model_folder
from ..hub.name_form import is_of_this_family
from ..modeling.published_shapes import published_shape, weights_are_left_out
from ..modeling.task_model import MODEL_CLASSES

NEW_IN_BACKBONES = re.compile(r"^(feature_pyramid|hidden_states_norms)\.")
"""What a backbone adds to its encoder: the pyramid of an S5 ViT, the norms of feature maps in transformers. A whole
network has them in its files."""


@contextmanager
def without_weights() -> Iterator[None]:
    """Inside the block all networks are on the meta device: they have shapes, and no numbers are read or drawn."""
    with torch.device("meta"):
        yield


def read_config(name: str, **settings: Any) -> PretrainedConfig:
    """The configuration of a folder or a name; inside `without_weights` the Hub is not asked for known encoders.

    Raises:
        OSError: if there is no such folder, and the Hub gives no model of that name or cannot be reached.
    """
    shape = published_shape(name) if weights_are_left_out() and not Path(name).is_dir() else None
    if shape is not None:
        return shape.make_config()
    try:
        return AutoConfig.from_pretrained(name, **settings)
    except OSError as error:
        if Path(name).exists():
            raise
        raise OSError(f"there is no folder {name} here, and the Hub gave no model of that name: {error}") from error


def load_network(model_class: Any, name: str, **settings: Any) -> PreTrainedModel:
    """`model_class.from_pretrained(name, **settings)`; inside `without_weights` only its configuration is read.

    Raises:
        ValueError: if the files lack weights of the network, unless these are what a backbone adds to its encoder.
    """
    if not weights_are_left_out():
        model, report = model_class.from_pretrained(name, output_loading_info=True, **settings)
        missing = [weight for weight in report["missing_keys"] if not NEW_IN_BACKBONES.search(weight)]
        if missing:
            kind = type(model).__name__
            raise ValueError(f"{name}: its files lack weights of the {kind}; {listed('missing', missing)}")
        return model
    config = settings.pop("config", None) or read_config(name, **settings)
    return model_class.from_config(config) if hasattr(model_class, "from_config") else model_class(config)


def load_dense_network(name: str) -> PreTrainedModel:
    """The encoder, segmenter or detector of a folder or a name."""
    model_type = read_config(name).model_type
    return load_network(MODEL_CLASSES.get(model_type, AutoBackbone), name)


def weights_in_words(name: str) -> str:
    """Where the weights of a folder or a name are, or where they would come from; nothing is downloaded.

    Raises:
        FileNotFoundError: if a folder holds no weights, there is no such folder, or the name has none published.
        OSError: for an unknown name of this family.
        ValueError: if files of the folder cannot be read.
    """
    require_model_folder(name)
    folder = Path(name)
    if folder.is_dir():
        files = [path for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern)]
        if not files:
            raise FileNotFoundError(f"{folder} holds no weights: expected model.safetensors beside config.json")
        return f"the folder {folder}, {sum(path.stat().st_size for path in files) / 1e6:,.1f} MB"
    if not is_of_this_family(name):
        return f"not fetched; the run reads them from the Hub repository {name}, or its cache"
    return known_weights_in_words(name)


def known_weights_in_words(name: str) -> str:
    """The same for a known name, such as `s5-vit-b`."""
    from ..hub import OFFICIAL_REPOSITORY, known_model, repository_of, stored
    from ..hub.open_models import OPEN_MODELS, sources_in_words

    folder = stored(name)
    if folder is not None:
        return f"the store: {folder}"
    if name in OPEN_MODELS:
        return f"not here yet: they would be made of what others have published ({sources_in_words(name)})"
    model = known_model(name)
    if repository_of(name) is not None:
        return f"not here yet: they would be downloaded from the Hub repository {repository_of(name)}"
    if model.official_file is None:
        raise FileNotFoundError(
            f"there are no published weights of {name}, and none in the store: give a folder, or convert a checkpoint "
            f"with s5-hf convert FILE {name} --store"
        )
    return (
        f"not here yet: they would be downloaded from the official release, {OFFICIAL_REPOSITORY} on the Hub "
        f"({model.official_file}), and converted; s5-hf pull {name} does it beforehand"
    )
