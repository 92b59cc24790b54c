"""Scenes with painted roads."""

import numpy as np
from PIL import Image, ImageDraw

from s5_hf.scenes.roads.road_settings import RoadSettings

SETTINGS = RoadSettings(window=64, overlap=0.5, batch_size=3, road_spacing=8, keypoint_spacing=4, neighbor_radius=28)


def painted_scene(height=160, width=200, shift=(0, 0)):
    """uint8 (height, width, 3): a grid of red roads with green crossings, and a slanted one."""
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    x, y = shift
    roads = [((-90, 40), (400, 40)), ((-90, 110), (400, 121)), ((60, -90), (60, 400)), ((150, 30), (190, 118))]
    for start, end in roads:
        draw.line([(start[0] + x, start[1] + y), (end[0] + x, end[1] + y)], fill=(230, 0, 0), width=3)
    pixels = np.asarray(picture).copy()
    for column, row in ((60, 40), (60, 113), (154, 40)):
        if 0 <= row + y < height and 0 <= column + x < width:
            pixels[row + y, column + x, 1] = 250
    noise = np.random.default_rng(0).integers(0, 20, (300, 300))[y : y + height, x : x + width]
    pixels[..., 0] = np.where(pixels[..., 0] > 0, pixels[..., 0] + noise, 0)
    return pixels
