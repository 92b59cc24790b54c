"""The stream of blended probabilities against sums over the whole scene, in memory."""

import numpy as np
import pytest
import torch
from PIL import Image

from s5_hf.predictors.normalization import normalize_pixels
from s5_hf.scenes.segmentation.scene_probabilities import SceneProbabilities, WindowSettings, scene_grid
from s5_hf.scenes.source import open_scene
from s5_hf.scenes.window_grid import BLENDINGS, blending_weights
from tests.scenes.conftest import smooth_image
from tests.scenes.segmenters import NeighbourSegmenter, PixelSegmenter


def streamed(path, segmenters, settings, **options):
    """All probabilities of a scene, (classes, height, width), and which pixels are valid."""
    with open_scene(path) as scene:
        pieces = [
            (piece.top, piece.probabilities.clone(), piece.valid)
            for piece in SceneProbabilities(scene, segmenters, settings, **options)
        ]
    tops = [top for top, _, _ in pieces]
    heights = [probabilities.shape[1] for _, probabilities, _ in pieces]
    assert tops == [tops[0] + sum(heights[:index]) for index in range(len(tops))]
    return torch.cat([probabilities for _, probabilities, _ in pieces], dim=1)


def accumulated(image, segmenter, settings):
    """The same in the plainest way: sums and weights of the whole scene, window by window."""
    height, width = image.shape[:2]
    grid = scene_grid(height, width, settings)
    padding = (max(0, grid.window_height - height), max(0, grid.window_width - width))
    padded = np.pad(image, ((0, padding[0]), (0, padding[1]), (0, 0)), mode="edge")
    sums = torch.zeros(segmenter.num_labels, *padded.shape[:2])
    weight_sums = torch.zeros(padded.shape[:2])
    weights = blending_weights(grid.window_height, grid.window_width, settings.blending)
    for window in grid:
        part = np.ascontiguousarray(padded[window.top : window.bottom, window.left : window.right].transpose(2, 0, 1))
        pixel_values = normalize_pixels(torch.from_numpy(part)[None], segmenter)
        probabilities = segmenter.predict(pixel_values).softmax(dim=1)[0]
        place = (slice(window.top, window.bottom), slice(window.left, window.right))
        sums[:, place[0], place[1]] += probabilities * weights
        weight_sums[place] += weights
    return (sums / weight_sums)[:, :height, :width]


@pytest.fixture
def scene(tmp_path):
    def write(image):
        path = tmp_path / "scene.png"
        Image.fromarray(image).save(path)
        return path

    return write


@pytest.mark.parametrize("blending", BLENDINGS)
@pytest.mark.parametrize(
    ("size", "overlap", "batch_size"),
    [((150, 210), 0.5, 4), ((130, 64), 0.25, 3), ((200, 97), 0.75, 7), ((64, 300), 0.0, 2), ((30, 45), 0.5, 1)],
)
def test_it_equals_the_sums_over_the_whole_scene(scene, blending, size, overlap, batch_size):
    image = smooth_image(*size)
    settings = WindowSettings(window=64, overlap=overlap, blending=blending, batch_size=batch_size)
    segmenter = NeighbourSegmenter()
    expected = accumulated(image, segmenter, settings)
    probabilities = streamed(scene(image), [segmenter], settings)
    torch.testing.assert_close(probabilities, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(probabilities.sum(dim=0), torch.ones(size), atol=1e-5, rtol=0)


def test_batches_run_across_rows_of_windows(scene):
    segmenter = PixelSegmenter()
    streamed(scene(smooth_image(200, 100)), [segmenter], WindowSettings(window=64, overlap=0.5, batch_size=8))
    assert segmenter.batch_sizes == [8, 8, 2]  # 6 rows of 3 windows


def test_several_devices_give_the_same(scene):
    path = scene(smooth_image(150, 210))
    settings = WindowSettings(window=64, overlap=0.5, batch_size=2)
    alone, pair = NeighbourSegmenter(), [NeighbourSegmenter(), NeighbourSegmenter()]
    assert torch.equal(streamed(path, pair, settings), streamed(path, [alone], settings))
    assert len(pair[0].batch_sizes) == len(pair[1].batch_sizes) == len(alone.batch_sizes) / 2


def test_there_are_no_seams(scene):
    """A scene shifted by a few pixels has other windows; blended, it must get the same probabilities all the same."""
    image = smooth_image(300, 300)

    def difference(settings):
        segmenter = NeighbourSegmenter()
        whole = streamed(scene(image), [segmenter], settings)
        shifted = streamed(scene(image[21:, 37:]), [segmenter], settings)
        inner = (whole[:, 21:, 37:] - shifted).abs()[:, 8:-8, 8:-8]  # the border of the scene stays a border
        return inner.max().item()

    blended = difference(WindowSettings(window=128, overlap=0.5))
    cut = difference(WindowSettings(window=128, overlap=0.0, blending="flat"))
    assert blended < 0.03
    assert cut > 0.3


def test_memory_is_that_of_one_row_of_windows(scene):
    settings = WindowSettings(window=64, overlap=0.5)
    for height in (200, 800):
        with open_scene(scene(smooth_image(height, 100))) as opened:
            stream = SceneProbabilities(opened, [PixelSegmenter(num_labels=5)], settings)
            assert stream._rows._sums._sums.shape == (5, 64, 100)


def test_a_restart_gives_the_same_bits(scene):
    path = scene(smooth_image(260, 150))
    settings = WindowSettings(window=64, overlap=0.5, batch_size=4)
    whole = streamed(path, [NeighbourSegmenter()], settings)
    restarts = {}
    with open_scene(path) as opened:
        stream = SceneProbabilities(opened, [NeighbourSegmenter()], settings)
        for piece in stream:
            for row in range(piece.top, piece.top + piece.probabilities.shape[1] + 1, 8):
                restarts[row] = stream.restart_window(row)
    assert len(restarts) > 20
    assert restarts[8] == 0
    for row, window in restarts.items():
        if row < 260:
            assert window % 4 == 0
            rest = streamed(path, [NeighbourSegmenter()], settings, first_row=row, start_window=window)
            assert torch.equal(rest, whole[:, row:])
    assert restarts[256] > 10  # a late start leaves the early windows out


def test_flips_are_averaged(scene):
    image = smooth_image(100, 100)
    path, segmenter = scene(image), NeighbourSegmenter()
    plain = streamed(path, [segmenter], WindowSettings(window=64))
    flipped = streamed(path, [segmenter], WindowSettings(window=64, flips=("horizontal",)))
    both = streamed(path, [segmenter], WindowSettings(window=64, flips=("none", "horizontal")))
    assert (plain - flipped).abs().max() > 0.1
    torch.testing.assert_close(both, (plain + flipped) / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 500}, "multiple of 16 pixels, got 500"),
        ({"overlap": 1.0}, "0 to 0.9 of the window, got 1"),
        ({"blending": "hann"}, "cosine, gaussian, flat"),
        ({"batch_size": 0}, "at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        WindowSettings(**options)


def test_a_segmenter_with_other_classes_than_it_says_is_refused(scene):
    segmenter = PixelSegmenter(num_labels=3)
    segmenter.num_labels = 4
    with pytest.raises(ValueError, match="gave 3 classes, it has 4"):
        streamed(scene(smooth_image(40, 40)), [segmenter], WindowSettings(window=32))
