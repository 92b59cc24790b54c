"""The everything mode holds the logits of one batch of points and the bits of candidates, whatever their number."""

import tracemalloc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.change.everything_mode import EverythingSettings, everything
from s5_hf.change.masks import Masks
from s5_hf.change.packed_masks import PackedMasks

SIDE = 192


class Discs:
    """Draws three discs at each point, all of top quality, and knows which of its tensors are still in use."""

    def __init__(self, radii=(5, 9, 13)):
        self.radii, self.given, self.most_alive, self.calls = radii, [], 0, 0
        self.rows, self.columns = torch.meshgrid(*[torch.arange(SIDE, dtype=torch.float32)] * 2, indexing="ij")

    def __call__(self, points):
        self.most_alive = max(self.most_alive, sum(reference() is not None for reference in self.given))
        x, y = (torch.from_numpy(points[:, axis]).float()[:, None, None] for axis in (0, 1))
        distance = torch.hypot(self.columns - x, self.rows - y)
        logits = torch.stack([radius - distance for radius in self.radii], dim=1)
        self.given.append(weakref.ref(logits))
        self.calls += 1
        return logits, torch.linspace(0.6, 0.9, logits.shape[0] * 3).reshape(-1, 3)


@pytest.mark.parametrize("per_batch", [4, 16])
def test_1024_points_hold_one_batch_and_bits(per_batch):
    discs = Discs()
    chosen = EverythingSettings(points_per_side=32, points_per_batch=per_batch, stability=0, iou_threshold=0.99)
    tracemalloc.start()
    masks = everything(discs, SIDE, SIDE, chosen)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert discs.calls == 1024 // per_batch and len(masks) > 2500  # nearly all survive: nothing is thrown away
    assert discs.most_alive == 0  # no logits of an earlier batch
    plane, kept = SIDE * SIDE, sum(crop.nbytes for crop in masks.crops)
    assert peak < 2 * kept + 3 * 3 * per_batch * plane + 4_000_000 < 1024 * 3 * plane / 3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.floats(0.1, 0.95))
def test_packed_masks_survive_as_others_do(seed, count, threshold):
    random = np.random.default_rng(seed)
    planes = random.random((count, 9, 13)) > 0.7
    planes[: count // 3] = False
    masks = Masks.from_planes(planes, random.permutation(count) / 10)
    packed = PackedMasks.joined(9, 13, [masks, Masks.none(9, 13)])
    found, expected = packed.survivors(threshold), masks.select(masks.nms(threshold))
    assert len(packed) == count and np.array_equal(found.planes(), expected.planes())
    assert np.array_equal(found.scores, expected.scores) and np.array_equal(found.boxes, expected.boxes)
