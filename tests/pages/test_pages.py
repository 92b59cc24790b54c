"""Pages stand alone, escape what they are given, and charts reach both ends of their axes."""

import base64
import io
import re
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from s5_hf.pages import color_legend, document, figure, line_chart, page, picture, table
from s5_hf.pages.charts import ticks


def test_a_page_escapes_its_title_and_a_document_keeps_its_own_style_and_head():
    assert page("a & b", "<p>x</p>").count("a &amp; b") == 2
    text = document("t", "<main></main>", "p { color: red }", '<meta name="robots">')
    assert text.startswith("<!doctype html>") and text.endswith("<main></main></body></html>")
    assert '<title>t</title><meta name="robots">' in text and "<style>p { color: red }</style>" in text


def test_captions_cells_and_names_are_escaped():
    assert "<figcaption>a &lt; b<br>c</figcaption>" in figure([], ("a < b", "c"))
    assert table(("", "n"), [("<x>", "1")]).endswith('<tr><td>&lt;x&gt;</td><td class="n">1</td></tr></table>')
    assert color_legend(["<x>"], ["red"]).count("&lt;x&gt;") == 1


def test_a_picture_is_reduced_and_its_image_stays_as_it_was():
    image = Image.fromarray(np.zeros((100, 400, 3), dtype=np.uint8))
    data = re.search(r"base64,([^\"]+)", picture(image, largest=200))[1]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (200, 50)
    assert image.size == (400, 100)


def test_curves_reach_both_ends():
    svg = line_chart({"a": [(0, 0.0), (10, 1.0)], "b": [(5, float("nan"))]}, "step", "loss")
    assert re.search(r'<polyline points="48\.0,172\.0 336\.0,21\.1" fill="none" stroke="#9aa5b1"', svg)
    assert svg.count("<circle") == 2
    assert line_chart({"a": []}, "step", "loss") == "<p class='note'>no values of loss</p>"


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.31, 0.37), (-3.0, 950.0)])
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    assert len({round(b - a, 9) for a, b in pairwise(found)}) == 1
