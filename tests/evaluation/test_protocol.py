"""Protocols: those of the datasets, changed, and wrong."""

import pytest

from s5_hf.dataset_builders.registry import REGISTRY, get_entry
from s5_hf.evaluation.segmentation.protocol import ALL_FLIPS, PROTOCOLS, SegmentationProtocol, choose_protocol


@pytest.mark.parametrize(
    ("dataset", "resize", "window", "stride", "flips"),
    [
        ("s5-isaid", None, None, None, ("none",)),
        ("s5-vaihingen", None, None, None, ALL_FLIPS),
        ("s5-potsdam", None, None, None, ALL_FLIPS),
        ("s5-loveda", None, 512, 256, ("none",)),
        ("s5-openearthmap", 512, None, None, ("none",)),
    ],
)
def test_published_protocols(dataset, resize, window, stride, flips):
    protocol = choose_protocol(get_entry(dataset))
    assert (protocol.resize, protocol.window, protocol.stride, protocol.flips) == (resize, window, stride, flips)


def test_every_segmentation_dataset_has_every_protocol():
    entries = [entry for entry in REGISTRY.values() if entry.task == "segmentation"]
    assert len(entries) == 20
    for entry in entries:
        for name in PROTOCOLS:
            assert choose_protocol(entry, name).name == name


def test_changes_override_a_protocol():
    loveda = get_entry("s5-loveda")
    assert choose_protocol(loveda, window=256).stride == 128
    assert choose_protocol(loveda, window=256).name == "published, changed"
    assert choose_protocol(loveda, stride=100).window == 512
    changed = choose_protocol(loveda, "original", flips=("none", "both"), scales=(0.5, 1.0), resize=None)
    assert (changed.window, changed.flips, changed.scales) == (None, ("none", "both"), (0.5, 1.0))
    assert choose_protocol(get_entry("s5-openearthmap"), "sliding").resize is None


def test_windows_of_the_official_code():
    published, official = (choose_protocol(get_entry("s5-loveda"), name) for name in ("published", "official"))
    assert published.window_weights(1024) == {0: 1, 256: 1, 512: 1}
    assert official.window_weights(1024) == {0: 1, 256: 1, 512: 3}
    assert official.window_weights(512) == official.window_weights(300) == {0: 1}
    assert SegmentationProtocol(window=512, stride=512).window_weights(1100) == {0: 1, 512: 1, 588: 1}
    assert not choose_protocol(get_entry("s5-isaid"), "official").repeat_border


def test_a_report_can_say_it_in_a_line():
    text = choose_protocol(get_entry("s5-loveda"), "official", scales=(0.75, 1.0), flips=("none", "both")).describe()
    assert text == (
        "images at their own size; windows of 512 px every 256 px, probabilities averaged; border windows counted as "
        "in the official code; flips: none, both; scales: 0.75, 1.0"
    )


def test_bad_input():
    with pytest.raises(
        ValueError, match=r"unknown protocol 'fast' for segmentation. Known: published: as .*; sliding: windows"
    ):
        choose_protocol(get_entry("s5-isaid"), "fast")
    with pytest.raises(ValueError, match=r"s5-dota is not a segmentation dataset .* task is detection"):
        choose_protocol(get_entry("s5-dota"))
    with pytest.raises(ValueError, match="stride 100 needs a window"):
        choose_protocol(get_entry("s5-isaid"), stride=100)
    with pytest.raises(ValueError, match=r"stride must be in 1..64, the side of the window, got 65"):
        SegmentationProtocol(window=64, stride=65)
    with pytest.raises(ValueError, match="resize must be at least 1 pixel, got 0"):
        SegmentationProtocol(resize=0)
    with pytest.raises(ValueError, match="flips must be among none, horizontal"):
        SegmentationProtocol(flips=("sideways",))
