"""The page to look at a scene and its class map: what it holds, and how it behaves in a real browser."""

import base64
import html
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.scenes.class_maps import sidecar_path
from s5_hf.scenes.reduction import reduction_factor
from s5_hf.scenes.viewer.page import area_unit
from s5_hf.scenes.viewer.write import write_viewer

from .browsing import with_script

IMAGE_COLOR = (200, 60, 40)
PALETTE = [(0, 90, 200), (30, 160, 60), (240, 220, 20)]
LABELS = {"0": "field & <meadow>", "1": "wood", "2": "lake"}
WIDTH, HEIGHT = 120, 80


def write_scene(folder: Path) -> Path:
    """A scene of one colour, and its class map: field above, wood below, a corner without data, no lake."""
    Image.new("RGB", (WIDTH, HEIGHT), IMAGE_COLOR).save(folder / "scene.png")
    ids = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    ids[HEIGHT // 2 :] = 1
    ids[:10, 110:] = 255
    Image.fromarray(ids).save(folder / "map.png")
    sidecar = {
        "format": "s5_hf scene result 1",
        "source": "scene.png",
        "source_bands": [1, 2, 3],
        "task": "farms",
        "id2label": LABELS,
        "palette": PALETTE,
        "nodata": 255,
    }
    sidecar_path(folder / "map.png").write_text(json.dumps(sidecar), encoding="utf-8")
    return folder / "map.png"


def embedded(page: str) -> tuple[Image.Image, Image.Image, dict]:
    """The pictures of scene and classes, and the data of a page."""
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    sources = [re.search(r'<img id="image" alt="" src="([^"]*)"', page)[1], data["maps"][0]["classes"]]
    pictures = [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]
    return pictures[0], pictures[1], data


def table_of(page: str) -> list[list[str]]:
    """The cells of the table."""
    body = re.search(r"<tbody>(.*)</tbody>", page)[1]
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", body)]
    return [[html.unescape(re.sub("<[^>]*>", "", cell)) for cell in row] for row in cells]


def test_page_holds_image_classes_and_areas(tmp_path):
    report = write_viewer(write_scene(tmp_path))
    assert report.path == tmp_path / "map.html" and report.factor == 1
    page = report.path.read_text(encoding="utf-8")
    assert report.size == len(page.encode())
    image, classes, data = embedded(page)
    assert image.size == (WIDTH, HEIGHT)
    assert np.abs(np.asarray(image).astype(int) - IMAGE_COLOR).max() <= 4
    numbers = np.asarray(classes)
    assert numbers[0, 0] == 1 and numbers[-1, 0] == 2 and numbers[0, -1] == 0
    assert data["labels"] == list(LABELS.values()) and data["colors"] == [list(color) for color in PALETTE]
    assert table_of(page) == [
        ["field & <meadow>", "49.5%", "4,700"],
        ["wood", "50.5%", "4,800"],
        ["lake", "0.0%", "0"],
    ]
    assert "full resolution" in page and "task farms" in page


def test_page_asks_for_nothing_from_elsewhere(tmp_path):
    page = write_viewer(write_scene(tmp_path)).path.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", page)
    assert {source[:5] for source in re.findall(r'(?:src|href)="([^"]*)"', page)} == {"data:"}


def test_names_cannot_become_markup(tmp_path):
    path = write_scene(tmp_path)
    sidecar = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
    sidecar["id2label"]["2"] = "</script><script>alert(1)</script>"
    sidecar_path(path).write_text(json.dumps(sidecar), encoding="utf-8")
    page = write_viewer(path, title="<b>bold</b>").path.read_text(encoding="utf-8")
    assert "<script>alert" not in page and "<b>bold" not in page
    assert embedded(page)[2]["labels"][2] == "</script><script>alert(1)</script>"


def test_large_scenes_are_reduced_and_say_so(tmp_path):
    rows, columns = np.mgrid[:130, :201]
    Image.fromarray(np.stack([columns, rows, rows * 0], axis=-1).astype(np.uint8)).save(tmp_path / "scene.png")
    ids = (columns // 50).astype(np.uint8)
    ids[::4, ::4] = 9  # one pixel of sixteen: counted, but nowhere the commonest
    Image.fromarray(ids).save(tmp_path / "map.png")
    report = write_viewer(tmp_path / "map.png", tmp_path / "page.html", tmp_path / "scene.png", max_size=64)
    assert report.factor == 4
    page = report.path.read_text(encoding="utf-8")
    image, classes, _ = embedded(page)
    assert image.size == classes.size == (51, 33)
    assert image.getpixel((10, 2)) == pytest.approx((41.5, 9.5, 0), abs=6)
    assert np.asarray(classes)[5].tolist() == [1] * 12 + [2] * 13 + [3] * 12 + [4] * 13 + [5]
    assert "one pixel stands for 4 x 4" in page
    assert table_of(page)[-1] == ["class 9", "6.4%", f"{33 * 51:,}"]


def test_areas_of_a_geotiff_are_square_metres(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason='GeoTIFF needs "s5_hf[geo]"')
    write_scene(tmp_path)
    ids = np.asarray(Image.open(tmp_path / "map.png"))
    profile = {"width": WIDTH, "height": HEIGHT, "count": 1, "dtype": "uint8", "crs": "EPSG:32633", "nodata": 255}
    with rasterio.open(
        tmp_path / "geo.tif", "w", driver="GTiff", transform=rasterio.Affine(5, 0, 4e5, 0, -5, 5e6), **profile
    ) as dataset:
        dataset.write(ids, 1)
        dataset.write_colormap(1, dict(enumerate(PALETTE)))
        dataset.update_tags(S5_ID2LABEL=json.dumps(LABELS), S5_SOURCE="scene.png")
    page = write_viewer(tmp_path / "geo.tif").path.read_text(encoding="utf-8")
    assert [row[2] for row in table_of(page)] == ["11.8", "12.0", "0.0"] and '<th scope="col">ha</th>' in page
    data = embedded(page)[2]
    assert data["metresPerPixel"] == pytest.approx(5) and data["colors"] == [list(color) for color in PALETTE]
    assert data["transform"] == [5, 0, 4e5, 0, -5, 5e6] and "EPSG:32633" in page


def test_units_and_factors():
    assert area_unit([None, None])[0] == "Pixels"
    assert [area_unit([value, 1.0])[0] for value in (5.0, 99_999.0, 100_000.0, 9.9e6, 1e7)] == [
        "m²",
        "m²",
        "ha",
        "ha",
        "km²",
    ]
    assert [reduction_factor(100, side, 64) for side in (1, 64, 128, 129)] == [2, 2, 2, 3]


def test_bad_requests(tmp_path):
    path = write_scene(tmp_path)
    Image.new("RGB", (WIDTH, HEIGHT - 1)).save(tmp_path / "other.png")
    with pytest.raises(ValueError, match=r"other\.png has 120 x 79 pixels, the class map .*map\.png 120 x 80"):
        write_viewer(path, image=tmp_path / "other.png")
    with pytest.raises(FileNotFoundError, match=r"no class map .*absent\.tif"):
        write_viewer(tmp_path / "absent.tif")
    with pytest.raises(ValueError, match=r"scene\.png is not a class map: it is a RGB picture"):
        write_viewer(tmp_path / "scene.png")
    with pytest.raises(ValueError, match="max_size must lie between 64 and 16384 pixels, got 10"):
        write_viewer(path, max_size=10)
    (tmp_path / "scene.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"scene\.png, the scene that .*map\.png was made from, is not there"):
        write_viewer(path)
    sidecar_path(path).unlink()
    with pytest.raises(ValueError, match="does not say which scene it was made from; give the image"):
        write_viewer(path)
    assert not list(tmp_path.glob("*.html")) and not list(tmp_path.glob(".*"))


def test_command(tmp_path):
    path = write_scene(tmp_path)
    arguments = ["view", str(path), "--output", str(tmp_path / "a.html"), "--title", "My farms", "--bands", "3,2,1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "a.html" in result.output and "in full" in result.output
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<h1>My farms</h1>" in page
    assert embedded(page)[0].getpixel((60, 40)) == pytest.approx(IMAGE_COLOR[::-1], abs=4)
    result = CliRunner().invoke(app, ["view", str(path), "--bands", "red"])
    assert result.exit_code == 2 and "--bands takes whole numbers from 1" in result.output


# What a user does, as events; afterwards the page holds what was seen after each step.
_ACTIONS = r"""
const stage = document.getElementById("stage"), divider = document.getElementById("divider");
stage.setPointerCapture = () => {};  // a made-up pointer cannot be captured
const seen = {};
const note = name => {
  seen[name] = {
    clip: document.getElementById("classes-layer").style.clipPath,
    opacity: document.getElementById("classes-layer").style.opacity,
    divider: divider.getAttribute("aria-valuenow"),
    readout: document.getElementById("readout").textContent,
    transforms: [...document.querySelectorAll(".world")].map(world => {
      const matrix = new DOMMatrix(getComputedStyle(world).transform);
      return [matrix.a, matrix.e, matrix.f];
    }),
    pixel: [...document.getElementById("classes").getContext("2d").getImageData(60, 70, 1, 1).data],
  };
};
const point = (target, kind, x, y, id = 1) => target.dispatchEvent(new PointerEvent(kind, {
  bubbles: true, cancelable: true, pointerId: id, clientX: x, clientY: y, button: kind === "pointermove" ? -1 : 0 }));
const key = (target, name) => target.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
const act = () => {
  const width = stage.clientWidth, height = stage.clientHeight;
  seen.size = [width, height];
  note("start");
  point(divider, "pointerdown", width / 2, 100);
  point(stage, "pointermove", width / 4, 100);
  point(stage, "pointerup", width / 4, 100);
  note("dragged divider");
  key(divider, "ArrowRight"); note("arrow on divider");
  key(divider, "End"); note("end on divider");
  key(divider, "Home"); note("home on divider");
  stage.dispatchEvent(new WheelEvent("wheel", { deltaY: -200, clientX: 200, clientY: 150, cancelable: true }));
  note("wheel");
  point(stage, "pointerdown", 300, 200);
  point(stage, "pointermove", 330, 180);
  point(stage, "pointerup", 330, 180);
  note("dragged");
  key(stage, "ArrowRight"); note("arrow");
  key(stage, "0"); note("fit");
  point(stage, "pointerdown", 200, 200, 1);
  point(stage, "pointerdown", 300, 200, 2);
  point(stage, "pointermove", 400, 200, 2);
  point(stage, "pointerup", 400, 200, 2);
  point(stage, "pointerup", 200, 200, 1);
  note("pinch");
  document.getElementById("fit").click();
  document.getElementById("zoom-in").click(); note("button");
  document.getElementById("fit").click();
  point(stage, "pointermove", width / 2, height / 2 + 20); note("hover");
  const opacity = document.getElementById("opacity");
  opacity.value = 30; opacity.dispatchEvent(new Event("input")); note("opacity");
  document.querySelectorAll("input[data-class]")[1].click(); note("hidden class");
  document.body.dataset.seen = JSON.stringify(seen);
};
const wait = setInterval(() => { if (document.body.dataset.ready) { clearInterval(wait); act(); } }, 20);
"""


def test_behaviour_in_a_browser(tmp_path, browser):
    page = write_viewer(write_scene(tmp_path)).path
    dom = browser(with_script(page, _ACTIONS), "--dump-dom")
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found, "the page never became ready"
    seen = json.loads(html.unescape(found[1]))
    width, height = seen.pop("size")
    for state in seen.values():
        assert state["transforms"][0] == pytest.approx(state["transforms"][1])  # image and classes move together

    scale = min(width / WIDTH, height / HEIGHT)
    fitted = pytest.approx([scale, (width - WIDTH * scale) / 2, (height - HEIGHT * scale) / 2], abs=0.01)
    assert seen["start"]["transforms"][0] == fitted
    assert seen["start"]["clip"] == "inset(0px 0px 0px 50%)" and seen["start"]["opacity"] == "0.75"

    left = {name: float(re.search(r"([\d.]+)%\)", state["clip"])[1]) for name, state in seen.items()}
    assert left["dragged divider"] == pytest.approx(25, abs=0.2)
    assert left["arrow on divider"] == pytest.approx(27, abs=0.2) and seen["arrow on divider"]["divider"] == "27"
    assert left["end on divider"] == 100 and left["home on divider"] == 0
    assert seen["home on divider"]["transforms"][0] == fitted  # its keys move nothing else

    def scene_point(name: str, x: float, y: float) -> list[float]:
        scale, dx, dy = seen[name]["transforms"][0]
        return [(x - dx) / scale, (y - dy) / scale]

    assert seen["wheel"]["transforms"][0][0] == pytest.approx(scale * np.exp(200 / 500), rel=1e-4)
    assert scene_point("wheel", 200, 150) == pytest.approx(scene_point("start", 200, 150), abs=0.01)
    assert scene_point("dragged", 330, 180) == pytest.approx(scene_point("wheel", 300, 200), abs=0.01)
    assert scene_point("arrow", 300, 300) == pytest.approx(scene_point("dragged", 360, 300), abs=0.01)
    assert seen["fit"]["transforms"][0] == fitted
    assert seen["pinch"]["transforms"][0][0] == pytest.approx(2 * scale, rel=1e-4)
    assert seen["button"]["transforms"][0][0] == pytest.approx(1.4 * scale, rel=1e-4)

    assert seen["hover"]["readout"] == f"wood · x 60, y {int(40 + 20 / scale)}"
    assert seen["opacity"]["opacity"] == "0.3"
    assert seen["opacity"]["pixel"] == [*PALETTE[1], 255] and seen["hidden class"]["pixel"][3] == 0


def test_screenshot_shows_image_left_and_classes_right(tmp_path, browser):
    page = write_viewer(write_scene(tmp_path)).path
    opaque = with_script(page, "opacity.value = 100; opacity.dispatchEvent(new Event('input'))")
    browser(opaque, f"--screenshot={tmp_path / 'page.png'}")
    with Image.open(tmp_path / "page.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # The stage takes what the panel of 21 rem leaves; the scene fills its width, in the middle of its height.
    stage_width, stage_height = 1000 - 21 * 16, pixels.shape[0]
    middle, upper, lower = stage_width // 2, stage_height // 2 - 120, stage_height // 2 + 120
    for row in (upper, lower):
        assert np.abs(pixels[row, 60 : middle - 40] - IMAGE_COLOR).max() <= 6
    assert np.abs(pixels[upper, middle + 40 : stage_width - 60] - PALETTE[0]).max() <= 2
    assert np.abs(pixels[lower, middle + 40 : stage_width - 60] - PALETTE[1]).max() <= 2


def write_reference(folder: Path) -> Path:
    """What is right: field everywhere except a lake in the left quarter; other ids than the map's; a strip unknown."""
    ids = np.full((HEIGHT, WIDTH), 4, dtype=np.uint8)
    ids[:, : WIDTH // 4] = 7
    ids[:, -20:] = 255
    Image.fromarray(ids).save(folder / "truth.png")
    sidecar = {"format": "s5_hf scene result 1", "id2label": {"4": LABELS["0"], "7": "pond"}, "nodata": 255}
    sidecar_path(folder / "truth.png").write_text(json.dumps(sidecar), encoding="utf-8")
    return folder / "truth.png"


def test_several_maps_share_one_table_and_errors_are_found_by_name(tmp_path):
    report = write_viewer(write_scene(tmp_path), others=[tmp_path / "map.png"], reference=write_reference(tmp_path))
    data = embedded(report.path.read_text(encoding="utf-8"))[2]
    assert data["labels"] == [*LABELS.values(), "pond"]
    assert [entry["name"] for entry in data["maps"]] == ["map.png", "map.png", "truth.png"]

    def numbers(entry: dict) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(entry["classes"].partition(",")[2]))))

    assert numbers(data["maps"][2])[0, [0, 50, -1]].tolist() == [4, 1, 0]
    errors = numbers(data["errors"])
    expected = np.full((HEIGHT, WIDTH), 1)
    expected[HEIGHT // 2 :] = 2  # wood in place of field
    expected[:, : WIDTH // 4] = 2  # no pond
    expected[:, -20:] = 0
    np.testing.assert_array_equal(errors, expected)
    assert data["errors"]["name"] == f"Errors ({(30 * 80 + 70 * 40) / (100 * 80):.1%})"


def test_maps_of_other_sizes_are_refused(tmp_path):
    path = write_scene(tmp_path)
    Image.new("L", (WIDTH, HEIGHT + 1)).save(tmp_path / "tall.png")
    with pytest.raises(ValueError, match=r"tall\.png has 120 x 81 pixels, the class map .*map\.png 120 x 80"):
        write_viewer(path, reference=tmp_path / "tall.png")
    with pytest.raises(FileNotFoundError, match=r"no class map .*absent\.png"):
        write_viewer(path, others=[tmp_path / "absent.png"])
    assert not list(tmp_path.glob("*.html"))


_CHOICE = """
const wait = setInterval(() => { if (document.body.dataset.ready) { clearInterval(wait);
  for (const [side, entry] of [["left", 1], ["right", 2]]) {
    const list = document.getElementById(`${side}-map`);
    list.value = entry;
    list.dispatchEvent(new Event("change"));
  }
  const opacity = document.getElementById("opacity");
  opacity.value = 100; opacity.dispatchEvent(new Event("input"));
  const stage = document.getElementById("stage");
  stage.dispatchEvent(new PointerEvent("pointermove", { clientX: 30, clientY: stage.clientHeight / 2 - 30 }));
} }, 20);
"""


def test_two_maps_side_by_side_in_a_browser(tmp_path, browser):
    page = write_viewer(write_scene(tmp_path), reference=write_reference(tmp_path)).path
    tried = with_script(page, _CHOICE)
    dom = browser(tried, "--dump-dom")
    titles = re.findall(r'<i class="side (?:left|right)">(.*?)</i>', dom)
    assert titles == ["truth.png", "Errors (65.0%)"]
    readout = html.unescape(re.search(r'<p id="readout"[^>]*>(.*?)</p>', dom)[1])
    assert readout.startswith("map.png: field & <meadow> · truth.png: pond · wrong · x 5")
    browser(tried, f"--screenshot={tmp_path / 'page.png'}")
    with Image.open(tmp_path / "page.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    stage_width, middle = 1000 - 21 * 16, pixels.shape[0] // 2
    # Left the reference, also below, where the map has wood; right the image above, where the map is right.
    assert np.abs(pixels[middle + 120, stage_width // 4 + 40] - PALETTE[0]).max() <= 2
    assert np.abs(pixels[middle - 120, stage_width // 2 + 80] - IMAGE_COLOR).max() <= 6
    assert np.abs(pixels[middle + 120, stage_width // 2 + 80] - (214, 20, 60)).max() <= 2
