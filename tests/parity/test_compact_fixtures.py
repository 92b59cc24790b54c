"""The compact fixtures hold the official numbers and stay small."""

import pytest
import torch

from tests.conftest import SHARED
from tests.parity.compact_fixtures import CHECKPOINTS, LEFT_OUT, OUTPUTS, SAMPLED_CHECKPOINTS
from tests.parity.fixtures import COMPACT, CompactFixtures, Sample, WholeFixtures, sample


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    if not (SHARED / "fixtures").is_dir():
        pytest.skip(f"the whole fixtures of the official implementation are not at {SHARED / 'fixtures'}")
    return CompactFixtures(tmp_path_factory.mktemp("compact_fixtures")), WholeFixtures(SHARED / "fixtures")


def test_compact_fixtures_are_under_10_megabytes():
    assert sum(path.stat().st_size for path in COMPACT.iterdir()) < 10e6


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_compact_checkpoints_are_the_official_ones_bit_for_bit(pair, name):
    compact, whole = (torch.load(fixtures.checkpoint(name), weights_only=True) for fixtures in pair)
    (wrapper,) = compact
    assert compact[wrapper].keys() == whole[wrapper].keys()
    for key, tensor in compact[wrapper].items():
        official = whole[wrapper][key]
        assert tensor.dtype == official.dtype and tensor.shape == official.shape
        kept = tensor != 0 if name in SAMPLED_CHECKPOINTS else torch.ones_like(tensor, dtype=torch.bool)
        assert torch.equal(tensor[kept], official[kept]), key
        assert kept.double().mean() >= 0.1 or not official.any(), key


@pytest.mark.parametrize("name", OUTPUTS)
def test_compact_arrays_are_the_official_ones_bit_for_bit(pair, name):
    compact, whole = (fixtures.arrays(name) for fixtures in pair)
    assert {key for key in whole if not key.startswith(LEFT_OUT.get(name, ()))} == compact.keys()
    for key, ours in compact.items():
        official = whole[key]
        if ours.shape != official.shape:
            assert key in ("roi_feat", "roi_out")
            official = official[:, : ours.shape[1]]
        values, official = (ours.values, sample(official, ours.step)) if isinstance(ours, Sample) else (ours, official)
        assert values.dtype == official.dtype and torch.equal(values, official), key
