"""Model folders that do not exist or hold broken JSON, told before transformers takes them for something else."""

import json
from pathlib import Path
from typing import Any

__all__ = ["read_json_object", "require_model_folder"]

CONFIG_FILES = ("config.json", "preprocessor_config.json")


def require_model_folder(name: str | Path) -> None:
    """Raise an error for a name that can only be a folder, and is none, and for a folder with a broken configuration.

    Names with at most one slash may be known names or repositories of the Hub: transformers looks for those, and
    says where it has looked.

    Args:
        name: what a user calls a model.

    Raises:
        FileNotFoundError: `name` is a path with more than two parts, or begins like one, and no folder.
        ValueError: a configuration file in the folder is not a JSON object; names it.
    """
    text = str(name)
    is_path = text.startswith((".", "/", "~")) or "\\" in text or text.count("/") > 1
    if is_path and not Path(name).is_dir():
        raise FileNotFoundError(
            f"there is no model folder {text}; expected a folder with config.json and weights, a repository of the "
            "Hub (OWNER/NAME), or a known name such as s5-vit-b"
        )
    for file in (Path(name) / config for config in CONFIG_FILES):
        if file.is_file():
            read_json_object(file)


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: it is not UTF-8, not JSON, or not an object; names the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__} in JSON, expected an object")
    return content
