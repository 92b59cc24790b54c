"""Names of the S5 models: where their weights are looked for, and how they get there.

`AutoModel.from_pretrained("s5-vit-b")` looks for a local folder of that name, the store (`store_folder`), a Hub
repository (environment variable or table) and the official release, in this order. The names and everything known
about them are in one table, `KNOWN_MODELS`.
"""

from ..integrations.known_names import install_file_hook
from .from_hub import pull
from .model_folder import require_model_folder
from .names import (
    KNOWN_MODELS,
    OFFICIAL_REPOSITORY,
    KnownModel,
    count_parameters,
    known_model,
    repository_of,
    repository_variable,
)
from .store import convert_to_store, store_folder, stored
from .to_hub import push, stage_for_hub

__all__ = [
    "KNOWN_MODELS",
    "KnownModel",
    "OFFICIAL_REPOSITORY",
    "convert_to_store",
    "count_parameters",
    "install_file_hook",
    "known_model",
    "pull",
    "push",
    "repository_of",
    "repository_variable",
    "require_model_folder",
    "stage_for_hub",
    "store_folder",
    "stored",
]
