"""A scene and its class map as one page to look at."""

from ...lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(__name__, {"write": ("MAX_SIZE", "ViewerReport", "write_viewer")})
