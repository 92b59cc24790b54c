"""Makes `datasets.load_dataset` know the names of the registry.

`load_dataset` turns a name into a builder module in one function, `datasets.load.dataset_module_factory`. That
function is wrapped: names of the registry are answered here, all others reach the original untouched. It is looked up
when it is called, so `from datasets import load_dataset` may come before `import s5_hf`.
"""

import functools
from types import ModuleType
from typing import Any

from ..dataset_builders.registry import REGISTRY
from ..version import __version__

_MARK = "_knows_s5_datasets"


def wrap_module_factory(load: ModuleType) -> None:
    """Put the wrapper into `datasets.load`, unless it is there."""
    original = load.dataset_module_factory
    if getattr(original, _MARK, False):
        return

    @functools.wraps(original)
    def dataset_module_factory(path: str, *arguments: Any, **options: Any) -> Any:
        if path not in REGISTRY:
            return original(path, *arguments, **options)
        module_path = REGISTRY[path].builder.rpartition(".")[0]
        return load.DatasetModule(module_path, __version__, {"dataset_name": path})

    setattr(dataset_module_factory, _MARK, True)
    load.dataset_module_factory = dataset_module_factory
