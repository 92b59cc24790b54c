"""What this package puts into transformers, datasets and the Hub client; each part can be switched off."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__, {"switch": ("INTEGRATIONS", "install_integrations", "wanted_integrations")}
)
