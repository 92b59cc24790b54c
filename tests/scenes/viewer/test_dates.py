"""The page of two dates: both pictures, at every level, and the map of changes on top of them."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.scenes.viewer.write import write_viewer

from .browsing import with_script

BEFORE, AFTER, CAME = (40, 120, 60), (200, 60, 40), (230, 230, 0)
WIDTH, HEIGHT = 120, 80


def write_changes(folder, sources=("2019.png", "2024.png")):
    """Two dates of one colour each, and a map in which the middle came."""
    for name, color in (("2019.png", BEFORE), ("2024.png", AFTER)):
        Image.new("RGB", (WIDTH, HEIGHT), color).save(folder / name)
    ids = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    ids[30:50] = 1
    Image.fromarray(ids).save(folder / "map.png")
    sidecar = {
        "format": "s5_hf scene result 1",
        **dict(zip(("source", "source_after"), sources, strict=False)),
        "id2label": {"0": "unchanged", "1": "roof came"},
        "palette": [[225, 225, 225], CAME],
        "nodata": 255,
    }
    (folder / "map.json").write_text(json.dumps(sidecar), encoding="utf-8")
    return folder / "map.png"


def picture(source):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB")).astype(int)


def test_both_dates_are_in_the_page_and_in_its_tiles_and_what_did_not_change_is_bare(tmp_path):
    report = write_viewer(write_changes(tmp_path), max_size=64)
    page = report.path.read_text(encoding="utf-8")
    overviews = [re.search(rf'<img id="{name}" alt="" src="([^"]*)"', page)[1] for name in ("image", "before")]
    tile = json.loads(re.search(r'id="tiles">(.*?)</script>', page)[1])["1/0/0"]
    for sources, size in ((overviews, (40, 60)), (tile, (80, 120))):
        for source, color in zip(sources, (AFTER, BEFORE), strict=False):
            assert picture(source).shape[:2] == size and np.abs(picture(source) - color).max() <= 6
    assert sorted(np.unique(picture(tile[2]))) == [1, 2]  # numbers of the two classes
    assert 'type="checkbox" data-class="0"' in page and 'type="checkbox" checked data-class="1"' in page
    assert "2019.png and 2024.png" in page


def test_an_image_alone_shows_one_date_and_any_two_can_be_named(tmp_path):
    changes = write_changes(tmp_path)
    assert 'id="before"' not in write_viewer(changes, image=tmp_path / "2019.png").path.read_text(encoding="utf-8")
    changes = write_changes(tmp_path, sources=("2024.png",))
    assert 'id="before"' not in write_viewer(changes).path.read_text(encoding="utf-8")
    words = ["view", str(changes), "--before", str(tmp_path / "2019.png")]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert 'id="before"' in changes.with_suffix(".html").read_text(encoding="utf-8")


def test_dates_that_do_not_fit_or_are_gone_are_refused(tmp_path):
    changes = write_changes(tmp_path)
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(tmp_path / "tall.png")
    with pytest.raises(ValueError, match="scenes without CRS must have one size"):
        write_viewer(changes, before=tmp_path / "tall.png")
    with pytest.raises(ValueError, match="are the same file"):
        write_viewer(changes, image=tmp_path / "2019.png", before=tmp_path / "2019.png")
    (tmp_path / "2019.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"2019\.png, the scene that .* is not there; give the image"):
        write_viewer(changes)
    assert not (tmp_path / "map.html").exists()


@pytest.mark.parametrize("clicks", [0, 9])
def test_the_divider_lies_between_the_dates_in_a_browser(tmp_path, browser, clicks):
    page = write_viewer(write_changes(tmp_path), max_size=64).path
    script = f"""const wait = setInterval(() => {{ if (document.body.dataset.ready) {{ clearInterval(wait);
      opacity.value = 100; opacity.dispatchEvent(new Event('input'));
      for (let i = 0; i < {clicks}; i++) document.getElementById('zoom-in').click(); }} }}, 20);"""
    browser(with_script(page, script), f"--screenshot={tmp_path / 'page.png'}")
    with Image.open(tmp_path / "page.png") as shot:
        pixels = np.asarray(shot.convert("RGB")).astype(int)
    middle, centre = (1000 - 21 * 16) // 2, pixels.shape[0] // 2
    left, right = slice(60, middle - 40), slice(middle + 40, 2 * middle - 60)
    assert np.abs(pixels[centre, left] - CAME).max() <= 2 and np.abs(pixels[centre, right] - CAME).max() <= 2
    if clicks == 0:  # above the change, where the map shows nothing
        assert np.abs(pixels[centre - 120, left] - BEFORE).max() <= 6
        assert np.abs(pixels[centre - 120, right] - AFTER).max() <= 6
