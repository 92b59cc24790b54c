"""Training of a road network: what it learns, exact resumption, shared by processes, and what is refused."""

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from transformers import SamVisionConfig, SamVisionModel

from s5_hf.dataset_builders.road_graph import RoadGraph
from s5_hf.modeling import SamRoadConfig, SamRoadForRoadGraph, SamRoadProcessor
from s5_hf.roads.labels import road_rasters
from s5_hf.roads.sampling import PairSettings
from s5_hf.training import RoadData, RoadRecipe, RoadTraining, read_log
from s5_hf.training.roads.tracing import trace_image, window_starts
from s5_hf.training.roads.validation import best_threshold, compare_graphs
from s5_hf.training.roads.view import RoadView, collate, graph_of
from tests.fresh_process import run_in_processes
from tests.training.best_weights import assert_best_kept
from tests.training.pretraining import example
from tests.training.road_samples import road_samples

SMALL = [
    *("--hidden-size", "16", "--num-hidden-layers", "2", "--num-attention-heads", "2", "--drop-path-rate", "0"),
    *("--topology-dropout", "0", "--crop-size", "48", "--sources", "8", "--max-neighbors", "4", "--num-workers", "0"),
    *("--batch-size", "2", "--total-steps", "2", "--warmup-steps", "0", "--validation-steps", "0"),
    *("--trackers", "none", "--logging-steps", "1"),
]
RESULT = "road_model/model.safetensors"


def train(folder, *arguments):
    AcceleratorState._reset_state(reset_partial_state=True)
    data = RoadData(road_samples(3), road_samples(1))
    example("train_roads").main([*SMALL, "--output-dir", str(folder), *arguments], data)


def run(folder, *arguments):
    train(folder, *arguments)
    return load_file(folder / RESULT)


def test_a_run_changes_the_weights_validates_and_resumes_exactly(tmp_path):
    chosen = ("--selection", "validation", "--validation-steps", "1", "--checkpoint-steps", "1")
    whole = run(tmp_path / "whole", *chosen)
    log = read_log(tmp_path / "whole")
    assert log[0]["loss"] == pytest.approx(log[0]["mask_loss"] + log[0]["topology_loss"], rel=1e-5)
    scores = {name.removeprefix("validation/") for entry in log for name in entry if name.startswith("validation/")}
    assert scores == {"f1/keypoints", "f1/roads", "f1/topology", "apls", "topo_f1"}
    assert (tmp_path / "whole" / "panels" / "roads-step-00000002.png").is_file()
    model = SamRoadForRoadGraph.from_pretrained(tmp_path / "whole" / "road_model")
    assert (model.config.max_neighbors, model.config.topology_dropout) == (4, 0.0)
    assert model.config.road_threshold != SamRoadConfig().road_threshold  # chosen on the training images
    assert isinstance(SamRoadProcessor.from_pretrained(tmp_path / "whole" / "road_model"), SamRoadProcessor)
    assert_best_kept(tmp_path / "whole", "road_model", "apls")
    SamRoadProcessor.from_pretrained(tmp_path / "whole" / "best" / "mean")
    train(tmp_path / "parts", "--checkpoint-steps", "1")
    first = load_file(tmp_path / "parts" / "checkpoints" / "step-00000001" / RESULT)
    assert sum(not torch.equal(first[name], tensor) for name, tensor in whole.items()) > len(whole) / 2
    (tmp_path / "parts" / "checkpoints" / "step-00000002").rename(tmp_path / "lost")
    parts = run(tmp_path / "parts", "--checkpoint-steps", "1", "--resume", "auto")
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())


TWO_PROCESSES = """
import sys
from pathlib import Path
from tests.training.test_train_roads import train
train(Path(sys.argv[1]), *sys.argv[2:])
"""


def test_two_processes_and_two_micro_steps_make_the_step_of_one(tmp_path):
    one = run(tmp_path / "one")
    run_in_processes(2, TWO_PROCESSES, tmp_path / "two", "--batch-size", "1")
    micro = run(tmp_path / "micro", "--batch-size", "1", "--gradient-accumulation", "2")
    two, logs = load_file(tmp_path / "two" / RESULT), {}
    for name in ("one", "two"):
        logs[name] = [entry["loss"] for entry in read_log(tmp_path / name) if "loss" in entry]
    assert logs["two"] == pytest.approx(logs["one"], rel=1e-4)
    # A step of AdamW is as long for a gradient that is a rounding error as for any other: hence the means.
    for name, tensor in one.items():
        assert (two[name] - tensor).abs().mean() < 5e-5, name
        assert (micro[name] - tensor).abs().mean() < 5e-5, name


def test_a_network_learns_a_road_by_heart_and_draws_it_again():
    torch.manual_seed(0)
    sample = road_samples(1, 64)[0]
    words = "--backbone resnet embedding_size:16 hidden_sizes:[16,32,64,64] depths:[1,1,1,1] layer_type:basic"
    own = [*words.split(), "out_features:[stage3]", "--crop-size", "64", "--sources", "24", "--max-neighbors", "6"]
    recipe = RoadRecipe.read([*own, "--batch-size", "1", "--topology-dropout", "0", "--quarter-turns", "false"])
    kind = RoadTraining(recipe, RoadData([sample]))
    model, view = kind.make_model(), kind.view()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    processor = SamRoadProcessor()
    for epoch in range(70):
        rows = collate([view(sample, epoch)])
        image = processor(rows.pop("image").numpy(), return_tensors="pt")["pixel_values"]
        output = model(image, **rows)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    assert output.mask_loss < 0.3 and output.topology_loss < 0.6
    whole = processor(sample["image"], return_tensors="pt")["pixel_values"][0]
    traced = trace_image(model.eval(), whole, 64)
    truth = road_rasters(graph_of(sample, (64, 64)), (0, 0, 64, 64))[1]
    found = traced.scores[1] > model.config.road_threshold
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.7
    assert len(traced.graph.edges) >= 3


def test_graphs_that_are_equal_score_one_and_what_cannot_be_compared_does_not_count():
    sample = road_samples(1, 400)[0]
    graph = graph_of(sample, (400, 400))
    assert compare_graphs(graph, graph).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    nothing = RoadGraph([], [])
    assert compare_graphs(nothing, graph).tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert compare_graphs(nothing, nothing)[:, 1].tolist() == [0.0, 0.0]


def test_rows_turn_image_maps_and_points_alike():
    sample = road_samples(1)[0]
    row = RoadView(64, PairSettings(16, 4), seed=1)(sample, epoch=2)
    assert row["image"].shape == (3, 64, 64) and row["mask_labels"].shape == (2, 64, 64)
    points = row["points"].long().clamp(max=63)
    assert row["mask_labels"][1, points[:, 1], points[:, 0]].float().mean() > 0.9
    grey = row["image"].float().mean(dim=0)
    assert grey[row["mask_labels"][1]].mean() > 130 > 90 > grey[~row["mask_labels"][1]].mean()
    rows = collate([row, RoadView(64, PairSettings(16, 4), seed=5)(sample, epoch=2)])
    assert rows["points"].shape == (2, max(len(points), int((rows["points"][1] != 0).any(dim=1).sum())), 2)


def test_a_scaled_row_shows_the_same_graph():
    sample = road_samples(1)[0]
    row = RoadView(96, PairSettings(16, 4), seed=1, scale_range=(0.5, 0.5), quarter_turns=False)(sample, epoch=0)
    assert (row["image"][:, 48:] == 0).all() and (row["image"][:, :, 48:] == 0).all()
    assert row["points"].max() <= 48 and row["mask_labels"][:, :46, :46].any()


def test_a_sam_gives_its_encoder(tmp_path):
    config = SamVisionConfig(
        hidden_size=16, num_attention_heads=2, num_hidden_layers=3, global_attn_indexes=[2], image_size=128,
        output_channels=256, initializer_range=0.02,
    )  # fmt: skip
    sam = SamVisionModel(config)
    sam.save_pretrained(tmp_path / "sam")
    recipe = RoadRecipe.read(["--encoder", str(tmp_path / "sam"), "--crop-size", "64"])
    model = RoadTraining(recipe, RoadData(road_samples(1))).make_model()
    assert model.config.fixed_size == 64 and model.training
    assert torch.equal(
        model.backbone.state_dict()["vision_encoder.neck.conv2.weight"],
        sam.state_dict()["vision_encoder.neck.conv2.weight"],
    )
    with pytest.raises(ValueError, match="pixel_values are 48 x 64 px, this SAM takes crops of 64 x 64 px"):
        model(torch.zeros(1, 3, 48, 64))


def test_the_threshold_with_the_best_f1_is_found_by_counting():
    rng = np.random.default_rng(0)
    true = rng.random(500) < 0.3
    levels = np.clip(rng.normal(80 + 70 * true, 40), 0, 255).astype(int)
    found = [np.bincount(levels[chosen], minlength=256) for chosen in (slice(None), true)]
    threshold = best_threshold(*found)
    scores = [2 * (true & (levels > level)).sum() / ((levels > level).sum() + true.sum()) for level in range(255)]
    assert threshold == int(np.argmax(scores)) / 255
    assert best_threshold(found[0], np.zeros(256)) == 0.5


def test_windows_reach_the_ends_and_overlap_by_half():
    assert window_starts(64, 64) == [0]
    assert window_starts(128, 64) == [0, 32, 64]
    starts = window_starts(150, 64)
    assert starts[0] == 0 and starts[-1] == 86 and np.diff(starts).max() <= 32


def test_bad_settings(tmp_path):
    with pytest.raises(ValueError, match="give one network to start from, got encoder and road_model"):
        RoadRecipe.read(["--encoder", "a", "--road-model", "b"])
    with pytest.raises(ValueError, match="sources must be at least 1"):
        RoadRecipe.read(["--sources", "0"])
    with pytest.raises(ValueError, match="crop_size must be a multiple of 16, got 50"):
        train(tmp_path, "--crop-size", "50")
    with pytest.raises(ValueError, match="s5-loveda is for segmentation; a road network learns from road graphs"):
        RoadTraining(RoadRecipe.read(["--dataset", "s5-loveda"])).load_data(1)
    with pytest.raises(ValueError, match="are empty"):
        RoadData([])
    sample = {**road_samples(1)[0], "nodes": None}
    with pytest.raises(ValueError, match="tile-0 has no road graph"):
        RoadView(64, PairSettings(4, 4), seed=0)(sample, 0)
