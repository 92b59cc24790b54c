"""What changed between two images of one place: by its name and without training (DynamicEarth), or as learned."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "evaluation": ("ChangeScores", "ChangeTask", "evaluate_changes"),
        "everything_mode": ("EverythingSettings",),
        "features": ("ModelFeatures",),
        "interfaces": ("FeatureExtractor", "MaskProposer", "NamedObjects", "ObjectFinder", "Recognizer"),
        "loading": ("SearchSettings", "load_search"),
        "map_changes": ("map_scene_changes",),
        "masks": ("Masks",),
        "sam": ("SamEverything",),
        "scene_captions": (
            "ChangeCaptioner",
            "SceneCaption",
            "caption_scene_changes",
            "load_captioner",
            "open_captioned",
        ),
        "scene_changes": ("SceneChanges", "find_scene_changes"),
        "search": ("Changes", "IdentifyMaskCompare", "MaskCompareIdentify"),
        "search_recipe": ("SearchRecipe", "read_search_recipe", "search_recipe_names"),
        "segmenter_recognizer": ("SegmenterObjects", "SegmenterRecognizer"),
        "superpixels": ("Superpixels",),
        "text_detector": ("TextDetector",),
    },
)
