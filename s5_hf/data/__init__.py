"""Writing datasets as shards, and looking through them before training."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "band_statistics": ("BandStatistics", "measure_bands"),
        "contact_sheet": ("draw_sheet",),
        "dataset_folder": ("DatasetFolder", "open_folder"),
        "inspection": ("InspectionReport", "Problem", "SplitReport", "inspect_folder"),
        "sharding": ("write_index", "write_parquet_shards"),
    },
)
