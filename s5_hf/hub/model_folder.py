"""What is wrong with a model folder, told in our own words before transformers stumbles over it."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..files.json_files import read_json_object
from .name_form import is_of_this_family
from .names import NETWORKS
from .store import stored

__all__ = ["require_configuration", "require_model_folder"]


def require_model_folder(name: str | Path) -> None:
    """Raise an error for a name that can only be a folder but is not one, and for a folder of unreadable files.

    Names of two parts may be repositories of the Hub: transformers looks for those and for known names, and says where
    it has looked.

    Args:
        name: what a user calls a model.

    Raises:
        FileNotFoundError: `name` is neither a folder nor a known name nor in the form of a repository, `OWNER/NAME`.
        ValueError: config.json, preprocessor_config.json or weights in the folder, or in that of a known name in the
            store, cannot be read, or hold settings that no model can have; the message names the file.
    """
    text = str(name)
    in_two_parts = text.count("/") == 1 and not text.startswith((".", "/", "~")) and "\\" not in text
    if not (in_two_parts or is_of_this_family(text) or Path(name).is_dir()):
        raise FileNotFoundError(
            f"there is no model folder {text}; expected a folder with config.json and weights, a repository of the "
            "Hub (OWNER/NAME), or a known name such as s5-vit-b"
        )
    folder = Path(name) if Path(name).is_dir() or not is_of_this_family(text) else stored(text)
    if folder is not None:
        require_configuration(folder / "config.json")
        require_processor(folder / "preprocessor_config.json")
        for weights in sorted(folder.glob("*.safetensors")):
            require_safetensors(weights)


def require_configuration(path: Path) -> None:
    """Raise a ValueError naming the file if a config.json is there but gives no configuration."""
    if not path.is_file():
        return
    settings = read_json_object(path)
    network = NETWORKS.get(settings.get("model_type"))
    if network is not None:
        try:
            network.config_class.from_dict(settings)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def require_processor(path: Path) -> None:
    """Raise a ValueError naming the file if a preprocessor_config.json is there and its numbers are invalid."""
    if not path.is_file():
        return
    settings = read_json_object(path)
    for key in ("image_mean", "image_std"):
        values = settings.get(key)
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
            raise ValueError(f"{path}: {key} must be a list of numbers, got {values!r}")
        if key == "image_std" and not all(value > 0 for value in values):
            raise ValueError(f"{path}: image_std is {values}, expected numbers above 0: images are divided by them")


def require_safetensors(path: Path) -> None:
    """Raise a ValueError naming the file if its header does not fit its length; the numbers are not read."""
    try:
        with safe_open(path, framework="pt"):
            pass
    except SafetensorError as error:
        raise ValueError(f"{path}: the file of the weights is damaged or truncated: {error}") from error
