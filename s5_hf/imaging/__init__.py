"""What several rooms do with pictures: reading and scaling them, windows, palettes, drawing."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "decoded_pixels": (
            "MAXIMUM_PIXELS",
            "has_8_bits",
            "image_kind",
            "image_pixels",
            "missing_pixels",
            "require_decodable",
        ),
        "display": ("display_picture",),
        "drawing": ("colorize_mask", "draw_oriented_boxes", "oriented_box_corners", "overlay_mask"),
        "natural_colors": ("natural_palette",),
        "palettes": ("IGNORE_COLOR", "Color", "Palette", "default_palette"),
        "polygon_clipping": ("clip_polygon", "inside_shares", "polygon_area"),
        "rasters": ("PADDING_RGB", "Raster", "open_raster", "pad_to", "pillow_reads", "unlimited_pixels"),
        "scene_files": ("SCENE_SUFFIXES", "find_scenes", "is_remote", "scene_stem"),
        "sheets": ("add_legend", "contact_sheet", "legend", "side_by_side"),
        "value_scaling": ("ByteScaling", "Scaling", "ValueScaling"),
        "windows": ("Window", "column_windows", "quarters", "row_windows", "window_starts"),
    },
)
