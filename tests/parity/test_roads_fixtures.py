"""SAM-Road++ against its official code: tables, embeddings, maps, points, lines, scores, losses, gradients, a step."""

from pathlib import Path

import pytest
import torch
from transformers import SamVisionConfig

from s5_hf.conversion import convert_checkpoint, export_official
from s5_hf.conversion.samroad_layout import samroad_name
from s5_hf.modeling import SamRoadForRoadGraph, SamRoadProcessor
from s5_hf.modeling.road_encoder import resize_sam_tables
from s5_hf.modeling.road_points import gather_points, line_features, move_to_best, sample_features
from s5_hf.recipes import find_recipe
from s5_hf.training import RoadData, RoadRecipe, RoadTraining
from tests.parity.conftest import assert_close
from tests.parity.roads_fixtures import arrays, settings, weights

SIZE = 128


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the release, whose training has stored the tables for crops of 128 px."""
    state = weights()
    side = SIZE // 16
    positions = state["image_encoder.pos_embed"].permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(positions, size=(side, side), mode="bilinear")
    state["image_encoder.pos_embed"] = resized.permute(0, 2, 3, 1)
    for name, table in state.items():
        if ".rel_pos_" in name and len(table) == 127:
            size = (2 * side - 1, table.shape[1])
            state[name] = torch.nn.functional.interpolate(table[None, None], size=size, mode="bilinear")[0, 0]
    path = tmp_path_factory.mktemp("release") / "epoch=9.ckpt"
    torch.save({"state_dict": state, "epoch": 9}, path)
    return path


@pytest.fixture(scope="module")
def folder(checkpoint: Path) -> Path:
    output = checkpoint.parent / "converted"
    convert_checkpoint(checkpoint, output)
    return output


@pytest.fixture(scope="module")
def model(folder: Path) -> SamRoadForRoadGraph:
    return SamRoadForRoadGraph.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    images = list(arrays("model_io")["rgb"].numpy())
    return SamRoadProcessor()(images, return_tensors="pt")["pixel_values"]


@pytest.fixture(scope="module")
def outputs(model: SamRoadForRoadGraph, pixels: torch.Tensor):
    with torch.no_grad():
        return model(pixels)


def test_configuration_is_read_off_the_tensors(model):
    vision = model.config.backbone_config
    assert (vision.hidden_size, vision.num_attention_heads, vision.image_size, vision.window_size) == (16, 2, 128, 14)
    assert vision.global_attn_indexes == [2, 5, 8, 11]
    assert model.config.point_sampling == "released"
    assert (model.config.topology_heads, model.config.topology_layers) == (4, 3)


def test_maps(outputs):
    expected = arrays("model_io")
    assert_close(outputs.features[:, ::16], expected["embedding_every_16th_channel"])
    assert_close(outputs.logits[:, :, ::3, ::3].permute(0, 2, 3, 1), expected["mask_logits_every_3rd_pixel"])


@pytest.mark.parametrize("radius", [2, 8])
def test_points_move_to_the_best_pixel_near_them(outputs, radius):
    expected = arrays("model_io")
    moved = move_to_best(expected["graph_points"], outputs.probabilities.sum(dim=1).transpose(1, 2), radius)
    assert torch.equal(moved, expected[f"resampled_points_radius{radius}"])


def test_features_at_points(outputs):
    expected = arrays("model_io")
    for which, points in (("source", "graph_points"), ("target", "resampled_points_radius2")):
        found = sample_features(outputs.features, expected[points], 16)[..., ::8]
        assert_close(found, expected[f"{which}_features_every_8th_channel"])


@pytest.mark.parametrize("mode", ["train", "infer"])
def test_lines(outputs, mode):
    expected = arrays("model_io")
    sources = expected["graph_points" if mode == "train" else "infer_integer_points"].float()
    targets = expected["resampled_points_radius2"] if mode == "train" else sources
    ends = [gather_points(at, expected["pairs"][..., end]).flatten(1, 2) for end, at in enumerate((sources, targets))]
    lines = line_features(*ends, outputs.probabilities[:, 1].transpose(1, 2), kept_inside=2)
    assert_close(lines, expected[f"{mode}_line_features"])
    if mode == "train":
        assert_close(ends[1] - ends[0], expected["train_pair_features_after_projection_input_offset"])


def test_scores_of_inference(model, outputs):
    expected = arrays("model_io")
    scores = model.predict_connections(
        outputs.features,
        outputs.probabilities,
        expected["infer_integer_points"],
        expected["pairs"],
        expected["valid"],
    )
    official = expected["infer_topo_scores_nan_where_invalid"]
    assert_close(scores[expected["valid"]], official[expected["valid"]])
    assert (scores[~expected["valid"]] == 0).all() and official[~expected["valid"]].isnan().all()


def training_outputs(model, pixels):
    expected = arrays("model_io")
    labels = torch.stack([expected["keypoint_mask"], expected["road_mask"]], dim=1) > 0
    points = (expected[name] for name in ("graph_points", "pairs", "valid", "connected"))
    return model(pixels, labels, *points)


def test_training_step(folder, pixels):
    model = SamRoadForRoadGraph.from_pretrained(folder).eval()  # dropout off, as in the fixture
    expected, told = arrays("model_io"), settings("model")
    outputs = training_outputs(model, pixels)
    valid = expected["valid"]
    assert_close(outputs.connection_logits[valid], expected["train_topo_logits"][valid])
    for name in ("mask_loss", "topology_loss", "loss"):
        official = told["losses"][name.replace("topology", "topo")]
        assert getattr(outputs, name).item() == pytest.approx(official, rel=1e-4)
    parameters = dict(model.named_parameters())
    of_topology = torch.autograd.grad(
        outputs.topology_loss, list(parameters.values()), retain_graph=True, allow_unused=True
    )
    found = {samroad_name(name): grad for name, grad in zip(parameters, of_topology, strict=True)}
    for name, norm in told["gradient_norms_of_topology_loss_alone"].items():
        assert found[name].norm().item() == pytest.approx(norm, rel=1e-4, abs=1e-5), name
    outputs.loss.backward()
    for name, parameter in parameters.items():
        official = told["gradient_norms"][samroad_name(name)]
        assert parameter.grad.norm().item() == pytest.approx(official, rel=1e-4, abs=1e-5), name
    total = torch.nn.utils.clip_grad_norm_(parameters.values(), told["clip"])
    assert total.item() == pytest.approx(told["total_gradient_norm"], rel=1e-4)
    recipe = RoadRecipe.read([str(find_recipe("samroad_cityscale", "roads"))])
    optimizer = RoadTraining(recipe, RoadData([{}])).make_optimizer(model, processes=1)
    for groups, counts in ((told["optimizer"], "parameters"), (optimizer.param_groups, "params")):
        of_rates = {1e-4: 0, 1e-3: 0}
        for group in groups:
            assert (group["weight_decay"], tuple(group["betas"])) == (0.1, (0.9, 0.999))
            of_rates[round(group["lr"], 6)] += group[counts] if counts == "parameters" else len(group[counts])
        assert of_rates == {1e-4: 177, 1e-3: 52}
    optimizer.step()
    after = {samroad_name(name): tensor for name, tensor in model.state_dict().items()}
    compared = [name for name in expected if name.startswith("after_step/")]
    assert len(compared) == 5
    for name in compared:
        assert_close(after[name.removeprefix("after_step/")], expected[name])


def test_the_table_of_a_sam_is_resized_as_officially():
    fixture, state = arrays("encoder_512"), weights()
    blocks = [f"vision_encoder.layers.{block}.attn.rel_pos_{axis}" for block in (0, 2, 11) for axis in "hw"]
    names = ["vision_encoder.pos_embed", *blocks]
    vision = {name: state[samroad_name(f"backbone.{name}")] for name in names}
    resized = resize_sam_tables(vision, SamVisionConfig(image_size=512))
    assert_close(resized["vision_encoder.pos_embed"][0, :, :, :4], fixture["pos_embed_resized_first_4_channels"])
    for name, key in (
        ("2.attn.rel_pos_h", "block2_rel_pos_h_resized"),
        ("11.attn.rel_pos_w", "block11_rel_pos_w_resized"),
        ("0.attn.rel_pos_h", "block0_rel_pos_h_unchanged"),
    ):
        assert_close(resized[f"vision_encoder.layers.{name}"], fixture[key])


def test_a_sam_becomes_a_road_model_for_crops_of_512(tmp_path):
    fixture = arrays("encoder_512")
    sam = {name: tensor for name, tensor in weights().items() if name.startswith("image_encoder.")}
    torch.save({**sam, "mask_decoder.iou_token.weight": torch.zeros(1, 256)}, tmp_path / "sam_vit.pth")
    report = convert_checkpoint(tmp_path / "sam_vit.pth", tmp_path / "model", image_size=512)
    assert report.left_out == ["mask_decoder.iou_token.weight"]
    assert {name.split(".")[0] for name in report.new} == {"map_decoder", "topology"}
    model = SamRoadForRoadGraph.from_pretrained(tmp_path / "model").eval()
    pixel_values = SamRoadProcessor()(fixture["rgb"].numpy(), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        features = model.encode(pixel_values)[0]
    assert_close(features[::16], fixture["embedding_every_16th_channel"])
    assert_close(features.mean(dim=0), fixture["embedding_mean_over_channels"])
    assert model.config.point_sampling == "exact"
    with pytest.raises(ValueError, match="point_sampling is 'exact' and would be read as 'released'"):
        export_official(tmp_path / "model", tmp_path / "back.ckpt")


def test_released_weights_come_back_byte_for_byte(checkpoint, folder, tmp_path):
    export_official(folder, tmp_path / "back.ckpt")
    official, back = (
        torch.load(path, weights_only=True)["state_dict"] for path in (checkpoint, tmp_path / "back.ckpt")
    )
    assert official.keys() == back.keys()
    assert all(torch.equal(official[name], back[name]) for name in official)
