"""Scenes with polygons or rasters of classes, cut into georeferenced tiles for training, validation and test."""
