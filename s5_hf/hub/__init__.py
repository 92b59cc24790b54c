"""Names of the S5 models: where their weights are looked for, and how they get there.

`AutoModel.from_pretrained("s5-vit-b")` looks for a local folder of that name, the store (`store_folder`), a Hub
repository (environment variable or table) and the official release, in this order. The names and everything known
about them are in one table, `KNOWN_MODELS`.
"""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "from_hub": ("pull",),
        "model_folder": ("require_model_folder",),
        "names": (
            *("KNOWN_MODELS", "KnownModel", "OFFICIAL_REPOSITORY", "count_parameters", "known_model"),
            *("repository_of", "repository_variable"),
        ),
        "store": ("convert_to_store", "store_folder", "stored"),
        "to_hub": ("push", "stage_for_hub"),
    },
)
