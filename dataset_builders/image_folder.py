"""A plain folder of images without labels."""

from .unlabelled_builder import UnlabelledBuilder


class ImageFolder(UnlabelledBuilder):
    """Every image below the folder, in any subfolders."""

    DATASET = "s5-images"
