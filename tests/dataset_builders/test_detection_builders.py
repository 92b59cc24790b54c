import math

import numpy as np
import pytest
from datasets import load_dataset

from s5_hf.dataset_builders.annotations import OrientedObject, as_columns, parse_dior_xml, parse_dota_text
from s5_hf.dataset_builders.errors import LayoutError, SampleError

SQUARE = "0 0 4 0 4 2 0 2"
TEXT = f"imagesource:GoogleEarth\ngsd:0.15\n{SQUARE} plane 1\n\n{SQUARE} ship\n"
XML = """<annotation><object><name>dam</name><difficult>0</difficult><robndbox>
<x_left_top>0</x_left_top><y_left_top>0</y_left_top><x_right_top>4</x_right_top><y_right_top>0</y_right_top>
<x_right_bottom>4</x_right_bottom><y_right_bottom>2</y_right_bottom><x_left_bottom>0</x_left_bottom>
<y_left_bottom>2</y_left_bottom></robndbox></object></annotation>"""


def load(name, folder, split="train", config=None, **options):
    return list(load_dataset(name, config, data_dir=str(folder), split=split, streaming=True, **options))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_dota_text_with_and_without_header_and_difficult():
    corners = (0.0, 0.0, 4.0, 0.0, 4.0, 2.0, 0.0, 2.0)
    expected = [OrientedObject(corners, "plane", True), OrientedObject(corners, "ship", False)]
    assert parse_dota_text(TEXT, "a.txt") == expected
    assert parse_dota_text("\ufeff" + TEXT.replace("\n", "\r\n"), "a.txt") == expected
    assert parse_dota_text("", "a.txt") == []


@pytest.mark.parametrize(
    "line", ["0 0 4 0 4 2 0 2", "0 0 4 0 4 2 0 2 plane 0 more", "0 0 4 0 4 2 0 x plane 0", "0 0 4 0 4 2 0 nan plane 0"]
)
def test_broken_dota_line_names_file_and_line(line):
    with pytest.raises(SampleError, match=r"a.txt, line 2: "):
        parse_dota_text(f"gsd:1\n{line}\n", "a.txt")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0 4 0 4 2 0 2 plane 7", "difficult is '7', expected 0, 1 or 2"),
        ("0 0 4 0 4 2 0 2 plane 1.0", "difficult is '1.0'"),
        ("0 0 4 0 4 2 0 2 plane -1", "difficult is '-1'"),
        ("1_0 0 4 0 4 2 0 2 plane 0", "expected .* but '1_0' is not a number"),
        ("0 0 4 0 4 2 0 inf plane 0", "expected .* but 'inf' is not a number"),
        ("0 0 4 0 4 2 0 1e999 plane 0", "expected .* but '1e999' is not a number"),
    ],
)
def test_dota_numbers_and_marks_that_are_none_are_refused(line, message):
    with pytest.raises(SampleError, match=rf"a.txt, line 1: {message}"):
        parse_dota_text(line, "a.txt")


def test_dota_marks_of_cut_objects_are_difficult():
    """DOTA's own tool writes 2 where a patch cuts through an object."""
    assert [found.difficult for found in parse_dota_text(f"{SQUARE} a 2\n{SQUARE} a 1\n{SQUARE} a 0", "a.txt")] == [
        True,
        True,
        False,
    ]
    assert parse_dota_text("-1.5 .5 4. 0 4e0 2 0 +2 a 0", "a.txt")[0].polygon == (-1.5, 0.5, 4, 0, 4, 2, 0, 2)


def test_polygons_with_more_corners_become_the_smallest_rectangles():
    """A house of five corners, 4 x 3 pixels; the mark of a difficult object stays."""
    first, second, third = parse_dota_text(
        f"0 1 2 0 4 1 4 3 0 3 hut 1\n{SQUARE} hut\n0 1 2 0 4 1 4 3 0 3 hut\n", "a.txt"
    )
    assert len(first.polygon) == 10 and (first.category, first.difficult, third.difficult) == ("hut", True, False)
    assert second.four_corners == second.polygon
    with pytest.warns(UserWarning, match="more than four corners are replaced by the smallest rectangles") as said:
        columns = as_columns([first, second, third], ["hut"], (), "a.txt")
    assert len({str(warning.message) for warning in said}) == 1  # Python shows a text once
    assert columns["obb"][0][:4] == pytest.approx([2, 1.5, 4, 3])
    assert sorted(zip(columns["polygon"][0][::2], columns["polygon"][0][1::2], strict=True)) == [
        (0.0, 0.0), (0.0, 3.0), (4.0, 0.0), (4.0, 3.0)
    ]  # fmt: skip


def test_dior_xml():
    (found,) = parse_dior_xml(XML, "a.xml")
    assert found == OrientedObject((0, 0, 4, 0, 4, 2, 0, 2), "dam", False)
    with pytest.raises(SampleError, match=r"a.xml: not XML"):
        parse_dior_xml("<annotation>", "a.xml")
    with pytest.raises(SampleError, match=r"a.xml, object 1: expected a name and the eight numbers"):
        parse_dior_xml(XML.replace("<y_left_bottom>2</y_left_bottom>", ""), "a.xml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<difficult>0", "<difficult>7", "difficult is '7', expected 0, 1 or 2"),
        ("<y_left_bottom>2", "<y_left_bottom>nan", "expected .* but 'nan' is not a number"),
        ("<y_left_bottom>2", "<y_left_bottom>1_0", "expected .* but '1_0' is not a number"),
    ],
)
def test_dior_numbers_and_marks_that_are_none_are_refused(old, new, message):
    with pytest.raises(SampleError, match=rf"a.xml, object 1: {message}"):
        parse_dior_xml(XML.replace(old, new), "a.xml")


def test_oriented_columns(write_image, tmp_path):
    write_image(tmp_path / "train/images/a.png")
    write(tmp_path / "train/labelTxt/a.txt", TEXT + "0 0 0 10 -2 10 -2 0 DontCare 0\n")
    (sample,) = load("s5-oriented", tmp_path, classes=["ship", "plane"], ignored_classes=["DontCare"])
    assert sample["id"] == "a"
    objects = sample["objects"]
    assert objects["category"] == [1, 0] and objects["difficult"] == [True, False]
    np.testing.assert_allclose(objects["obb"], [[2, 1, 4, 2, 0]] * 2)
    np.testing.assert_allclose(objects["polygon"], [[0, 0, 4, 0, 4, 2, 0, 2]] * 2)
    with pytest.raises(SampleError, match=r"a.txt: unknown class 'DontCare', known: ship, plane"):
        load("s5-oriented", tmp_path, classes=["ship", "plane"])
    with pytest.raises(ValueError, match=r"needs classes.* the annotations name \['DontCare', 'plane', 'ship'\]"):
        load("s5-oriented", tmp_path)


def test_features_survive_the_cache(write_image, tmp_path):
    write_image(tmp_path / "images/a.png")
    write(tmp_path / "labelTxt/a.txt", TEXT)
    dataset = load_dataset("s5-oriented", data_dir=str(tmp_path), split="train", classes=["plane", "ship"])
    assert dataset.features["objects"]["category"].feature.names == ["plane", "ship"]
    assert dataset[0]["objects"]["category"] == [0, 1]


@pytest.mark.parametrize("version", ["v1.0", "v1.5", "v2.0"])
def test_dota_configurations_choose_folder_and_classes(version, write_image, tmp_path):
    folders = {"v1.0": "labelTxt", "v1.5": "DOTA-v1.5_train", "v2.0": "DOTA-v2.0_train"}
    categories = {"v1.0": "harbor", "v1.5": "container-crane", "v2.0": "helipad"}
    write_image(tmp_path / "train/images/part1/P0.png")
    for name, folder in folders.items():
        write(tmp_path / f"train/labelTxt-{name}/{folder}/P0.txt", f"{SQUARE} {categories[name]} 0\n")
        write(tmp_path / f"train/labelTxt-{name}/{folder}_hbb/P0.txt", f"{SQUARE} plane 0\n")
    write_image(tmp_path / "test/images/P9.png")
    (sample,) = load("s5-dota", tmp_path, config=version)
    assert sample["id"] == "P0"
    assert sample["objects"]["category"] == [{"v1.0": 14, "v1.5": 15, "v2.0": 17}[version]]
    (unlabelled,) = load("s5-dota", tmp_path, "test", config=version)
    assert unlabelled["objects"] == {"obb": [], "polygon": [], "category": [], "difficult": []}


def test_dota_default_and_unknown_configuration(write_image, tmp_path):
    write_image(tmp_path / "train/images/P0.png")
    write(tmp_path / "train/labelTxt/P0.txt", f"{SQUARE} airport 0\n")
    assert load("s5-dota", tmp_path)[0]["objects"]["category"] == [16]
    with pytest.raises(SampleError, match="unknown class 'airport'"):
        load("s5-dota", tmp_path, config="v1.5")
    with pytest.raises(ValueError, match=r"'v3' not found. Available: \['v2.0', 'v1.5', 'v1.0'\]"):
        load("s5-dota", tmp_path, config="v3")
    write_image(tmp_path / "train/images/P1.png")
    with pytest.raises(LayoutError, match=r"1 images have no label file, the first is train/images/P1.png"):
        load("s5-dota", tmp_path)


def test_dior_r_lists(write_image, tmp_path):
    for folder, name in (("JPEGImages-trainval", "00001"), ("JPEGImages-test", "00002")):
        write_image(tmp_path / folder / f"{name}.jpg")
        write(tmp_path / f"Annotations/Oriented Bounding Boxes/{name}.xml", XML)
    write(tmp_path / "ImageSets/Main/trainval.txt", "00001\n")
    write(tmp_path / "ImageSets/Main/test.txt", "00002\n\n")
    (sample,) = load("s5-dior-r", tmp_path, "test")
    assert sample["id"] == "00002" and sample["objects"]["category"] == [8]
    assert [found["id"] for found in load("s5-dior-r", tmp_path, "trainval")] == ["00001"]
    write(tmp_path / "ImageSets/Main/test.txt", "00002\n00003\n")
    with pytest.raises(LayoutError, match=r"test.txt, line 2: there is no image 00003.jpg"):
        load("s5-dior-r", tmp_path, "test")


def test_dior_r_prefers_oriented_annotations_in_obb(write_image, tmp_path):
    write_image(tmp_path / "JPEGImages-trainval/00001.jpg")
    write(tmp_path / "Annotations/obb/00001.xml", XML)
    write(tmp_path / "Annotations/hbb/00001.xml", "<annotation><object><name>dam</name></object></annotation>")
    write(tmp_path / "Annotations/00001.xml", "<annotation><object><name>dam</name></object></annotation>")
    write(tmp_path / "ImageSets/Main/trainval.txt", "00001\n")
    (sample,) = load("s5-dior-r", tmp_path, "trainval")
    np.testing.assert_allclose(sample["objects"]["obb"], [[2, 1, 4, 2, 0]])


def test_annotations_in_another_encoding_are_named(write_image, tmp_path):
    write_image(tmp_path / "images/a.png")
    (tmp_path / "labelTxt").mkdir()
    (tmp_path / "labelTxt/a.txt").write_text(TEXT, encoding="utf-16")
    with pytest.raises(SampleError, match=r"labelTxt/a.txt: not UTF-8 text"):
        load("s5-oriented", tmp_path, classes=["plane", "ship"])


def test_angles_are_canonical(write_image, tmp_path):
    write_image(tmp_path / "images/a.png")
    write(tmp_path / "labelTxt/a.txt", "0 0 10 10 9 11 -1 1 ship 0\n10 10 0 0 -1 1 9 11 ship 0\n")
    (sample,) = load("s5-oriented", tmp_path, classes=["ship"])
    angles = [box[4] for box in sample["objects"]["obb"]]
    np.testing.assert_allclose(angles, [math.pi / 4] * 2, rtol=1e-6)
