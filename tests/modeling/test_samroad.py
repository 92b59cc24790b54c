"""SAM-Road++: any encoder, saved and loaded, exact and released readings, and what is refused."""

import pytest
import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModel, ResNetConfig, SamConfig, SamModel, SamVisionConfig

import s5_hf  # noqa: F401 - registers the classes
from s5_hf.conversion import convert_checkpoint
from s5_hf.modeling import (
    S5ViTBackbone,
    S5ViTConfig,
    SamRoadConfig,
    SamRoadForRoadGraph,
    SamRoadOutput,
    SamRoadProcessor,
)
from s5_hf.modeling.road_points import line_features, move_to_best, sample_features
from tests.numerics import assert_equal_but_for_rounding

TINY = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}


def sam_config(**settings) -> SamVisionConfig:
    return SamVisionConfig(
        **TINY, global_attn_indexes=[2], window_size=2, initializer_range=0.02, **{"image_size": 64, **settings}
    )


def micro_model(**settings) -> SamRoadForRoadGraph:
    """On a SAM for crops of 64 px."""
    torch.manual_seed(0)
    sizes = {"feature_channels": 16, "topology_channels": 16, "topology_layers": 2, "topology_heads": 2}
    config = SamRoadConfig(sam_config(output_channels=16), **{**sizes, **settings})
    return SamRoadForRoadGraph(config)


def some_pairs(count: int = 5, size: float = 64.0):
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(1, count, 2, generator=generator) * size
    numbers = torch.arange(count)
    pairs = torch.stack(torch.meshgrid(numbers, numbers, indexing="ij"), dim=-1)[None]
    return points, pairs, (pairs[..., 0] != pairs[..., 1])


def images(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_a_saved_model_gives_the_same_through_the_auto_classes(tmp_path):
    model = micro_model(keypoint_threshold=0.3).eval()
    model.save_pretrained(tmp_path)
    SamRoadProcessor().save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert isinstance(loaded, SamRoadForRoadGraph)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), SamRoadConfig)
    assert isinstance(AutoImageProcessor.from_pretrained(tmp_path), SamRoadProcessor)
    assert loaded.config.keypoint_threshold == 0.3 and loaded.config.backbone_config.image_size == 64
    first, second = model(images()), loaded(images())
    assert isinstance(second, SamRoadOutput)
    assert_equal_but_for_rounding(first.probabilities, second.probabilities)
    arguments = (first.features, first.probabilities, *some_pairs())
    assert_equal_but_for_rounding(model.predict_connections(*arguments), loaded.predict_connections(*arguments))


@torch.no_grad()
@pytest.mark.parametrize(
    "backbone",
    [
        S5ViTConfig(**TINY, image_size=64),
        ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, layer_type="basic", out_features=["stage3"]
        ),
    ],
    ids=["s5_vit", "resnet"],
)
def test_other_encoders_take_any_size(backbone):
    model = SamRoadForRoadGraph(SamRoadConfig(backbone, feature_channels=16)).eval()
    output = model(images(40, 72))
    assert output.probabilities.shape == (1, 2, 40, 72) and output.features.shape == (1, 16, 3, 5)
    scores = model.predict_connections(output.features, output.probabilities, *some_pairs(size=40.0))
    assert scores.shape == (1, 5, 5) and (scores.diagonal(dim1=1, dim2=2) == 0).all()
    assert model.config.fixed_size is None


def test_a_map_of_another_stride_is_refused():
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, layer_type="basic", out_features=["stage4"]
    )
    model = SamRoadForRoadGraph(SamRoadConfig(backbone, feature_channels=16)).eval()
    with pytest.raises(ValueError, match=r"last map of the backbone 'resnet' has \(2, 2\) cells, stride 16 would be"):
        model(images())


def test_weights_of_an_s5_encoder_with_a_pyramid_are_taken(tmp_path):
    backbone = S5ViTBackbone(S5ViTConfig(**{**TINY, "num_hidden_layers": 4}, image_size=64))
    backbone.save_pretrained(tmp_path)
    model = SamRoadForRoadGraph.from_backbone(str(tmp_path), feature_channels=16)
    assert model.backbone.feature_pyramid is None
    key = "encoder.layers.3.feed_forward.fc2.weight"
    assert torch.equal(model.backbone.state_dict()[key], backbone.state_dict()[key])


@torch.no_grad()
def test_sams_of_transformers_become_road_models(tmp_path):
    vision = sam_config(image_size=128).to_dict()
    sam = SamModel(SamConfig(vision_config=vision)).eval()
    model = SamRoadForRoadGraph.from_sam(sam, image_size=128).eval()
    expected = sam.vision_encoder(torch.ones(1, 3, 128, 128)).last_hidden_state
    torch.testing.assert_close(model.encode(torch.ones(1, 3, 128, 128)), expected)
    sam.save_pretrained(tmp_path / "sam")
    report = convert_checkpoint(tmp_path / "sam", tmp_path / "roads", image_size=96)
    assert any(name.startswith("mask_decoder.") for name in report.left_out)
    assert all(name.startswith(("map_decoder.", "topology.")) for name in report.new)
    converted = SamRoadForRoadGraph.from_pretrained(tmp_path / "roads")
    tables = converted.backbone.state_dict()
    assert tables["vision_encoder.pos_embed"].shape == (1, 6, 6, 16)
    assert tables["vision_encoder.layers.2.attn.rel_pos_h"].shape == (11, 8)
    window = "vision_encoder.layers.0.attn.rel_pos_h"
    assert torch.equal(tables[window], sam.state_dict()[window])


@torch.no_grad()
def test_exact_readings_follow_a_turned_image_and_released_ones_do_not():
    """Scores read at (x, y): of a mirrored map they are those of mirrored points."""
    scores = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[[4.0, 20.0], [25.0, 9.0], [16.0, 3.0]]])
    moved = move_to_best(points, scores, radius=3)
    transposed = move_to_best(points.flip(-1), scores.transpose(1, 2), radius=3)
    assert torch.equal(moved, transposed.flip(-1))
    x, y = moved[0].long().T
    for (before_x, before_y), best in zip(points[0].long().tolist(), scores[0, y, x].tolist(), strict=True):
        around = scores[0, before_y - 2 : before_y + 3, max(0, before_x - 2) : before_x + 3]
        assert best >= around[1:-1, 1:-1].max()
    road = torch.zeros(1, 32, 32)
    road[0, 20, 4:28] = 1
    on_road = line_features(torch.tensor([[[6.0, 20.0]]]), torch.tensor([[[25.0, 20.0]]]), road, kept_inside=1)
    assert on_road[0, 0, 45:65].eq(1).all()  # the line itself
    assert on_road[0, 0, 65:85].eq(0).all() and on_road[0, 0, 85:105].eq(1).all()  # below it, and right of it


@torch.no_grad()
def test_features_at_points_are_those_of_grid_sample():
    features = torch.randn(2, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    points = torch.rand(2, 40, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([96.0, 64.0])
    points[0, 0], points[0, 1] = torch.tensor([0.0, 0.0]), torch.tensor([96.0, 64.0])
    grid = (2 * points / torch.tensor([96.0, 64.0]) - 1)[:, :, None]
    expected = torch.nn.functional.grid_sample(features, grid, align_corners=False)[..., 0].transpose(1, 2)
    torch.testing.assert_close(sample_features(features, points, 16), expected)


def test_the_losses_of_a_call_are_means_of_what_is_valid():
    model = micro_model(topology_dropout=0.0).train()
    points, pairs, valid = some_pairs()
    connected = pairs[..., 0] < pairs[..., 1]
    labels = torch.zeros(1, 2, 64, 64)
    output = model(images(), labels, points, pairs, valid, connected)
    logits = output.connection_logits[valid]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, connected[valid].float())
    torch.testing.assert_close(output.topology_loss, expected)
    torch.testing.assert_close(output.loss, output.mask_loss + output.topology_loss)
    halved = model(images(), labels, points, pairs, valid, connected, reduce_count=lambda count: 2.0 * count)
    torch.testing.assert_close(halved.topology_loss, expected / 2)
    nothing = model(images(), labels, points, pairs, torch.zeros_like(valid), connected)
    assert nothing.topology_loss == 0 and nothing.connection_logits.isfinite().all()


def test_bad_input_is_refused():
    model = micro_model().eval()
    points, pairs, valid = some_pairs()
    with pytest.raises(ValueError, match="pixel_values are 32 x 64 px, this SAM takes crops of 64 x 64 px"):
        model(images(32, 64))
    with pytest.raises(ValueError, match="points need pairs and valid"):
        model(images(), points=points)
    with pytest.raises(ValueError, match=r"mask_labels are \(1, 64, 64\), expected \(1, 2, 64, 64\)"):
        model(images(), torch.zeros(1, 64, 64))
    with pytest.raises(ValueError, match=r"pairs are \(1, 5, 2\), expected \(1, sources, neighbors, 2\)"):
        model(images(), points=points, pairs=pairs[:, 0], valid=valid)
    with pytest.raises(ValueError, match=r"valid is torch.float32"):
        model(images(), points=points, pairs=pairs, valid=valid.float())
    with pytest.raises(ValueError, match=r"points are \(1, 0, 2\)"):
        model(images(), points=points[:, :0], pairs=pairs, valid=valid)
    wide = SamRoadForRoadGraph(SamRoadConfig(S5ViTConfig(**TINY), feature_channels=16, point_sampling="released"))
    with pytest.raises(ValueError, match="'released' reads squares only"):
        wide(images(32, 64), points=points, pairs=pairs, valid=valid)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"point_sampling": "other"}, "point_sampling is 'other', expected one of exact, released"),
        ({"topology_heads": 3}, "topology_channels 128 is not a multiple of topology_heads 3"),
        ({"road_threshold": 40}, "road_threshold is 40, expected a number from 0 to 1"),
        ({"resampling_radius": -1}, "resampling_radius is -1"),
        ({"feature_channels": 64}, "feature_channels is 64, the neck of this SAM has 256"),
        ({"backbone_config": sam_config(image_size=56)}, "a SAM with patches of 16 px for images of 56 px"),
    ],
)
def test_configurations_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SamRoadConfig(**{"backbone_config": sam_config(), **settings})
