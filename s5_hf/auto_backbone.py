"""`AutoBackbone.from_pretrained` for folders and for the names of this package.

From 5.17 on, transformers first asks the Hub whether the name is a repository there and hands everything else to
timm, so a folder on disk never loads. What this package can resolve goes the way of every other Auto class instead;
all other names keep the original way.
"""

from pathlib import Path
from typing import Any

from transformers import AutoBackbone, PreTrainedModel
from transformers.models.auto.auto_factory import _BaseAutoModelClass

from .hub.names import is_of_this_family


def is_resolved_here(name_or_path: Any) -> bool:
    """Whether it is a folder with a configuration, or a name of this package."""
    return (Path(name_or_path) / "config.json").is_file() or is_of_this_family(str(name_or_path))


def let_auto_backbone_load_folders() -> None:
    """Install the detour around the question to the Hub; doing so again changes nothing."""
    original = AutoBackbone.from_pretrained.__func__
    if getattr(original, "loads_folders", False):
        return

    def from_pretrained(cls: type, name_or_path: Any, *args: Any, **kwargs: Any) -> PreTrainedModel:
        if not is_resolved_here(name_or_path):
            return original(cls, name_or_path, *args, **kwargs)
        kwargs.pop("use_timm_backbone", None)
        return _BaseAutoModelClass.from_pretrained.__func__(cls, name_or_path, *args, **kwargs)

    from_pretrained.loads_folders = True
    from_pretrained.__doc__ = original.__doc__
    AutoBackbone.from_pretrained = classmethod(from_pretrained)
