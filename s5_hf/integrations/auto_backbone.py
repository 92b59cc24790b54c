"""`AutoBackbone.from_pretrained` for folders and for the names of this package.

From 5.17 on, transformers first asks the Hub whether the name is a repository there and hands everything else to
timm, so a folder on disk never loads. What this package can resolve goes the way of every other Auto class instead;
all other names keep the original way.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

from ..hub.name_form import is_of_this_family


def is_resolved_here(name_or_path: Any) -> bool:
    """Whether it is a folder with a configuration, or a name of this package."""
    return (Path(name_or_path) / "config.json").is_file() or is_of_this_family(str(name_or_path))


def let_auto_backbone_load_folders(modeling_auto: ModuleType) -> None:
    """Install the detour around the question to the Hub; doing so again changes nothing."""
    auto_backbone = modeling_auto.AutoBackbone
    original = auto_backbone.from_pretrained.__func__
    if getattr(original, "loads_folders", False):
        return
    of_every_auto_class = modeling_auto._BaseAutoModelClass.from_pretrained.__func__

    def from_pretrained(cls: type, name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_resolved_here(name_or_path):
            return original(cls, name_or_path, *args, **kwargs)
        kwargs.pop("use_timm_backbone", None)
        return of_every_auto_class(cls, name_or_path, *args, **kwargs)

    from_pretrained.loads_folders = True
    from_pretrained.__doc__ = original.__doc__
    auto_backbone.from_pretrained = classmethod(from_pretrained)
