"""Makes `datasets.load_dataset` know the names of the registry.

`load_dataset` turns a name into a builder module in one function, `datasets.load.dataset_module_factory`. That
function is wrapped: names of the registry are answered here, all others reach the original untouched. It is looked up
when it is called, so `from datasets import load_dataset` may come before `import s5_hf`.
"""

import functools

import datasets
import datasets.load

from .dataset_builders.registry import REGISTRY
from .version import __version__

_MARK = "_knows_s5_datasets"


def register_datasets() -> None:
    """Let `load_dataset` and `load_dataset_builder` load the registry's datasets. Harmless when called again."""
    original = datasets.load.dataset_module_factory
    if getattr(original, _MARK, False):
        return

    @functools.wraps(original)
    def dataset_module_factory(path: str, *arguments, **options) -> datasets.load.DatasetModule:
        if path not in REGISTRY:
            return original(path, *arguments, **options)
        module_path = REGISTRY[path].builder.rpartition(".")[0]
        return datasets.load.DatasetModule(module_path, __version__, {"dataset_name": path})

    setattr(dataset_module_factory, _MARK, True)
    datasets.load.dataset_module_factory = dataset_module_factory
