"""Views of images: weak, strong, oriented."""
