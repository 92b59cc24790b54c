"""Box labels between formats: the same boxes there and back, and what cannot be converted is said or refused."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.dataset_builders.oriented_geometry import boxes_to_polygons, convex_hull, points_to_box, polygons_to_boxes
from s5_hf.preparation import convert_boxes
from s5_hf.preparation.box_labels.formats import READERS, WRITERS
from s5_hf.preparation.box_labels.labelled_images import BoxNotes
from s5_hf.preparation.box_labels.source import LabelSource
from s5_hf.preparation.box_labels.target import LabelTarget, number

HEIGHT, WIDTH = 40, 60
CLASSES = ("ship", "large-vehicle")
FILES = {"dota": "labelTxt", "yolo-obb": "labels", "coco": "annotations.json", "labelme": ""}

boxes = st.builds(
    lambda x, y, long, share, theta: (x, y, long, long * share, theta),
    *(st.floats(1, WIDTH - 1), st.floats(1, HEIGHT - 1), st.floats(4, 40)),
    *(st.floats(0.1, 0.9), st.floats(-math.pi / 2 + 1e-3, math.pi / 2)),
)


@pytest.fixture
def images(tmp_path):
    """A folder with the image `a`."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / "a.png")
    return tmp_path / "images"


def write_dota(folder, text, name="a"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def boxes_of(folder, label_format, images):
    """Boxes, classes and marks of the image `a`."""
    (image,) = READERS[label_format](LabelSource(folder / FILES[label_format], images))
    assert (image.name, image.size) == ("a", (HEIGHT, WIDTH))
    return image.boxes, image.categories, image.difficult


def assert_same_boxes(first, second):
    """Corners as sets of points: a box that is nearly a square may be turned by a quarter."""
    for one, other in zip(boxes_to_polygons(first), boxes_to_polygons(second), strict=True):
        one, other = one.reshape(4, 2), other.reshape(4, 2)
        turns = [np.abs(one - np.roll(other, turn, axis=0)).max() for turn in range(4)]
        assert min(turns) < 0.03  # files have 3 digits; the angle of a short side comes from them


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(boxes, st.sampled_from(CLASSES), st.booleans()), min_size=1, max_size=4))
def test_every_format_gives_the_boxes_back(tmp_path_factory, images, objects):
    folder = tmp_path_factory.mktemp("formats")
    lines = [
        f"{' '.join(number(value) for value in boxes_to_polygons(np.array(box))[0])} {category} {int(difficult)}\n"
        for box, category, difficult in objects
    ]
    dota = write_dota(folder / "labelTxt", "".join(lines))
    expected, categories, difficult = boxes_of(folder, "dota", images)
    assert_same_boxes(expected, np.array([box for box, _, _ in objects]))
    for label_format in FILES:
        made, back = folder / label_format, folder / f"{label_format}-back"
        result = convert_boxes(dota, made, "dota", label_format, images, CLASSES)
        assert (result.images, sum(result.boxes.values())) == (1, len(objects))
        found, found_categories, found_difficult = boxes_of(made, label_format, images)
        assert_same_boxes(found, expected)
        assert found_categories == categories
        assert found_difficult == ((False,) * len(objects) if label_format == "yolo-obb" else difficult)
        convert_boxes(made / FILES[label_format], back, label_format, "dota", images)
        assert_same_boxes(boxes_of(back, "dota", images)[0], expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=3, max_size=12))
def test_the_smallest_box_holds_all_points_and_none_along_a_pair_is_smaller(points):
    points = np.array(points, dtype=float)
    box = points_to_box(points)
    along = np.array([math.cos(box[4]), math.sin(box[4])])
    x, y = (points - box[:2]) @ along, (points - box[:2]) @ np.array([-along[1], along[0]])
    assert np.abs(x).max() <= box[2] / 2 + 1e-9 and np.abs(y).max() <= box[3] / 2 + 1e-9
    assert box[2] >= box[3] and -math.pi / 2 < box[4] <= math.pi / 2
    for first, second in itertools.combinations(convex_hull(points), 2):
        axis = (second - first) / np.linalg.norm(second - first)
        sides = np.ptp(points @ axis), np.ptp(points @ np.array([-axis[1], axis[0]]))
        assert box[2] * box[3] <= sides[0] * sides[1] + 1e-6


def test_four_points_have_the_box_of_the_datasets():
    polygon = np.array([[1.0, 2, 9, 4, 8, 8, 0, 6]])
    np.testing.assert_array_equal(points_to_box(polygon.reshape(4, 2)), polygons_to_boxes(polygon)[0])


def test_other_polygons_boxes_outside_and_without_area_are_said_once(tmp_path, images):
    shapes = [
        {"label": "ship", "points": [[5, 5], [15, 5], [18, 10], [15, 15], [5, 15]]},
        {"label": "ship", "points": [[20, 5], [30, 5], [25, 15]], "flags": {"difficult": True}},
        {"label": "ship", "points": [[10, 10], [20, 20]], "shape_type": "rectangle"},
        {"label": "ship", "points": [[70, 5], [80, 5], [80, 9], [70, 9]]},
        {"label": "ship", "points": [[1, 1], [1, 1], [1, 1], [1, 1]]},
    ]
    content = {"imagePath": "..\\shots\\a.png", "imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": shapes}
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    result = convert_boxes(tmp_path, tmp_path / "dota", "labelme", "dota")
    assert result.boxes == {"ship": 3}
    many, outside, without = result.notes
    assert many.startswith("polygons with other than four corners") and ": 2, the first is" in many
    assert "outside their image, left out: 1" in outside and "shape 4" in outside
    assert "without area, left out: 1" in without
    found, _, difficult = boxes_of(tmp_path / "dota", "dota", images)
    np.testing.assert_allclose(found[0], [11.5, 10, 13, 10, 0], atol=1e-3)
    np.testing.assert_allclose(found[2, :4], [15, 15, 10, 10], atol=1e-3)
    assert difficult == (False, True, False)


def test_coco_boxes_parts_and_crowds(tmp_path):
    annotations = [
        {"image_id": 7, "category_id": 2, "bbox": [1, 2, 10, 4]},
        {"image_id": 7, "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4], [8, 0, 8, 4, 4, 4]], "bbox": []},
        {"image_id": 7, "category_id": 1, "iscrowd": 1, "segmentation": {"counts": "x"}},
    ]
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "boat"}],
        "annotations": annotations,
    }
    (tmp_path / "c.json").write_text(json.dumps(content), encoding="utf-8")
    notes = BoxNotes()
    (image,) = READERS["coco"](LabelSource(tmp_path / "c.json", notes=notes))
    np.testing.assert_allclose(image.boxes, [[6, 4, 10, 4, 0], [4, 2, 8, 4, 0]], atol=1e-9)
    assert image.categories == ("boat", "ship") and dict(notes.counts)["crowds, left out"] == 1
    annotations[2]["iscrowd"] = 0
    (tmp_path / "c.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"c\.json, annotation 2: a mask \(RLE\) in place of a polygon"):
        convert_boxes(tmp_path / "c.json", tmp_path / "out", "coco", "dota")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0 0 1 0 1 1 0 1", r"a\.txt, line 1: class '2', expected 0 to 1"),
        ("x 0 0 1 0 1 1 0 1", r"line 1: class 'x'"),
        ("0 0.5 0.5 0.1 0.1", r"line 1: a horizontal box \(x, y, w, h\)"),
        ("0 0 0 1 0 1 1 0 nan", r"line 1: 'nan' is not a number"),
        ("0 0 0 1 0 1", r"line 1: expected x and y of three corners or more, got 5 numbers"),
    ],
)
def test_broken_yolo_lines_are_refused(tmp_path, images, line, message):
    labels = write_dota(tmp_path / "labels", line)
    with pytest.raises(ValueError, match=message):
        convert_boxes(labels, tmp_path / "out", "yolo-obb", "dota", images, CLASSES)


def test_what_is_missing_is_named(tmp_path, images):
    labels = write_dota(tmp_path / "labels", "1 1 9 1 9 5 1 5 ship 0\n")
    with pytest.raises(ValueError, match="size of the image a is not known: give the folder of the images"):
        convert_boxes(labels, tmp_path / "out", "dota", "coco")
    with pytest.raises(ValueError, match="has the class 'ship', which is not among the given: boat"):
        convert_boxes(labels, tmp_path / "out", "dota", "coco", images, ["boat"])
    with pytest.raises(ValueError, match=r"unknown format 'voc'; known: dota, yolo-obb, coco, labelme"):
        convert_boxes(labels, tmp_path / "out", "dota", "voc")
    with pytest.raises(FileNotFoundError, match=r"no data\.yaml; name them with --classes"):
        convert_boxes(labels, tmp_path / "out", "yolo-obb", "dota", images)
    write_dota(labels, "", "b")
    with pytest.raises(FileNotFoundError, match="has no image b, which"):
        convert_boxes(labels, tmp_path / "out", "dota", "coco", images)
    with pytest.raises(ValueError, match="class name 'big ship': DOTA's text has no place for spaces"):
        WRITERS["dota"](LabelTarget(tmp_path, [], ("big ship",), BoxNotes()))


def test_the_command_prints_counts_and_notes(tmp_path, images):
    labels = write_dota(tmp_path / "labelTxt", "1 1 9 1 9 5 1 5 ship 1\n-2 1 9 1 9 5 -2 5 boat 0\n")
    arguments = ["--from", "dota", "--to", "yolo-obb", "--images", str(images)]
    result = CliRunner().invoke(app, ["convert-boxes", str(labels), str(tmp_path / "yolo"), *arguments])
    assert result.exit_code == 0, result.output
    assert "1 images, 1 boat, 1 ship" in result.stdout
    assert "marks of difficult objects" in result.stderr and "reach beyond their image" in result.stderr
    assert (tmp_path / "yolo" / "data.yaml").read_text(encoding="utf-8") == "names:\n  0: boat\n  1: ship\n"
