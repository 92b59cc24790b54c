"""Methods by name: how classes are registered, and made of a name and options; one registry for each kind."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

AnyClass = TypeVar("AnyClass", bound=type)


def registering(registry: dict[str, type], name: str) -> Callable[[AnyClass], AnyClass]:
    """Class decorator that makes a dataclass known by name, which becomes its attribute `name`.

    Raises:
        ValueError: if the name is taken by another class.
    """

    def register(method: AnyClass) -> AnyClass:
        known = registry.get(name)
        if known is not None and known.__qualname__ != method.__qualname__:
            raise ValueError(f"a method called {name!r} is registered already: {known.__qualname__}")
        method.name = name
        registry[name] = method
        return method

    return register


def made(registry: dict[str, type], name: str, options: dict[str, Any]) -> Any:
    """The method called `name` with some of its fields set.

    Raises:
        ValueError: if there is no such method, or it has no such option.
    """
    if name not in registry:
        raise ValueError(f"unknown method {name!r}; known methods: {', '.join(sorted(registry))}")
    method = registry[name]
    known = [option.name for option in fields(method) if option.init]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"method {name!r} has no option {', '.join(unknown)}; its options: {', '.join(known)}")
    return method(**options)
