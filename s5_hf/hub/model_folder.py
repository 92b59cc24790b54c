"""A model folder that does not exist, told before transformers takes its path for the name of a repository."""

from pathlib import Path

__all__ = ["require_model_folder"]


def require_model_folder(name: str | Path) -> None:
    """Raise an error for a name that can only be a folder, and is none.

    Names with at most one slash may be known names or repositories of the Hub: transformers looks for those, and
    says where it has looked.

    Args:
        name: what a user calls a model.

    Raises:
        FileNotFoundError: `name` is a path with more than two parts, or begins like one, and no folder.
    """
    text = str(name)
    is_path = text.startswith((".", "/", "~")) or "\\" in text or text.count("/") > 1
    if is_path and not Path(name).is_dir():
        raise FileNotFoundError(
            f"there is no model folder {text}; expected a folder with config.json and weights, a repository of the "
            "Hub (OWNER/NAME), or a known name such as s5-vit-b"
        )
