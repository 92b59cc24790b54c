"""A map against polygons, rasters and points, and the sample of points in between."""

import csv
import json

import numpy as np
import pytest

pytest.importorskip("pyogrio", reason="references of maps need the extra geo")

import pyogrio
import rasterio
import rasterio.features
import shapely
import shapely.geometry
from affine import Affine
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.evaluation import ReferenceSettings, assess_accuracy, sample_points
from s5_hf.evaluation.accuracy.estimates import estimate_from_sample
from s5_hf.evaluation.accuracy.sampling import allocate
from s5_hf.scenes.class_maps import open_class_map
from tests.geo_project import write_polygons

CLASSES = ("land", "house", "lake")
CRS = "EPSG:32618"
TRANSFORM = Affine(2, 0, 583_000, 0, -2, 4_508_000)


def write_map(path, ids, crs=CRS, labels=CLASSES):
    tags = {"S5_ID2LABEL": json.dumps(dict(enumerate(labels)))} if labels else {}
    place = {"crs": crs, "transform": TRANSFORM} if crs else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = ids.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=height, width=width, dtype="uint8", nodata=255, **place
    ) as file:
        file.write(ids, 1)
        file.update_tags(**tags)
    return path


@pytest.fixture(scope="module")
def truth():
    """100 x 120 px: land with a house and a lake."""
    ids = np.zeros((100, 120), dtype=np.uint8)
    ids[10:30, 10:40], ids[50:90, 30:100] = 1, 2
    return ids


@pytest.fixture(scope="module")
def mapped(truth):
    """The truth with a tenth of its pixels wrong, and a border without data."""
    random = np.random.default_rng(0)
    ids = np.where(random.random(truth.shape) < 0.1, random.integers(0, 3, truth.shape), truth).astype(np.uint8)
    ids[:, :5] = 255
    return ids


def polygons_of(ids, folder, name="reference.gpkg"):
    found = rasterio.features.shapes(ids, connectivity=4, transform=TRANSFORM)
    return write_polygons(folder / name, [(shapely.geometry.shape(g), int(c)) for g, c in found], CLASSES, CRS)


def counted(mapped, truth):
    """Map in rows, reference in columns, by hand."""
    counts = np.zeros((3, 3), dtype=int)
    for one, two in zip(mapped.ravel().tolist(), truth.ravel().tolist(), strict=True):
        if one != 255 and two != 255:
            counts[one, two] += 1
    return counts


def test_polygons_are_compared_pixel_by_pixel(truth, mapped, tmp_path):
    result = assess_accuracy(
        write_map(tmp_path / "map.tif", mapped),
        polygons_of(truth, tmp_path),
        tmp_path / "out",
        ReferenceSettings(attribute="class"),
    )
    counts = counted(mapped, truth)
    np.testing.assert_array_equal(result.counts, counts)
    content = json.loads((tmp_path / "out" / "accuracy.json").read_text())
    assert content["overall_accuracy"] == pytest.approx(100 * np.trace(counts) / counts.sum())
    house = content["per_class"]["house"]
    assert house["users_accuracy"] == pytest.approx(100 * counts[1, 1] / counts[1].sum())
    assert house["producers_accuracy"] == pytest.approx(100 * counts[1, 1] / counts[:, 1].sum())
    assert house["F1"] == pytest.approx(200 * counts[1, 1] / (counts[1].sum() + counts[:, 1].sum()))
    assert house["mapped_hectares"] == pytest.approx((mapped == 1).sum() * 4 / 1e4)
    assert "estimated_share" not in house and content["kind"] == "area"
    with rasterio.open(tmp_path / "out" / "errors.tif") as file:
        errors = file.read(1)
        assert file.crs.to_epsg() == 32618 and file.transform == TRANSFORM and file.nodata == 0
    np.testing.assert_array_equal(errors, np.where(mapped == 255, 0, np.where(mapped == truth, 1, 2)))
    with open_class_map(tmp_path / "out" / "errors.tif") as opened:
        assert opened.id2label == {1: "right", 2: "wrong"}
    assert (tmp_path / "out" / "confusion_matrix.png").is_file()
    assert "| house |" in (tmp_path / "out" / "accuracy.md").read_text()


def test_rasters_with_values_of_their_own_and_ground_without_reference(truth, mapped, tmp_path):
    reference = truth + 10
    reference[:, 60:] = 255
    path = write_map(tmp_path / "reference.tif", reference, labels=None)
    values = {"land": ["10"], "house": ["11"], "lake": ["12"]}
    result = assess_accuracy(write_map(tmp_path / "map.tif", mapped), path, settings=ReferenceSettings(values))
    np.testing.assert_array_equal(result.counts, counted(mapped, np.where(reference == 255, 255, truth)))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["map.tif", "reference.tif"]  # nothing was written


def test_maps_of_a_folder_are_counted_as_one(truth, mapped, tmp_path):
    halves = {"west": np.where(np.arange(120) < 60, mapped, 255), "east": np.where(np.arange(120) >= 60, mapped, 255)}
    for name, ids in {**halves, "nothing": np.full_like(mapped, 255)}.items():
        write_map(tmp_path / "maps" / f"{name}.tif", np.where(ids == 255, 255, ids).astype(np.uint8))
        (tmp_path / "maps" / f"{name}.json").write_text("{}", encoding="utf-8")
    (tmp_path / "maps" / "nothing.tif").unlink()
    write_map(tmp_path / "maps" / "west_probabilities.tif", mapped)  # no map of classes: it has no sidecar
    reference = np.where(np.arange(120) < 60, truth, 255).astype(np.uint8)
    path = write_map(tmp_path / "reference.tif", reference)
    result = assess_accuracy(tmp_path / "maps", path, tmp_path / "out")
    np.testing.assert_array_equal(result.counts, counted(halves["west"], reference))
    assert result.warnings == ("the reference has no ground in common with east.tif",)
    assert [error.name for error in (tmp_path / "out" / "errors").iterdir()] == ["west.tif"]

    both = assess_accuracy(tmp_path / "maps", write_map(tmp_path / "truth.tif", truth), tmp_path / "out")
    np.testing.assert_array_equal(both.counts, counted(mapped, truth))
    assert both.mapped_pixels.sum() == (mapped != 255).sum() and both.square_metres == 4 * (mapped != 255).sum()
    content = json.loads((tmp_path / "out" / "accuracy.json").read_text(encoding="utf-8"))
    assert content["error_map"] == "errors" and content["map"] == str(tmp_path / "maps")


def test_folders_of_maps_that_cannot_be_assessed_together(truth, tmp_path):
    reference = write_map(tmp_path / "reference.tif", truth)
    folder = tmp_path / "maps"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="maps holds no map of s5-hf predict"):
        assess_accuracy(folder, reference)
    for name, labels in (("a", CLASSES), ("b", ("land", "house", "sea"))):
        write_map(folder / f"{name}.tif", truth, labels=labels)
        (folder / f"{name}.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"b.tif has the classes land, house, sea, .*a.tif has land, house, lake"):
        assess_accuracy(folder, reference)
    (tmp_path / "points.csv").write_text("x,y,reference\n583001,4507999,land\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"points.csv holds points, a sample of one map, .*s5-hf mosaic"):
        assess_accuracy(folder, tmp_path / "points.csv", tmp_path / "out")
    with pytest.raises(ValueError, match="no ground in common with any of the 2 maps"):
        for name in "ab":
            write_map(folder / f"{name}.tif", np.where(np.arange(120) < 60, truth, 255).astype(np.uint8))
        east = np.where(np.arange(120) < 60, 255, truth).astype(np.uint8)
        assess_accuracy(folder, write_map(tmp_path / "east.tif", east), tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_maps_without_crs_and_names_are_compared_with_a_raster_of_any_name(truth, mapped, tmp_path):
    class_map = write_map(tmp_path / "map.tif", mapped, crs=None, labels=None)
    result = assess_accuracy(class_map, write_map(tmp_path / "truth.tif", truth, crs=None, labels=None))
    np.testing.assert_array_equal(result.counts, counted(mapped, truth))
    assert result.classes == ("class 0", "class 1", "class 2") and result.square_metres is None


def fill_in(points, truth):
    """What a person does: the class on the ground for every point of a CSV file."""
    with points.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        column, line = ~TRANSFORM * (float(row["x"]), float(row["y"]))
        assert column % 1 == pytest.approx(0.5) and line % 1 == pytest.approx(0.5)
        row["reference"] = CLASSES[truth[int(line), int(column)]]
    with points.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_points_drawn_filled_in_and_assessed(truth, mapped, tmp_path):
    class_map = write_map(tmp_path / "map.tif", mapped)
    sample = sample_points(class_map, tmp_path / "points.csv", count=200, minimum=40, seed=3)
    assert sum(sample.points.values()) == 200 and min(sample.points.values()) >= 40
    assert sample.pixels == {name: (mapped == index).sum() for index, name in enumerate(CLASSES)}
    rows = fill_in(tmp_path / "points.csv", truth)
    assert len({(row["x"], row["y"]) for row in rows}) == 200
    result = assess_accuracy(class_map, tmp_path / "points.csv", tmp_path / "out")
    expected = np.zeros((3, 3), dtype=int)
    for row in rows:
        column, line = (int(value) for value in ~TRANSFORM * (float(row["x"]), float(row["y"])))
        expected[mapped[line, column], truth[line, column]] += 1
    np.testing.assert_array_equal(result.counts, expected)
    assert dict(zip(CLASSES, expected.sum(axis=1).tolist(), strict=True)) == sample.points
    found = estimate_from_sample(expected, np.array([(mapped == c).sum() for c in range(3)]))
    lake = json.loads((tmp_path / "out" / "accuracy.json").read_text())["per_class"]["lake"]
    total = (mapped != 255).sum() * 4 / 1e4
    assert lake["estimated_hectares"] == pytest.approx(total * found.areas[2])
    assert lake["hectares_margin"] == pytest.approx(total * 1.96 * found.areas_error[2])
    real = (truth[mapped != 255] == 2).sum() * 4 / 1e4
    assert abs(lake["estimated_hectares"] - real) < 2 * lake["hectares_margin"]
    assert not (tmp_path / "out" / "errors.tif").exists()


def test_the_same_points_as_geopackage_and_in_degrees(truth, mapped, tmp_path):
    class_map = write_map(tmp_path / "map.tif", mapped)
    options = {"count": 150, "minimum": 20, "seed": 1}
    sample_points(class_map, tmp_path / "points.csv", **options)
    sample_points(class_map, tmp_path / "points.gpkg", **options)
    rows = fill_in(tmp_path / "points.csv", truth)
    metadata, _, geometry, _ = pyogrio.raw.read(tmp_path / "points.gpkg")
    assert metadata["crs"] == CRS and metadata["fields"].tolist()[-1] == "reference"
    places = shapely.get_coordinates(shapely.from_wkb(geometry))
    np.testing.assert_allclose(places, [[float(row["x"]), float(row["y"])] for row in rows])
    result = assess_accuracy(class_map, tmp_path / "points.csv")
    with pytest.raises(ValueError, match=r"no point of .*points\.gpkg has a reference"):
        assess_accuracy(class_map, tmp_path / "points.gpkg")
    seen = np.array([row["reference"] for row in rows], dtype=object)
    pyogrio.raw.write(
        tmp_path / "seen.gpkg",
        geometry,
        [seen],
        np.array(["reference"]),
        geometry_type="Point",
        crs=CRS,
        driver="GPKG",
    )
    np.testing.assert_array_equal(assess_accuracy(class_map, tmp_path / "seen.gpkg").counts, result.counts)
    with (tmp_path / "degrees.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["lon", "lat", "seen"])
        writer.writerows([row["longitude"], row["latitude"], row["reference"]] for row in rows)
    degrees = assess_accuracy(class_map, tmp_path / "degrees.csv", settings=ReferenceSettings(attribute="seen"))
    np.testing.assert_array_equal(degrees.counts, result.counts)


def test_points_that_do_not_count_are_named(truth, mapped, tmp_path):
    class_map = write_map(tmp_path / "map.tif", mapped)
    sample_points(class_map, tmp_path / "points.csv", count=90, minimum=30)
    rows = fill_in(tmp_path / "points.csv", truth)
    text = (tmp_path / "points.csv").read_text()
    with pytest.raises(ValueError, match=r"no class of the map: pond \(1\); classes: land, house, lake"):
        (tmp_path / "bad.csv").write_text(text + "91,583020,4507980,0,0,pond\n")
        assess_accuracy(class_map, tmp_path / "bad.csv")
    (tmp_path / "some.csv").write_text(text + "91,0,0,0,0,land\n92,583020,4507980,0,0,\n")
    warnings = assess_accuracy(class_map, tmp_path / "some.csv").warnings
    assert warnings[0] == "1 of 92 points have no reference yet and are left out"
    assert warnings[1] == "1 of 91 points lie outside of the map or where it holds no data"
    only_land = [row for row in rows if row["reference"] == "land"][:5]
    (tmp_path / "few.csv").write_text("x,y,reference\n" + "".join(f"{r['x']},{r['y']},land\n" for r in only_land))
    assert any("the estimates leave it out" in w for w in assess_accuracy(class_map, tmp_path / "few.csv").warnings)
    perfect = assess_accuracy(write_map(tmp_path / "perfect.tif", truth), tmp_path / "points.csv")
    assert [w for w in perfect.warnings if "points on lake are of one class" in w and "up to about" in w]
    (tmp_path / "none.csv").write_text("x,y,reference\n1,2,\n")
    with pytest.raises(ValueError, match=r"no point of .*none\.csv has a reference"):
        assess_accuracy(class_map, tmp_path / "none.csv")
    (tmp_path / "odd.csv").write_text("east,north\n1,2\n")
    with pytest.raises(ValueError, match=r"has the columns east, north; expected x and y"):
        assess_accuracy(class_map, tmp_path / "odd.csv")
    with pytest.raises(FileNotFoundError, match="there is no reference"):
        assess_accuracy(class_map, tmp_path / "missing.csv")


def test_points_are_shared_out_in_proportion_with_a_minimum():
    assert allocate({0: 800, 1: 200}, 100, 10) == {0: 80, 1: 20}
    assert allocate({0: 10_000, 1: 90, 2: 10}, 300, 30) == {0: 260, 1: 30, 2: 10}
    assert allocate({3: 5, 7: 5, 9: 5}, 8, 1) == {3: 3, 7: 3, 9: 2}
    for pixels, count, minimum in (({0: 100, 1: 100}, 50, 30), ({0: 5}, 6, 1)):
        with pytest.raises(ValueError, match="cannot be shared out"):
            allocate(pixels, count, minimum)


def test_the_sample_is_uniform_within_a_class_and_follows_the_seed(tmp_path):
    ids = np.zeros((40, 50), dtype=np.uint8)
    ids[:, 40:] = 1
    class_map = write_map(tmp_path / "map.tif", ids)
    rows = []
    for seed in range(30):
        sample_points(class_map, tmp_path / "points.csv", count=100, minimum=20, seed=seed)
        rows += [float(line.split(",")[2]) for line in (tmp_path / "points.csv").read_text().splitlines()[1:]]
    line = (4_508_000 - np.array(rows)) / 2
    assert abs(line.mean() - 20) < 0.6 and np.histogram(line, 4, (0, 40))[0].min() > 640
    last = (tmp_path / "points.csv").read_bytes()
    sample_points(class_map, tmp_path / "points.csv", count=100, minimum=20, seed=29)
    assert (tmp_path / "points.csv").read_bytes() == last


def test_the_commands(truth, mapped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_map(tmp_path / "map.tif", mapped)
    polygons_of(truth, tmp_path)
    run = CliRunner().invoke(app, ["sample-points", "map.tif", "--count", "90"], catch_exceptions=False)
    assert run.exit_code == 0 and "points: points.gpkg" in run.output
    words = ["accuracy", "map.tif", "reference.gpkg", "--attribute", "class"]
    run = CliRunner().invoke(app, words, catch_exceptions=False)
    assert run.exit_code == 0 and "report: accuracy" in run.output
    assert json.loads((tmp_path / "accuracy/accuracy.json").read_text())["compared"] == (mapped != 255).sum()
