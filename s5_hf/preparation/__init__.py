"""From what publishers and surveyors give to tiles: `prepare` for known datasets, `prepare_scenes` for own scenes."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "box_labels.conversion": ("ConvertedBoxes", "convert_boxes"),
        "label_shares": ("SHARED_DATASETS", "prepare_label_shares"),
        "preparation": ("OPTIONS", "PREPARED_DATASETS", "PreparationSummary", "prepare"),
        "scenes.prepared": ("PartCount", "PreparedScenes"),
        "scenes.run": ("prepare_scenes",),
        "scenes.settings": ("LabelSettings", "SplitSettings", "TileSettings"),
    },
)
