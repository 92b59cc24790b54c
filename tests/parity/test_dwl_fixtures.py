"""DWL against its official code: the memory, the weights, the mixing, and 56 training steps."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from transformers import ResNetConfig
from transformers.modeling_outputs import BackboneOutput

from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig
from s5_hf.semi_supervised import DWL, LabelledBatch, UnlabelledBatch
from s5_hf.semi_supervised.rank_weights import RankMemory, rank_weights
from s5_hf.training.optimizer import make_optimizer
from tests.parity.ssl_fixtures import TOLERANCE, load

CLASSES, IGNORED = 4, 3


class StandIn(nn.Module):
    """Level i is a 4 x 4 convolution of the image, made smaller."""

    def __init__(self, config):
        super().__init__()
        self.config, self.channels = config, [4, 6, 8, 10]
        self.levels = nn.ModuleList(nn.Conv2d(3, width, kernel_size=4, stride=4) for width in self.channels)

    def forward(self, images, **arguments):
        pooled = [nn.functional.avg_pool2d(images, factor) for factor in (1, 2, 4, 4)]
        maps = tuple(level(image) for level, image in zip(self.levels, pooled, strict=True))
        return BackboneOutput(feature_maps=maps)


def official_name(name):
    for ours, official in (
        ("classifiers.0.labelled.", "decoder.linear_pred."),
        ("classifiers.0.pseudo.", "decoder.pseudo_linear_pred."),
    ):
        name = name.replace(ours, official)
    for level in range(4):
        name = name.replace(f"decoders.0.projections.{level}.", f"decoder.linear_c{level + 1}.proj.")
    return name


def load_weights(model, prefix):
    weights = load("dwl", prefix)
    own = {name: weights[official_name(name)] for name in model.state_dict() if official_name(name) in weights}
    assert len(own) == len(weights)
    model.load_state_dict(own, strict=False)


@pytest.fixture
def training():
    """The method, its network in train mode, and the settings of the fixture."""
    settings = load("dwl", "settings/")
    backbone = ResNetConfig(
        embedding_size=4,
        hidden_sizes=[4, 6, 8, 10],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=[f"stage{stage}" for stage in (1, 2, 3, 4)],
    )
    config = S5SegmentationConfig(
        backbone, num_labels=CLASSES, decoder="segformer", decoder_channels=6, classifier_dropout=0.0
    )
    model = S5ForSemanticSegmentation(config)
    model.backbone = StandIn(backbone)
    method = DWL(
        total_steps=int(settings["total_iterations"]),
        mixing_steps=int(settings["iterations_per_epoch"]),
        mixing_share=settings["alpha"].item(),
        ignored_class=IGNORED,
    )
    method.extend(model)
    method.attach(model)
    return method, model.train(), settings


def filled_memory():
    data, memory = load("dwl", "memory/"), RankMemory(CLASSES, capacity=4)
    for update in range(5):
        probabilities, predicted = data[f"update{update}_probabilities"], data[f"update{update}_predicted"].long()
        memory.see(probabilities.gather(1, predicted[:, None])[:, 0], predicted)
        assert torch.equal(memory.bins(), data[f"update{update}_bins"]), update
    return memory, data


def test_memory():
    memory, data = filled_memory()
    assert [len(entries) for entries in memory.entries] == data["entries_per_class_after"].tolist()
    rows = [sum(len(entry) for entry in entries) for entries in memory.entries]
    assert rows == data["rows_per_class_after"].tolist()
    again = RankMemory(CLASSES, capacity=4)
    again.load_state_dict(memory.state_dict())
    for one in (memory, again):
        one.see(torch.tensor([0.3, 0.9]), torch.tensor([0, 2]))
    assert torch.equal(again.bins(), memory.bins())


@pytest.mark.parametrize("iteration", [0, 500, 999])
def test_weights(iteration):
    memory, _ = filled_memory()
    data = load("dwl", "weights/")
    weights = rank_weights(data["probabilities"], data["classes"].long(), memory.bins(), iteration / 1000)
    assert_close(weights, data[f"iteration_{iteration}_of_1000"], **TOLERANCE)


def test_mixing(training):
    method, model, settings = training
    load_weights(model, "mixing_before/")
    method.heads.mix(settings["alpha"].item())
    after = load("dwl", "mixing_after/")
    state = {official_name(name): tensor for name, tensor in model.state_dict().items()}
    for name, tensor in after.items():
        assert_close(state[name], tensor, **TOLERANCE, msg=name)


def test_an_epoch(training):
    method, model, settings = training
    load_weights(model, "before/")
    encoder, decoder = settings["lr_encoder_and_decoder"].tolist()
    optimizer = make_optimizer(model, decoder, 0.0, encoder_rate=encoder / decoder)
    batches, losses = load("dwl", "batches/"), load("dwl", "losses/")
    labels = batches["labels"].long().masked_fill(batches["labels"] == IGNORED, 255)
    nothing = torch.zeros(2, 16, 48, dtype=torch.bool)
    for step in range(int(settings["iterations_per_epoch"])):
        weak, strong = batches["weak"][step % 3], batches["strong"][step % 3]
        labelled = LabelledBatch(batches["labelled"][step % 2], labels[step % 2])
        output = method(model, labelled, UnlabelledBatch(weak, (strong,), nothing, (nothing,)), step)
        assert_close(output.loss.detach().double(), losses["total"][step], rtol=1e-4, atol=2e-5)
        for name in ("labelled", "unlabelled"):
            ours = {"labelled": "loss_supervised", "unlabelled": "loss_unsupervised"}[name]
            assert_close(output.scalars[ours].double(), losses[name][step], rtol=1e-4, atol=2e-5)
        fixture = load("dwl", f"iteration{step}/")
        if "bins" in fixture:
            assert_close(method.memory.bins(), fixture["bins"], **TOLERANCE)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    assert losses["unlabelled"][51:].min() > 1, "the fixture's last steps learn from pseudo-labels"
