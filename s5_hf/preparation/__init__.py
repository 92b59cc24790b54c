"""From publishers' raw tiles to the official crops: `prepare` and what it is made of."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "label_shares": ("SHARED_DATASETS", "prepare_label_shares"),
        "preparation": ("OPTIONS", "PREPARED_DATASETS", "PreparationSummary", "prepare"),
    },
)
