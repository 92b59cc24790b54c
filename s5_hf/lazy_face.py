"""The face of a folder: names that people import from it, loaded when they are first asked for.

    __getattr__, __dir__, __all__ = lazy_face(__name__, {"loop": ("train",), "recipe": ("Recipe", "read_recipe")})

So `from s5_hf.training import train` reads well and imports no more than it needs. No name may be that of a module of
the folder: Python would put the module in its place.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["lazy_face"]


def lazy_face(
    package: str, members: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package assigns to `__getattr__`, `__dir__` and `__all__` (PEP 562).

    Args:
        package: its `__name__`.
        members: module of the package (dotted for one of a folder below) to the names that it gives.

    Raises:
        AttributeError: later, when a name is asked for that the package does not have.
    """
    module_of = {name: module for module, names in members.items() for name in names}

    def get(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module_of[name]}"), name)

    return get, lambda: sorted(module_of), sorted(module_of)
