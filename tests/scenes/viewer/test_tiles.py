"""Scenes larger than the overview: the tiles, where they are kept, and how a page shows them."""

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
from s5_hf.scenes import reduction
from s5_hf.scenes.class_maps import open_class_map, sidecar_path
from s5_hf.scenes.source import open_scene
from s5_hf.scenes.viewer import tiles as tiles_module
from s5_hf.scenes.viewer.layers import MapLayer, number_table
from s5_hf.scenes.viewer.tiles import pyramid_factors, write_tiles
from s5_hf.scenes.viewer.write import write_viewer

from .browsing import with_script

WIDTH, HEIGHT = 1100, 600
PALETTE = [(0, 90, 200), (30, 160, 60), (240, 220, 20)]


def write_scene(folder: Path) -> Path:
    """Columns brighten to the right; the map is a chessboard of single pixels 1 and 0 on a half, 2 on the other."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    Image.fromarray(np.stack([columns // 5, rows // 3, 0 * rows], -1).astype(np.uint8)).save(folder / "scene.png")
    ids = np.where(columns < WIDTH // 2, (rows + columns) % 2, 2).astype(np.uint8)
    ids[-1] = 255
    Image.fromarray(ids).save(folder / "map.png")
    description = {"id2label": {"0": "field", "1": "wood", "2": "lake"}, "palette": PALETTE, "nodata": 255}
    sidecar = {"format": "s5_hf scene result 1", "source": "scene.png", **description}
    sidecar_path(folder / "map.png").write_text(json.dumps(sidecar), encoding="utf-8")
    truth = np.full((HEIGHT, WIDTH), 2, dtype=np.uint8)
    Image.fromarray(truth).save(folder / "truth.png")
    sidecar_path(folder / "truth.png").write_text(json.dumps(sidecar), encoding="utf-8")
    return folder / "map.png"


def ids_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def data_of(page: Path) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)[1])


def decoded(pictures: list[str]) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2])))) for text in pictures]


def embedded_tiles(page: Path) -> dict[str, list[str]]:
    return json.loads(re.search(r'id="tiles">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)[1])


def folder_tiles(folder: Path) -> dict[str, list[str]]:
    found = {}
    for path in folder.glob("*/*/*.js"):
        key, pictures = json.loads("[" + path.read_text().removeprefix("viewerTile(").removesuffix(");\n") + "]")
        assert path.relative_to(folder).as_posix() == f"{key}.js"
        found[key] = pictures
    return found


@pytest.mark.parametrize(("overview", "factors"), [(1, ()), (2, (1,)), (3, (1, 2)), (4, (1, 2)), (5, (1, 2, 4))])
def test_levels_below_the_overview(overview, factors):
    assert pyramid_factors(overview) == factors


def test_tiles_hold_scene_maps_and_errors_at_every_level(tmp_path):
    report = write_viewer(write_scene(tmp_path), reference=tmp_path / "truth.png", max_size=300)
    assert (report.factor, report.tiles, report.folder) == (4, 3 * 2 + 2 * 1, None)
    assert data_of(report.path)["tiles"] == {"size": 512, "factors": [1, 2], "folder": None}
    tiles = embedded_tiles(report.path)
    keys = {f"1/{row}/{column}" for row in range(2) for column in range(3)} | {"2/0/0", "2/0/1"}
    assert set(tiles) == keys

    def whole(factor: int, rows: int, columns: int) -> list[np.ndarray]:
        parts = [[decoded(tiles[f"{factor}/{row}/{column}"]) for column in range(columns)] for row in range(rows)]
        return [np.block([[part[layer] for part in row] for row in parts]) for layer in (1, 2, 3)]

    ids = ids_of(tmp_path / "map.png")
    expected = np.where(ids == 255, 0, ids + 1)
    found, truth, errors = whole(1, 2, 3)
    np.testing.assert_array_equal(found, expected)
    assert truth.shape == (HEIGHT, WIDTH) and (truth == 3).all()
    np.testing.assert_array_equal(errors, np.where(ids == 255, 0, np.where(ids == 2, 1, 2)))
    halved = whole(2, 1, 2)[0]
    assert halved.shape == (300, 550)
    assert (halved[:-1, :275] == 1).all() and (halved[:-1, 275:] == 3).all()  # of a tie the smaller class
    assert decoded(tiles["1/1/2"])[0].shape == (HEIGHT - 512, WIDTH - 1024, 3)
    picture = decoded(tiles["1/1/1"])[0]
    assert picture[40, 100] == pytest.approx(((512 + 100) // 5, (512 + 40) // 3, 0), abs=6)


def test_tiles_that_are_too_large_go_to_a_folder(tmp_path):
    path = write_scene(tmp_path)
    inside = write_viewer(path, max_size=300)
    tiles = embedded_tiles(inside.path)
    outside = write_viewer(path, max_size=300, tiles_in_page=0)
    assert outside.folder == tmp_path / "map_viewer_tiles" and outside.tiles == inside.tiles
    assert folder_tiles(outside.folder) == tiles
    page = outside.path.read_text(encoding="utf-8")
    assert 'id="tiles"' not in page and outside.size < inside.size
    assert "script-src 'unsafe-inline' 'self' file:\"" in page and "in the folder map_viewer_tiles" in page
    assert data_of(outside.path)["tiles"]["folder"] == "map_viewer_tiles"


def test_a_folder_is_replaced_only_if_asked_and_if_it_holds_tiles(tmp_path):
    path = write_scene(tmp_path)
    folder = write_viewer(path, max_size=300, tiles_in_page=0).folder
    (folder / "9").mkdir()
    with pytest.raises(FileExistsError, match=r"map_viewer_tiles exists already.*--overwrite"):
        write_viewer(path, max_size=300)
    assert (folder / "9").is_dir()
    write_viewer(path, max_size=300, tiles_in_page=0, overwrite=True)
    assert sorted(entry.name for entry in folder.iterdir()) == ["1", "2", "tiles.json"]
    assert write_viewer(path, overwrite=True).tiles == 0  # no tiles are needed: the former ones go
    assert not folder.exists() and not list(tmp_path.glob(".*"))
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="does not hold tiles of such a page, so it is not replaced"):
        write_viewer(path, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine"


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    path = write_scene(tmp_path)
    report = write_viewer(path, max_size=300, tiles_in_page=0)
    before = report.path.read_bytes(), folder_tiles(report.folder)

    def broken(*_):
        raise OSError("disk is gone")

    for place in ("_picture", "put_in_place"):
        with monkeypatch.context() as patch:
            patch.setattr(tiles_module, place, broken)
            patch.setattr("s5_hf.scenes.viewer.write.put_in_place", tiles_module.put_in_place)
            with pytest.raises(OSError, match="disk is gone"):
                write_viewer(path, max_size=200, tiles_in_page=0, overwrite=True)
        assert (report.path.read_bytes(), folder_tiles(report.folder)) == before
        assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("megabytes", [-1.0, 401.0, float("nan")])
def test_sizes_of_tiles_out_of_range(tmp_path, megabytes):
    with pytest.raises(ValueError, match="tiles_in_page must lie between 0 and 400 megabytes"):
        write_viewer(write_scene(tmp_path), tiles_in_page=megabytes)
    assert not list(tmp_path.glob("*.html"))


def test_rows_are_read_a_band_at_a_time(tmp_path, monkeypatch):
    path = write_scene(tmp_path)
    monkeypatch.setattr(tiles_module, "_BAND_PIXELS", 50 * WIDTH)
    read: list[tuple[int, int]] = []
    with open_class_map(path) as class_map, open_scene(tmp_path / "scene.png") as scene:
        for source in (class_map, scene):
            rows_of = source.read_rows
            monkeypatch.setattr(
                source, "read_rows", lambda top, bottom, of=rows_of: read.append((top, bottom)) or of(top, bottom)
            )
        layer = MapLayer("map", np.zeros((1, 1), np.uint8), class_map, number_table([0, 1, 2], range(3)))
        pyramid = write_tiles(tmp_path / "tiles", [scene], [layer], (1, 2))
    assert max(bottom - top for top, bottom in read) == 50 and len(read) == 2 * 2 * HEIGHT // 50
    assert pyramid.count == 8
    first = decoded(folder_tiles(tmp_path / "tiles")["1/0/0"])[1]
    np.testing.assert_array_equal(first, ids_of(path)[:512, :512] + 1)
    assert reduction.BAND_PIXELS > 50 * WIDTH


def test_command(tmp_path):
    path = write_scene(tmp_path)
    arguments = ["view", str(path), "--max-size", "300", "--tiles-in-page", "0"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    printed = result.output.replace("\n", "")
    assert "an overview reduced 4 times, and 8 tiles in the folder" in printed and "map_viewer_tiles" in printed
    assert isinstance(CliRunner().invoke(app, arguments).exception, FileExistsError)
    result = CliRunner().invoke(app, [*arguments[:-1], "1", "--overwrite"])
    assert result.exit_code == 0 and "8 tiles inside the page" in result.output.replace("\n", " ")
    assert not (tmp_path / "map_viewer_tiles").exists()


# Zoom about the left part, wait for the tiles, and tell what the page shows.
_ZOOM = """
const seen = {};
const until = (isDone, next) => { const wait = setInterval(() => {
  if (isDone()) { clearInterval(wait); next(); } }, 20); };
const stage = document.getElementById("stage");
const complete = () => /^(\\d+): (\\d+) of \\2$/.test(document.body.dataset.detail);
const note = name => {
  stage.dispatchEvent(new PointerEvent("pointermove", { clientX: 100, clientY: 300 }));
  const canvas = document.querySelector("#left-layer .detail"), picture = document.querySelector(".detail");
  const colors = new Set();
  const pixels = canvas.getContext("2d").getImageData(95, 295, 10, 10).data;
  for (let i = 0; i < pixels.length; i += 4) colors.add([...pixels.slice(i, i + 4)].join());
  seen[name] = { detail: document.body.dataset.detail, colors: [...colors].sort(),
    picture: [...picture.getContext("2d").getImageData(100, 300, 1, 1).data],
    readout: document.getElementById("readout").textContent,
    shown: getComputedStyle(canvas).visibility, missing: document.getElementById("missing").textContent };
};
const zoom = times => { for (let i = 0; i < times; i++) stage.dispatchEvent(new WheelEvent("wheel",
  { deltaY: -200, clientX: 100, clientY: 300, cancelable: true })); };
const isMissing = () => !document.getElementById("missing").hidden;
until(() => document.body.dataset.ready, () => {
  const left = document.getElementById("left-map");
  left.value = "0";
  left.dispatchEvent(new Event("change"));
  zoom(8);
  until(() => complete() || isMissing(), () => {
    note("near");
    document.querySelectorAll("input[data-class]")[0].click();  // asks for a frame, before the next line does
    requestAnimationFrame(() => { note("hidden"); document.body.dataset.seen = JSON.stringify(seen); });
  });
});
"""


def seen_in(page: Path, browser) -> dict:
    tried = with_script(page, _ZOOM)
    # A browser without a window draws frames when it likes, which the virtual time does not wait for.
    frames = "<body><script>window.requestAnimationFrame = draw => setTimeout(draw, 16);</script>"
    tried.write_text(tried.read_text(encoding="utf-8").replace("<body>", frames, 1), encoding="utf-8")
    dom = browser(tried, "--dump-dom", "--virtual-time-budget=20000")
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found, "the page never showed its tiles"
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("tiles_in_page", [24, 0])
def test_zooming_in_shows_single_pixels_in_a_browser(tmp_path, browser, tiles_in_page):
    report = write_viewer(
        write_scene(tmp_path), output=tmp_path / "a page.html", max_size=300, tiles_in_page=tiles_in_page
    )
    seen = seen_in(report.path, browser)
    near = seen["near"]
    assert re.fullmatch(r"1: (\d+) of \1", near["detail"]) and near["shown"] == "visible" and not near["missing"]
    name, place = re.fullmatch(r"(\w+) · (x \d+, y \d+)", near["readout"]).groups()
    x, y = map(int, re.findall(r"\d+", place))
    assert name == ("wood" if (x + y) % 2 else "field")  # the overview knows only fields here
    assert near["picture"] == pytest.approx([x // 5, y // 3, 0, 255], abs=6)
    opaque = {",".join(map(str, (*color, 255))) for color in PALETTE[:2]}
    assert set(near["colors"]) <= opaque
    assert set(seen["hidden"]["colors"]) <= {",".join(map(str, (*PALETTE[1], 255))), "0,0,0,0"}
    assert seen["hidden"]["colors"] != near["colors"]


def test_a_page_without_its_folder_says_so(tmp_path, browser):
    report = write_viewer(write_scene(tmp_path), max_size=300, tiles_in_page=0)
    report.folder.rename(tmp_path / "elsewhere")
    near = seen_in(report.path, browser)["near"]
    assert near["missing"] == "Some details are missing: the folder map_viewer_tiles must be beside this page."
    assert near["readout"].startswith("field")  # of the overview
