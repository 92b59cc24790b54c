"""Colours by the names of classes, and palettes from files."""

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s5_hf.imaging.natural_colors import natural_palette
from s5_hf.imaging.palette_files import read_palette
from s5_hf.imaging.palettes import IGNORE_COLOR, default_palette, palette_distances

WORDS = ["water", "Lake", "rivers", "forest", "Trees", "road", "building", "roof", "grass", "sand", "snow", "thing"]


def test_known_words_have_the_colours_of_maps():
    water, forest, road, building = map(
        np.array, natural_palette(["Water", "forest_type_2", "paved roads", "Buildings"])
    )
    assert water.argmax() == 2 and forest.argmax() == 1 and building.argmax() == 0
    assert np.ptp(road) < 30
    assert natural_palette(["low vegetation"]) == natural_palette(["grass"]) != natural_palette(["vegetation"])


def test_lakes_and_rivers_are_both_blue_and_differ():
    colors = natural_palette(["water", "lake", "river"])
    assert len(set(colors)) == 3 and all(np.argmax(color) == 2 for color in colors)


def test_unknown_classes_have_the_default_colours():
    assert natural_palette(["a", "class 1", "b"]) == default_palette(3)
    assert natural_palette([]) == []
    unknown, water = natural_palette(["zeppelin", "water"])
    assert unknown == default_palette(1)[0] and water == natural_palette(["water"])[0]


@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_no_two_classes_look_alike(labels):
    colors = natural_palette(labels)
    assert len(colors) == len(labels) and natural_palette(labels) == colors
    for one, other in combinations([*colors, IGNORE_COLOR], 2):
        assert palette_distances(np.array([one], np.uint8), np.array([other], np.uint8)).min() > 0.01


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"Water": "#0102ff", "road": [9, 8, 7], "unused": "#000000"}'),
        ("b.json", "[[9, 8, 7], [1, 2, 255]]"),
        ("c.json", '{"id2label": {"1": "road", "0": "water"}, "palette": [[1, 2, 255], [9, 8, 7]]}'),
        ("a.csv", "label,color\nroad,#090807\nwater,0102FF\n"),
        ("b.csv", "Class, red, green, blue\nwater, 1, 2, 255\nroad, 9, 8, 7\n"),
        (
            "a.qml",
            '<qgis><paletteEntry value="4" label="road" color="#090807"/>'
            '<paletteEntry value="1" label="water" color="#0102ff"/></qgis>',
        ),
        (
            "b.qml",
            '<qgis><category value="1" symbol="0" label="road"/>'
            '<category value="2" symbol="1" label="water"/><symbols>'
            '<symbol name="0"><layer><prop k="color" v="9,8,7,255"/></layer></symbol><symbol name="1"><layer>'
            '<Option><Option name="color" value="1,2,255,255,rgb:0,0,1,1"/>'
            "</Option></layer></symbol></symbols></qgis>",
        ),
    ],
)
def test_palettes_from_files(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_palette(tmp_path / name, ["road", "water"]) == [(9, 8, 7), (1, 2, 255)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"watr": "#0000ff", "road": "#000000"}', "no colour for water; it has colours for watr, road"),
        ("a.json", '{"water": "blue"}', "expected a colour such as #1f78b4, got 'blue'"),
        ("a.json", '{"water": [0, 0, 256]}', "red, green and blue from 0 to 255"),
        ("a.json", "{", "is not a palette"),
        ("a.json", "3", "expected an object of names to colours"),
        ("a.csv", "id,color\n1,#000000\n", "expected columns label and color"),
        ("a.csv", "label,red,green,blue\nwater,1,2,x\n", "is not a palette"),
        ("a.qml", "<qgis>", "is not a palette"),
        ("a.qml", "<qgis/>", "expected a style of a raster with a palette"),
        ("a.txt", "", r"read from .json, .csv, .qml"),
    ],
)
def test_files_that_are_no_palettes(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_palette(tmp_path / name, ["water", "road"])


def test_a_missing_palette_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no palette .*absent\.json"):
        read_palette(tmp_path / "absent.json", ["water"])
    (tmp_path / "short.json").write_text(json.dumps([[1, 2, 3]]), encoding="utf-8")
    with pytest.raises(ValueError, match="no colour for road"):
        read_palette(tmp_path / "short.json", ["water", "road"])
