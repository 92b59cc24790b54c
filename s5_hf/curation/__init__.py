"""Curation of pre-training data: score, cluster, select, export (S5, section "Pre-training Dataset Curation").

`entropy`, `content`, `walk`, `duplicates` and `selection` hold the mathematics, on arrays. Around them lie the steps,
which read and write files: `score_images` -> `make_prototypes` -> `make_selection` -> `write_curated_dataset`.
`run_curation` does all four as a recipe says.
"""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "curated_dataset": ("DatasetSettings", "write_curated_dataset"),
        "exclusion": ("hash_images", "read_hashes", "read_ids", "write_hashes"),
        "prototypes": ("ClusterSettings", "Prototypes", "make_prototypes"),
        "recipe": ("CurationRecipe", "read_curation_recipe"),
        "report": ("write_curation_report",),
        "run": ("run_curation",),
        "score_part": ("ScoreSettings",),
        "score_table": ("ScoreFolder",),
        "scoring": ("score_images",),
        "selection": ("SelectionSettings",),
        "selection_folder": ("SelectionFolder", "make_selection"),
        "sources": ("ImageSource", "open_images"),
    },
)
