"""Runs an action once a module of another package has been imported, and never imports that module itself.

So `import s5_hf` stays light: transformers and datasets are taught its names at the moment they are imported. A finder
at the front of `sys.meta_path` lets the other finders do their work for the modules asked for, and puts a loader in
between that runs the actions after the module's own code. They run inside the import, so no thread sees the module
without them, and again when the module is reloaded. The module keeps its own loader.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["after_import"]

Action = Callable[[ModuleType], None]


def after_import(name: str, action: Action) -> None:
    """Run `action` with the module called `name`, as soon as it is imported; at once if it is imported already.

    Args:
        name: full name of the module, such as `transformers.utils.hub`.
        action: must be harmless when it runs again, and must not import what imports the module.
    """
    actions = _FINDER.actions.setdefault(name, [])
    if action not in actions:
        actions.append(action)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    if sys.modules.get(name) is not None:
        action(importlib.import_module(name))  # waits for a thread that is in the middle of the import


class _Finder(MetaPathFinder):
    """Finds the modules that have actions, as the other finders do."""

    def __init__(self) -> None:
        self.actions: dict[str, list[Action]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.actions:
            return None
        others = (finder for finder in list(sys.meta_path) if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _ActingLoader(spec.loader, self.actions[name])
        return spec


class _ActingLoader(Loader):
    """Loads a module through its own loader, gives the module that loader back, and runs the actions."""

    def __init__(self, loader: Any, actions: list[Action]) -> None:
        self._loader = loader
        self._actions = actions

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        for action in list(self._actions):
            action(sys.modules[module.__name__])  # modules of transformers put another object in their place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # for those who look at a module without importing it


_FINDER = _Finder()
