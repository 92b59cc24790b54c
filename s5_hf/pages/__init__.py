"""Self-contained HTML pages: a document, its parts and charts as text that needs no library and no network.

`document` gives a page with a style of its own, `page` one in the style of the reports; `parts` and `charts` fill it.
"""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "parts": (
            *("class_legend", "color_legend", "commands", "details", "document", "figure", "image_data"),
            *("inline_image", "overlay", "page", "picture", "picture_grid", "table"),
        ),
        "charts": ("Points", "bar_pairs", "histogram_pair", "line_chart"),
    },
)
