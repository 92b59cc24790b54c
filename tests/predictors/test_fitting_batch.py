"""Batches that fit into the free memory of a GPU, with a GPU that is made up."""

import pytest
import torch

from s5_hf.predictors import fitting_batch
from s5_hf.predictors.fitting_batch import fitting_batch_size
from tests.scenes.segmenters import PixelSegmenter

GIB = 2**30


def test_a_processor_takes_four():
    assert fitting_batch_size(PixelSegmenter(), (32, 48)) == 4


@pytest.mark.parametrize(
    ("free", "needed", "expected"),
    [(80 * GIB, GIB, 32), (24 * GIB, GIB, 8), (GIB, GIB, 1), (140 * GIB, GIB // 8, 64), (15.9 * GIB, GIB, 4)],
)
def test_a_gpu_takes_what_fits_into_half_of_its_free_memory(monkeypatch, free, needed, expected):
    sizes = []
    monkeypatch.setattr(
        fitting_batch, "image_probabilities", lambda segmenter, images, *views: sizes.append(images.shape)
    )
    for name, value in {
        "empty_cache": None,
        "reset_peak_memory_stats": None,
        "memory_allocated": 3 * GIB,
        "max_memory_allocated": 3 * GIB + needed,
        "mem_get_info": (int(free), 2 * int(free)),
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *device, value=value: value)
    segmenter = PixelSegmenter()
    segmenter.device = torch.device("cuda:0")
    assert fitting_batch_size(segmenter, (32, 48)) == expected
    assert set(sizes) == {(1, 3, 32, 48)}
