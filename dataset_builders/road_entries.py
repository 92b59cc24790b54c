"""Entries of the registry for road graphs and vector land cover; they look alike because they are data."""

from .citations import CITY_SCALE_CITATION, GLOBAL_SCALE_CITATION, IRSAMAP_CITATION
from .entry import DatasetEntry, EvaluationProtocol
from .labels import IRSAMAP_LABELS, IRSAMAP_PALETTE

_GRAPHS = ("refined", "original")

ROAD_ENTRIES = (
    DatasetEntry(
        name="s5-global-scale",
        title="Global-Scale",
        task="road graph",
        builder=f"{__package__}.global_scale.GlobalScale",
        splits=("train", "val", "test", "test_out_of_domain"),
        licence="see the homepage",
        citation=GLOBAL_SCALE_CITATION,
        homepage="https://github.com/earth-insights/samroadplus",
        configs=_GRAPHS,
    ),
    DatasetEntry(
        name="s5-cityscale-roads",
        title="City-Scale",
        task="road graph",
        builder=f"{__package__}.cityscale_roads.CityScaleRoads",
        splits=("train", "val", "test"),
        licence="see the homepage",
        citation=CITY_SCALE_CITATION,
        homepage="https://github.com/songtaohe/Sat2Graph",
        configs=_GRAPHS,
    ),
    DatasetEntry(
        name="s5-irsamap",
        title="IRSAMap",
        task="segmentation",
        builder=f"{__package__}.irsamap.IRSAMap",
        splits=("train", "test"),
        labels=IRSAMAP_LABELS,
        palette=IRSAMAP_PALETTE,
        ignore_index=255,
        evaluation=EvaluationProtocol(
            metric="mIoU", split="test", image_size=1024, note="The classes of the codes are what third parties found."
        ),
        licence="not known to us, see the homepage",
        citation=IRSAMAP_CITATION,
        homepage="https://arxiv.org/abs/2508.16272",
        configs=("building_on_top", "road_on_top"),
    ),
    DatasetEntry(
        name="s5-image-graph",
        title="Your own images and road lines",
        task="road graph",
        builder=f"{__package__}.image_graph.ImageGraph",
        splits=("train", "val", "test"),
    ),
)
