"""The table of every touch of another library, and the switch for each.

No library is imported for it: each is changed at the moment when it is imported itself, before or after this package.
docs/integrations.md says what every part is for and what is missing without it.
"""

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from .auto_backbone import let_auto_backbone_load_folders
from .auto_classes import (
    await_configurations,
    await_image_processors,
    await_models,
    await_pipelines,
    await_processors,
    show_auto_image_processor,
)
from .import_hook import Action, after_import
from .known_names import wrap_file_search
from .load_dataset import wrap_module_factory

VARIABLE = "S5_HF_INTEGRATIONS"

INTEGRATIONS: Mapping[str, tuple[tuple[str, Action], ...]] = MappingProxyType(
    {
        "auto_classes": (
            ("transformers.models.auto.configuration_auto", await_configurations),
            ("transformers.models.auto.modeling_auto", await_models),
            ("transformers.models.auto.image_processing_auto", await_image_processors),
            ("transformers.models.auto.processing_auto", await_processors),
        ),
        "auto_image_processor": (("transformers", show_auto_image_processor),),
        "auto_backbone": (("transformers.models.auto.modeling_auto", let_auto_backbone_load_folders),),
        "pipelines": (("transformers.pipelines", await_pipelines),),
        "known_names": (("transformers.utils.hub", wrap_file_search),),
        "load_dataset": (("datasets.load", wrap_module_factory),),
    }
)
"""Name of a part to the modules that it changes, each with the function that changes it."""


def wanted_integrations() -> list[str]:
    """The parts that the environment variable `S5_HF_INTEGRATIONS` asks for.

    All of them if it is unset, empty or `all`; none for `none`; else the names in its list, separated by commas.

    Raises:
        ValueError: if it names a part that does not exist.
    """
    value = os.environ.get(VARIABLE, "").strip()
    if value in ("", "all"):
        return list(INTEGRATIONS)
    wanted = [] if value == "none" else [name.strip() for name in value.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in INTEGRATIONS]
    if unknown:
        raise ValueError(
            f"{VARIABLE} is {value!r}: there is no integration {unknown[0]!r}; expected all, none, or some of "
            f"{', '.join(INTEGRATIONS)}"
        )
    return wanted


def install_integrations(names: Iterable[str] | None = None) -> None:
    """Put parts of this package into other libraries, once those are imported; doing so again changes nothing.

    Args:
        names: of the parts; by default those that the environment asks for.
    """
    for name in wanted_integrations() if names is None else names:
        for module, action in INTEGRATIONS[name]:
            after_import(module, action)
