"""Configuration of DINOv2 whose position embeddings are resized as the published weights were trained."""

from transformers import Dinov2Config


class S5Dinov2Config(Dinov2Config):
    """As `Dinov2Config`, for [`S5Dinov2Backbone`]: same arguments, same weights, another rule of resizing."""

    model_type = "s5_dinov2"


__all__ = ["S5Dinov2Config"]
