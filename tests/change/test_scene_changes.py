"""Changes in scenes: one object for several windows, grids brought together, missing data, resuming, bad input."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from s5_hf.change import MaskCompareIdentify, find_scene_changes
from s5_hf.change.object_merging import merge_objects, objects_of_window
from s5_hf.change.search import Changes
from s5_hf.change.superpixels import segments_as_masks
from s5_hf.change.window_journal import WindowJournal
from s5_hf.cli import app
from s5_hf.imaging.windows import Window
from s5_hf.scenes.viewer import write_viewer
from tests.change.parts import Colors, RedRegions, Roofs, pair

rasterio = pytest.importorskip("rasterio", reason="scenes with coordinates need the extra geo")

BOXES = ((4, 4, 20, 20), (25, 10, 75, 22), (60, 40, 90, 95), (2, 90, 8, 96))
SEARCH = MaskCompareIdentify(RedRegions(), Colors(), Roofs())


def write_scene(path, pixels, left=500_000.0, top=4_500_000.0, crs="EPSG:32618", step=1.0, **options):
    transform = rasterio.transform.from_origin(left, top, step, step)
    height, width, count = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": "uint8", **options}
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


@pytest.fixture
def scenes(tmp_path):
    before, after, truth = pair(side=100, boxes=BOXES)
    return write_scene(tmp_path / "before.tif", before), write_scene(tmp_path / "after.tif", after), truth


def map_of(result):
    with rasterio.open(result.maps["roof"]) as file:
        return file.read(1)


@pytest.mark.parametrize(("window", "overlap"), [(100, 0.0), (40, 0.25), (33, 0.5), (64, 0.1)])
def test_windows_of_any_size_find_each_object_once(scenes, tmp_path, window, overlap):
    before, after, truth = scenes
    result = find_scene_changes(SEARCH, before, after, tmp_path / "out", window=window, overlap=overlap)
    np.testing.assert_array_equal(map_of(result), truth)
    assert result.objects == {"roof": len(BOXES)}
    assert {area.label: area.pixels for area in result.areas["roof"]} == {
        "unchanged": int((~truth).sum()),
        "roof came": int(truth.sum()),
        "roof gone": 0,
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "after_roof_change.json",
        "after_roof_change.tif",
    ]


def test_what_went_has_its_own_value_and_polygons_say_what_was_there(scenes, tmp_path):
    pyogrio = pytest.importorskip("pyogrio", reason="GeoPackage needs the extra geo")
    after, before, truth = scenes
    result = find_scene_changes(
        SEARCH, before, after, tmp_path / "out", window=40, polygons=".gpkg", dates=("2019-05-01", "2024")
    )
    np.testing.assert_array_equal(map_of(result), truth * 2)
    meta, _, _, columns = pyogrio.raw.read(result.polygons)
    fields = dict(zip(meta["fields"], columns, strict=True))
    assert meta["crs"] == "EPSG:32618"
    assert sorted(fields["area"]) == sorted((right - left) * (low - up) for left, up, right, low in BOXES)
    assert set(fields["class_before"]) == {"roof"}
    assert set(fields["class_after"]) == {"background"}
    assert set(fields["date_before"]) == {"2019-05-01"}
    assert set(fields["date_after"]) == {"2024"}


def test_a_second_scene_on_another_grid_is_resampled_and_what_it_lacks_holds_no_data(scenes, tmp_path):
    before, _, truth = scenes
    after = pair(side=100, boxes=BOXES)[1][:, 30:]
    shifted = write_scene(tmp_path / "shifted.tif", after, left=500_030.0)
    lines = []
    result = find_scene_changes(SEARCH, before, shifted, tmp_path / "out", window=40, report=lines.append)
    assert any("shifted.tif lies on another grid than" in line for line in lines)
    page = write_viewer(result.maps["roof"]).path.read_text(encoding="utf-8")
    assert 'id="before"' in page and "before.tif and shifted.tif" in page
    found = map_of(result)
    assert (found[:, :30] == 255).all()
    np.testing.assert_array_equal(found[:, 30:], truth[:, 30:])


def test_pixels_without_data_at_either_date_stay_so(scenes, tmp_path):
    before, _, truth = scenes
    pixels = pair(side=100, boxes=BOXES)[1]
    pixels[30:50] = 0
    after = write_scene(tmp_path / "gap.tif", pixels, nodata=0)
    found = map_of(find_scene_changes(SEARCH, before, after, tmp_path / "out", window=50))
    assert (found[30:50] == 255).all()
    np.testing.assert_array_equal(found[:30], truth[:30])
    np.testing.assert_array_equal(found[50:], truth[50:])


class StopsAfter:
    """Searches a number of windows, then fails as a crash would."""

    labels = Roofs().labels

    def __init__(self, windows):
        self.left, self.searched = windows, 0

    def find(self, before, after):
        if self.searched == self.left:
            raise KeyboardInterrupt
        self.searched += 1
        return SEARCH.find(before, after)


def test_an_interrupted_search_resumes_after_the_finished_windows(scenes, tmp_path):
    before, after, truth = scenes
    options = {"window": 40, "overlap": 0.25}
    with pytest.raises(KeyboardInterrupt):
        find_scene_changes(StopsAfter(4), before, after, tmp_path / "out", **options)
    with pytest.raises(FileExistsError, match="--resume"):
        find_scene_changes(SEARCH, before, after, tmp_path / "out", **options)
    rest = StopsAfter(99)
    result = find_scene_changes(rest, before, after, tmp_path / "out", resume=True, **options)
    np.testing.assert_array_equal(map_of(result), truth)
    assert rest.searched == 9 - 4
    with pytest.raises(FileExistsError, match="exists already"):
        find_scene_changes(SEARCH, before, after, tmp_path / "out", **options)
    again = find_scene_changes(SEARCH, before, after, tmp_path / "out", overwrite=True, **options)
    np.testing.assert_array_equal(map_of(again), truth)


def test_work_of_other_settings_is_not_resumed(scenes, tmp_path):
    before, after, _ = scenes
    with pytest.raises(KeyboardInterrupt):
        find_scene_changes(StopsAfter(4), before, after, tmp_path / "out", window=40, name="first")
    other = StopsAfter(99)
    find_scene_changes(other, before, after, tmp_path / "out", window=40, name="second", resume=True)
    assert other.searched == 9


def test_a_journal_gives_back_what_it_was_given(tmp_path):
    journal = WindowJournal(tmp_path / "work", "a")
    none = Changes(segments_as_masks(np.full((5, 6), -1)), *(np.zeros(0, dtype=int),) * 2, *(np.zeros(0),) * 2)
    some = SEARCH.find(*pair()[:2])
    for index, changes in enumerate((none, some)):
        journal.add(index, changes)
        stored = journal.changes(index)
        np.testing.assert_array_equal(stored.masks.planes(), changes.masks.planes())
        for name in ("classes_before", "classes_after", "angles", "confidences"):
            np.testing.assert_array_equal(getattr(stored, name), getattr(changes, name))


def test_windows_that_disagree_keep_their_objects_apart():
    left, right = Window(0, 0, 10, 10), Window(6, 0, 16, 10)
    wide = np.zeros((10, 10), dtype=bool)
    wide[2:5, 4:10] = True  # columns 4 to 9 of the scene
    other = np.zeros((10, 10), dtype=bool)
    other[7:9, 0:3] = True
    objects = [_object(left, wide), _object(right, other)]
    assert len(merge_objects(objects)[0]) == 2
    same = np.zeros((10, 10), dtype=bool)
    same[2:5, 0:7] = True  # columns 6 to 12
    merged, waiting = merge_objects([_object(left, wide), _object(right, same)])
    assert [(*found.box,) for found in merged] == [(4, 2, 13, 5)]
    assert waiting == []
    for next_top, count in ((4, 0), (5, 1)):  # the last row of the object is 4
        finished, waiting = merge_objects([_object(left, wide)], next_top)
        assert (len(finished), len(waiting)) == (count, 1 - count)


def _object(window, plane):
    masks = segments_as_masks(np.where(plane, 0, -1))
    changes = Changes(masks, np.zeros(1, dtype=int), np.ones(1, dtype=int), np.full(1, 90.0), np.ones(1))
    return objects_of_window(changes, window, np.ones_like(plane))[0]


def test_pairs_that_cannot_be_compared_are_refused_and_nothing_is_left(scenes, tmp_path):
    before, after, _ = scenes
    pixels = pair(side=100)[0]
    far = write_scene(tmp_path / "far.tif", pixels, left=900_000.0)
    Image.fromarray(pixels[:50]).save(tmp_path / "plain.png")
    output = tmp_path / "out"
    for second, message in (
        (before, "are the same file"),
        (far, "do not overlap"),
        (tmp_path / "plain.png", "without CRS must have one size"),
    ):
        with pytest.raises(ValueError, match=message):
            find_scene_changes(SEARCH, before, second, output)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.tif"):
        find_scene_changes(SEARCH, before, tmp_path / "nowhere.tif", output)
    with pytest.raises(ValueError, match="overlap"):
        find_scene_changes(SEARCH, before, after, output, overlap=1.0)
    with pytest.raises(ValueError, match=r"\.geojson or \.gpkg"):
        find_scene_changes(SEARCH, before, after, output, polygons=".shp")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="expected a folder"):
        find_scene_changes(SEARCH, before, after, tmp_path / "file")
    assert not output.exists()


def test_the_command_says_in_one_line_what_is_wrong(scenes, tmp_path):
    before, after, _ = scenes
    common = [str(before), str(after), str(tmp_path / "out"), "--classes", "roof"]
    for words, message in (
        (["--least-angle", "wide"], "degrees or otsu"),
        (["--dates", "2019"], "two dates"),
        (["--pipeline", "abc"], "mci, imc"),
        (["--features", str(tmp_path / "none")], "there is no model folder"),
    ):
        shown = CliRunner().invoke(app, ["change", *common, *words])
        assert shown.exit_code != 0
        assert message in " ".join(f"{shown.output} {shown.exception}".replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_a_shifted_second_scene_is_reported_and_moved_back_if_wanted(tmp_path):
    before, after, truth = pair(side=100, boxes=BOXES)
    first = write_scene(tmp_path / "before.tif", before)
    second = write_scene(tmp_path / "after.tif", np.roll(after, (4, -3), axis=(0, 1)))
    found = find_scene_changes(SEARCH, first, second, tmp_path / "raw")
    assert any("after.tif is shifted by -3.0 columns and +4.0 rows against" in line for line in found.notes)
    assert not np.array_equal(map_of(found), truth)
    aligned = find_scene_changes(SEARCH, first, second, tmp_path / "aligned", align=True)
    assert any("is moved back" in line for line in aligned.notes)
    ids = map_of(aligned)
    assert (ids[96:] == 255).all() and (ids[:, :3] == 255).all()
    np.testing.assert_array_equal(ids[:80, 8:], truth[:80, 8:])
