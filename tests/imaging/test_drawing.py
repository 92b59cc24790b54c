"""Pictures: the right colour at the right pixel, and a clear refusal of what cannot be drawn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from s5_hf.imaging import sheets
from s5_hf.imaging.drawing import colorize_mask, draw_oriented_boxes, oriented_box_corners, overlay_mask
from s5_hf.imaging.palettes import IGNORE_COLOR, default_palette
from s5_hf.imaging.sheets import add_legend, contact_sheet, legend, side_by_side

PALETTE = [(10, 20, 30), (200, 0, 0), (0, 200, 0), (0, 0, 200)]

masks = arrays(
    st.sampled_from([np.uint8, np.int16, np.int64]),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.sampled_from([0, 1, 2, 3, 127]),
)


def plain(width: int = 40, height: int = 30, color: tuple[int, int, int] = (100, 110, 120)) -> Image.Image:
    return Image.new("RGB", (width, height), color)


class TestDefaultPalette:
    @given(st.integers(0, 600))
    @settings(max_examples=30, deadline=None)
    def test_colours_are_distinct_and_in_range(self, count: int) -> None:
        palette = default_palette(count)
        assert len(palette) == len(set(palette)) == count
        assert IGNORE_COLOR not in palette
        assert all(0 <= value <= 255 for color in palette for value in color)

    @given(st.integers(0, 400), st.integers(0, 400))
    @settings(max_examples=30, deadline=None)
    def test_a_longer_palette_starts_with_the_shorter(self, first: int, second: int) -> None:
        shorter, longer = sorted([first, second])
        assert default_palette(longer)[:shorter] == default_palette(shorter)

    def test_starts_with_okabe_and_ito(self) -> None:
        assert default_palette(3) == [(230, 159, 0), (86, 180, 233), (0, 158, 115)]

    @pytest.mark.parametrize("vision", [0, 1, 2], ids=["normal", "protanopia", "deuteranopia"])
    def test_twenty_classes_can_be_told_apart(self, vision: int) -> None:
        from s5_hf.imaging.palettes import _oklab

        seen = _oklab(np.array([*default_palette(20), IGNORE_COLOR], dtype=np.uint8))[vision]
        distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(21, 1)]
        # A difference of 0.02 in Oklab is just visible side by side.
        assert distances.min() > 0.05

    def test_refuses_bad_counts(self) -> None:
        with pytest.raises(ValueError, match="got -1"):
            default_palette(-1)
        with pytest.raises(TypeError, match="float"):
            default_palette(3.0)


class TestMasks:
    @given(masks)
    def test_each_pixel_has_the_colour_of_its_class(self, mask: np.ndarray) -> None:
        picture = np.asarray(colorize_mask(mask, PALETTE, ignore_index=127))
        assert picture.shape == (*mask.shape, 3)
        for class_id, color in [*enumerate(PALETTE), (127, IGNORE_COLOR)]:
            assert (picture[mask == class_id] == color).all()

    @given(masks, st.floats(0, 1))
    def test_overlay_mixes_by_alpha_and_leaves_ignored_pixels(self, mask: np.ndarray, alpha: float) -> None:
        image = plain(mask.shape[1], mask.shape[0])
        picture = np.asarray(overlay_mask(image, mask, PALETTE, alpha, ignore_index=127)).astype(int)
        for class_id, color in enumerate(PALETTE):
            expected = (1 - alpha) * np.array([100, 110, 120]) + alpha * np.array(color)
            assert np.abs(picture[mask == class_id] - expected).max(initial=0) <= 0.51
        assert (picture[mask == 127] == [100, 110, 120]).all()
        assert (np.asarray(image) == [100, 110, 120]).all()

    def test_a_negative_ignore_index(self) -> None:
        picture = np.asarray(colorize_mask(np.array([[-1, 2]]), PALETTE, ignore_index=-1))
        assert picture.tolist() == [[list(IGNORE_COLOR), [0, 200, 0]]]

    def test_grey_images_are_drawn_in_colour(self) -> None:
        picture = overlay_mask(Image.new("L", (2, 1), 50), np.array([[1, 0]]), PALETTE, alpha=1.0)
        assert np.asarray(picture).tolist() == [[[200, 0, 0], [10, 20, 30]]]

    @pytest.mark.parametrize(
        ("mask", "error", "message"),
        [
            (np.array([[0, 9]]), ValueError, "4 colours: 9"),
            (np.array([[0, -1]]), ValueError, "4 colours: -1"),
            (np.zeros((2, 2)), TypeError, "float64"),
            (np.zeros((2, 2, 3), dtype=np.uint8), ValueError, r"\[2, 2, 3\]"),
            (np.zeros((0, 2), dtype=np.uint8), ValueError, r"\[0, 2\]"),
            ([[0, 1]], TypeError, "list"),
        ],
    )
    def test_refuses_bad_masks(self, mask: object, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            colorize_mask(mask, PALETTE)

    def test_refuses_other_sizes_and_alphas(self) -> None:
        with pytest.raises(ValueError, match="mask of 2 x 3 and an image of 30 x 40"):
            overlay_mask(plain(), np.zeros((2, 3), dtype=np.uint8), PALETTE)
        with pytest.raises(ValueError, match=r"alpha .* got 1\.5"):
            overlay_mask(plain(3, 2), np.zeros((2, 3), dtype=np.uint8), PALETTE, alpha=1.5)
        with pytest.raises(TypeError, match="image must be a PIL image, got ndarray"):
            overlay_mask(np.zeros((2, 3, 3)), np.zeros((2, 3), dtype=np.uint8), PALETTE)

    @pytest.mark.parametrize("palette", [[], [(1, 2)], [(0.1, 0.2, 0.3)], [(0, 0, 256)], "red"])
    def test_refuses_bad_palettes(self, palette: object) -> None:
        with pytest.raises(ValueError, match="palette"):
            colorize_mask(np.zeros((2, 2), dtype=np.uint8), palette)


class TestOrientedBoxes:
    def test_corners_follow_the_convention(self) -> None:
        corners = oriented_box_corners([[10, 20, 6, 2, 0], [10, 20, 6, 2, math.pi / 2]])
        np.testing.assert_allclose(corners[0], [[7, 19], [13, 19], [13, 21], [7, 21]])
        # A quarter turn takes the w axis from right to down.
        np.testing.assert_allclose(corners[1], [[11, 17], [11, 23], [9, 23], [9, 17]], atol=1e-12)

    @given(st.tuples(*[st.floats(-50, 50)] * 2, *[st.floats(0.5, 40)] * 2, st.floats(-7, 7)))
    def test_corners_keep_centre_sides_and_heading(self, box: tuple[float, ...]) -> None:
        corners = oriented_box_corners([box])[0]
        np.testing.assert_allclose(corners.mean(axis=0), box[:2], atol=1e-9)
        w_side = corners[1] - corners[0]
        np.testing.assert_allclose(w_side, box[2] * np.array([math.cos(box[4]), math.sin(box[4])]), atol=1e-9)
        np.testing.assert_allclose(np.hypot(*(corners[2] - corners[1])), box[3], atol=1e-9)

    def test_outline_lies_on_the_box(self) -> None:
        box = np.array([[20.0, 15.0, 20.0, 10.0, 0.5]])
        picture = np.asarray(draw_oriented_boxes(plain(color=(0, 0, 0)), box, palette=[(255, 0, 0)], width=1))
        rows, columns = np.nonzero(picture[..., 0])
        dx, dy = columns + 0.5 - 20, rows + 0.5 - 15
        u, v = dx * math.cos(0.5) + dy * math.sin(0.5), dy * math.cos(0.5) - dx * math.sin(0.5)
        assert np.abs(np.maximum(np.abs(u) - 10, np.abs(v) - 5)).max() < 1.2
        assert len(rows) > 45
        assert picture[15, 20].tolist() == [0, 0, 0]

    def test_labels_choose_the_colour_and_names_are_written(self) -> None:
        boxes = np.array([[12, 20, 8, 8, 0], [30, 20, 8, 8, 0]])
        bare = np.asarray(draw_oriented_boxes(plain(), boxes, [1, 2], PALETTE))
        assert bare[16, 12].tolist() == [200, 0, 0]
        assert bare[16, 30].tolist() == [0, 200, 0]
        named = draw_oriented_boxes(plain(), boxes, [1, 2], PALETTE, scores=[0.5, 0.25], label_names=["a", "b", "c"])
        assert (np.asarray(named)[:14] != bare[:14]).any()

    def test_no_boxes_leave_the_image_as_it_is(self) -> None:
        picture = draw_oriented_boxes(plain(), np.zeros((0, 5)), labels=np.zeros(0, dtype=np.int64), scores=[])
        assert np.array_equal(np.asarray(picture), np.asarray(plain()))

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"boxes": np.zeros((2, 4))}, ValueError, r"\[N, 5\].*\[2, 4\]"),
            ({"boxes": [[0, 0, -1, 2, 0]]}, ValueError, r"w=-1\.0"),
            ({"boxes": [[0, 0, math.nan, 2, 0]]}, ValueError, "row 0"),
            ({"labels": [0, 1]}, ValueError, "labels .* 1 boxes"),
            ({"labels": [0.5]}, TypeError, "float64"),
            ({"labels": [-2]}, ValueError, "got -2"),
            ({"labels": [4], "palette": PALETTE}, ValueError, "label 4 needs 5 entries in palette, got 4"),
            ({"labels": [1], "label_names": ["only"]}, ValueError, "entries in label_names, got 1"),
            ({"label_names": ["roof"]}, ValueError, "without labels"),
            ({"scores": [0.1, 0.2]}, ValueError, "scores"),
            ({"width": 0}, ValueError, "got 0"),
        ],
    )
    def test_refuses_bad_input(self, arguments: dict[str, object], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            draw_oriented_boxes(plain(), **{"boxes": [[5, 5, 4, 2, 0]], **arguments})


class TestSheets:
    def test_legend_shows_each_colour_once(self) -> None:
        pixels = np.asarray(legend(["soil", "road"], PALETTE)).reshape(-1, 3)
        assert (pixels == PALETTE[0]).all(axis=1).sum() == (pixels == PALETTE[1]).all(axis=1).sum() == 14 * 14
        assert not (pixels == PALETTE[2]).all(axis=1).any()

    def test_legend_breaks_into_columns(self) -> None:
        one, two = legend(["a"] * 6, default_palette(6)), legend(["a"] * 6, default_palette(6), rows=3)
        assert two.height < one.height
        assert two.width > one.width

    def test_add_legend_keeps_the_image(self) -> None:
        picture = add_legend(plain(200, 60), [f"class {number}" for number in range(12)], default_palette(12))
        assert (np.asarray(picture)[:60, :200] == [100, 110, 120]).all()
        assert picture.width > 200
        assert picture.height <= 64

    def test_contact_sheet_places_tiles_in_rows_and_keeps_their_shape(self) -> None:
        colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
        sheet = np.asarray(contact_sheet([plain(60, 30, color) for color in colors], columns=2, tile_size=40))
        for (row, column), color in zip([(0, 0), (0, 1), (1, 0)], colors, strict=True):
            cell = sheet[8 + row * 48 : 48 + row * 48, 8 + column * 48 : 48 + column * 48]
            drawn = (cell == color).all(axis=-1)
            assert drawn.sum() == 40 * 20
            assert drawn[10:30].all()

    def test_long_captions_are_shortened(self) -> None:
        tiles = [plain(), plain()]
        sheet = np.asarray(contact_sheet(tiles, captions=["word " * 40, ""], tile_size=80))
        caption = (sheet[88:] < 128).all(axis=-1)
        assert caption[:, 8:88].any()
        assert not caption[:, 90:].any()

    def test_side_by_side_keeps_sizes(self) -> None:
        row = np.asarray(side_by_side([plain(20, 10, (200, 0, 0)), plain(30, 40, (0, 0, 200))], ["a", "b"]))
        assert (row[8:18, 8:28] == [200, 0, 0]).all()
        assert (row[8:48, 36:66] == [0, 0, 200]).all()

    def test_tiles_are_taken_one_at_a_time(self) -> None:
        taken: list[int] = []

        class Lazy(list[Image.Image]):
            def __getitem__(self, index: int) -> Image.Image:
                taken.append(index)
                return plain(color=(index, 0, 0))

        contact_sheet(Lazy([plain()] * 5), tile_size=16)
        assert taken == [0, 1, 2, 3, 4]

    def test_refuses_bad_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ValueError, match="at least one image"):
            contact_sheet([])
        with pytest.raises(ValueError, match="got 1 for 2 images"):
            side_by_side([plain(), plain()], ["one"])
        with pytest.raises(TypeError, match="single str"):
            contact_sheet([plain()], "a")
        with pytest.raises(TypeError, match="tile 1 must be a PIL image, got str"):
            contact_sheet([plain(), "picture.png"])
        with pytest.raises(ValueError, match="columns and tile_size"):
            contact_sheet([plain()], columns=0)
        with pytest.raises(ValueError, match="a colour for each, got 5 labels and 4 colours"):
            legend(list("abcde"), PALETTE)
        with pytest.raises(TypeError, match="sequence of class names"):
            legend("soil", PALETTE)
        with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
            legend(["soil"], PALETTE, rows=0)
        monkeypatch.setattr(sheets, "MAX_SHEET_PIXELS", 1000)
        with pytest.raises(ValueError, match="show fewer pictures"):
            contact_sheet([plain()], tile_size=64)
